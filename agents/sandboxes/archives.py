"""Snapshots: the tar is made and unpacked inside the sandbox, compressed and bounded out here.

One of a sandbox that keeps no file yet needs nobody inside.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import threading
from typing import TYPE_CHECKING, BinaryIO

import zstandard

from agents.sandboxes.base import OUTPUTS, WORKSPACE, Limits, SandboxError, SandboxSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agents.sandboxes.link import Process

ROOTS = (WORKSPACE, OUTPUTS, "/home/sandbox")
LEVEL = 3
PIECE = 256 * 1024
PACK_SECONDS = 600.0


def pack(process: Process, limits: Limits) -> Iterator[bytes]:
    """The errand's tar as zstd pieces; the errand is ended when the reader stops early."""
    guard = threading.Timer(PACK_SECONDS, process.kill)
    guard.start()
    try:
        compressor = zstandard.ZstdCompressor(level=LEVEL).compressobj()
        left = 2 * limits.disk_bytes
        while piece := process.stdout.read(PIECE):
            left -= len(piece)
            if left < 0:
                raise SandboxError("The sandbox's files are larger than its disk limit; no snapshot was made.")
            if data := compressor.compress(piece):
                yield data
        _expect_success(process, "packing the sandbox's files")
        yield compressor.flush()
    finally:
        guard.cancel()
        process.close()


def bare(modes: Mapping[str, int]) -> bytes:
    """The snapshot of a sandbox in whose ``ROOTS`` nothing lies, of their modes; the same each time."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w|", format=tarfile.PAX_FORMAT) as opened:
        for root in ROOTS:
            member = tarfile.TarInfo(root.lstrip("/"))
            member.type, member.mode = tarfile.DIRTYPE, modes[root] & 0o777
            opened.addfile(member)
    return zstandard.ZstdCompressor(level=LEVEL).compress(tar.getvalue())


def unpack(process: Process, snapshot: BinaryIO, spec: SandboxSpec) -> None:
    """Feed a snapshot to the errand; more than the disk limit, or a broken one, is an error."""
    guard = threading.Timer(PACK_SECONDS, process.kill)
    guard.start()
    left = spec.limits.disk_bytes
    try:
        reader = zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(snapshot, read_across_frames=True)
        while piece := reader.read(PIECE):
            left -= len(piece)
            if left < 0:
                raise SandboxError(f"The snapshot is larger than the disk limit of {spec.limits.disk_bytes} bytes.")
            process.stdin.write(piece)
        process.stdin.close()
        _expect_success(process, "restoring the sandbox's files")
    except zstandard.ZstdError as error:
        raise SandboxError(f"The snapshot is damaged: {error}") from error
    except OSError as error:
        with contextlib.suppress(SandboxError):
            _expect_success(process, "")
        raise SandboxError(f"The snapshot could not be restored: {process.errors() or error}") from error
    finally:
        guard.cancel()
        process.close()


def _expect_success(process: Process, what: str) -> None:
    status = process.wait(30.0)
    if status != 0:
        last = process.errors().splitlines()[-1:] or ["no reason given"]
        raise SandboxError(f"{what} failed: {last[0]}")
