"""Dreams by the API and the engine, in the test's own process (spec advanced 14)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.models import Memory, MemoryStore, MemoryVersion, Workspace
from contract.roles import Role
from credentials.models import ApiKey
from sessions import events as ev
from sessions import log
from sessions.dreams import engine, kit, transcripts
from sessions.events import Draft
from sessions.models import Dream, DreamKit, Resource, Session, Thread
from tests.api.conftest import Caller, caller, fits

HELLO = {"type": "user.message", "content": [{"type": "text", "text": "My token is sk-abcdefghijklmnopqrstuvwx."}]}


@pytest.fixture
def store(alice: Caller) -> str:
    made = alice.post("/memory_stores", {"name": "Tea notes", "description": "what we learned"})
    alice.post(f"/memory_stores/{made['id']}/memories", {"path": "/old.md", "content": "black tea"})
    return str(made["id"])


@pytest.fixture
def past(alice: Caller, session: dict[str, Any]) -> str:
    alice.post(f"/sessions/{session['id']}/events", {"events": [HELLO]})
    return str(session["id"])


def wanted(store: str, *sessions: str, **more: Any) -> dict[str, Any]:
    read = [{"type": "memory_store", "memory_store_id": store}, {"type": "sessions", "session_ids": list(sessions)}]
    return {"inputs": read, "model": "demo", **more}


def rest(session: Session, stop: dict[str, Any] | None = None) -> None:
    """The session's thread ends its turn."""
    thread = Thread.objects.get(session=session)
    payload = {"session_thread_id": thread.pk, "agent_name": thread.agent_name, "stop_reason": stop or ev.END_TURN}
    log.append(session.pk, thread.pk, [Draft(ev.THREAD_IDLE, {**payload, "stop_details": None})])


def begun(alice: Caller, store: str, past: str, **more: Any) -> Dream:
    made = alice.post("/dreams", wanted(store, past, **more))
    engine.drive(made["id"])
    return Dream.objects.select_related("session").get(pk=made["id"])


def test_a_dream_is_what_the_sdk_knows_and_lists_its_sessions_in_order(
    alice: Caller, store: str, past: str, agent: str, environment: str
) -> None:
    other = alice.post("/sessions", {"agent": agent, "environment_id": environment})["id"]
    made = alice.post("/dreams", wanted(store, *sorted([past, other], reverse=True), instructions="x" * 4096))
    fits("beta_dream.BetaDream", made)
    assert made["inputs"][1]["session_ids"] == sorted([past, other])
    assert alice.get(f"/dreams/{made['id']}") == made
    assert Session.objects.filter(title__startswith="Dream").count() == 0, "what was tried left nothing behind"


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"bogus": 1}, 400, "bogus"),
        ({"inputs": []}, 400, "inputs: must be exactly one memory_store"),
        ({"inputs": [{"type": "files"}]}, 400, "inputs.0"),
        ({"model": 7}, 400, "model"),
        ({"model": ""}, 400, "model"),
        ({"model": {"id": "demo", "speed": "fast"}}, 400, "model.speed"),
        ({"instructions": ""}, 400, "instructions"),
        ({"instructions": "x" * 4097}, 400, "instructions"),
        ({"output_behavior": {"type": "none"}}, 400, "output_behavior"),
        ({"output_behavior": {"type": "update_existing", "memory_store_id": "memstore_x"}}, 400, "output_behavior."),
    ],
)
def test_mistakes_are_named(
    alice: Caller, store: str, past: str, change: dict[str, Any], status: int, named: str
) -> None:
    refused = alice.refused("POST", "/dreams", {**wanted(store, past), **change})
    assert (refused.status, refused.message.startswith(named)) == (status, True), refused.message
    assert alice.get("/dreams")["data"] == []


@pytest.mark.parametrize(("many", "named"), [(0, "1 to 100"), (101, "1 to 100"), (2, "each session once")])
def test_too_few_too_many_and_doubled_sessions_are_refused(
    alice: Caller, store: str, past: str, many: int, named: str
) -> None:
    refused = alice.refused("POST", "/dreams", wanted(store, *[past] * many))
    assert (refused.status, named in refused.message) == (400, True), refused.message


