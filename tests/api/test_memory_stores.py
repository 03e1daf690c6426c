"""``/v1/memory_stores``: create, read, change, archive, delete, list (spec advanced 6.2)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from agents.models import Memory, MemoryVersion
from contract.roles import Role
from tests.api.conftest import Caller, caller, fits

STORE = "beta_managed_agents_memory_store.BetaManagedAgentsMemoryStore"


@pytest.fixture
def store(alice: Caller) -> dict[str, Any]:
    body = {"name": "Notes", "description": "what we learned", "metadata": {"user": "u1", "tier": "a"}}
    return alice.post("/memory_stores", body)


def test_a_new_store_has_every_field(alice: Caller) -> None:
    made = alice.post("/memory_stores", {"name": "Notes"})
    fits(STORE, made)
    assert made["id"].startswith("memstore_")
    assert (made["type"], made["name"], made["description"], made["metadata"]) == ("memory_store", "Notes", "", {})
    assert made["archived_at"] is None
    assert made["created_at"] == made["updated_at"]
    assert alice.get(f"/memory_stores/{made['id']}") == made


def test_names_need_not_be_unique(alice: Caller, store: dict[str, Any]) -> None:
    assert alice.post("/memory_stores", {"name": "Notes"})["id"] != store["id"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": None}, "name"),
        ({"name": 7}, "name"),
        ({"description": "x" * 1_025}, "description"),
        ({"description": 7}, "description"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"": "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata.k"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"metadata": []}, "metadata"),
        ({"bogus": 1}, "bogus"),
        ({"betas": ["x"]}, "betas"),
    ],
)
def test_bad_input_is_refused_by_name(alice: Caller, change: dict[str, Any], named: str) -> None:
    refused = alice.refused("POST", "/memory_stores", {"name": "Notes", **change})
    assert (refused.status, refused.type) == (400, "invalid_request_error")
    assert refused.message.startswith(named)
    assert alice.get("/memory_stores")["data"] == []
    if change != {"name": None}:
        made = alice.post("/memory_stores", {"name": "Notes"})
        assert alice.refused("POST", f"/memory_stores/{made['id']}", change).message.startswith(named)
        assert alice.get(f"/memory_stores/{made['id']}") == made


def test_the_limits_themselves_are_allowed(alice: Caller) -> None:
    metadata = {f"{n:064}": "v" * 512 for n in range(16)}
    made = alice.post("/memory_stores", {"name": "x" * 255, "description": "d" * 1_024, "metadata": metadata})
    assert (len(made["name"]), len(made["description"]), made["metadata"]) == (255, 1_024, metadata)


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"name": "New"}, "name", "New"),
        ({"name": None}, "name", "Notes"),
        ({"description": ""}, "description", ""),
        ({"description": None}, "description", "what we learned"),
        ({"metadata": {"tier": None, "new": "1"}}, "metadata", {"user": "u1", "new": "1"}),
        ({"metadata": {"tier": ""}}, "metadata", {"user": "u1", "tier": ""}),
        ({"metadata": None}, "metadata", {"user": "u1", "tier": "a"}),
    ],
)
def test_an_update_changes_what_was_sent(
    alice: Caller, store: dict[str, Any], change: dict[str, Any], field: str, expected: Any
) -> None:
    updated = alice.post(f"/memory_stores/{store['id']}", change)
    fits(STORE, updated)
    assert updated[field] == expected
    kept = set(store) - {field, "updated_at"}
    assert {name: updated[name] for name in kept} == {name: store[name] for name in kept}


def test_an_update_that_changes_nothing_keeps_its_time(alice: Caller, store: dict[str, Any]) -> None:
    assert alice.post(f"/memory_stores/{store['id']}", {}) == store
    assert alice.post(f"/memory_stores/{store['id']}", {"name": "Notes"}) == store


def test_memories_do_not_touch_their_stores_time(alice: Caller, store: dict[str, Any]) -> None:
    alice.post(f"/memory_stores/{store['id']}/memories", {"path": "/a", "content": "x"})
    assert alice.get(f"/memory_stores/{store['id']}") == store


def test_an_archived_store_can_be_read_and_emptied_but_not_written(alice: Caller, store: dict[str, Any]) -> None:
    path = f"/memory_stores/{store['id']}"
    memory = alice.post(f"{path}/memories", {"path": "/a", "content": "x"})
    archived = alice.post(f"{path}/archive")
    fits(STORE, archived)
    assert archived["archived_at"] == archived["updated_at"]
    assert alice.post(f"{path}/archive") == archived
    for target, body in [
        (path, {"name": "x"}),
        (f"{path}/memories", {"path": "/b", "content": ""}),
        (f"{path}/memories/{memory['id']}", {"content": "y"}),
    ]:
        refused = alice.refused("POST", target, body)
        assert (refused.status, refused.type) == (400, "invalid_request_error")
        assert "archived" in refused.message
    assert alice.get(f"{path}/memories/{memory['id']}")["content"] == "x"
    alice.ok("DELETE", f"{path}/memories/{memory['id']}")
    version = alice.get(f"{path}/memory_versions")["data"][1]
    assert alice.post(f"{path}/memory_versions/{version['id']}/redact")["redacted_at"] is not None
    assert alice.ok("DELETE", path) == {"id": store["id"], "type": "memory_store_deleted"}


def test_a_deleted_store_takes_everything_with_it(alice: Caller, store: dict[str, Any]) -> None:
    path = f"/memory_stores/{store['id']}"
    memory = alice.post(f"{path}/memories", {"path": "/a", "content": "x"})
    alice.post(f"{path}/memories/{memory['id']}", {"content": "y"})
    alice.ok("DELETE", path)
    assert not Memory.objects.exists()
    assert not MemoryVersion.objects.exists()
    for method, gone in [
        ("GET", path),
        ("DELETE", path),
        ("POST", f"{path}/archive"),
        ("GET", f"{path}/memories"),
        ("GET", f"{path}/memories/{memory['id']}"),
        ("GET", f"{path}/memory_versions"),
    ]:
        assert alice.refused(method, gone).type == "not_found_error"


def test_a_list_is_newest_first_by_pages(alice: Caller) -> None:
    made = [alice.post("/memory_stores", {"name": f"S{n}"})["id"] for n in range(5)]
    first = alice.get("/memory_stores?limit=2")
    second = alice.get(f"/memory_stores?limit=2&page={first['next_page']}")
    third = alice.get(f"/memory_stores?limit=2&page={second['next_page']}")
    assert [store["id"] for page in (first, second, third) for store in page["data"]] == made[::-1]
    assert third["next_page"] is None
    assert set(first) == {"data", "next_page"}


def test_a_list_hides_archived_stores_and_filters_by_time(alice: Caller, store: dict[str, Any]) -> None:
    other = alice.post("/memory_stores", {"name": "Other"})
    alice.post(f"/memory_stores/{other['id']}/archive")
    assert [one["id"] for one in alice.get("/memory_stores")["data"]] == [store["id"]]
    assert len(alice.get("/memory_stores?include_archived=true")["data"]) == 2
    at = quote(store["created_at"])
    assert [one["id"] for one in alice.get(f"/memory_stores?created_at%5Blte%5D={at}")["data"]] == [store["id"]]
    assert store["id"] in [one["id"] for one in alice.get(f"/memory_stores?created_at[gte]={at}")["data"]]
    assert alice.get("/memory_stores?created_at[gte]=2100-01-01T00:00:00Z")["data"] == []


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "page=nonsense", "page=page_x", "include_archived=2", "created_at[gte]=x"],
)
def test_a_bad_query_is_refused(alice: Caller, query: str) -> None:
    assert alice.refused("GET", f"/memory_stores?{query}").status == 400


def test_a_cursor_of_another_list_is_refused(alice: Caller, agent: str) -> None:
    alice.post("/agents", {"name": "B", "model": "m"})
    page = alice.get("/agents?limit=1")["next_page"]
    refused = alice.refused("GET", f"/memory_stores?page={page}")
    assert (refused.status, refused.message[:5]) == (400, "page:")


def test_strangers_find_nothing(alice: Caller, charlie: Caller, store: dict[str, Any]) -> None:
    path = f"/memory_stores/{store['id']}"
    memory = alice.post(f"{path}/memories", {"path": "/a", "content": "x"})
    version = memory["memory_version_id"]
    for method, target, body in [
        ("GET", path, None),
        ("POST", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/archive", None),
        ("POST", f"{path}/memories", {"path": "/b", "content": ""}),
        ("GET", f"{path}/memories", None),
        ("GET", f"{path}/memories/{memory['id']}", None),
        ("POST", f"{path}/memories/{memory['id']}", {"content": "y"}),
        ("DELETE", f"{path}/memories/{memory['id']}", None),
        ("GET", f"{path}/memory_versions", None),
        ("GET", f"{path}/memory_versions/{version}", None),
        ("POST", f"{path}/memory_versions/{version}/redact", None),
    ]:
        refused = charlie.refused(method, target, body)
        assert (refused.status, refused.type) == (404, "not_found_error"), (method, target)
    assert charlie.get("/memory_stores")["data"] == []
    assert alice.get(f"{path}/memories/{memory['id']}?view=basic") == memory


@pytest.mark.parametrize(
    ("role", "may_build", "may_write"),
    [(Role.VIEWER, False, False), (Role.OPERATOR, False, True), (Role.DEVELOPER, True, True)],
)
def test_roles_say_who_builds_stores_and_who_writes_memories(
    alice: Caller, store: dict[str, Any], role: Role, *, may_build: bool, may_write: bool
) -> None:
    from agents.models import Workspace

    other = caller(role.value, role, Workspace.objects.get(pk=alice.acting.workspace_id))
    path = f"/memory_stores/{store['id']}"
    assert other.get(path) == store
    assert (other.send("POST", "/memory_stores", {"name": "x"}).status_code == 200) is may_build
    assert (other.send("POST", path, {"name": "x"}).status_code == 200) is may_build
    wrote = other.send("POST", f"{path}/memories", {"path": "/a", "content": ""})
    assert wrote.status_code == (200 if may_write else 403)
    assert (other.send("POST", f"{path}/archive").status_code == 200) is may_build
    assert (other.send("DELETE", path).status_code == 200) is may_build


@pytest.mark.parametrize(
    "beta", ["", "agent-memory-2026-07-22", "agent-memory-2026-07-22,managed-agents-2026-04-01", "x"]
)
def test_beta_headers_are_taken_leniently(alice: Caller, store: dict[str, Any], beta: str) -> None:
    answer = alice.send("GET", f"/memory_stores/{store['id']}?beta=true", **{"anthropic-beta": beta})
    assert answer.status_code == 200
