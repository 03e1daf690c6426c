"""What changes memories: every change is one version, made under the lock of the store (spec advanced 6.2)."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agents.memory import actors, paths
from agents.memory.errors import PathConflict, PreconditionFailed
from agents.memory.stores import lock_store
from agents.models import Memory, MemoryVersion
from contract import ids
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.memory.actors import Actor
    from agents.models import MemoryStore
    from contract.acting import Acting

MAX_MEMORIES = 2_000
MAX_CONTENT = 102_400  # bytes of UTF-8
SHA256 = re.compile(r"[0-9a-f]{64}")


def find_memory(store: MemoryStore, memory_id: str) -> Memory:
    """A living memory with its head. One query."""
    found = Memory.objects.select_related("head").filter(pk=memory_id, store=store).first()
    if found is None:
        raise NotFound(f"There is no memory {memory_id} in memory store {store.pk}.")
    return found


@transaction.atomic
def create_memory(store_id: str, body: Mapping[str, Any], acting: Acting, *, author: Actor | None = None) -> Memory:
    """A memory at a free path; ``PathConflict`` when the path is not free. ``author`` defaults to the caller."""
    acting.require(Permission.OPERATE)
    path, content = paths.check("path", body["path"]), _content(body["content"] or "")
    store = lock_store(store_id, acting, writing=True)
    _check_free(store, path)
    if Memory.objects.filter(store=store).count() >= MAX_MEMORIES:
        raise InvalidRequest(f"Memory store {store.pk} holds {MAX_MEMORIES:,} memories; no more are allowed.")
    memory = Memory(id=ids.memory_id(), store=store, path=path)
    _advance(memory, "created", content, author or actors.of(acting))
    memory.created_at = memory.updated_at
    memory.save(force_insert=True)
    return memory


@transaction.atomic
def update_memory(
    store_id: str, memory_id: str, body: Mapping[str, Any], acting: Acting, *, author: Actor | None = None
) -> Memory:
    """Write the content, the path, or both. A memory that already is as wanted is left as it is.

    ``precondition`` compares with the stored content; when it fails, ``PreconditionFailed``, unless nothing
    would change anyway: so a writer may repeat a request whose answer was lost.
    """
    acting.require(Permission.OPERATE)
    expected = _expected(body.get("precondition"))
    new_path, new_content = body.get("path"), body.get("content")
    if new_path is not None:
        paths.check("path", new_path)
    if new_content is not None:
        _content(new_content)
    store = lock_store(store_id, acting, writing=True)
    memory = find_memory(store, memory_id)
    path = memory.path if new_path is None else new_path
    content = (memory.head.content or "") if new_content is None else new_content
    if (path, content) == (memory.path, memory.head.content):
        return memory
    _check_expected(memory, expected)
    if path != memory.path:
        _check_free(store, path, except_for=memory)
    memory.path = path
    _advance(memory, "modified", content, author or actors.of(acting))
    memory.save(update_fields=["path", "head", "updated_at"])
    return memory


@transaction.atomic
def delete_memory(
    store_id: str, memory_id: str, acting: Acting, *, expected_sha256: str | None = None, author: Actor | None = None
) -> None:
    """Delete a memory, of an archived store too; its versions stay, with one more that says ``deleted``."""
    acting.require(Permission.OPERATE)
    if expected_sha256 is not None:
        _check_sha256("expected_content_sha256", expected_sha256)
    store = lock_store(store_id, acting, writing=False)
    memory = find_memory(store, memory_id)
    _check_expected(memory, expected_sha256)
    memory.delete()
    memory.pk = memory_id
    _advance(memory, "deleted", None, author or actors.of(acting))


def _advance(memory: Memory, operation: str, content: str | None, author: Actor) -> None:
    """Write the version that records a change and make it the head; the caller saves the memory."""
    data = None if content is None else content.encode()
    memory.updated_at = timezone.now()
    memory.head = MemoryVersion.objects.create(
        store_id=memory.store_id,
        memory_id=memory.pk,
        operation=operation,
        path=memory.path,
        content=content,
        content_sha256=None if data is None else hashlib.sha256(data).hexdigest(),
        content_size_bytes=None if data is None else len(data),
        created_at=memory.updated_at,
        author_kind=author.kind,
        author_id=author.id,
    )


def _check_free(store: MemoryStore, path: str, *, except_for: Memory | None = None) -> None:
    """A store is mounted as a directory: no memory may be where another needs a directory, or the reverse."""
    in_the_way = Q(path__in=[path, *paths.ancestors(path)]) | Q(path__startswith=f"{path}/")
    others = Memory.objects.filter(in_the_way, store=store)
    if except_for is not None:
        others = others.exclude(pk=except_for.pk)
    found = others.first()
    if found is not None:
        raise PathConflict(path, memory_id=found.pk, at=found.path)


def _content(value: str) -> str:
    size = len(value.encode())
    if size > MAX_CONTENT:
        raise InvalidRequest(f"content: has {size:,} bytes; at most {MAX_CONTENT:,} are allowed")
    return value


def _expected(precondition: Mapping[str, Any] | None) -> str | None:
    if precondition is None:
        return None
    if "content_sha256" not in precondition:
        raise InvalidRequest("precondition.content_sha256: Field required")
    return _check_sha256("precondition.content_sha256", precondition["content_sha256"])


def _check_sha256(field: str, value: str) -> str:
    if not SHA256.fullmatch(value):
        raise InvalidRequest(f"{field}: must be 64 lowercase hexadecimal characters")
    return value


def _check_expected(memory: Memory, expected: str | None) -> None:
    if expected is not None and memory.head.content_sha256 != expected:
        raise PreconditionFailed(memory.pk)
