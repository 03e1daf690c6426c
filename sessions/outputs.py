"""Outputs: what the agent leaves below ``/mnt/session/outputs`` becomes files of the session."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.db import transaction

from agents.sandboxes.base import SandboxError, SandboxLost, SandboxUnavailable
from contract import blobs
from contract.errors import InvalidRequest, TooLarge
from sessions import files, storage
from sessions.models import File, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agents.sandboxes.base import OutputFile

logger = logging.getLogger(__name__)

MAX_OUTPUT_BYTES = 512 * 1024 * 1024
MAX_PATH_BYTES = 2_000  # what an index of the database holds


class Chunks:
    """An iterator of chunks with the ``read`` of a file; each call gives one chunk, of any size."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, size: int, /) -> bytes | None:
        return next((chunk for chunk in self._chunks if chunk), b"")


def capture(session_id: str, outputs: Sequence[OutputFile], read: Callable[[str], Iterator[bytes]]) -> list[str]:
    """Store every output that is new or changed since it was last stored; returns a sentence for each that could not be
    kept: the call that wrote it has its result all the same.

    Raises ``SandboxLost`` or ``SandboxUnavailable`` if the sandbox goes away meanwhile; what was stored by then stays.
    """
    rows = File.objects.filter(session_id=session_id).exclude(path="").values_list("path", "size_bytes", "mtime_ns")
    known = {path: (size, mtime_ns) for path, size, mtime_ns in rows}
    changed = [output for output in outputs if known.get(output.path) != (output.size, output.mtime_ns)]
    if not changed:
        return []
    told = []
    session = Session.objects.get(pk=session_id)
    for output in changed:
        if len(output.path.encode()) > MAX_PATH_BYTES:
            told.append(f"The output {output.path[:100]}… was not kept: its path has over {MAX_PATH_BYTES:,} bytes")
            continue
        try:
            digest, size = blobs.put(Chunks(read(output.path)), MAX_OUTPUT_BYTES)
            with transaction.atomic():
                storage.check(session.workspace_id, digest, size, f"The output {output.path} was not kept")
                files.capture(session, path=output.path, digest=digest, size=size, mtime_ns=output.mtime_ns)
        except (SandboxLost, SandboxUnavailable):
            raise
        except (SandboxError, TooLarge) as error:
            logger.warning("The output %r of session %s was not stored: %s", output.path, session_id, error)
            told.append(f"The output {output.path} was not kept: {error}")
        except InvalidRequest as error:
            told.append(error.message)
    return told
