"""``GET /v1/sessions``: both cursors, order, filters (spec core 2.4, 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sessions import log
from sessions.events import Draft
from sessions.models import Thread

if TYPE_CHECKING:
    from tests.api.conftest import Caller

SESSION = "beta_managed_agents_session.BetaManagedAgentsSession"
THREAD = "sessions.beta_managed_agents_session_thread.BetaManagedAgentsSessionThread"
TOOLSET = {"type": "agent_toolset_20260401"}
CUSTOM = {"type": "custom", "name": "look_up", "description": "d", "input_schema": {"type": "object"}}
HELLO = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}


def put_status(session_id: str, event_type: str, **payload: Any) -> None:
    """Bring the primary thread, and with it the session, into a status through the log."""
    thread = Thread.objects.get(session_id=session_id, parent=None)
    about = {"session_thread_id": thread.pk, "agent_name": thread.agent_name}
    log.append(session_id, thread.pk, [Draft(event_type, {**about, **payload})])


def run(session_id: str) -> None:
    put_status(session_id, "session.thread_status_running")


def make(alice: Caller, agent: str, environment: str, count: int) -> list[str]:
    body = {"agent": agent, "environment_id": environment}
    return [alice.post("/sessions", body)["id"] for _ in range(count)]


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["id"] for one in answer["data"]]


def test_sessions_page_forward_and_back(alice: Caller, agent: str, environment: str) -> None:
    made = make(alice, agent, environment, 5)[::-1]
    first = alice.get("/sessions?limit=2")
    assert set(first) == {"data", "next_page", "prev_page"}
    assert (ids(first), first["prev_page"]) == (made[:2], None)
    second = alice.get(f"/sessions?limit=2&page={first['next_page']}")
    third = alice.get(f"/sessions?limit=2&page={second['next_page']}")
    assert (ids(second), ids(third), third["next_page"]) == (made[2:4], made[4:], None)
    back = alice.get(f"/sessions?limit=2&page={third['prev_page']}")
    assert ids(back) == made[2:4]
    start = alice.get(f"/sessions?limit=2&page={back['prev_page']}")
    assert (ids(start), start["prev_page"]) == (made[:2], None)
    assert ids(alice.get(f"/sessions?limit=2&page={start['next_page']}")) == made[2:4]


def test_a_cursor_is_bound_to_its_order_and_its_time_filter(alice: Caller, agent: str, environment: str) -> None:
    made = make(alice, agent, environment, 3)
    assert ids(alice.get("/sessions?order=asc")) == made
    page = alice.get("/sessions?order=asc&limit=1")["next_page"]
    assert alice.refused("GET", f"/sessions?order=desc&page={page}").message.startswith("page")
    assert alice.refused("GET", f"/sessions?order=asc&page={page}&created_at[gt]=2099-01-01T00:00:00Z").status == 400
    assert ids(alice.get(f"/sessions?order=asc&page={page}&statuses[]=running")) == []
    assert ids(alice.get(f"/sessions?order=asc&page={page}&limit=9")) == made[1:]


def test_lists_filter_by_status_agent_version_and_time(alice: Caller, agent: str, environment: str) -> None:
    first, second = make(alice, agent, environment, 2)
    run(second)
    alice.post(f"/agents/{agent}", {"name": "v2"})
    (third,) = make(alice, agent, environment, 1)
    created = alice.get(f"/sessions/{second}")["created_at"]
    for query, expected in (
        ("statuses[]=running", [second]),
        ("statuses%5B%5D=running&statuses%5B%5D=idle", [third, second, first]),
        ("statuses=running", [second]),
        (f"agent_id={agent}&agent_version=2", [third]),
        ("agent_id=agent_none", []),
        ("deployment_id=depl_1", []),
        ("memory_store_id=memstore_1", []),
        ("created_at[lte]=2020-01-01T00:00:00%2B00:00", []),
        (f"created_at[gte]={created}&limit=9", [third, second]),
        ("beta=true&unknown=1", [third, second, first]),
    ):
        assert ids(alice.get(f"/sessions?{query}"))[: len(expected)] == expected, query


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "order=up", "statuses[]=asleep", "created_at[gt]=yesterday", "page=page_x",
     "page=", "page=page_bnVsbA", "include_archived=maybe", "page=%00"],
)  # fmt: skip
def test_bad_queries_name_the_parameter(alice: Caller, query: str) -> None:
    refused = alice.refused("GET", f"/sessions?{query}")
    assert (refused.status, refused.type) == (400, "invalid_request_error")