def test_what_is_not_there_is_named(alice: Caller, charlie: Caller, store: str, past: str) -> None:
    assert alice.refused("POST", "/dreams", wanted("memstore_x", past)).status == 404
    assert alice.refused("POST", "/dreams", wanted(store, "sesn_x")).message.startswith("There is no session sesn_x")
    foreign = charlie.post("/memory_stores", {"name": "Theirs"})["id"]
    assert alice.refused("POST", "/dreams", wanted(foreign, past)).status == 404
    alice.post(f"/memory_stores/{store}/archive")
    assert "archived" in alice.refused("POST", "/dreams", wanted(store, past)).message


def test_a_key_that_may_not_write_stores_may_not_let_a_dream_do_it(alice: Caller, store: str, past: str) -> None:
    into = {"type": "update_existing", "memory_store_id": store}
    ApiKey.objects.filter(pk=alice.acting.api_key_id).update(scopes=["dreams", "memory_stores:read"])
    refused = alice.refused("POST", "/dreams", wanted(store, past, output_behavior=into))
    assert (refused.status, refused.type) == (403, "permission_error")
    assert alice.post("/dreams", wanted(store, past))["status"] == "pending"


def test_a_viewer_can_look_but_not_dream(alice: Caller, store: str, past: str) -> None:
    viewer = caller("v", Role.VIEWER, Workspace.objects.get(pk=alice.acting.workspace_id))
    assert viewer.refused("POST", "/dreams", wanted(store, past)).status == 403
    assert viewer.get("/dreams")["data"] == []


def test_the_session_gets_the_transcripts_without_secrets_and_a_copy_of_the_store(
    alice: Caller, store: str, past: str, blob_dir: Any
) -> None:
    dream = begun(alice, store, past)
    assert (dream.status, dream.session is None) == ("running", False)
    mounted = set(Resource.objects.filter(session=dream.session).values_list("mount_path", flat=True))
    assert mounted == {"/mnt/memory/tea-notes-dream", f"{kit.TRANSCRIPTS}/{past}.md"}
    said = transcripts.text(Session.objects.get(pk=past))
    assert "My token is" in said
    assert "sk-abc" not in said
    copy = MemoryStore.objects.get(pk=dream.output_store_id)
    assert (copy.name, copy.description, copy.metadata["dream_id"]) == (
        "Tea notes (dream)",
        "what we learned",
        dream.pk,
    )
    head = Memory.objects.get(store=copy).head
    assert (head.path, head.content, head.author_kind, head.author_id) == (
        "/old.md", "black tea", "session", dream.session_id
    )  # fmt: skip


def test_two_drivers_begin_a_dream_once_and_a_second_look_ends_it_once(
    alice: Caller, store: str, past: str, blob_dir: Any
) -> None:
    dream = begun(alice, store, past)
    engine.drive(dream.pk)
    assert Session.objects.filter(title="Dream: Tea notes").count() == 1
    assert dream.session is not None
    engine.settle()
    assert alice.get(f"/dreams/{dream.pk}")["status"] == "running"
    rest(dream.session)
    engine.settle()
    ended = alice.get(f"/dreams/{dream.pk}")
    engine.settle()
    assert alice.get(f"/dreams/{dream.pk}") == ended
    assert ended["status"] == "completed"
    assert alice.get(f"/sessions/{dream.session_id}")["archived_at"] is not None
    kinds = Resource.objects.filter(session=dream.session).values_list("kind", flat=True)
    assert list(kinds) == ["memory_store"], "the transcripts are gone with the work"


@pytest.mark.parametrize("sealed", [False, True])
def test_a_dream_whose_model_gives_up_fails_with_what_its_session_said(
    alice: Caller, store: str, past: str, blob_dir: Any, settings: Any, sealed: bool
) -> None:
    settings.HOLDFAST_SEAL_EVENTS = sealed
    dream = begun(alice, store, past)
    assert dream.session is not None
    thread = Thread.objects.get(session=dream.session)
    error = {"type": "billing_error", "message": "No credit.", "retry_status": {"type": "exhausted"}}
    log.append(dream.session.pk, thread.pk, [Draft(ev.SESSION_ERROR, {"error": error})])
    rest(dream.session, ev.RETRIES_EXHAUSTED)
    engine.settle()
    assert alice.get(f"/dreams/{dream.pk}")["error"] == {"type": "internal_error", "message": "No credit."}


