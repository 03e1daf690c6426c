"""Many sessions at once: ``/v1/x/sessions/stop`` and ``/v1/x/sessions/archive``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from credentials.models import AuditRecord
from sessions import actions
from sessions import events as ev
from sessions.models import Event, Session
from tests.api.test_session_lists import make, put_status, run

if TYPE_CHECKING:
    from contract.acting import Acting
    from tests.api.conftest import Caller


def outcomes(answer: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(one["session_id"], one["error"] is None) for one in answer["data"]]


def interrupted() -> set[str]:
    return set(Event.objects.filter(type=ev.USER_INTERRUPT).values_list("session_id", flat=True))


def test_each_session_answers_for_itself(alice: Caller, agent: str, environment: str) -> None:
    resting, working = make(alice, agent, environment, 2)
    run(working)
    chosen = {"session_ids": [working, "sesn_nowhere", resting, resting], "reason": " spring cleaning "}
    answer = alice.post("/x/sessions/archive", chosen)
    assert outcomes(answer) == [(working, False), ("sesn_nowhere", False), (resting, True)]
    assert answer["has_more"] is False
    assert [one["error"]["type"] for one in answer["data"][:2]] == ["invalid_request_error", "not_found_error"]
    assert Session.objects.get(archived_at=None).pk == working
    (record,) = AuditRecord.objects.filter(action="session.archived_in_bulk")
    assert (record.object_id, record.after) == (resting, {"reason": "spring cleaning", "together": True})


def test_one_that_fails_in_an_unforeseen_way_says_so_and_stops_no_other(
    alice: Caller, agent: str, environment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, broken, last = make(alice, agent, environment, 3)
    archive = actions.archive_session

    def archive_unless_broken(session_id: str, acting: Acting) -> Session:
        if session_id == broken:
            Session.objects.filter(pk=session_id).update(title="half done")
            raise RuntimeError("a bug")
        return archive(session_id, acting)

    monkeypatch.setattr(actions, "archive_session", archive_unless_broken)
    answer = alice.post("/x/sessions/archive", {"session_ids": [first, broken, last]})
    assert outcomes(answer) == [(first, True), (broken, False), (last, True)]
    told = answer["data"][1]["error"]
    assert told["type"] == "api_error"
    assert "left as it was" in told["message"]
    assert "a bug" not in told["message"]
    left = Session.objects.get(archived_at=None)
    assert (left.pk, left.title) == (broken, None)


@pytest.mark.parametrize("what", ["stop", "archive"])
def test_one_whose_rows_were_changed_by_hand_is_repaired_and_dealt_with(
    alice: Caller, agent: str, environment: str, what: str
) -> None:
    made = make(alice, agent, environment, 3)
    for session in made:
        run(session)
        if what == "archive":
            put_status(session, ev.THREAD_IDLE, stop_reason=ev.END_TURN)
    Session.objects.filter(pk=made[1]).update(last_seq=1)
    answer = alice.post(f"/x/sessions/{what}", {"session_ids": made})
    assert outcomes(answer) == [(session, True) for session in made]
    assert [event.session_id for event in Event.objects.filter(type=ev.OPS_REPAIRED)] == [made[1]]


def test_filters_stop_those_that_work_a_few_at_a_time(alice: Caller, agent: str, environment: str) -> None:
    first, resting, second, third = make(alice, agent, environment, 4)
    for session in (first, second, third):
        run(session)
    answer = alice.post("/x/sessions/stop", {"filters": {"agent": agent}, "limit": 2})
    assert outcomes(answer) == [(third, True), (second, True)]
    assert answer["has_more"] is True
    assert interrupted() == {second, third}
    assert resting not in interrupted()


def test_archiving_by_filters_comes_to_an_end(alice: Caller, agent: str, environment: str) -> None:
    made = make(alice, agent, environment, 3)
    wanted = {"filters": {"status": "idle", "agent": agent}, "limit": 2}
    told = [alice.post("/x/sessions/archive", wanted) for _ in range(3)]
    assert [outcomes(one) for one in told] == [[(one, True) for one in made[:0:-1]], [(made[0], True)], []]
    assert [one["has_more"] for one in told] == [True, False, False]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "either session_ids or filters"),
        ({"session_ids": ["sesn_x"], "filters": {"status": "idle"}}, "either session_ids or filters"),
        ({"session_ids": []}, "session_ids"),
        ({"session_ids": [f"sesn_{n}" for n in range(101)]}, "session_ids"),
        ({"session_ids": ["sesn_x"], "limit": 3}, "limit"),
        ({"filters": {}}, "filters: name at least one"),
        ({"filters": {"status": "happy"}}, "filters.status"),
        ({"filters": {"colour": "red"}}, "filters.colour"),
        ({"filters": {"status": "idle"}, "limit": 101}, "limit"),
        ({"session_ids": ["sesn_x"], "reason": "x" * 501}, "reason"),
        ({"session_ids": ["sesn_x"], "force": True}, "force"),
    ],
)
def test_what_is_asked_must_be_clear(alice: Caller, body: dict[str, Any], named: str) -> None:
    for what in ("stop", "archive"):
        refused = alice.refused("POST", f"/x/sessions/{what}", body)
        assert refused.status == 400
        assert named in refused.message


def test_sessions_of_others_are_neither_found_nor_touched(
    alice: Caller, charlie: Caller, agent: str, environment: str
) -> None:
    (session,) = make(alice, agent, environment, 1)
    assert outcomes(charlie.post("/x/sessions/archive", {"session_ids": [session]})) == [(session, False)]
    assert charlie.post("/x/sessions/archive", {"filters": {"agent": agent}})["data"] == []
    assert Session.objects.get(pk=session).archived_at is None
