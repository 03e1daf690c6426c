"""Memory versions: the history of every memory, its authors, its filters, redaction (spec advanced 6.1, 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from agents.memory import actors, memories
from contract.acting import Acting
from contract.roles import Role
from tests.api.conftest import fits

if TYPE_CHECKING:
    from tests.api.conftest import Caller

VERSION = "memory_stores.beta_managed_agents_memory_version.BetaManagedAgentsMemoryVersion"
ERASED = ("path", "content", "content_sha256", "content_size_bytes")


@pytest.fixture
def store(alice: Caller) -> str:
    return f"/memory_stores/{alice.post('/memory_stores', {'name': 'Notes'})['id']}"


@pytest.fixture
def history(alice: Caller, store: str) -> list[dict[str, Any]]:
    """The versions of a memory that was written, changed, renamed and deleted, oldest first, with contents."""
    memory = alice.post(f"{store}/memories", {"path": "/a", "content": "one"})
    path = f"{store}/memories/{memory['id']}"
    alice.post(path, {"content": "two"})
    alice.post(path, {"path": "/b"})
    alice.ok("DELETE", path)
    found: list[dict[str, Any]] = alice.get(f"{store}/memory_versions?view=full")["data"]
    return found[::-1]


def test_every_change_is_one_version_and_outlives_its_memory(
    alice: Caller, store: str, history: list[dict[str, Any]]
) -> None:
    for version in history:
        fits(VERSION, version)
        assert alice.get(f"{store}/memory_versions/{version['id']}") == version
    told = [(version["operation"], version["path"], version["content"]) for version in history]
    assert told == [
        ("created", "/a", "one"),
        ("modified", "/a", "two"),
        ("modified", "/b", "two"),
        ("deleted", "/b", None),
    ]
    assert len({version["memory_id"] for version in history}) == 1
    assert (history[3]["content_sha256"], history[3]["content_size_bytes"]) == (None, None)
    key = {"type": "api_actor", "api_key_id": alice.acting.api_key_id}
    assert all(version["created_by"] == key and version["redacted_by"] is None for version in history)


def test_a_memory_names_its_newest_version(alice: Caller, store: str) -> None:
    memory = alice.post(f"{store}/memories", {"path": "/a", "content": "one"})
    updated = alice.post(f"{store}/memories/{memory['id']}", {"content": "two"})
    newest, oldest = alice.get(f"{store}/memory_versions")["data"]
    assert (newest["id"], oldest["id"]) == (updated["memory_version_id"], memory["memory_version_id"])
    assert newest["content"] is None
    assert newest["content_sha256"] == updated["content_sha256"]


def test_contents_are_shown_as_the_view_says(alice: Caller, store: str, history: list[dict[str, Any]]) -> None:
    basic = alice.get(f"{store}/memory_versions/{history[0]['id']}?view=basic")
    assert basic == {**history[0], "content": None}
    assert all(version["content"] is None for version in alice.get(f"{store}/memory_versions")["data"])


def write_as(alice: Caller, store: str, path: str, author: actors.Actor | None, acting: Acting | None = None) -> None:
    body = {"path": path, "content": path}
    memories.create_memory(store.rpartition("/")[2], body, acting or alice.acting, author=author)


@pytest.fixture
def authors(alice: Caller, store: str) -> str:
    write_as(alice, store, "/key", None)
    write_as(alice, store, "/session", actors.of_session("sesn_1"))
    write_as(alice, store, "/robot", actors.Actor("service_account", "svac_1"))
    write_as(alice, store, "/person", None, Acting(alice.acting.workspace_id, Role.ADMIN, "alice", user_id=7))
    return store


def test_each_kind_of_author_is_shown(alice: Caller, authors: str) -> None:
    found = alice.get(f"{authors}/memory_versions")["data"]
    for version in found:
        fits(VERSION, version)
    assert {version["path"]: version["created_by"] for version in found} == {
        "/key": {"type": "api_actor", "api_key_id": alice.acting.api_key_id},
        "/session": {"type": "session_actor", "session_id": "sesn_1"},
        "/robot": {"type": "service_account_actor", "service_account_id": "svac_1"},
        "/person": {"type": "user_actor", "user_id": "user_7"},
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("session_id=sesn_1", ["/session"]),
        ("service_account_id=svac_1", ["/robot"]),
        ("api_key_id=KEY", ["/key"]),
        ("session_id=svac_1", []),
        ("session_id=sesn_1&api_key_id=KEY", []),
        ("operation=created", ["/person", "/robot", "/session", "/key"]),
        ("operation=deleted", []),
        ("memory_id=mem_unknown", []),
    ],
)
def test_a_list_is_filtered(alice: Caller, authors: str, query: str, expected: list[str]) -> None:
    query = query.replace("KEY", str(alice.acting.api_key_id))
    assert [version["path"] for version in alice.get(f"{authors}/memory_versions?{query}")["data"]] == expected


def test_a_list_is_filtered_by_memory_even_when_it_is_gone(
    alice: Caller, store: str, history: list[dict[str, Any]]
) -> None:
    alice.post(f"{store}/memories", {"path": "/other", "content": ""})
    found = alice.get(f"{store}/memory_versions?memory_id={history[0]['memory_id']}")["data"]
    assert [version["id"] for version in found] == [version["id"] for version in history[::-1]]


def test_a_list_goes_by_pages_and_by_time(alice: Caller, store: str, history: list[dict[str, Any]]) -> None:
    first = alice.get(f"{store}/memory_versions?limit=3")
    second = alice.get(f"{store}/memory_versions?limit=3&page={first['next_page']}")
    found = [version["id"] for version in first["data"] + second["data"]]
    assert (found, second["next_page"]) == ([version["id"] for version in history[::-1]], None)
    at = quote(history[-1]["created_at"])
    assert history[-1]["id"] in [
        one["id"] for one in alice.get(f"{store}/memory_versions?created_at[gte]={at}")["data"]
    ]
    assert len(alice.get(f"{store}/memory_versions?created_at[lte]={at}")["data"]) == 4
    assert alice.get(f"{store}/memory_versions?created_at[lte]=2001-01-01T00:00:00Z")["data"] == []
    late = f"created_at[gte]=2100-01-01T00:00:00Z&page={first['next_page']}"
    assert alice.refused("GET", f"{store}/memory_versions?{late}").status == 400


@pytest.mark.parametrize(
    "query", ["operation=renamed", "limit=101", "limit=0", "view=x", "page=x", "created_at[gte]=x", "memory_id=%00"]
)
def test_a_bad_query_is_refused(alice: Caller, store: str, query: str) -> None:
    assert alice.refused("GET", f"{store}/memory_versions?{query}").status == 400


def test_redaction_erases_what_was_said_and_keeps_who_said_it(
    alice: Caller, store: str, history: list[dict[str, Any]]
) -> None:
    path = f"{store}/memory_versions/{history[0]['id']}"
    redacted = alice.post(f"{path}/redact")
    fits(VERSION, redacted)
    key = {"type": "api_actor", "api_key_id": alice.acting.api_key_id}
    erased = dict.fromkeys(ERASED)
    assert redacted == {**history[0], **erased, "redacted_at": redacted["redacted_at"], "redacted_by": key}
    assert redacted["redacted_at"] is not None
    assert alice.get(path) == redacted
    assert alice.post(f"{path}/redact") == redacted
    assert alice.get(f"{store}/memory_versions?view=full")["data"][:-1] == history[:0:-1]


def test_a_deletion_can_be_redacted_too(alice: Caller, store: str, history: list[dict[str, Any]]) -> None:
    assert alice.post(f"{store}/memory_versions/{history[3]['id']}/redact")["path"] is None


def test_the_head_of_a_living_memory_is_not_redacted(alice: Caller, store: str) -> None:
    memory = alice.post(f"{store}/memories", {"path": "/a", "content": "secret"})
    path = f"{store}/memory_versions/{memory['memory_version_id']}"
    refused = alice.refused("POST", f"{path}/redact")
    assert (refused.status, refused.type) == (400, "invalid_request_error")
    assert alice.get(path)["content"] == "secret"
    alice.post(f"{store}/memories/{memory['id']}", {"content": "nothing"})
    assert alice.post(f"{path}/redact")["content"] is None


def test_an_unknown_version_is_not_found(alice: Caller, store: str) -> None:
    assert alice.refused("GET", f"{store}/memory_versions/memver_1").status == 404
    assert alice.refused("POST", f"{store}/memory_versions/memver_1/redact").status == 404