def test_a_session_that_waits_for_a_person_is_waited_for_until_the_time_is_up(
    alice: Caller, store: str, past: str, blob_dir: Any
) -> None:
    dream = begun(alice, store, past)
    assert dream.session is not None
    rest(dream.session, {"type": "budget_reached"})
    engine.settle()
    assert alice.get(f"/dreams/{dream.pk}")["status"] == "running"
    Dream.objects.filter(pk=dream.pk).update(created_at=timezone.now() - timedelta(hours=25))
    engine.settle()
    ended = alice.get(f"/dreams/{dream.pk}")
    assert (ended["status"], ended["error"]["type"]) == ("failed", "timeout")


def test_a_dream_that_never_begins_is_ended_when_its_time_is_up(
    alice: Caller, store: str, past: str, blob_dir: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("the disk is away")

    monkeypatch.setattr("sessions.dreams.transcripts.write", broken)
    made = alice.post("/dreams", wanted(store, past))["id"]
    with pytest.raises(OSError, match="disk"):
        engine.drive(made)
    Dream.objects.update(created_at=timezone.now() - timedelta(hours=25))
    engine.drive(made)
    ended = alice.get(f"/dreams/{made}")
    assert (ended["status"], ended["error"]["type"], engine.waiting()) == ("failed", "timeout", [])


@pytest.mark.parametrize("lost", ["before", "meanwhile"])
def test_an_input_session_that_goes_ends_the_dream(
    alice: Caller, store: str, past: str, blob_dir: Any, agent: str, environment: str, lost: str
) -> None:
    other = alice.post("/sessions", {"agent": agent, "environment_id": environment})["id"]
    made = alice.post("/dreams", wanted(store, past, other))["id"]
    if lost == "meanwhile":
        engine.drive(made)
    alice.ok("DELETE", f"/sessions/{other}")
    engine.drive(made)
    engine.settle()
    ended = alice.get(f"/dreams/{made}")
    assert (ended["status"], ended["error"]["type"]) == ("failed", "input_session_unavailable")
    assert other in ended["error"]["message"]
    assert len(ended["outputs"]) == (0 if lost == "before" else 1)


def test_sessions_that_were_archived_before_can_be_dreamt_of(
    alice: Caller, store: str, session: dict[str, Any], blob_dir: Any
) -> None:
    alice.post(f"/sessions/{session['id']}/archive")
    assert begun(alice, store, session["id"]).status == "running"


def test_a_store_too_large_to_be_put_in_order_is_said_to_be(
    alice: Caller, store: str, past: str, blob_dir: Any
) -> None:
    MemoryVersion.objects.filter(store_id=store).update(content_size_bytes=engine.MAX_STORE_BYTES + 1)
    dream = begun(alice, store, past)
    assert (dream.status, (dream.error or {})["type"]) == ("failed", "input_memory_store_too_large")
    assert dream.stopped


def test_a_pending_dream_is_canceled_at_once(alice: Caller, store: str, past: str, blob_dir: Any) -> None:
    made = alice.post("/dreams", wanted(store, past))["id"]
    canceled = alice.post(f"/dreams/{made}/cancel")
    engine.drive(made)
    assert alice.get(f"/dreams/{made}") == canceled
    assert (canceled["status"], canceled["session_id"], canceled["outputs"]) == ("canceled", None, [])


def test_the_kit_is_made_once_and_offered_to_nobody(alice: Caller, store: str, past: str, blob_dir: Any) -> None:
    first, second = begun(alice, store, past), begun(alice, store, past)
    assert first.session is not None
    assert second.session is not None
    own = DreamKit.objects.get()
    assert {first.session.agent_id, second.session.agent_id} == {own.agent_id}
    assert own.agent_id not in [one["id"] for one in alice.get("/agents")["data"]]
    body = {"agent": own.agent_id, "environment_id": own.environment_id}
    assert "archived" in alice.refused("POST", "/sessions", body).message
    assert first.session.agent_snapshot["system"] == kit.SYSTEM


@pytest.mark.parametrize("query", ["?statuses[]=asleep", "?limit=0", "?limit=101", "?page=x"])
def test_a_bad_query_is_refused(alice: Caller, query: str) -> None:
    assert alice.refused("GET", f"/dreams{query}").status == 400
