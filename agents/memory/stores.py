"""What changes memory stores (spec advanced 6.2). The API, the pages and commands all go through here."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from agents.models import Memory, MemoryStore, MemoryVersion
from contract import audit, happenings, ids, metadata
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting

MAX_NAME = 255
MAX_DESCRIPTION = 1_024
COPIED = " (dream)"
COPIED_AT_ONCE = 50


def find_store(store_id: str, acting: Acting) -> MemoryStore:
    """A store of the caller's workspace, archived or not. One query."""
    return _found(MemoryStore.objects.filter(pk=store_id, workspace_id=acting.workspace_id).first(), store_id)


def lock_store(store_id: str, acting: Acting, *, writing: bool) -> MemoryStore:
    """The store, locked until the transaction ends, so that writers of one store take turns.

    With ``writing`` an archived store is refused.
    """
    rows = MemoryStore.objects.select_for_update(no_key=True)
    store = _found(rows.filter(pk=store_id, workspace_id=acting.workspace_id).first(), store_id)
    if writing and store.archived_at is not None:
        raise InvalidRequest(f"Memory store {store.pk} is archived and can't be written.")
    return store


@audit.logged("memory_store.created", "agents.MemoryStore")
def create_store(body: Mapping[str, Any], acting: Acting) -> MemoryStore:
    """A new, empty store. Names need not be unique."""
    acting.require(Permission.BUILD)
    now = timezone.now()
    store = MemoryStore(
        workspace_id=acting.workspace_id,
        name=_name(body["name"]),
        description=_description(body.get("description", "")),
        metadata=metadata.check(body.get("metadata") or {}),
        created_at=now,
        updated_at=now,
    )
    with transaction.atomic():
        store.save(force_insert=True)
        happenings.tell("memory_store.created", store.pk, workspace_id=store.workspace_id)
    return store


@transaction.atomic
@audit.logged("memory_store.updated", "agents.MemoryStore", "store_id")
def update_store(store_id: str, body: Mapping[str, Any], acting: Acting) -> MemoryStore:
    """Change what was sent; sessions that have the store attached keep its old name and description."""
    acting.require(Permission.BUILD)
    store = lock_store(store_id, acting, writing=True)
    before = (store.name, store.description, store.metadata)
    if body.get("name") is not None:
        store.name = _name(body["name"])
    if body.get("description") is not None:
        store.description = _description(body["description"])
    store.metadata = metadata.merge(store.metadata, body.get("metadata"))
    if before != (store.name, store.description, store.metadata):
        store.updated_at = timezone.now()
        store.save(update_fields=["name", "description", "metadata", "updated_at"])
    return store


@transaction.atomic
@audit.logged("memory_store.archived", "agents.MemoryStore", "store_id")
def archive_store(store_id: str, acting: Acting) -> MemoryStore:
    """Close a store for writing and for new sessions, for ever; a second time changes nothing."""
    acting.require(Permission.BUILD)
    store = lock_store(store_id, acting, writing=False)
    if store.archived_at is None:
        store.archived_at = store.updated_at = timezone.now()
        store.save(update_fields=["archived_at", "updated_at"])
        happenings.tell("memory_store.archived", store.pk, workspace_id=store.workspace_id)
    return store


@transaction.atomic
@audit.logged("memory_store.deleted", "agents.MemoryStore", "store_id")
def delete_store(store_id: str, acting: Acting) -> None:
    """Delete a store with its memories and all their versions."""
    acting.require(Permission.BUILD)
    store = lock_store(store_id, acting, writing=False)
    Memory.objects.filter(store=store).delete()
    MemoryVersion.objects.filter(store=store).delete()
    happenings.tell("memory_store.deleted", store.pk, workspace_id=store.workspace_id)
    store.delete()


def copy_store(source: MemoryStore, marks: Mapping[str, str]) -> MemoryStore:
    """An empty store that is named after ``source``; ``copy_memories`` fills it. Inside a transaction."""
    now = timezone.now()
    copy = MemoryStore.objects.create(
        workspace_id=source.workspace_id,
        name=f"{source.name[: MAX_NAME - len(COPIED)]}{COPIED}",
        description=source.description,
        metadata=dict(marks),
        created_at=now,
        updated_at=now,
    )
    happenings.tell("memory_store.created", copy.pk, workspace_id=copy.workspace_id)
    return copy


def copy_memories(source: MemoryStore, target: MemoryStore, session_id: str) -> None:
    """Write the memories of a locked store into a new one, as their first versions, made by a session."""
    keys = list(Memory.objects.filter(store=source).order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), COPIED_AT_ONCE):
        memories = Memory.objects.filter(pk__in=keys[start : start + COPIED_AT_ONCE]).select_related("head")
        now = timezone.now()
        heads = [
            MemoryVersion(
                store=target,
                memory_id=ids.memory_id(),
                operation="created",
                path=memory.path,
                content=memory.head.content,
                content_sha256=memory.head.content_sha256,
                content_size_bytes=memory.head.content_size_bytes,
                created_at=now,
                author_kind="session",
                author_id=session_id,
            )
            for memory in memories
        ]
        MemoryVersion.objects.bulk_create(heads)
        Memory.objects.bulk_create(
            Memory(pk=head.memory_id, store=target, path=head.path or "", head=head, created_at=now, updated_at=now)
            for head in heads
        )


def _found(store: MemoryStore | None, store_id: str) -> MemoryStore:
    if store is None:
        raise NotFound(f"There is no memory store {store_id} in this workspace.")
    return store


def _name(value: str) -> str:
    if not 1 <= len(value) <= MAX_NAME or not value.strip():
        raise InvalidRequest(f"name: must be 1 to {MAX_NAME} characters long")
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise InvalidRequest("name: must not contain control characters")
    return value


def _description(value: str) -> str:
    if len(value) > MAX_DESCRIPTION:
        raise InvalidRequest(f"description: must be at most {MAX_DESCRIPTION} characters long")
    return value
