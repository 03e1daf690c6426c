"""The progress of a session as the API gives it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from agents.models import Workspace
from contract import ids
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.progress import _diffs as diffs
from sessions.progress import _kept as kept
from sessions.progress import followed, progress
from tests.sessions.harness.test_loop import ask, say
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from sessions.harness.lease import Keeper
    from sessions.models import Session, Thread

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


def test_it_tells_turns_time_and_money_and_is_read_on_from_where_it_was() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    first: dict[str, Any] = progress(session)
    assert [(turn["task"], turn["stop_reason"]) for turn in first["turns"]] == [("hello", "end_turn")]
    assert first["current"] == []
    assert first["queue_place"] is None
    ask(session, thread, "again")
    assert [turn["task"] for turn in progress(session)["turns"]] == ["hello", "again"]


def wrote(session: Session, thread: Thread, name: str, given: dict[str, Any], *, failed: bool = False) -> None:
    call = Draft(ev.TOOL_USE, {"name": name, "input": given, "evaluated_permission": "allow"}, id=ids.event_id())
    log.append(session.pk, thread.pk, [call])
    answer: dict[str, Any] = {"tool_use_id": call.id, "content": [], "is_error": failed}
    log.append(session.pk, thread.pk, [Draft(ev.TOOL_RESULT, answer)])


def test_files_come_with_what_became_of_them_and_a_fresh_process_says_the_same() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")
    wrote(session, thread, "write", {"file_path": "/a.py", "content": "one\ntwo\n"})
    assert progress(session)["files"][0]["diff"]["added"] == 2
    wrote(session, thread, "edit", {"file_path": "/a.py", "old_string": "two", "new_string": "three"})
    wrote(session, thread, "write", {"file_path": "/b.py", "content": "never"}, failed=True)
    told = progress(session)
    (only,) = told["files"]
    assert (only["path"], only["writes"], only["edits"]) == ("/a.py", 1, 1)
    assert only["diff"] == {
        "text": "@@ -0,0 +1,2 @@\n+one\n+three",
        "added": 2,
        "removed": 0,
        "lines_left_out": 0,
        "complete": True,
    }
    kept.clear()
    diffs.clear()
    fresh = progress(session)
    assert {name: fresh[name] for name in ("turns", "files", "calls", "steps", "phases", "current")} == {
        name: told[name] for name in ("turns", "files", "calls", "steps", "phases", "current")
    }


def test_a_session_that_waits_its_turn_knows_its_place(worker: Keeper) -> None:
    session, thread = make_session()
    other, running = make_session()
    type(other).objects.filter(pk=other.pk).update(workspace=session.workspace)
    other.refresh_from_db()
    Workspace.objects.filter(pk=session.workspace_id).update(limits={"concurrent_sessions": 1})
    say(other, "hello")
    say(session, "hello")
    assert worker.claim(running.pk) is not None
    assert worker.claim(thread.pk) is None
    session.refresh_from_db()
    assert progress(session)["queue_place"] == 1


def test_two_who_ask_at_once_read_the_log_on_one_after_the_other() -> None:
    session, thread = make_session()
    ask(session, thread, "hello")

    def asked() -> dict[str, Any]:
        try:
            return progress(session)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        with followed(session.pk) as folded:
            later = other.submit(asked)
            assert not wait([later], timeout=0.2).done, "what is being looked at stands still"
            assert len(folded.turns) == 1
        assert len(later.result(20)["turns"]) == 1
