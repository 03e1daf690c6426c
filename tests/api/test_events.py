"""``/v1/sessions/{id}/events``: sending and listing (spec core 10, 11)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sessions import log
from sessions.events import Draft
from sessions.models import Event, Thread
from tests.api.conftest import Caller, fits

EVENT = "sessions.beta_managed_agents_session_event.BetaManagedAgentsSessionEvent"
SENT = "sessions.beta_managed_agents_send_session_events.BetaManagedAgentsSendSessionEvents"
HELLO = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}
NO_ADDRESS = {"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}}
NO_PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "zz!"}}


@pytest.fixture
def path(session: dict[str, Any]) -> str:
    return f"/sessions/{session['id']}/events"


def fill(session_id: str, count: int, *, waiting: int = 0) -> list[str]:
    """Agent messages a minute apart, then some user messages that still wait in the queue."""
    thread = Thread.objects.get(session_id=session_id)
    text = {"content": [{"type": "text", "text": "x"}]}
    drafts = [Draft("agent.message", text) for _ in range(count)]
    drafts += [Draft("user.message", text, processed=False) for _ in range(waiting)]
    events = log.append(session_id, thread.pk, drafts)
    for number, event in enumerate(events[:count]):
        at = event.created_at - timedelta(minutes=count - number)
        Event.objects.filter(pk=event.pk).update(processed_at=at)
    return [event.pk for event in events]


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["id"] for one in answer["data"]]


def test_a_message_is_echoed_listed_and_starts_the_session(alice: Caller, session: dict[str, Any], path: str) -> None:
    sent = alice.post(path, {"events": [HELLO]})
    fits(SENT, sent)
    (echo,) = sent["data"]
    assert echo["id"].startswith("sevt_")
    assert (echo["type"], echo["content"]) == ("user.message", HELLO["content"])
    listed = alice.get(path)
    assert set(listed) == {"data", "next_page"}
    for event in listed["data"]:
        fits(EVENT, event)
    assert listed["data"][0] == echo
    assert alice.get(f"/sessions/{session['id']}")["status"] == "running"


@pytest.mark.parametrize(
    ("events", "named"),
    [
        ([], "events"),
        ("hello", "events"),
        ([HELLO] * 101, "events"),
        ([{"type": "user.shout"}], "events.0"),
        ([HELLO, {"type": "user.message", "content": "hello"}], "events.1.content"),
        ([{"type": "user.message", "content": []}], "events.0.content"),
        ([{"type": "user.message", "content": [{"type": "redacted"}]}], "events.0.content.0"),
        ([{"type": "user.message", "content": [NO_PICTURE]}], "events.0.content.0.source.data"),
        ([{"type": "user.message", "content": [NO_ADDRESS]}], "events.0.content.0.source.url"),
        ([{"type": "user.message", "content": [{"type": "text", "text": "a", "x": 1}]}], "events.0.content.0.x"),
        ([{**HELLO, "id": "sevt_1"}], "events.0.id"),
        ([{"type": "user.tool_confirmation", "tool_use_id": "sevt_no", "result": "allow"}], "events.0.tool_use_id"),
        ([{"type": "user.tool_confirmation", "tool_use_id": "sevt_no", "result": "maybe"}], "events.0.result"),
        ([{"type": "user.custom_tool_result", "custom_tool_use_id": "sevt_no"}], "events.0.custom_tool_use_id"),
        ([{"type": "user.interrupt", "session_thread_id": "sthr_no"}], "events.0.session_thread_id"),
        ([{"type": "user.tool_result", "tool_use_id": "sevt_no"}], "events.0"),
        ([{"type": "user.define_outcome", "description": "d"}], "events.0.rubric"),
        ([{"type": "system.message", "content": [{"type": "text", "text": "s"}]}, HELLO], "events.0"),
    ],
)
def test_one_bad_event_refuses_all_of_them(alice: Caller, path: str, events: Any, named: str) -> None:
    refused = alice.refused("POST", path, {"events": events})
    assert refused.status == 400
    assert refused.message.startswith(named), refused.message
    assert not Event.objects.exists()


def test_unknown_body_fields_are_named(alice: Caller, path: str) -> None:
    assert alice.refused("POST", path, {"events": [HELLO], "wait": True}).message.startswith("wait")
    assert alice.refused("POST", path, [HELLO]).status == 400
    assert alice.refused("POST", path).status == 400


def test_events_page_in_both_orders_and_queued_ones_come_last(
    alice: Caller, session: dict[str, Any], path: str
) -> None:
    made = fill(session["id"], 5, waiting=2)
    for order, expected in (("asc", made), ("desc", made[::-1])):
        seen: list[str] = []
        page = ""
        while True:
            answer = alice.get(f"{path}?order={order}&limit=2{page}")
            seen += ids(answer)
            if answer["next_page"] is None:
                break
            page = f"&page={answer['next_page']}"
        assert seen == expected


def test_events_filter_by_type_and_by_the_time_they_show(alice: Caller, session: dict[str, Any], path: str) -> None:
    made = fill(session["id"], 4, waiting=1)
    assert ids(alice.get(f"{path}?types[]=user.message")) == made[4:]
    assert ids(alice.get(f"{path}?types[]=user.message&types[]=agent.message")) == made
    at = alice.get(path)["data"][1]["processed_at"]
    for operator, expected in (("gt", made[2:4]), ("gte", made[1:4]), ("lt", made[:1]), ("lte", made[:2])):
        assert ids(alice.get(f"{path}?created_at[{operator}]={at}")) == expected, operator


def test_operator_events_are_listed_only_when_asked_for(alice: Caller, session: dict[str, Any], path: str) -> None:
    thread = Thread.objects.get(session_id=session["id"])
    log.append(session["id"], thread.pk, [Draft("ops.sandbox_opened", {}), Draft("agent.thinking")])
    assert [event["type"] for event in alice.get(path)["data"]] == ["agent.thinking"]
    assert [event["type"] for event in alice.get(f"{path}?types[]=ops.sandbox_opened")["data"]] == [
        "ops.sandbox_opened"
    ]
    threads = f"/sessions/{session['id']}/threads/{thread.pk}/events"
    assert [event["type"] for event in alice.get(threads)["data"]] == ["agent.thinking"]


def test_what_is_private_to_the_server_never_leaves_it(alice: Caller, session: dict[str, Any], path: str) -> None:
    thread = Thread.objects.get(session_id=session["id"])
    log.append(session["id"], thread.pk, [Draft("agent.thinking", private={"signature": "hush"})])
    assert "hush" not in str(alice.get(path))


@pytest.mark.parametrize(
    "query", ["types[]=session.deleted", "types[]=event_delta", "limit=1001", "order=sideways", "page=page_e30"]
)
def test_bad_queries_are_refused(alice: Caller, path: str, query: str) -> None:
    assert alice.refused("GET", f"{path}?{query}").status == 400


def test_a_cursor_of_another_list_is_refused(alice: Caller, session: dict[str, Any], path: str) -> None:
    fill(session["id"], 3)
    page = alice.get(f"{path}?limit=1")["next_page"]
    for other in (f"/sessions?page={page}&order=asc", f"/agents?page={page}", f"/files?page={page}"):
        assert alice.refused("GET", other).status == 400
