"""A fork is started with all that its origin was started with, and takes the whole conversation over."""

from __future__ import annotations

from typing import Any

import pytest

from agents.memory import stores
from agents.models import AgentVersion, Environment
from contract.errors import InvalidRequest, NotFound
from contract.schema import OURS
from credentials import vaults
from credentials.models import Vault
from sessions import events as ev
from sessions import figures, forks, log, resources, starting
from sessions.actions import create_session, update_session
from sessions.events import Draft
from sessions.models import Event, Resource, Session, Thread
from tests.web.conftest import WEATHER, World, bash, first_day, own_blobs, result, text, world

__all__ = ["first_day", "own_blobs", "world"]  # fixtures

RULE = {"effect": "deny", "tool": "bash", "note": "Not here."}
TOKEN = "t0ken-of-the-repository"
ASKED = {"type": ev.USER_MESSAGE, "content": text("Look")}
ASK_FOR = {
    "type": ev.USER_DEFINE_OUTCOME,
    "description": "A report",
    "rubric": {"type": "text", "content": "It has numbers."},
    "max_iterations": 3,
}


def begun(world: World, **more: Any) -> Session:
    """A session that was started with everything that one can be started with, and was asked something."""
    cloud = Environment.objects.get(pk=world.environment.pk)
    body: dict[str, Any] = {
        "agent": {
            "type": "agent_with_overrides",
            "id": world.agent.pk,
            "model": {"id": "claude-haiku-4-5", "effort": "low"},
            "system": "Be brief.",
            "tools": [WEATHER, {"type": "agent_toolset_20260401"}],
        },
        "environment_id": cloud.pk,
        "title": "Whole",
        "metadata": {"team": "night"},
        "budget": {"type": "limit", "max_list_cost": {"amount": "2500", "currency": "USD"}},
        "vault_ids": [world.vault.pk],
        "resources": [
            {"type": "file", "file_id": world.output.pk, "mount_path": "/data.csv"},
            {"type": "memory_store", "memory_store_id": world.store.pk, "access": "read_only", "instructions": "Read."},
            {
                "type": "github_repository",
                "url": "https://github.com/acme/tools",
                "authorization_token": TOKEN,
                "mount_path": "/workspace/src",
                "checkout": {"type": "branch", "name": "main"},
            },
        ],
        OURS: {"limits": {"steps": 40}, "permission_rules": [RULE]},
        "initial_events": [ASKED],
    }
    return create_session(body | more, world.acting)


def mounts_of(session: Session) -> list[tuple[Any, ...]]:
    rows = Resource.objects.filter(session=session).order_by("mount_path")
    kept = ("access", "instructions", "url", "checkout")
    return [(row.kind, row.mount_path, row.store_id, {name: row.details.get(name) for name in kept}) for row in rows]


@pytest.mark.parametrize("rewind", [False, True])
def test_a_fork_has_all_that_its_origin_was_started_with_in_rows_of_its_own(world: World, rewind: bool) -> None:
    origin = begun(world)
    log.append(origin.pk, Thread.objects.get(session=origin).pk, [world.idle(ev.END_TURN)])
    child = forks.fork(origin.pk, {"rewind": rewind}, world.acting)
    for column in ("agent_id", "agent_version", "agent_snapshot", "environment_id", "metadata", "budget", "vault_ids"):
        assert getattr(child, column) == getattr(origin, column), column
    assert (child.limits, child.permission_rules) == (origin.limits, origin.permission_rules)
    assert child.agent_snapshot["system"] == "Be brief."
    assert child.agent_snapshot["model"]["effort"] == {"type": "low"}
    assert mounts_of(child) == mounts_of(origin)
    mine, theirs = (Resource.objects.filter(session=one).order_by("mount_path") for one in (child, origin))
    assert {row.pk for row in mine}.isdisjoint(row.pk for row in theirs)
    cloned = mine.get(kind="github_repository")
    token = resources.token_of(cloned)
    assert token is not None
    assert token.reveal() == TOKEN
    assert bytes(cloned.sealed) != bytes(theirs.get(kind="github_repository").sealed)
    assert {row.file_id for row in mine if row.file_id}.isdisjoint(row.file_id for row in theirs)
    assert (Session.objects.get(pk=origin.pk).archived_at is not None) is rewind


def test_what_the_session_was_given_since_its_start_goes_with_the_fork_and_approvals_do_not(world: World) -> None:
    origin = begun(world, initial_events=[])
    update_session(origin.pk, {"agent": {"tools": [WEATHER]}, OURS: {"limits": {"steps": 7}}}, world.acting)
    Session.objects.filter(pk=origin.pk).update(remembered_rules=[RULE | {"effect": "allow"}])
    child = forks.fork(origin.pk, {}, world.acting)
    assert [tool["name"] for tool in child.agent_snapshot["tools"]] == ["weather"]
    assert (child.limits, child.remembered_rules) == ({"steps": 7}, [])


