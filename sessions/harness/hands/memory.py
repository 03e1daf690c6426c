"""The memory stores of a session, in the database (see ``agents.memory.mounted``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Max

from agents.memory import actors, memories
from agents.memory.errors import PathConflict, PreconditionFailed
from agents.memory.mounted import Mount, NotStored, Overtaken
from agents.models import Memory, MemoryVersion
from agents.sandboxes.base import MEMORY
from contract.acting import Acting
from contract.errors import ApiError
from contract.roles import Role
from sessions.models import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agents.sandboxes.base import FolderChange


def mounts(session_id: str) -> list[Mount]:
    """The memory stores of a session, in the order in which they were attached."""
    rows = Resource.objects.filter(session_id=session_id, kind="memory_store").order_by("created_at", "id")
    return [
        Mount(row.mount_path.removeprefix(f"{MEMORY}/"), row.store_id, row.details["access"] == "read_only")
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Shelf:
    """``mounted.Shelf`` for one session, which is the author of what is written."""

    workspace_id: str
    session_id: str

    def newest(self, store_ids: Sequence[str]) -> Mapping[str, str]:
        rows = MemoryVersion.objects.filter(store_id__in=store_ids).values("store_id")
        return {row["store_id"]: str(row["at"]) for row in rows.annotate(at=Max("created_at"))}

    def heads(self, store_id: str) -> Mapping[str, str]:
        rows = Memory.objects.filter(store_id=store_id).values_list("path", "head__content_sha256")
        return {path: sha or "" for path, sha in rows}

    def contents(self, store_id: str, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        rows = Memory.objects.filter(store_id=store_id, path__in=paths)
        for path, content in rows.values_list("path", "head__content"):
            yield path, content or ""

    def write(self, store_id: str, change: FolderChange, text: str | None) -> str | None:
        try:
            return self._write(store_id, change, text)
        except PreconditionFailed:
            raise Overtaken from None
        except ApiError as error:
            raise NotStored(error.message) from None

    def _write(self, store_id: str, change: FolderChange, text: str | None) -> str | None:
        acting = Acting(self.workspace_id, Role.OPERATOR, f"session {self.session_id}")
        author = actors.of_session(self.session_id)
        memory = Memory.objects.select_related("head").filter(store_id=store_id, path=change.path).first()
        if memory is None and text is None:
            return None
        if memory is None:
            body = {"path": change.path, "content": text}
            return memories.create_memory(store_id, body, acting, author=author).head.content_sha256
        if text is None:
            memories.delete_memory(store_id, memory.pk, acting, expected_sha256=change.known, author=author)
            return None
        if memory.head.content_sha256 == change.now:
            return change.now
        if change.known is None:
            raise PathConflict(change.path, memory_id=memory.pk, at=change.path)
        precondition = {"type": "content_sha256", "content_sha256": change.known}
        update: Mapping[str, object] = {"content": text, "precondition": precondition}
        return memories.update_memory(store_id, memory.pk, update, acting, author=author).head.content_sha256
