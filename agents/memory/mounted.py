"""Memory stores as directories of a sandbox (spec advanced 6.3): what others wrote comes in before a call, what the
call wrote goes out after it, as versions whose author is the session.

Three states are compared for every path: what the store holds, what the sandbox holds, and what was known to be the
same in both. A side that alone has changed wins; if both have, the store's content stays, the agent's goes to
``/tmp/not-saved`` and the agent is told. The stores themselves are reached by a ``Shelf``: in the database here, or by
the API from another machine.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from agents.memory import paths
from agents.sandboxes.base import MEMORY, NOT_SAVED, FolderChange, FolderUpdate, SharedFolder
from agents.sandboxes.folders import MAX_DOCUMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agents.sandboxes.base import CallResult, FolderState

BATCH = 200  # documents that come in with one request to the sandbox host
MAX_NOTICES = 20


@dataclass(frozen=True, slots=True)
class Mount:
    """A store attached to a session. ``name`` is its directory below ``/mnt/memory``."""

    name: str
    store_id: str
    read_only: bool

    @property
    def path(self) -> str:
        return f"{MEMORY}/{self.name}"

    @property
    def folder(self) -> SharedFolder:
        return SharedFolder(self.name, self.read_only)


class Overtaken(Exception):
    """A memory is no longer what the agent had read."""


class NotStored(Exception):
    """A memory can't be stored; the text says why."""


class Shelf(Protocol):
    """Where the stores are. ``write`` raises ``Overtaken`` or ``NotStored``."""

    def newest(self, store_ids: Sequence[str]) -> Mapping[str, str]:
        """When each store last changed, as a text to compare; a store without any change is left out."""

    def heads(self, store_id: str) -> Mapping[str, str]:
        """Every memory's path and SHA-256."""

    def contents(self, store_id: str, paths: Sequence[str]) -> Iterable[tuple[str, str]]:
        """The memories of these paths, as far as there are any, with their text."""

    def write(self, store_id: str, change: FolderChange, text: str | None) -> str | None:
        """Bring the store to what the agent wanted (None: no memory), if it still is as the agent knew it; the digest
        that is stored now.
        """


class Memories:
    """The memory stores of one turn's sandbox. ``exchange`` reaches a folder of it. Thread-safe."""

    def __init__(
        self, mounted: Sequence[Mount], exchange: Callable[[str, Sequence[FolderUpdate]], FolderState], shelf: Shelf
    ) -> None:
        self._mounted = mounted
        self._exchange = exchange
        self._shelf = shelf
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
            newest = self._shelf.newest([mount.store_id for mount in self._mounted])
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
        heads = self._shelf.heads(mount.store_id)
        wanted = {path: sha for path, sha in heads.items() if paths.is_mountable(path)}  # one alone would stop them all
        updates = [FolderUpdate(path, "drop", sha) for path, sha in state.known.items() if path not in wanted]
        self._exchange(mount.name, updates)
        stale = [path for path, sha in wanted.items() if state.known.get(path) != sha]
        for start in range(0, len(stale), BATCH):
            contents = self._shelf.contents(mount.store_id, stale[start : start + BATCH])
            puts = [FolderUpdate(path, "put", state.known.get(path), text.encode()) for path, text in contents]
            self._exchange(mount.name, puts)

    def _collect(self, mount: Mount) -> list[str]:
        notices: list[str] = []
        state = self._exchange(mount.name, [])
        while state.changes:
            updates: list[FolderUpdate] = []
            for change in state.changes:
                done, notice = self._settle(mount, change)
                updates += done
                notices += [notice] if notice else []
            state = self._exchange(mount.name, updates)
            if not state.more:
                break
        return notices

    def _settle(self, mount: Mount, change: FolderChange) -> tuple[list[FolderUpdate], str]:
        """Store one change; what the folder must do then, and what the agent must be told ("" if nothing)."""
        shown = f"{mount.path}{change.path}"
        try:
            sha = self._shelf.write(mount.store_id, change, _text(change))
        except Overtaken:
            return self._lost_to(mount, change), _overtaken(shown, change)
        except (NotStored, ValueError) as error:
            kept = f" What you wrote is in {_aside(mount, change)}." if change.now and change.size else ""
            return self._lost_to(mount, change), f"{shown} was not saved: {str(error).rstrip('.')}.{kept}"
        return [FolderUpdate(change.path, "note", sha)], ""

    def _lost_to(self, mount: Mount, change: FolderChange) -> list[FolderUpdate]:
        """Put what the agent wrote aside and show what the store holds."""
        updates = [FolderUpdate(change.path, "aside", change.now)]
        for path, text in self._shelf.contents(mount.store_id, [change.path]):
            updates.append(FolderUpdate(path, "put", None, text.encode()))
        return updates


def told(result: CallResult, notices: Sequence[str]) -> CallResult:
    """The result of a call with what the agent must be told of its memories: an error then."""
    if not notices:
        return result
    text = {"type": "text", "text": "[memory] " + "\n[memory] ".join(notices)}
    return replace(result, content=[*result.content, text], is_error=True)


def _text(change: FolderChange) -> str | None:
    """The content to store; None if the file was removed. Raises ``ValueError`` with the reason."""
    if change.now is None:
        return None
    if change.content is None:
        if change.size > MAX_DOCUMENT:
            raise ValueError(f"it has {change.size:,} bytes; a memory has at most {MAX_DOCUMENT:,}.")
        raise ValueError("only regular files can be memories.")
    try:
        text = change.content.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not valid UTF-8 text.") from None
    if "\x00" in text:
        raise ValueError("it holds a NUL character.")
    return text


def _overtaken(shown: str, change: FolderChange) -> str:
    if change.now is None:
        return f"{shown} was not deleted: somebody else changed it meanwhile. It holds their text now; read it again."
    return (
        f"{shown} was not saved: somebody else changed it since you read it. It holds their text now, yours is in "
        f"{NOT_SAVED}{shown.removeprefix(MEMORY)}. Read it again and make your change once more."
    )


def _aside(mount: Mount, change: FolderChange) -> str:
    return f"{NOT_SAVED}/{mount.name}{change.path}"
