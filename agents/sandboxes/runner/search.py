"""glob and grep, with the limits and texts of the SDK's reference tools."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from .bare import Flag
from .files import reason, resolve
from .texts import SPILL_FILE_BYTES, Stopped, ToolError, show_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

GLOB_PATHS = 200
GLOB_ENTRIES = 50_000
GREP_SECONDS = 30.0
# Never the session's own PATH: a file named rg in the workspace is not ripgrep.
TOOL_PATH = "/usr/local/bin:/usr/bin:/bin"
WALKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "walk.py")


def glob(root: str, pattern: str, path: str | None = None) -> str:
    if os.path.isabs(pattern):
        raise ToolError("glob: absolute pattern not permitted; pass a relative pattern (and optionally path)")
    if ".." in PurePosixPath(pattern).parts:
        raise ToolError("glob: '..' is not permitted in the pattern")
    try:
        base = Path(resolve(root, path or ".")).resolve()
        found = [p for p in islice(base.glob(pattern), GLOB_ENTRIES) if _inside(p, base)]
    except (ValueError, NotImplementedError, RuntimeError) as error:
        raise ToolError(f"glob: pattern: {error}") from None
    except OSError as error:
        raise ToolError(f"glob: {reason(error)}") from None
    found.sort(key=_mtime, reverse=True)
    return "\n".join(show_path(str(p)) for p in found[:GLOB_PATHS]) or "no matches"


def _inside(path: Path, base: Path) -> bool:
    """Whether a match still lies below the search root once links are followed."""
    try:
        real = os.path.realpath(path)
    except OSError:
        return False
    return real == str(base) or real.startswith(str(base).rstrip("/") + "/")


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def grep(root: str, pattern: str, path: str | None = None, stop: Flag | None = None) -> str:
    target = resolve(root, path or ".")
    if not os.path.lexists(target):
        raise ToolError("grep: %s: no such file or directory" % (path or "."))
    rg = shutil.which("rg", path=TOOL_PATH)
    command = ripgrep_command(rg, pattern, target) if rg else walk_command(pattern, target)
    code, out, err = _run(command, stop)
    if code not in (0, 1) and not out:
        raise ToolError("grep: {} failed: {}".format("rg" if rg else "search", err.strip()[-2000:]))
    return out.rstrip("\n") or "no matches"


def ripgrep_command(rg: str, pattern: str, target: str) -> list[str]:
    return [rg, "--no-config", "-n", "-H", "--no-heading", "--color=never", "-e", pattern, "--", target]


def walk_command(pattern: str, target: str) -> list[str]:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ToolError(f"grep: pattern: invalid regex: {error}") from None
    return [sys.executable, "-I", "-S", WALKER, pattern, target]


def _run(command: list[str], stop: Flag | None) -> tuple[int, str, str]:
    """Run a search; output is bounded by the spill file's size, time by ``GREP_SECONDS``."""
    env = {"PATH": TOOL_PATH, "LANG": "C.UTF-8"}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"grep: {reason(error)}") from None
    guard = _Guard(process, stop)
    assert process.stdout is not None and process.stderr is not None
    errors: list[bytes] = []
    reader = threading.Thread(target=_keep_errors, args=(process.stderr, errors), daemon=True)
    reader.start()
    out = _drain(process.stdout.read1, SPILL_FILE_BYTES)  # type: ignore[attr-defined]
    process.stdout.close()
    code = process.wait()
    reader.join(1.0)
    guard.finish()
    return code, out.decode("utf-8", "replace"), b"".join(errors).decode("utf-8", "replace")


def _keep_errors(stream: Any, errors: list[bytes]) -> None:
    with stream:
        errors.append(_drain(stream.read1, 4096))


def _drain(read: Callable[[int], bytes], keep: int) -> bytes:
    """Read to the end, keep the first ``keep`` bytes."""
    kept = bytearray()
    while True:
        piece = read(65536)
        if not piece:
            return bytes(kept)
        kept += piece[: max(0, keep - len(kept))]


class _Guard:
    """Kills the search when its time is over or the caller interrupts."""

    def __init__(self, process: subprocess.Popen[bytes], stop: Flag | None) -> None:
        self._process = process
        self._stop = stop or Flag()
        self._over = threading.Event()
        self._why: Exception | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        waited = 0.0
        while not self._over.wait(0.05):
            waited += 0.05
            if self._stop.is_set():
                self._why = Stopped()
            elif waited >= GREP_SECONDS:
                self._why = ToolError("grep: timed out after %ds" % GREP_SECONDS)
            if self._why:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                return

    def finish(self) -> None:
        self._over.set()
        self._thread.join()
        if self._why:
            raise self._why
