"""The call journal of one sandbox: what makes ``call`` safe to repeat.

JSON lines: a header, then ``started`` before a call reaches the runner and ``finished`` with its
result before anyone is answered. Written by the sandbox host, never visible inside.

No fsync on the way: a killed process loses nothing that was written, and after a power failure
or reboot (known by the kernel's boot id) the journal simply no longer claims to reach back, so
that a lost ``started`` line can never let a call run twice.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agents.sandboxes.base import SandboxLost, SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPACT_BYTES = 64 * 1024 * 1024
# Of results, the latest; one at least.
RESULTS_KEPT = 200
KEPT_BYTES = COMPACT_BYTES // 2

State = Literal["started", "finished", "dropped"]


@functools.cache
def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Journal:
    """One open journal file. Safe for use by several threads.

    ``reaches_back``: every call that was ever sent to this session's sandboxes is in here, so a
    call it does not know has not been started anywhere.
    """

    def __init__(self, path: Path, fd: int, reaches_back: bool) -> None:
        self._path = path
        self._fd = fd
        self._lock = threading.Lock()
        self._states: dict[str, State] = {}
        self._offsets: dict[str, tuple[int, int]] = {}
        self.reaches_back = reaches_back

    @classmethod
    def create(cls, path: Path, *, reaches_back: bool) -> Journal:
        """Start an empty journal; an old file of that name is replaced."""
        path.unlink(missing_ok=True)
        journal = cls(path, _open(path), reaches_back)
        journal._append({"journal": 1, "boot": boot_id(), "reaches_back": reaches_back})
        return journal

    @classmethod
    def load(cls, path: Path) -> Journal:
        """Open a kept journal; a torn last line (power failure) is cut off."""
        journal = cls(path, _open(path), False)
        header: dict[str, Any] = {}
        for offset, line, record in _records(path):
            if "journal" in record:
                header = record
            else:
                journal._learn(record, offset, len(line))
        same_boot = header.get("boot") == boot_id()
        journal.reaches_back = bool(header.get("reaches_back")) and same_boot
        if not same_boot:
            journal._compact()
        return journal

    def state(self, call_id: str) -> State | None:
        return self._states.get(call_id)

    def started(self, call_id: str, name: str) -> None:
        self._write({"call": call_id, "state": "started", "name": name})

    def finished(self, call_id: str, result: dict[str, Any]) -> None:
        self._write({"call": call_id, "state": "finished", "result": result})

    def result(self, call_id: str) -> dict[str, Any] | None:
        """The recorded result of a finished call."""
        with self._lock:
            return self._result(call_id)

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _write(self, record: dict[str, Any]) -> None:
        with self._lock:
            if os.fstat(self._file()).st_size > COMPACT_BYTES:
                self._compact()
            offset, length = self._append(record)
            self._learn(record, offset, length)

    def _result(self, call_id: str) -> dict[str, Any] | None:
        where = self._offsets.get(call_id)
        if where is None:
            return None
        result: dict[str, Any] = json.loads(os.pread(self._file(), where[1], where[0]))["result"]
        return result

    def _append(self, record: dict[str, Any]) -> tuple[int, int]:
        data = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        fd = self._file()
        offset = os.fstat(fd).st_size
        written = 0
        try:
            while written < len(data):
                written += os.write(fd, data[written:])
        except OSError as error:  # a full disk: half a line must not stand before the next one
            os.ftruncate(fd, offset)
            raise SandboxUnavailable(
                f"The journal of the sandbox can't be written ({error.strerror}); make room on the disk that holds "
                "DATA_DIR/sandboxes."
            ) from error
        return offset, len(data)

    def _file(self) -> int:
        if self._fd < 0:
            raise SandboxLost("The sandbox was closed; open it again.")
        return self._fd

    def _learn(self, record: dict[str, Any], offset: int, length: int) -> None:
        call_id, state = record["call"], record["state"]
        self._states[call_id] = state
        if state == "finished":
            self._offsets[call_id] = (offset, length)

    def _compact(self) -> None:
        """Rewrite the file with this boot's id and only the latest results."""
        kept, part = self._latest(), self._path.with_suffix(".part")
        fresh = Journal.create(part, reaches_back=self.reaches_back)
        try:
            for call_id, state in self._states.items():
                record: dict[str, Any] = {"call": call_id, "state": state}
                if state == "finished":
                    record |= {"result": self._result(call_id)} if call_id in kept else {"state": "dropped"}
                fresh._learn(record, *fresh._append(record))
            part.rename(self._path)
        except BaseException:
            fresh.close()
            raise
        os.close(self._fd)
        self._fd, self._states, self._offsets = fresh._fd, fresh._states, fresh._offsets

    def _latest(self) -> set[str]:
        """The calls whose results are worth keeping."""
        left, kept = KEPT_BYTES, set[str]()
        for call_id, (_, length) in reversed(self._offsets.items()):
            left -= length
            if kept and (left < 0 or len(kept) >= RESULTS_KEPT):
                break
            kept.add(call_id)
        return kept


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _records(path: Path) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    offset = 0
    with path.open("r+b") as handle:
        for line in handle:
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                record = None
            if not isinstance(record, dict):
                handle.truncate(offset)
                return
            yield offset, line, record
            offset += len(line)
