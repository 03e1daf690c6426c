"""The two conflicts of memories (spec advanced 6.2). A retry can't help, so it is not invited."""

from __future__ import annotations

from contract.errors import Conflict


class PathConflict(Conflict):
    """409: a memory has this path already, or one that can't be beside it in a directory tree."""

    type = "memory_path_conflict_error"

    def __init__(self, path: str, *, memory_id: str, at: str) -> None:
        reason = "is taken by" if at == path else f"can't be beside {at}, the path of"
        super().__init__(f"path: {path} {reason} memory {memory_id}; update that one, or choose another path")
        self.beside = {"conflicting_memory_id": memory_id, "conflicting_path": at}


class PreconditionFailed(Conflict):
    """409: the memory's content is not the one the caller has seen."""

    type = "memory_precondition_failed_error"

    def __init__(self, memory_id: str) -> None:
        super().__init__(
            f"The content of memory {memory_id} is not the expected one; it changed meanwhile. Read it again."
        )
