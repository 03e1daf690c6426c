"""Memory stores as directories of a sandbox (spec advanced 6.3): what others wrote comes in before a call, what the
call wrote goes out after it, as versions whose author is the session.

Three states are compared for every path: what the store holds, what the sandbox holds, and what was known to be the
same in both. A side that alone has changed wins; if both have, the store's content stays, the agent's goes to
``/tmp/not-saved`` and the agent is told.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Max

from agents.memory import actors, memories
from agents.memory.errors import PathConflict, PreconditionFailed
from agents.models import Memory, MemoryVersion
from agents.sandboxes.base import MEMORY, NOT_SAVED, FolderChange, FolderUpdate, SharedFolder
from contract.acting import Acting
from contract.errors import ApiError
from contract.roles import Role
from sessions.models import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agents.sandboxes.base import FolderState

BATCH = 200  # documents that come in with one request to the sandbox host
MAX_NOTICES = 20


@dataclass(frozen=True, slots=True)
class Mount:
    """A store attached to a session. ``name`` is its directory below ``/mnt/memory``."""

    name: str
    store_id: str
    workspace_id: str
    session_id: str
    read_only: bool

    @property
    def path(self) -> str:
        return f"{MEMORY}/{self.name}"

    @property
    def folder(self) -> SharedFolder:
        return SharedFolder(self.name, self.read_only)


def mounts(session_id: str, workspace_id: str) -> list[Mount]:
    """The memory stores of a session, in the order in which they were attached."""
    rows = Resource.objects.filter(session_id=session_id, kind="memory_store").order_by("created_at", "id")
    return [
        Mount(
            name=row.mount_path.removeprefix(f"{MEMORY}/"),
            store_id=row.store_id,
            workspace_id=workspace_id,
            session_id=session_id,
            read_only=row.details["access"] == "read_only",
        )
        for row in rows
    ]


class Memories:
    """The memory stores of one turn's sandbox. ``exchange`` reaches a folder of it. Thread-safe."""

    def __init__(
        self, mounted: Sequence[Mount], exchange: Callable[[str, Sequence[FolderUpdate]], FolderState]
    ) -> None:
        self._mounted = mounted
        self._exchange = exchange
        self._seen: dict[str, str] = {}  # store -> its newest version when it last came in
        self._lock = threading.Lock()

    @property
    def any(self) -> bool:
        return bool(self._mounted)

    def forget(self) -> None:
        """The sandbox was opened again: nothing is known of its folders."""
        with self._lock:
            self._seen.clear()

    def bring_in(self) -> None:
        """Write into the folders what changed in the stores since they were last looked at."""
        if not self._mounted:
            return
        with self._lock:
            newest = _newest([mount.store_id for mount in self._mounted])
            for mount in self._mounted:
                version = newest.get(mount.store_id, "")
                if self._seen.get(mount.store_id) != version:
                    self._refresh(mount)
                    self._seen[mount.store_id] = version

    def send_out(self) -> list[str]:
        """Store what the agent changed; returns what it must be told, as sentences."""
        notices: list[str] = []
        with self._lock:
            for mount in self._mounted:
                if not mount.read_only:
                    notices += self._collect(mount)
        if len(notices) > MAX_NOTICES:
            notices = [*notices[:MAX_NOTICES], f"… and {len(notices) - MAX_NOTICES} more."]
        return notices

    def _refresh(self, mount: Mount) -> None:
        state = self._exchange(mount.name, [])
        wanted = _heads(mount)
        updates = [FolderUpdate(path, "drop", sha) for path, sha in state.known.items() if path not in wanted]
        self._exchange(mount.name, updates)
        stale = [path for path, sha in wanted.items() if state.known.get(path) != sha]
        for start in range(0, len(stale), BATCH):
            contents = _contents(mount, stale[start : start + BATCH])
            puts = [FolderUpdate(path, "put", state.known.get(path), text.encode()) for path, text in contents]
            self._exchange(mount.name, puts)

    def _collect(self, mount: Mount) -> list[str]:
        notices: list[str] = []
        state = self._exchange(mount.name, [])
        while state.changes:
            updates: list[FolderUpdate] = []
            for change in state.changes:
                done, notice = _settle(mount, change)
                updates += done
                notices += [notice] if notice else []
            state = self._exchange(mount.name, updates)
            if not state.more:
                break
        return notices