def test_another_version_is_taken_as_it_is_written_down_and_what_the_body_names_wins(world: World) -> None:
    origin = begun(world)
    other = forks.fork(origin.pk, {"agent_id": world.agent.pk, "system": "Be long."}, world.acting)
    assert (starting.overrides(other)["system"], other.agent_version) == ("Be long.", origin.agent_version)
    assert other.agent_snapshot["tools"] == origin.agent_snapshot["tools"]
    from agents.actions import update_agent

    update_agent(world.agent.pk, {"version": origin.agent_version, "system": "New."}, world.acting)
    newer = forks.fork(origin.pk, {"agent_version": origin.agent_version + 1}, world.acting)
    assert (newer.agent_snapshot["system"], starting.overrides(newer)) == ("New.", {})


def test_what_whoever_forks_may_not_start_a_session_with_is_refused_unless_it_is_left_out(world: World) -> None:
    origin = begun(world)
    stores.archive_store(world.store.pk, world.acting)
    with pytest.raises(InvalidRequest, match=f"Memory store {world.store.pk} is archived and can't be attached"):
        forks.fork(origin.pk, {}, world.acting)
    vaults.archive_vault(world.vault.pk, world.acting)
    with pytest.raises(InvalidRequest, match=f"Vault {world.vault.pk} is archived and can't be used by new sessions"):
        forks.fork(origin.pk, {"leave_out": [world.store.pk]}, world.acting)
    Vault.objects.filter(pk=world.vault.pk).delete()
    with pytest.raises(NotFound, match=f"no vault {world.vault.pk}"):
        forks.fork(origin.pk, {"leave_out": [world.store.pk]}, world.acting)
    child = forks.fork(origin.pk, {"leave_out": [world.store.pk, world.vault.pk]}, world.acting)
    assert (child.vault_ids, [row[0] for row in mounts_of(child)]) == ([], ["file", "github_repository"])
    with pytest.raises(InvalidRequest, match="leave_out: the session has no vault, memory store or other resource vlt"):
        forks.fork(origin.pk, {"leave_out": ["vlt_other"]}, world.acting)
    assert Session.objects.filter(forked_from=origin).count() == 1


def test_a_token_that_cannot_be_opened_is_told_of_with_the_way_out(world: World) -> None:
    origin = begun(world)
    repository = Resource.objects.get(session=origin, kind="github_repository")
    Resource.objects.filter(pk=repository.pk).update(sealed=b"\x00")
    with pytest.raises(InvalidRequest, match=r"The token of https://github\.com/acme/tools can't be opened"):
        forks.fork(origin.pk, {}, world.acting)
    assert mounts_of(forks.fork(origin.pk, {"leave_out": [repository.pk]}, world.acting))


def test_a_budget_is_refused_with_a_model_that_has_no_price(world: World) -> None:
    with pytest.raises(InvalidRequest, match="has no public list price"):
        forks.fork(begun(world).pk, {"model": "unheard-of"}, world.acting)


def test_the_page_shows_what_can_be_left_out_and_leaves_it_out(world: World) -> None:
    origin = begun(world)
    page = world.alice.get(f"/sessions/{origin.pk}/fork/").content.decode()
    assert page.count('name="leave_out"') == 4
    assert "As in this session" in page
    made = world.alice.post(f"/sessions/{origin.pk}/fork/?at=1", {"agent": "", "leave_out": [world.vault.pk]})
    child = Session.objects.get(pk=made["Location"].split("/")[2])
    assert (child.vault_ids, child.agent_snapshot) == ([], origin.agent_snapshot)
    assert mounts_of(child) == mounts_of(origin)
    stores.archive_store(world.store.pk, world.acting)
    refused = world.alice.post(f"/sessions/{origin.pk}/fork/?at=1", {"agent": ""})
    assert refused.status_code == 422
    assert "is archived and can&#x27;t be attached" in refused.content.decode()


def _spoken(session: Session) -> list[str]:
    told = [event for event in log.read(session.pk) if event.type in {ev.USER_MESSAGE, ev.USER_DEFINE_OUTCOME}]
    return [event.payload.get("description") or event.payload["content"][0]["text"] for event in told]


def reply(world: World, said: str, *, private: dict[str, Any] | None = None) -> list[Event]:
    (start,) = world.append(Draft(ev.MODEL_START))
    message = Draft(ev.AGENT_MESSAGE, {"content": text(said)}, id=f"sevt_{said}")
    blocks = {"blocks": [{"type": "text", "event": f"sevt_{said}", "index": 0}], "stop_reason": "end_turn"}
    end = Draft(ev.MODEL_END, {"model_request_start_id": start.pk, "model_usage": {}}, private=private or blocks)
    return world.append(*([] if private else [message]), end)


