"""Writers at the same time, each on a connection of its own: exactly one wins, and nothing is lost or doubled."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection

from agents.memory import memories, stores, versions
from agents.models import Memory, MemoryVersion, Workspace
from contract.acting import Acting
from contract.errors import ApiError
from contract.roles import Role

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 4
SECONDS = 30.0


@pytest.fixture
def acting() -> Acting:
    return Acting(Workspace.objects.create(name="w").pk, Role.ADMIN, "writer", api_key_id="apikey_1")


@pytest.fixture
def store(acting: Acting) -> str:
    return stores.create_store({"name": "Notes"}, acting).pk


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run each in a thread, all let go at the same moment: what each returned, or the type of its refusal."""
    start = Barrier(len(works))

    def guarded(work: Callable[[], Any]) -> Any:
        try:
            start.wait(SECONDS)
            return work()
        except ApiError as error:
            return error.type
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(guarded, work) for work in works]
        return [future.result(SECONDS) for future in futures]


def condition(content: str) -> dict[str, str]:
    return {"type": "content_sha256", "content_sha256": hashlib.sha256(content.encode()).hexdigest()}


def test_of_several_writers_who_read_the_same_content_one_wins(acting: Acting, store: str) -> None:
    memory = memories.create_memory(store, {"path": "/a", "content": "seen"}, acting)

    def write(number: int) -> str:
        body = {"content": f"by {number}", "precondition": condition("seen")}
        return memories.update_memory(store, memory.pk, body, acting).head_id

    results = at_once(*(lambda number=number: write(number) for number in range(WRITERS)))
    winners = [result for result in results if result.startswith("memver_")]
    assert len(winners) == 1
    assert results.count("memory_precondition_failed_error") == WRITERS - 1
    assert Memory.objects.get().head_id == winners[0]
    assert MemoryVersion.objects.count() == 2


def test_read_modify_write_loses_no_increment(acting: Acting, store: str) -> None:
    memory = memories.create_memory(store, {"path": "/count", "content": "0"}, acting)
    rounds = 5

    def increment() -> None:
        done = 0
        while done < rounds:
            seen = Memory.objects.select_related("head").get(pk=memory.pk).head.content or ""
            body = {"content": str(int(seen) + 1), "precondition": condition(seen)}
            try:
                memories.update_memory(store, memory.pk, body, acting)
            except ApiError as error:
                assert error.type == "memory_precondition_failed_error"
            else:
                done += 1

    at_once(increment, increment)
    history = list(MemoryVersion.objects.order_by("created_at", "id").values_list("content", flat=True))
    final = Memory.objects.select_related("head").get().head.content
    # An increment that another writer made meanwhile counts as done: both wanted the very same content.
    assert history == [str(number) for number in range(len(history))]
    assert final == history[-1]
    assert rounds <= len(history) - 1 <= 2 * rounds


def test_of_several_creators_of_a_path_one_wins(acting: Acting, store: str) -> None:
    def create(path: str) -> str:
        return memories.create_memory(store, {"path": path, "content": path}, acting).pk

    results = at_once(*(lambda path=path: create(path) for path in ("/a", "/a", "/a/b", "/a/b/c")))
    assert sum(result.startswith("mem_") for result in results) == 1
    assert results.count("memory_path_conflict_error") == 3
    assert Memory.objects.count() == MemoryVersion.objects.count() == 1


def test_the_last_place_of_a_store_is_given_once(acting: Acting, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "MAX_MEMORIES", 2)

    def create(path: str) -> str:
        return memories.create_memory(store, {"path": path, "content": ""}, acting).pk

    results = at_once(*(lambda number=number: create(f"/{number}") for number in range(WRITERS)))
    assert sum(result.startswith("mem_") for result in results) == 2
    assert results.count("invalid_request_error") == WRITERS - 2
    assert Memory.objects.count() == 2


def test_renames_onto_each_other_leave_every_memory_somewhere(acting: Acting, store: str) -> None:
    made = [memories.create_memory(store, {"path": f"/{name}", "content": name}, acting).pk for name in "ab"]
    results = at_once(*(lambda pk=pk: memories.update_memory(store, pk, {"path": "/c"}, acting).path for pk in made))
    assert sorted(results) == ["/c", "memory_path_conflict_error"]
    assert {"/c"} < set(Memory.objects.values_list("path", flat=True)) < {"/a", "/b", "/c"}


def test_nothing_is_written_once_a_store_is_archived_or_gone(acting: Acting, store: str) -> None:
    def create() -> str:
        return memories.create_memory(store, {"path": "/a", "content": ""}, acting).pk

    created, archived = at_once(create, lambda: stores.archive_store(store, acting).archived_at)
    written = created.startswith("mem_")
    assert Memory.objects.filter(created_at__gt=archived).count() == 0
    assert written or created == "invalid_request_error"
    assert Memory.objects.count() == int(written)

    deleted, late = at_once(lambda: stores.delete_store(store, acting), lambda: memories_left(store, acting))
    assert deleted is None
    assert late in ("not_found_error", 0, 1)
    assert Memory.objects.count() == MemoryVersion.objects.count() == 0


def memories_left(store: str, acting: Acting) -> int:
    return Memory.objects.filter(store=stores.find_store(store, acting)).count()


def test_a_version_is_never_redacted_while_it_becomes_or_is_the_head(acting: Acting, store: str) -> None:
    memory = memories.create_memory(store, {"path": "/a", "content": "secret"}, acting)
    first = memory.head_id
    redacted, _ = at_once(
        lambda: versions.redact_version(store, first, acting).content,
        lambda: memories.update_memory(store, memory.pk, {"content": "clean"}, acting).pk,
    )
    head = Memory.objects.select_related("head").get().head
    assert head.content == "clean"
    kept = MemoryVersion.objects.get(pk=first).content
    assert (redacted, kept) in [(None, None), ("invalid_request_error", "secret")]
