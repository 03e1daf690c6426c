"""Dreams through the SDK alone (spec advanced 14): a store put in order by what past sessions tell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anthropic
import pytest

from tests.sdk.talk import PATIENCE_SECONDS, Talk

if TYPE_CHECKING:
    from collections.abc import Callable

    from anthropic.types.beta import BetaDream

ENDED = ("completed", "failed", "canceled")


@pytest.fixture
def store(client: anthropic.Anthropic) -> str:
    """A store with one memory."""
    made = client.beta.memory_stores.create(name="Tea notes", description="what we learned")
    client.beta.memory_stores.memories.create(made.id, path="/old.md", content="black tea")
    return made.id


@pytest.fixture
def past(begin: Callable[..., Talk]) -> str:
    """A session in which something was said."""
    talk = begin()
    talk.says("Say the customer likes jasmine tea.")
    return talk.id


def dream_of(client: anthropic.Anthropic, store: str, *sessions: str, **more: Any) -> BetaDream:
    return client.beta.dreams.create(
        model="demo",
        inputs=[
            {"type": "memory_store", "memory_store_id": store},
            {"type": "sessions", "session_ids": list(sessions)},
        ],
        **more,
    )


def until(client: anthropic.Anthropic, dream_id: str, *statuses: str) -> BetaDream:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := client.beta.dreams.retrieve(dream_id)).status not in statuses:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def contents(client: anthropic.Anthropic, store: str) -> dict[str, str]:
    found = client.beta.memory_stores.memories.list(store, view="full", limit=20)
    return {one.path: one.content or "" for one in found if one.type == "memory"}


def tool_results(client: anthropic.Anthropic, session_id: str) -> str:
    found = client.beta.sessions.events.list(session_id, types=["agent.tool_result"])
    return " ".join(event.to_json() for event in found)


@pytest.mark.proves("beta.dreams.create", "beta.dreams.retrieve")
def test_a_dream_reads_sessions_and_writes_a_new_store(client: anthropic.Anthropic, store: str, past: str) -> None:
    paper = f"/mnt/session/uploads/transcripts/{past}.md"
    wish = f"Read {paper}. Write /mnt/memory/tea-notes-dream/taste.md with `jasmine, not black`."
    made = dream_of(client, store, past, instructions=wish)
    assert (made.status, made.outputs, made.session_id, made.usage.input_tokens) == ("pending", [], None, 0)
    assert (made.model.id, made.model.speed, made.output_behavior.type) == ("demo", "standard", "create_new")
    done = until(client, made.id, *ENDED)
    assert (done.status, done.error) == ("completed", None)
    assert done.ended_at is not None
    assert done.usage.output_tokens > 0
    (output,) = done.outputs
    assert output.memory_store_id != store
    assert contents(client, output.memory_store_id) == {"/old.md": "black tea", "/taste.md": "jasmine, not black"}
    assert contents(client, store) == {"/old.md": "black tea"}
    versions = client.beta.memory_stores.memory_versions.list(output.memory_store_id, session_id=done.session_id or "")
    assert len(list(versions)) == 2
    assert done.session_id is not None
    assert "the customer likes jasmine tea" in tool_results(client, done.session_id)
    closed(client, done.session_id)


def closed(client: anthropic.Anthropic, session_id: str) -> None:
    """The session of a dream is archived once the dream has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while client.beta.sessions.retrieve(session_id).archived_at is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.proves("beta.dreams.cancel", "beta.dreams.archive", "beta.dreams.list")
def test_a_dream_that_updates_a_store_holds_it_until_it_has_stopped(
    client: anthropic.Anthropic, store: str, past: str
) -> None:
    into: Any = {"type": "update_existing", "memory_store_id": store}
    wish = "Write /mnt/memory/tea-notes/half.md with `begun`. Run `sleep 40`."
    first = dream_of(client, store, past, output_behavior=into, instructions=wish)
    running = until(client, first.id, "running")
    assert [one.memory_store_id for one in running.outputs] == [store]
    with pytest.raises(anthropic.ConflictError, match=first.id) as held:
        dream_of(client, store, past, output_behavior=into)
    assert held.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(anthropic.BadRequestError, match="cancel it first"):
        client.beta.dreams.archive(first.id)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "/half.md" not in contents(client, store):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    canceled = client.beta.dreams.cancel(first.id)
    assert (canceled.status, canceled.error) == ("canceled", None)
    assert client.beta.dreams.cancel(first.id).ended_at == canceled.ended_at
    assert running.session_id is not None
    closed(client, running.session_id)
    assert contents(client, store)["/half.md"] == "begun", "what was written stays"

    second = dream_of(client, store, past, output_behavior=into, instructions="Say nothing has changed.")
    assert until(client, second.id, *ENDED).status == "completed"
    with pytest.raises(anthropic.BadRequestError, match="completed"):
        client.beta.dreams.cancel(second.id)
    archived = client.beta.dreams.archive(second.id)
    assert (archived.status, archived.archived_at is None) == ("completed", False)
    assert client.beta.dreams.archive(second.id) == archived
    listed = [one.id for one in client.beta.dreams.list(statuses=["completed", "canceled"], limit=1)]
    assert first.id in listed
    assert second.id not in listed
    both = client.beta.dreams.list(include_archived=True, created_at_gt=first.created_at)
    assert [one.id for one in both][:1] == [second.id]


def test_a_dream_fails_when_its_store_goes(client: anthropic.Anthropic, store: str, past: str) -> None:
    made = dream_of(client, store, past, instructions="Run `sleep 40`.")
    session_id = until(client, made.id, "running").session_id
    client.beta.memory_stores.delete(store)
    failed = until(client, made.id, *ENDED)
    assert (failed.status, failed.error and failed.error.type) == ("failed", "input_memory_store_unavailable")
    assert len(failed.outputs) == 1, "the store with what there was stays"
    assert session_id is not None
    closed(client, session_id)


def test_a_dream_whose_model_gives_up_fails_and_says_why(client: anthropic.Anthropic, store: str, past: str) -> None:
    made = dream_of(client, store, past, instructions="[[demo: fail=500xall]] Say nothing.")
    failed = until(client, made.id, *ENDED)
    assert (failed.status, failed.error and failed.error.type) == ("failed", "internal_error")


def test_several_people_can_follow_and_stop_the_session_of_a_dream(
    client: anthropic.Anthropic, store: str, past: str
) -> None:
    made = dream_of(client, store, past, instructions="Run `sleep 40`.")
    session_id = until(client, made.id, "running").session_id
    assert session_id is not None
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(client.beta.sessions.events.list(session_id, types=["agent.tool_use"])):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client.beta.sessions.events.send(session_id, events=[{"type": "user.interrupt"}])
    assert until(client, made.id, *ENDED).status == "canceled"
    assert client.beta.sessions.retrieve(session_id).title == "Dream: Tea notes"


def test_a_dream_can_be_dreamt_of(client: anthropic.Anthropic, store: str, past: str) -> None:
    first = until(client, dream_of(client, store, past).id, *ENDED)
    assert first.session_id is not None
    second = until(client, dream_of(client, store, past, first.session_id).id, *ENDED)
    assert second.status == "completed"
    task = client.beta.sessions.events.list(second.session_id or "", types=["user.message"])
    said = " ".join(event.to_json() for event in task)
    assert past in said
    assert first.session_id in said
