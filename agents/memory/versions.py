"""The history of memories: read it, take content out of it (spec advanced 6.1, 6.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from agents.memory import actors
from agents.memory.stores import lock_store
from agents.models import Memory, MemoryVersion
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission

if TYPE_CHECKING:
    from agents.models import MemoryStore
    from contract.acting import Acting


def find_version(store: MemoryStore, version_id: str) -> MemoryVersion:
    found = MemoryVersion.objects.filter(pk=version_id, store=store).first()
    if found is None:
        raise NotFound(f"There is no memory version {version_id} in memory store {store.pk}.")
    return found


@transaction.atomic
def redact_version(store_id: str, version_id: str, acting: Acting) -> MemoryVersion:
    """Erase what a version says, for ever; who changed what and when stays. A second time changes nothing.

    The head of a living memory is refused: its content would still be there to read.
    """
    acting.require(Permission.BUILD)
    store = lock_store(store_id, acting, writing=False)
    version = find_version(store, version_id)
    if version.redacted_at is not None:
        return version
    if Memory.objects.filter(head=version).exists():
        raise InvalidRequest(
            f"Memory version {version.pk} is the current content of memory {version.memory_id}; "
            "change or delete the memory first."
        )
    version.path = version.content = version.content_sha256 = version.content_size_bytes = None
    version.redacted_at = timezone.now()
    version.redactor_kind, version.redactor_id = actors.of(acting)
    version.save(
        update_fields=[
            "path", "content", "content_sha256", "content_size_bytes", "redacted_at", "redactor_kind", "redactor_id"
        ]
    )  # fmt: skip
    return version
