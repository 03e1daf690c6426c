"""Stores, memories and versions as the API shows them (spec advanced 6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from agents.memory import actors
from contract.times import timestamp, timestamp_or_none

if TYPE_CHECKING:
    from agents.models import Memory, MemoryStore, MemoryVersion

View = Literal["basic", "full"]


def store_shape(store: MemoryStore) -> dict[str, Any]:
    return {
        "id": store.pk,
        "type": "memory_store",
        "name": store.name,
        "description": store.description,
        "metadata": store.metadata,
        "created_at": timestamp(store.created_at),
        "updated_at": timestamp(store.updated_at),
        "archived_at": timestamp_or_none(store.archived_at),
    }


def memory_shape(memory: Memory, view: View) -> dict[str, Any]:
    """With ``basic`` the content is null and is not read from the database either."""
    return {
        "id": memory.pk,
        "type": "memory",
        "memory_store_id": memory.store_id,
        "memory_version_id": memory.head_id,
        "path": memory.path,
        "content": memory.head.content if view == "full" else None,
        "content_sha256": memory.head.content_sha256,
        "content_size_bytes": memory.head.content_size_bytes,
        "created_at": timestamp(memory.created_at),
        "updated_at": timestamp(memory.updated_at),
    }


def prefix_shape(path: str) -> dict[str, Any]:
    return {"type": "memory_prefix", "path": path}


def version_shape(version: MemoryVersion, view: View) -> dict[str, Any]:
    return {
        "id": version.pk,
        "type": "memory_version",
        "memory_store_id": version.store_id,
        "memory_id": version.memory_id,
        "operation": version.operation,
        "path": version.path,
        "content": version.content if view == "full" else None,
        "content_sha256": version.content_sha256,
        "content_size_bytes": version.content_size_bytes,
        "created_at": timestamp(version.created_at),
        "created_by": actors.shape(version.author_kind, version.author_id),
        "redacted_at": timestamp_or_none(version.redacted_at),
        "redacted_by": actors.shape(version.redactor_kind, version.redactor_id),
    }
