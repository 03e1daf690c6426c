"""Outputs: what the agent leaves below ``/mnt/session/outputs`` becomes files of the session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agents.sandboxes.base import SandboxError
from contract import blobs
from contract.errors import TooLarge
from sessions import files
from sessions.models import File, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agents.sandboxes.base import OutputFile

logger = logging.getLogger(__name__)

MAX_OUTPUT_BYTES = 512 * 1024 * 1024


class Chunks:
    """An iterator of chunks with the ``read`` of a file; each call gives one chunk, of any size."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int, /) -> bytes | None:
        return next((chunk for chunk in self._chunks if chunk), b"")


def capture(session_id: str, outputs: Sequence[OutputFile], read: Callable[[str], Iterator[bytes]]) -> list[File]:
    """Store every output that is new or changed since it was last stored; returns their rows.

    An output that can't be read or is too large is left out and logged: the call that wrote it
    has its result all the same.
    """
    rows = File.objects.filter(session_id=session_id).exclude(path="").values_list("path", "size_bytes", "mtime_ns")
    known = {path: (size, mtime_ns) for path, size, mtime_ns in rows}
    changed = [output for output in outputs if known.get(output.path) != (output.size, output.mtime_ns)]
    if not changed:
        return []
    session = Session.objects.get(pk=session_id)
    stored = []
    for output in changed:
        try:
            digest, size = blobs.put(Chunks(read(output.path)), MAX_OUTPUT_BYTES)
        except (SandboxError, TooLarge) as error:
            logger.warning("The output %r of session %s was not stored: %s", output.path, session_id, error)
            continue
        row = files.capture(session, path=output.path, digest=digest, size=size, mtime_ns=output.mtime_ns)
        stored.append(row)
    return stored
