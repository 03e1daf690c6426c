"""Memory stores through the SDK alone: every method, every list, the conflicts (spec advanced 6, 26.6)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import anthropic
import pytest

if TYPE_CHECKING:
    from anthropic.types.beta import BetaManagedAgentsMemoryStore


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def store(client: anthropic.Anthropic) -> BetaManagedAgentsMemoryStore:
    return client.beta.memory_stores.create(name="Notes", description="what we learned", metadata={"user": "u1"})


@pytest.mark.proves("beta.memory_stores.create", "beta.memory_stores.retrieve", "beta.memory_stores.update")
@pytest.mark.proves("beta.memory_stores.list", "beta.memory_stores.archive", "beta.memory_stores.delete")
def test_a_store_lives_from_create_to_delete(client: anthropic.Anthropic, store: BetaManagedAgentsMemoryStore) -> None:
    stores = client.beta.memory_stores
    assert stores.retrieve(store.id) == store
    updated = stores.update(store.id, name="Lessons", description="", metadata={"user": None, "team": "a"})
    assert (updated.name, updated.description, updated.metadata) == ("Lessons", "", {"team": "a"})
    assert store.id in [one.id for one in stores.list(limit=2, created_at_gte=store.created_at)]
    archived = stores.archive(store.id)
    assert archived.archived_at is not None
    assert store.id not in [one.id for one in stores.list()]
    assert store.id in [one.id for one in stores.list(include_archived=True, limit=1)]
    deleted = stores.delete(store.id)
    assert (deleted.id, deleted.type) == (store.id, "memory_store_deleted")
    with pytest.raises(anthropic.NotFoundError):
        stores.retrieve(store.id)


@pytest.mark.proves("beta.memory_stores.memories.create", "beta.memory_stores.memories.retrieve")
@pytest.mark.proves("beta.memory_stores.memories.update", "beta.memory_stores.memories.delete")
def test_a_memory_lives_from_create_to_delete(client: anthropic.Anthropic, store: BetaManagedAgentsMemoryStore) -> None:
    memories = client.beta.memory_stores.memories
    made = memories.create(store.id, path="/notes/todo.md", content="buy tea")
    assert (made.content, made.content_sha256, made.content_size_bytes) == (None, sha("buy tea"), 7)
    read = memories.retrieve(made.id, memory_store_id=store.id)
    assert (read.content, read.memory_version_id) == ("buy tea", made.memory_version_id)
    updated = memories.update(
        made.id,
        memory_store_id=store.id,
        content="buy milk",
        path="/notes/done.md",
        precondition={"type": "content_sha256", "content_sha256": made.content_sha256},
        view="full",
    )
    assert (updated.id, updated.path, updated.content) == (made.id, "/notes/done.md", "buy milk")
    with pytest.raises(anthropic.ConflictError) as refused:
        memories.delete(made.id, memory_store_id=store.id, expected_content_sha256=made.content_sha256)
    assert refused.value.type == "memory_precondition_failed_error"
    deleted = memories.delete(made.id, memory_store_id=store.id, expected_content_sha256=updated.content_sha256)
    assert (deleted.id, deleted.type) == (made.id, "memory_deleted")


@pytest.mark.proves("beta.memory_stores.memories.list")
def test_the_tree_is_listed_by_levels(client: anthropic.Anthropic, store: BetaManagedAgentsMemoryStore) -> None:
    memories = client.beta.memory_stores.memories
    for path in ("/readme", "/a/1", "/a/2", "/b/c/3"):
        memories.create(store.id, path=path, content=path)
    top = [(item.type, item.path) for item in memories.list(store.id, depth=1, limit=1)]
    assert top == [("memory_prefix", "/a/"), ("memory_prefix", "/b/"), ("memory", "/readme")]
    below = list(memories.list(store.id, path_prefix="/a/", view="full", limit=1))
    assert [item.content for item in below if item.type == "memory"] == ["/a/1", "/a/2"]
    assert len(list(memories.list(store.id, limit=1))) == 4
    for query in ({"depth": 2}, {"path_prefix": "/a"}):
        with pytest.raises(anthropic.BadRequestError):
            memories.list(store.id, **query)


def test_an_occupied_path_names_the_memory_in_the_way(
    client: anthropic.Anthropic, store: BetaManagedAgentsMemoryStore
) -> None:
    memories = client.beta.memory_stores.memories
    first = memories.create(store.id, path="/a", content="x")
    with pytest.raises(anthropic.ConflictError) as refused:
        memories.create(store.id, path="/a", content="y")
    assert refused.value.type == "memory_path_conflict_error"
    assert refused.value.response.headers["x-should-retry"] == "false"
    body = refused.value.body
    assert isinstance(body, dict)
    assert body["error"]["conflicting_memory_id"] == first.id
    assert body["error"]["conflicting_path"] == "/a"


@pytest.mark.proves("beta.memory_stores.memory_versions.list", "beta.memory_stores.memory_versions.retrieve")
@pytest.mark.proves("beta.memory_stores.memory_versions.redact")
def test_versions_tell_the_history_and_can_be_redacted(
    client: anthropic.Anthropic, store: BetaManagedAgentsMemoryStore
) -> None:
    memories, versions = client.beta.memory_stores.memories, client.beta.memory_stores.memory_versions
    made = memories.create(store.id, path="/a", content="secret")
    updated = memories.update(made.id, memory_store_id=store.id, content="clean")
    memories.delete(made.id, memory_store_id=store.id)
    found = list(versions.list(store.id, memory_id=made.id, limit=1))
    assert [version.operation for version in found] == ["deleted", "modified", "created"]
    first = versions.retrieve(made.memory_version_id, memory_store_id=store.id)
    assert first.content == "secret"
    assert first.created_by is not None
    assert first.created_by.type == "api_actor"
    mine = versions.list(store.id, api_key_id=first.created_by.api_key_id, operation="created", view="full")
    assert [version.content for version in mine] == ["secret"]
    since = versions.list(store.id, created_at_gte=first.created_at, created_at_lte=found[0].created_at)
    assert len(list(since)) == 3
    redacted = versions.redact(first.id, memory_store_id=store.id)
    assert (redacted.content, redacted.path, redacted.content_sha256, redacted.content_size_bytes) == (None,) * 4
    assert redacted.redacted_at is not None
    assert versions.retrieve(updated.memory_version_id, memory_store_id=store.id, view="basic").content is None


def test_the_head_of_a_living_memory_is_not_redacted(
    client: anthropic.Anthropic, store: BetaManagedAgentsMemoryStore
) -> None:
    made = client.beta.memory_stores.memories.create(store.id, path="/a", content="x")
    with pytest.raises(anthropic.BadRequestError):
        client.beta.memory_stores.memory_versions.redact(made.memory_version_id, memory_store_id=store.id)


def test_both_beta_headers_together_are_taken(client: anthropic.Anthropic, store: BetaManagedAgentsMemoryStore) -> None:
    assert client.beta.memory_stores.retrieve(store.id, betas=["managed-agents-2026-04-01"]).id == store.id