def test_an_outcome_goes_with_the_fork_and_is_set_again_where_nobody_had_begun(world: World) -> None:
    origin = create_session(
        {"agent": world.agent.pk, "environment_id": world.environment.pk, "initial_events": [ASK_FOR]}, world.acting
    )
    anew = forks.fork(origin.pk, {}, world.acting)
    assert (_spoken(anew), anew.status) == (["A report"], "running")
    world.session, world.thread = origin, Thread.objects.get(session=origin)
    reply(world, "drafted")
    going = forks.fork(origin.pk, {}, world.acting)
    assert (_spoken(going), going.status) == (["A report"], "idle")
    assert [(one["description"], one["completed_at"]) for one in going.outcomes] == [("A report", None)]
    (start,) = world.append(Draft(ev.OUTCOME_START, {"outcome_id": origin.outcomes[0]["outcome_id"], "iteration": 0}))
    still = forks.fork(origin.pk, {}, world.acting)
    assert ev.OUTCOME_START not in [event.type for event in log.read(still.pk)]
    ended = {"outcome_id": "o", "iteration": 0, "outcome_evaluation_start_id": start.pk, "result": "satisfied"}
    world.append(Draft(ev.OUTCOME_END, {**ended, "explanation": "Good.", "usage": {}}, private={"cost": "0.5"}))
    done = forks.fork(origin.pk, {}, world.acting)
    assert done.outcomes[0]["result"] == "satisfied"
    assert done.cost == 0


def test_messages_that_wait_or_whose_request_failed_are_sent_again(world: World) -> None:
    world.append(Draft(ev.USER_MESSAGE, {"content": text("First")}), world.running())
    failed = {"failure": {"kind": "overloaded", "message": "Busy", "retryable": True}}
    reply(world, "", private=failed)
    child = forks.fork(world.session.pk, {}, world.acting)
    assert (_spoken(child), child.status) == (["First"], "running")
    assert ev.MODEL_END not in [event.type for event in log.read(child.pk)]
    reply(world, "Going")
    (waiting,) = world.append(Draft(ev.USER_MESSAGE, {"content": text("Second")}, processed=False))
    world.append(bash("ls"))
    assert _spoken(forks.fork(world.session.pk, {}, world.acting)) == ["First", "Second"]
    world.append(Draft(ev.OPS_PROCESSED, {"event_ids": [waiting.pk]}))
    again = forks.fork(world.session.pk, {"prompt": "Third"}, world.acting)
    assert _spoken(again) == ["First", "Third"]
    reply(world, "Gone")
    whole = forks.fork(world.session.pk, {}, world.acting)
    assert (_spoken(whole), whole.status) == (["First", "Second"], "idle")
    assert not Event.objects.filter(session=whole, processed_at=None).exists()


def test_a_fork_at_an_event_of_a_child_knows_what_the_child_had_reported_by_then(world: World) -> None:
    world.append(Draft(ev.USER_MESSAGE, {"content": text("Delegate")}), world.running())
    reply(world, "Asking")
    agent = world.thread.agent
    child = Thread.objects.create(
        session=world.session,
        parent=world.thread,
        agent=agent,
        agent_name="alpha",
        created_at=world.session.created_at,
        updated_at=world.session.updated_at,
    )
    (ran,) = log.append(world.session.pk, child.pk, [bash("ls")])
    log.append(world.session.pk, child.pk, [result(ran, "a.txt")])
    told = {"from_session_thread_id": child.pk, "from_agent_name": "alpha", "content": text("one")}
    heard = Draft(ev.MESSAGE_RECEIVED, told, private={"kind": "report", "name": "alpha"}, id="sevt_heard")
    world.append(heard, Draft(ev.OPS_PROCESSED, {"event_ids": ["sevt_heard"]}))
    reply(world, "Heard")
    before = forks.fork(world.session.pk, {"at": ran.seq}, world.acting)
    assert before.forked_at == ran.seq
    types = [event.type for event in log.read(before.pk)]
    assert types[:4] == [ev.USER_MESSAGE, ev.MODEL_START, ev.AGENT_MESSAGE, ev.MODEL_END]
    assert not {ev.TOOL_USE, ev.MESSAGE_RECEIVED} & set(types)
    after = forks.fork(world.session.pk, {}, world.acting)
    (message,) = [event for event in log.read(after.pk) if event.type == ev.MESSAGE_RECEIVED]
    (taken,) = [event for event in log.read(after.pk) if event.type == ev.OPS_PROCESSED]
    assert (message.payload["content"], taken.payload["event_ids"]) == (text("one"), [message.pk])
    for page in ("", "?view=trace", "?view=events"):
        assert world.alice.get(f"/sessions/{after.pk}/{page}").status_code == 200


