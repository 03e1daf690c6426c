"""Memories: paths, contents, preconditions, views, listing by prefix and depth (spec advanced 6.2)."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest

from agents.memory import memories
from tests.api.conftest import Caller, fits

MEMORY = "memory_stores.beta_managed_agents_memory.BetaManagedAgentsMemory"
ITEM = "memory_stores.beta_managed_agents_memory_list_item.BetaManagedAgentsMemoryListItem"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def store(alice: Caller) -> str:
    return f"/memory_stores/{alice.post('/memory_stores', {'name': 'Notes'})['id']}"


@pytest.fixture
def memory(alice: Caller, store: str) -> dict[str, Any]:
    return alice.post(f"{store}/memories", {"path": "/notes/todo.md", "content": "buy tea"})


def listed(alice: Caller, store: str, query: str = "") -> list[str]:
    return [item["path"] for item in alice.get(f"{store}/memories?{query}")["data"]]


def versions(alice: Caller, store: str) -> int:
    return len(alice.get(f"{store}/memory_versions?limit=100")["data"])


def test_a_new_memory_shows_its_digest_and_size_but_not_its_content(alice: Caller, store: str) -> None:
    made = alice.post(f"{store}/memories", {"path": "/a/ö.md", "content": "grüße\n"})
    fits(MEMORY, made)
    assert made["id"].startswith("mem_")
    assert made["memory_version_id"].startswith("memver_")
    assert (made["type"], made["path"], made["content"]) == ("memory", "/a/ö.md", None)
    assert (made["content_sha256"], made["content_size_bytes"]) == (sha("grüße\n"), 8)
    assert made["created_at"] == made["updated_at"]


@pytest.mark.parametrize("view", ["basic", "full"])
def test_a_view_shows_or_hides_the_content(alice: Caller, store: str, view: str) -> None:
    content = "text" if view == "full" else None
    made = alice.post(f"{store}/memories?view={view}", {"path": "/a", "content": "text"})
    assert made["content"] == content
    assert alice.get(f"{store}/memories/{made['id']}?view={view}")["content"] == content
    assert alice.get(f"{store}/memories?view={view}")["data"][0]["content"] == content
    updated = alice.post(f"{store}/memories/{made['id']}?view={view}", {"path": "/b"})
    assert updated["content"] == content


def test_retrieve_shows_the_content_unless_told_otherwise(alice: Caller, store: str, memory: dict[str, Any]) -> None:
    assert alice.get(f"{store}/memories/{memory['id']}") == {**memory, "content": "buy tea"}
    assert alice.get(f"{store}/memories")["data"] == [memory]


@pytest.mark.parametrize("content", ["", None])
def test_a_memory_may_be_empty(alice: Caller, store: str, content: str | None) -> None:
    made = alice.post(f"{store}/memories?view=full", {"path": "/empty", "content": content})
    assert (made["content"], made["content_sha256"], made["content_size_bytes"]) == ("", sha(""), 0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"path": "a"}, "path"),
        ({"path": "/"}, "path"),
        ({"path": "/a/../b"}, "path"),
        ({"path": "/a\u200b"}, "path"),
        ({"path": "/e\u0301"}, "path"),
        ({"path": "/" + "x" * 1_024}, "path"),
        ({"path": "/" + "/".join("a" * 21)}, "path"),
        ({"path": 7}, "path"),
        ({"content": "x" * 102_401}, "content"),
        ({"content": "é" * 51_201}, "content"),
        ({"content": 7}, "content"),
        ({"content": ["x"]}, "content"),
        ({"bogus": 1}, "bogus"),
        ({"view": "full"}, "view"),
        ({"memory_store_id": "memstore_1"}, "memory_store_id"),
    ],
)
def test_bad_input_is_refused_by_name(
    alice: Caller, store: str, memory: dict[str, Any], change: dict[str, Any], named: str
) -> None:
    for path, body in [
        (f"{store}/memories", {"path": "/new", "content": ""}),
        (f"{store}/memories/{memory['id']}", {}),
    ]:
        refused = alice.refused("POST", path, {**body, **change})
        assert (refused.status, refused.type) == (400, "invalid_request_error")
        assert refused.message.startswith(named)
    assert alice.get(f"{store}/memories")["data"] == [memory]
    assert versions(alice, store) == 1


@pytest.mark.parametrize("missing", ["path", "content"])
def test_a_new_memory_needs_its_path_and_content(alice: Caller, store: str, missing: str) -> None:
    body = {"path": "/a", "content": "x"}
    del body[missing]
    assert alice.refused("POST", f"{store}/memories", body).message == f"{missing}: Field required"


def test_the_largest_content_is_kept_to_the_byte(alice: Caller, store: str) -> None:
    content = "é\r\n\ufeff" * 12_800
    assert len(content.encode()) == 102_400 - 12_800
    content += "x" * 12_800
    made = alice.post(f"{store}/memories", {"path": "/big", "content": content})
    assert made["content_size_bytes"] == 102_400
    assert alice.get(f"{store}/memories/{made['id']}")["content"] == content


def test_half_a_surrogate_pair_is_refused(alice: Caller, store: str) -> None:
    raw = b'{"path": "/a", "content": "\xed\xa0\x80"}'
    answer = alice.raw("POST", f"{store}/memories", raw)
    assert answer.status_code == 400, answer.content


@pytest.mark.parametrize("path", ["/notes/todo.md", "/notes", "/notes/todo.md/today"])
def test_an_occupied_path_is_a_conflict_that_names_the_other_memory(
    alice: Caller, store: str, memory: dict[str, Any], path: str
) -> None:
    other = alice.post(f"{store}/memories", {"path": "/else", "content": ""})
    for target, body in [
        (f"{store}/memories", {"path": path, "content": "x"}),
        (f"{store}/memories/{other['id']}", {"path": path}),
    ]:
        answer = alice.send("POST", target, body)
        assert answer["x-should-retry"] == "false"
        refused = alice.refused("POST", target, body)
        assert (refused.status, refused.type) == (409, "memory_path_conflict_error")
        assert refused.beside == {"conflicting_memory_id": memory["id"], "conflicting_path": "/notes/todo.md"}
    assert versions(alice, store) == 2


def test_paths_tell_cases_apart_and_names_that_only_begin_alike(
    alice: Caller, store: str, memory: dict[str, Any]
) -> None:
    for path in ("/Notes/todo.md", "/notes/todo.mdx", "/notes-archive", "/note_/x", "/note%"):
        alice.post(f"{store}/memories", {"path": path, "content": ""})
    assert listed(alice, store, "path_prefix=/notes/") == ["/notes/todo.md", "/notes/todo.mdx"]
    assert listed(alice, store, "path_prefix=/note_/") == ["/note_/x"]


def test_a_path_is_free_again_after_a_rename_or_a_delete(alice: Caller, store: str, memory: dict[str, Any]) -> None:
    renamed = alice.post(f"{store}/memories/{memory['id']}", {"path": "/elsewhere"})
    assert (renamed["id"], renamed["path"]) == (memory["id"], "/elsewhere")
    assert renamed["content_sha256"] == memory["content_sha256"]
    again = alice.post(f"{store}/memories", {"path": memory["path"], "content": "new"})
    alice.ok("DELETE", f"{store}/memories/{again['id']}")
    assert alice.post(f"{store}/memories/{memory['id']}", {"path": memory["path"]})["path"] == memory["path"]


def test_a_memory_can_move_below_its_own_path(alice: Caller, store: str, memory: dict[str, Any]) -> None:
    moved = alice.post(f"{store}/memories/{memory['id']}", {"path": "/notes/todo.md/now"})
    assert moved["path"] == "/notes/todo.md/now"


def test_a_full_store_takes_changes_but_nothing_new(
    alice: Caller, store: str, memory: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert memories.MAX_MEMORIES == 2_000
    monkeypatch.setattr(memories, "MAX_MEMORIES", 2)
    second = alice.post(f"{store}/memories", {"path": "/b", "content": ""})
    assert alice.refused("POST", f"{store}/memories", {"path": "/c", "content": ""}).status == 400
    alice.post(f"{store}/memories/{memory['id']}", {"content": "changed"})
    alice.ok("DELETE", f"{store}/memories/{second['id']}")
    alice.post(f"{store}/memories", {"path": "/c", "content": ""})


def test_an_update_with_the_right_precondition_changes_both(alice: Caller, store: str, memory: dict[str, Any]) -> None:
    condition = {"type": "content_sha256", "content_sha256": sha("buy tea")}
    body = {"content": "buy milk", "path": "/notes/new.md", "precondition": condition}
    updated = alice.post(f"{store}/memories/{memory['id']}", body)
    fits(MEMORY, updated)
    assert (updated["path"], updated["content_sha256"]) == ("/notes/new.md", sha("buy milk"))
    assert updated["memory_version_id"] != memory["memory_version_id"]
    assert updated["created_at"] == memory["created_at"]


@pytest.mark.parametrize("change", [{"content": "b"}, {"path": "/b"}, {"content": "b", "path": "/b"}])
def test_an_update_with_the_wrong_precondition_changes_nothing(
    alice: Caller, store: str, memory: dict[str, Any], change: dict[str, str]
) -> None:
    condition = {"type": "content_sha256", "content_sha256": sha("something else")}
    answer = alice.send("POST", f"{store}/memories/{memory['id']}", {**change, "precondition": condition})
    assert answer["x-should-retry"] == "false"
    refused = alice.refused("POST", f"{store}/memories/{memory['id']}", {**change, "precondition": condition})
    assert (refused.status, refused.type) == (409, "memory_precondition_failed_error")
    assert alice.get(f"{store}/memories")["data"] == [memory]
    assert versions(alice, store) == 1


def test_a_precondition_is_looked_at_before_the_new_path(alice: Caller, store: str, memory: dict[str, Any]) -> None:
    alice.post(f"{store}/memories", {"path": "/b", "content": ""})
    condition = {"type": "content_sha256", "content_sha256": sha("x")}
    refused = alice.refused("POST", f"{store}/memories/{memory['id']}", {"path": "/b", "precondition": condition})
    assert refused.type == "memory_precondition_failed_error"


def test_a_repeated_update_succeeds_though_its_precondition_no_longer_holds(
    alice: Caller, store: str, memory: dict[str, Any]
) -> None:
    body = {
        "content": "buy milk",
        "precondition": {"type": "content_sha256", "content_sha256": memory["content_sha256"]},
    }
    updated = alice.post(f"{store}/memories/{memory['id']}", body)
    assert alice.post(f"{store}/memories/{memory['id']}", body) == updated
    assert versions(alice, store) == 2


@pytest.mark.parametrize(
    "body", [{}, {"content": None, "path": None}, {"content": "buy tea"}, {"path": "/notes/todo.md"}]
)
def test_an_update_that_changes_nothing_writes_no_version(
    alice: Caller, store: str, memory: dict[str, Any], body: dict[str, Any]
) -> None:
    assert alice.post(f"{store}/memories/{memory['id']}", body) == memory
    assert versions(alice, store) == 1


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ({"type": "content_sha256"}, "precondition.content_sha256"),
        ({"type": "etag", "content_sha256": "0" * 64}, "precondition.type"),
        ({"content_sha256": "0" * 64}, "precondition.type"),
        ({"type": "content_sha256", "content_sha256": "0" * 63}, "precondition.content_sha256"),
        ({"type": "content_sha256", "content_sha256": "A" * 64}, "precondition.content_sha256"),
        ({"type": "content_sha256", "content_sha256": None}, "precondition.content_sha256"),
        ({"type": "content_sha256", "content_sha256": "0" * 64, "x": 1}, "precondition.x"),
        ("0" * 64, "precondition"),
    ],
)
def test_a_malformed_precondition_is_refused(
    alice: Caller, store: str, memory: dict[str, Any], condition: Any, named: str
) -> None:
    refused = alice.refused("POST", f"{store}/memories/{memory['id']}", {"content": "x", "precondition": condition})
    assert refused.status == 400
    assert refused.message.startswith(named)


def test_a_delete_may_expect_a_content(alice: Caller, store: str, memory: dict[str, Any]) -> None:
    path = f"{store}/memories/{memory['id']}"
    refused = alice.refused("DELETE", f"{path}?expected_content_sha256={sha('other')}")
    assert (refused.status, refused.type) == (409, "memory_precondition_failed_error")
    assert alice.refused("DELETE", f"{path}?expected_content_sha256=abc").status == 400
    assert alice.refused("DELETE", f"{path}?expected_content_sha256=").status == 400
    assert alice.get(f"{path}?view=basic") == memory
    deleted = alice.ok("DELETE", f"{path}?expected_content_sha256={memory['content_sha256']}")
    assert deleted == {"id": memory["id"], "type": "memory_deleted"}
    for method, body in [("GET", None), ("DELETE", None), ("POST", {"content": "x"})]:
        assert alice.refused(method, path, body).status == 404


def test_a_memory_is_found_in_its_own_store_only(alice: Caller, store: str, memory: dict[str, Any]) -> None:
    other = f"/memory_stores/{alice.post('/memory_stores', {'name': 'Other'})['id']}"
    for method, body in [("GET", None), ("DELETE", None), ("POST", {"content": "x"})]:
        assert alice.refused(method, f"{other}/memories/{memory['id']}", body).status == 404
    assert alice.refused("GET", f"{other}/memory_versions/{memory['memory_version_id']}").status == 404
    assert alice.refused("POST", f"{other}/memory_versions/{memory['memory_version_id']}/redact").status == 404


@pytest.fixture
def tree(alice: Caller, store: str) -> str:
    for path in ("/a-b", "/a/x/1", "/a/x/2", "/a/y", "/a/x-y/3", "/a0", "/B", "/z/deep/er", "/é"):
        alice.post(f"{store}/memories", {"path": path, "content": path})
    return store


EVERYTHING = ["/B", "/a-b", "/a/x-y/3", "/a/x/1", "/a/x/2", "/a/y", "/a0", "/z/deep/er", "/é"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", EVERYTHING),
        ("path_prefix=/", EVERYTHING),
        ("depth=0&path_prefix=/a/", ["/a/x-y/3", "/a/x/1", "/a/x/2", "/a/y"]),
        ("depth=1", ["/B", "/a-b", "/a/", "/a0", "/z/", "/é"]),
        ("depth=1&path_prefix=/a/", ["/a/x-y/", "/a/x/", "/a/y"]),
        ("depth=1&path_prefix=/a/x/", ["/a/x/1", "/a/x/2"]),
        ("path_prefix=/nothing/", []),
        ("depth=1&path_prefix=/nothing/", []),
        ("path_prefix=/a/y/", []),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_list_goes_by_prefix_and_depth_in_the_order_of_bytes(
    alice: Caller, tree: str, query: str, expected: list[str], limit: int
) -> None:
    found: list[str] = []
    page: str | None = ""
    while page is not None:
        answer = alice.get(f"{tree}/memories?limit={limit}&{query}{page and f'&page={page}'}")
        for item in answer["data"]:
            fits(ITEM, item)
            assert (item["type"] == "memory_prefix") == item["path"].endswith("/")
        found += [item["path"] for item in answer["data"]]
        assert len(answer["data"]) <= limit
        page = answer["next_page"]
    assert found == expected


def test_a_prefix_is_marked_and_nothing_else(alice: Caller, tree: str) -> None:
    items = alice.get(f"{tree}/memories?depth=1&view=full")["data"]
    assert {"type": "memory_prefix", "path": "/a/"} in items
    assert [item["content"] for item in items if item["type"] == "memory"] == ["/B", "/a-b", "/a0", "/é"]


@pytest.mark.parametrize(
    "query",
    [
        "depth=2", "depth=-1", "depth=x", "path_prefix=/a", "path_prefix=a/", "path_prefix=", "path_prefix=//",
        "path_prefix=/%00/", "view=half", "limit=0", "limit=101", "page=x", "page=page_bnVsbA",
    ],
)  # fmt: skip
def test_a_bad_list_query_is_refused(alice: Caller, tree: str, query: str) -> None:
    assert alice.refused("GET", f"{tree}/memories?{query}").status == 400


def test_a_cursor_belongs_to_its_store_and_its_depth(alice: Caller, tree: str) -> None:
    page = alice.get(f"{tree}/memories?limit=1")["next_page"]
    other = f"/memory_stores/{alice.post('/memory_stores', {'name': 'Other'})['id']}"
    assert alice.refused("GET", f"{tree}/memories?depth=1&page={page}").status == 400
    assert alice.refused("GET", f"{other}/memories?page={page}").status == 400


def test_a_cursor_stands_where_its_memory_was(alice: Caller, tree: str) -> None:
    answer = alice.get(f"{tree}/memories?limit=2")
    alice.ok("DELETE", f"{tree}/memories/{answer['data'][1]['id']}")
    assert listed(alice, tree, f"limit=1&page={answer['next_page']}") == ["/a/x-y/3"]


def test_a_cursor_holds_the_longest_path(alice: Caller, store: str) -> None:
    paths = ["/" + '"' * 1_023, "/" + "日" * 341]
    for path in paths:
        alice.post(f"{store}/memories", {"path": path, "content": ""})
    alice.post(f"{store}/memories", {"path": "/龍", "content": ""})
    first = alice.get(f"{store}/memories?limit=1")
    second = alice.get(f"{store}/memories?limit=1&page={quote(first['next_page'])}")
    assert [first["data"][0]["path"], second["data"][0]["path"]] == paths
    assert listed(alice, store, f"page={quote(second['next_page'])}") == ["/龍"]


def test_a_page_with_contents_holds_at_most_twenty(alice: Caller, store: str) -> None:
    for number in range(22):
        alice.post(f"{store}/memories", {"path": f"/{number:02}", "content": "x"})
    full = alice.get(f"{store}/memories?view=full&limit=100")
    assert len(full["data"]) == 20
    assert len(alice.get(f"{store}/memories?view=full&page={full['next_page']}")["data"]) == 2
    assert len(alice.get(f"{store}/memories?limit=100")["data"]) == 22
    assert len(alice.get(f"{store}/memories")["data"]) == 20
    assert len(alice.get(f"{store}/memory_versions?view=full&limit=100")["data"]) == 20
    assert json.dumps(full).count('"content": "x"') == 20
