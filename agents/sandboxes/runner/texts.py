"""Text on its way to the model: cleaned, bounded, and spilled to a file when it is too long."""

from __future__ import annotations

import codecs
import os

from .bare import Suppressed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

# One rule for every tool: up to this many characters a result is given whole. A longer one is
# written to a file in the sandbox and the model gets this much of it: the end of a command's
# output (errors come last), the beginning of everything else.
SPILL_CHARACTERS = 100_000
SPILL_FILE_BYTES = 64 * 1024 * 1024
SPILL_FILES = 50

_ESCAPES = r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>78])"
_ESCAPE_MAX = 256


class ToolError(Exception):
    """A failure the model is told about; the text is the whole result."""


class Stopped(Exception):
    """The caller interrupted the tool."""


def clean(text: str) -> str:
    """Replace what no JSON store can hold: NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def show_path(path: str) -> str:
    """A file name as text; bytes that are not UTF-8 become replacement characters."""
    return clean(os.fsencode(path).decode("utf-8", "replace"))


class Cleaner:
    """Turns terminal bytes into text piece by piece: UTF-8 with replacement, no escapes."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, data: bytes, final: bool = False) -> str:
        text = self._held + self._decode.decode(data, final)
        self._held = ""
        if "\x1b" in text:
            import re  # only now: most commands print none

            text = re.sub(_ESCAPES, "", text)
        start = text.rfind("\x1b")
        if not final and start >= 0 and len(text) - start < _ESCAPE_MAX:
            text, self._held = text[:start], text[start:]
        return text.replace("\x00", "\ufffd")


class Spill:
    """A file that receives a result too long for the model; oldest ones are removed."""

    def __init__(self, directory: str, label: str) -> None:
        safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in label)[:80] or "output"
        self.path = os.path.join(directory, safe + ".txt")
        self._left = SPILL_FILE_BYTES
        self._file: IO[bytes] | None = None
        self.complete = True
        try:
            os.makedirs(directory, exist_ok=True)
            _forget_oldest(directory)
            self._file = open(self.path, "wb")  # noqa: SIM115 - lives as long as the command
        except OSError:
            self.complete = False

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        if self._file is None or len(data) > self._left:
            self.complete = False
            data = data[: self._left]
        if self._file is None or not data:
            return
        try:
            self._file.write(data)
            self._left -= len(data)
        except OSError:
            self.complete = False
            self._left = 0

    def close(self) -> None:
        if self._file:
            try:
                self._file.close()
            except OSError:
                self.complete = False

    def note(self, total: int, shown: str) -> str:
        if self._file is None:
            return "[%d characters in all, no file could be written; %s]" % (total, shown)
        whole = "the whole output is in" if self.complete else "a part of the output is in"
        return "[%d characters in all; %s %s; %s]" % (total, whole, self.path, shown)


def _forget_oldest(directory: str) -> None:
    with os.scandir(directory) as entries:
        files = sorted((e.stat(follow_symlinks=False).st_mtime, e.path) for e in entries)
    for _, path in files[: max(0, len(files) - SPILL_FILES + 1)]:
        with Suppressed(OSError):
            os.unlink(path)


class TailCollector:
    """Keeps the end of a command's output in memory and, once it is long, all of it in a file."""

    def __init__(self, directory: str, label: str) -> None:
        self._directory, self._label = directory, label
        self._parts: list[str] = []
        self._kept = 0
        self._total = 0
        self._spill: Spill | None = None

    def add(self, text: str) -> None:
        self._parts.append(text)
        self._kept += len(text)
        self._total += len(text)
        if self._spill is not None:
            self._spill.write(text)
        elif self._total > SPILL_CHARACTERS:
            self._spill = Spill(self._directory, self._label)
            self._spill.write("".join(self._parts))
        if self._kept > 2 * SPILL_CHARACTERS:
            self._parts = ["".join(self._parts)[-SPILL_CHARACTERS:]]
            self._kept = SPILL_CHARACTERS

    def text(self) -> str:
        tail = "".join(self._parts)[-SPILL_CHARACTERS:].rstrip("\n")
        if self._spill is None:
            return tail
        self._spill.close()
        note = self._spill.note(self._total, "its last %d follow" % SPILL_CHARACTERS)
        return "[output truncated]\n" + note + "\n" + tail


def head_or_spill(text: str, directory: str, label: str) -> str:
    """Apply the spill rule to a finished text: its beginning, then a note naming the file."""
    if len(text) <= SPILL_CHARACTERS:
        return text
    spill = Spill(directory, label)
    spill.write(text)
    spill.close()
    shown = "its first %d are above" % SPILL_CHARACTERS
    return text[:SPILL_CHARACTERS] + "\n[output truncated]\n" + spill.note(len(text), shown)