def test_a_rule_that_this_version_refuses_is_told_on_the_agent_s_page_and_forks_as_one_that_asks(world: World) -> None:
    refused = {"effect": "deny", "tool": "read", "command": "rm *"}
    version = AgentVersion.objects.get(agent=world.agent, version=1)
    version.spec = version.spec | {OURS: {"permission_rules": [refused]}}
    version.save(update_fields=["spec"])
    page = world.alice.get(f"/agents/{world.agent.pk}/")
    assert page.status_code == 200
    assert "Until it is changed, it asks about every call of read." in page.content.decode()
    assert world.alice.get(f"/agents/{world.agent.pk}/edit/").status_code == 200
    origin = begun(world)
    Session.objects.filter(pk=origin.pk).update(permission_rules=[refused])
    assert world.alice.get(f"/sessions/{origin.pk}/").status_code == 200
    assert forks.fork(origin.pk, {}, world.acting).permission_rules == [{"effect": "ask", "tool": "read"}]


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (ev.END_TURN, "Done"),
        ({"type": "refusal"}, "Refused"),
        (ev.RETRIES_EXHAUSTED, "Failed"),
        ({**ev.RETRIES_EXHAUSTED, OURS: {"loop": ev.ONLY_TALK}}, "Stopped"),
        ({"type": "budget_reached", OURS: {"cap": "steps", "level": "session"}}, "Stopped"),
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["at its last reply", "at its end"])
def test_a_fork_of_a_session_at_rest_rests_for_the_same_reason(
    world: World, reason: dict[str, Any], state: str, before: bool
) -> None:
    world.append(Draft(ev.USER_MESSAGE, {"content": text("Look")}), world.running())
    (start,) = world.append(Draft(ev.MODEL_START))
    said = Draft(ev.AGENT_MESSAGE, {"content": text("I look.")}, id="sevt_said")
    blocks = {"blocks": [{"type": "text", "event": "sevt_said", "index": 0}]}
    world.append(said, Draft(ev.MODEL_END, {"model_request_start_id": start.pk, "model_usage": {}}, private=blocks))
    at = world.fresh().last_seq
    world.append(world.idle(reason))
    child = forks.fork(world.session.pk, {"at": at if before else world.fresh().last_seq}, world.acting)
    found = Session.objects.get(pk=child.pk)
    page = world.alice.get(f"/sessions/{child.pk}/").content.decode()
    assert (found.status, found.stop_reason) == ("idle", None if state == "Stopped" else reason)
    assert f"<span>{state}</span>" in page or f"</svg>{state}</span>" in page
    assert figures.of_agents([world.agent.pk])[world.agent.pk].sessions == 1, "it has done nothing itself yet"
    told = forks.fork(world.session.pk, {"at": at, "prompt": "Go on"}, world.acting)
    assert Session.objects.get(pk=told.pk).status == "running"


def test_a_fork_from_within_a_turn_or_of_what_waits_for_an_answer_waits_for_a_message(world: World) -> None:
    world.append(Draft(ev.USER_MESSAGE, {"content": text("Look")}), world.running())
    (start,) = world.append(Draft(ev.MODEL_START))
    call = bash("ls", ask=True)
    blocks = {"blocks": [{"type": "tool_use", "event": call.id, "id": "toolu_1"}]}
    world.append(call, Draft(ev.MODEL_END, {"model_request_start_id": start.pk, "model_usage": {}}, private=blocks))
    within = forks.fork(world.session.pk, {}, world.acting)
    world.append(world.idle(ev.requires_action([str(call.id)])))
    waits = forks.fork(world.session.pk, {}, world.acting)
    for child in (within, waits):
        found = Session.objects.get(pk=child.pk)
        assert (found.status, found.stop_reason, found.pending_count) == ("idle", None, 0)


def test_threads_of_other_agents_stay_behind_and_the_form_says_so(world: World) -> None:
    world.append(Draft(ev.USER_MESSAGE, {"content": text("Look")}), world.running())
    at = world.fresh().last_seq
    assert forks.place(world.fresh(), at).threads == 0
    world.append(Draft(ev.THREAD_CREATED, {"session_thread_id": "sthr_x", "agent_name": "Other"}))
    assert forks.place(world.fresh(), world.fresh().last_seq).threads == 1
    form = world.alice.get(f"/sessions/{world.session.pk}/fork/").content.decode()
    assert "The thread of 1 other agent stays behind" in form
    assert "stays behind" not in world.alice.get(f"/sessions/{world.session.pk}/fork/?at={at}").content.decode()
    child = forks.fork(world.session.pk, {"prompt": "Go on"}, world.acting)
    assert Thread.objects.filter(session=child).count() == 1
