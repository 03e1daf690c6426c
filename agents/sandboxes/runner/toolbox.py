"""Runs one tool call and turns every failure into a result the model can read."""

from __future__ import annotations

import os
import time

from . import inputs
from .bare import Flag, Lock
from .shell import Ended, Shell, base_environment
from .texts import Cleaner, Stopped, TailCollector, ToolError, clean, head_or_spill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .files import Block, Files

    Emit = Callable[[str], None]

OUTPUT_FILES = 1000
MAX_SHELLS = 48  # of one sandbox; each takes a few processes and megabytes
OUTPUT_ENTRIES = 10_000
LIVE_PIECE = 16 * 1024
LIVE_TOTAL = 256 * 1024
LIVE_SECONDS = 0.05
NEW_SHELL = b"[your shell was closed while it rested: this is a new one]\n"


class Live:
    """Passes a command's output on while it runs: at most 20 pieces a second and 256 KiB in all.

    What ends before the first piece is due says nothing here: its result follows at once.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._waiting = ""
        self._sent = 0
        self._next = time.monotonic() + LIVE_SECONDS

    def add(self, text: str) -> None:
        if self._sent >= LIVE_TOTAL:
            return
        self._waiting = (self._waiting + text)[:LIVE_PIECE]
        if time.monotonic() >= self._next:
            self.flush()

    def end(self) -> None:
        """The rest of what was begun."""
        if self._sent:
            self.flush()

    def flush(self) -> None:
        if not self._waiting:
            return
        self._emit(self._waiting)
        self._sent += len(self._waiting)
        if self._sent >= LIVE_TOTAL:
            self._emit("\n[live output stops here; the result has the rest]\n")
        self._waiting = ""
        self._next = time.monotonic() + LIVE_SECONDS


class Toolbox:
    """The six tools over one working directory, with a shell for every lane."""

    def __init__(self, hello: dict[str, Any]) -> None:
        self.root: str = hello["workspace"]
        self.outputs: str = hello["outputs"]
        self._limits: dict[str, Any] = hello["limits"]
        self._spills = os.path.join(hello["home"], ".holdfast", "results")
        self._script: str = hello["script"]
        self._environment = base_environment(hello["environment"], hello["home"])
        self._shells: dict[str, Shell] = {}
        self._shells_lock = Lock()

    def call(self, name: str, given: Any, label: str, lane: str, emit: Emit, stop: Flag) -> tuple[list[Block], bool]:
        """Returns content blocks and whether they describe an error."""
        try:
            values = inputs.check(name, given)
            if name == "bash":
                return self._bash(self._shell(lane), values, label, emit, stop)
            if name == "read":
                return _sanitised(self._files.read(**values)), False
            return _text(head_or_spill(clean(self._file_tool(name, values, stop)), self._spills, label)), False
        except ToolError as error:
            return _text(clean(str(error))), True
        except Stopped:
            return _text(f"{name}: interrupted"), True
        except Exception as error:
            return _text(clean(f"{name}: {type(error).__name__}: {error}")[:4000]), True

    @property
    def _files(self) -> Files:
        from .files import Files  # only now: many sandboxes only run commands

        return Files(self.root)

    def _file_tool(self, name: str, values: dict[str, Any], stop: Flag) -> str:
        if name == "write":
            return self._files.write(**values)
        if name == "edit":
            return self._files.edit(**values)
        from . import search  # only now: most sandboxes never search

        if name == "glob":
            return search.glob(self.root, **values)
        return search.grep(self.root, stop=stop, **values)

    def _shell(self, lane: str) -> Shell:
        """The lane's shell. Beyond ``MAX_SHELLS`` the one that has rested longest is closed; asked again, it is new."""
        with self._shells_lock:
            shell = self._shells.pop(lane, None)
            if shell is None:
                shell = Shell(f"{self._script}-{lane}" if lane else self._script, self.root, self._environment)
            if not shell.alive and sum(one.alive for one in self._shells.values()) >= MAX_SHELLS:
                next((one for one in self._shells.values() if one.put_away()), None)
            self._shells[lane] = shell  # last in the order: used just now
            return shell

    def _bash(
        self, shell: Shell, values: dict[str, Any], label: str, emit: Emit, stop: Flag
    ) -> tuple[list[Block], bool]:
        if values.get("restart"):
            with shell.lock:
                shell.close()
                shell.start(stop)
            return _text("bash session restarted"), False
        command = values.get("command")
        if not command:
            raise ToolError("bash: command is required")
        if "\x00" in command:
            raise ToolError("bash: command must not contain NUL")
        seconds = values.get("timeout_ms", 0) / 1000.0 or float(self._limits["call_seconds"])
        seconds = min(seconds, self._limits["call_seconds_max"])
        cleaner, collector, live = Cleaner(), TailCollector(self._spills, label), Live(emit)

        def sink(data: bytes, final: bool = False) -> None:
            text = cleaner.feed(data, final)
            if text:
                collector.add(text)
            live.add(text)

        with shell.lock:
            if shell.was_put_away:
                sink(NEW_SHELL)
            ended = shell.run(command, seconds, sink, stop)
        sink(b"", final=True)
        live.end()
        return self._bash_result(shell, collector.text(), ended, seconds)

    def _bash_result(self, shell: Shell, output: str, ended: Ended, seconds: float) -> tuple[list[Block], bool]:
        lines = [output] if output else []
        if ended.cause == "timeout":
            lines.append(f"bash: bash command timed out after {seconds}s")
        elif ended.cause == "interrupted":
            lines.append("bash: interrupted")
        elif ended.code is None:
            status = shell.exit_status
            lines.append("[the shell ended%s]" % ("" if status is None else " with status %d" % status))
        if ended.code is None:
            lines.append("[the next command starts in a new shell]")
        if not lines:
            lines.append("(no output)" if ended.code == 0 else f"(no output, exit status {ended.code})")
        return _text("\n".join(lines)), ended.code != 0 or ended.cause != "finished"


def _text(text: str) -> list[Block]:
    return [{"type": "text", "text": text}]


def _sanitised(blocks: list[Block]) -> list[Block]:
    for block in blocks:
        if block["type"] == "text":
            # The Messages API takes no empty text block.
            block["text"] = clean(block["text"]) or "(no output)"
    return blocks


def list_outputs(root: str) -> list[tuple[str, int, int]]:
    """Regular files below ``root`` as (relative path, size, mtime in ns); bounded, links skipped."""
    found: list[tuple[str, int, int]] = []
    pending, seen = [""], 0
    while pending and len(found) < OUTPUT_FILES and seen < OUTPUT_ENTRIES:
        relative = pending.pop()
        try:
            entries = list(os.scandir(os.path.join(root, relative)))
        except OSError:
            continue
        for entry in sorted(entries, key=lambda e: e.name):
            seen += 1
            path = os.path.join(relative, entry.name)
            if seen > OUTPUT_ENTRIES or not _is_utf8(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)
            elif entry.is_file(follow_symlinks=False):
                _note(found, path, entry)
    return sorted(found)[:OUTPUT_FILES]


def _note(found: list[tuple[str, int, int]], path: str, entry: os.DirEntry[str]) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return
    found.append((path, status.st_size, status.st_mtime_ns))


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
