"""Stores as folders, with a shelf and a folder in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.memory.mounted import Memories, Mount
from agents.sandboxes.base import FolderState, FolderUpdate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from agents.sandboxes.base import FolderChange

LONG = "/notes/" + "é" * 128  # 256 bytes


class Shelf:
    """One store of memories that say their own path."""

    paths = ("/todo.md", LONG, "/notes/" + "x" * 255)

    def newest(self, store_ids: Sequence[str]) -> Mapping[str, str]:
        return dict.fromkeys(store_ids, "1")

    def heads(self, store_id: str) -> Mapping[str, str]:
        return dict.fromkeys(self.paths, "sha")

    def contents(self, store_id: str, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
        return ((path, path) for path in paths)

    def write(self, store_id: str, change: FolderChange, text: str | None) -> str | None:
        raise AssertionError("what is mounted to be read is never written back")


def test_a_memory_that_no_file_can_be_named_like_keeps_none_of_the_others_out() -> None:
    sent: list[FolderUpdate] = []

    def exchange(folder: str, updates: Sequence[FolderUpdate]) -> FolderState:
        sent.extend(updates)
        return FolderState({}, (), False)

    Memories([Mount("notes", "memstore_1", read_only=False)], exchange, Shelf()).bring_in()
    assert [update.path for update in sent] == [path for path in Shelf.paths if path != LONG]