def _newest(store_ids: Sequence[str]) -> dict[str, str]:
    """When each store last changed, as a text to compare."""
    rows = MemoryVersion.objects.filter(store_id__in=store_ids).values("store_id")
    return {row["store_id"]: str(row["at"]) for row in rows.annotate(at=Max("created_at"))}


def _heads(mount: Mount) -> dict[str, str]:
    rows = Memory.objects.filter(store_id=mount.store_id).values_list("path", "head__content_sha256")
    return {path: sha or "" for path, sha in rows}


def _contents(mount: Mount, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    rows = Memory.objects.filter(store_id=mount.store_id, path__in=paths)
    for path, content in rows.values_list("path", "head__content"):
        yield path, content or ""


def _settle(mount: Mount, change: FolderChange) -> tuple[list[FolderUpdate], str]:
    """Store one change; what the folder must do then, and what the agent must be told ("" if nothing)."""
    shown = f"{mount.path}{change.path}"
    try:
        text = _text(change)
        sha = _store(mount, change, text)
    except (PathConflict, PreconditionFailed) as error:
        return _lost_to(mount, change), _conflict(shown, change, error)
    except (ApiError, ValueError) as error:
        reason = error.message if isinstance(error, ApiError) else str(error)
        kept = f" What you wrote is in {_aside(mount, change)}." if change.now and change.size else ""
        return _lost_to(mount, change), f"{shown} was not saved: {reason.rstrip('.')}.{kept}"
    return [FolderUpdate(change.path, "note", sha)], ""


def _text(change: FolderChange) -> str | None:
    """The content to store; None if the file was removed. Raises ``ValueError`` with the reason."""
    if change.now is None:
        return None
    if change.content is None:
        if change.size > memories.MAX_CONTENT:
            raise ValueError(f"it has {change.size:,} bytes; a memory has at most {memories.MAX_CONTENT:,}.")
        raise ValueError("only regular files can be memories.")
    try:
        text = change.content.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not valid UTF-8 text.") from None
    if "\x00" in text:
        raise ValueError("it holds a NUL character.")
    return text


def _store(mount: Mount, change: FolderChange, text: str | None) -> str | None:
    """Bring the store to what the agent wanted, if it still is as the agent knew it; the digest that is stored now."""
    acting = Acting(mount.workspace_id, Role.OPERATOR, f"session {mount.session_id}")
    author = actors.of_session(mount.session_id)
    memory = Memory.objects.select_related("head").filter(store_id=mount.store_id, path=change.path).first()
    if memory is None and text is None:
        return None
    if memory is None:
        body = {"path": change.path, "content": text}
        return memories.create_memory(mount.store_id, body, acting, author=author).head.content_sha256
    if text is None:
        memories.delete_memory(mount.store_id, memory.pk, acting, expected_sha256=change.known, author=author)
        return None
    if memory.head.content_sha256 == change.now:
        return change.now
    if change.known is None:
        raise PathConflict(change.path, memory_id=memory.pk, at=change.path)
    precondition = {"type": "content_sha256", "content_sha256": change.known}
    update: Mapping[str, object] = {"content": text, "precondition": precondition}
    return memories.update_memory(mount.store_id, memory.pk, update, acting, author=author).head.content_sha256


def _lost_to(mount: Mount, change: FolderChange) -> list[FolderUpdate]:
    """Put what the agent wrote aside and show what the store holds."""
    memory = Memory.objects.select_related("head").filter(store_id=mount.store_id, path=change.path).first()
    updates = [FolderUpdate(change.path, "aside", change.now)]
    if memory is not None:
        updates.append(FolderUpdate(change.path, "put", None, (memory.head.content or "").encode()))
    return updates


def _conflict(shown: str, change: FolderChange, error: ApiError) -> str:
    if isinstance(error, PathConflict):
        return f"{shown} was not saved: {error.message}."
    if change.now is None:
        return f"{shown} was not deleted: somebody else changed it meanwhile. It holds their text now; read it again."
    return (
        f"{shown} was not saved: somebody else changed it since you read it. It holds their text now, yours is in "
        f"{NOT_SAVED}{shown.removeprefix(MEMORY)}. Read it again and make your change once more."
    )


def _aside(mount: Mount, change: FolderChange) -> str:
    return f"{NOT_SAVED}/{mount.name}{change.path}"
