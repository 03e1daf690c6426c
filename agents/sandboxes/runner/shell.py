"""One long-lived bash on a pseudo-terminal: working directory, variables and functions survive.

Bash is interactive (so that an interrupt aborts the command, not the shell) but without job
control (so that background jobs ignore the interrupt and nothing prints job notices). It reads
our two control lines from a pipe: ``source`` the command's file with ``/dev/null`` as stdin, then
print a marker with the exit status to a private descriptor of the terminal.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import sys
import time

from .bare import SIGINT, Flag, Lock, Suppressed
from .processes import Child, children_of, kill_session, kill_tree
from .texts import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# What the package ``termios`` would have to be loaded for: calls, flag and sizes of the kernel's structure.
TCGETS, TCSETS, TIOCSWINSZ, TIOCSIG = 0x5401, 0x5402, 0x5414, 0x40045436
ISIG, MODES_BYTES, _INPUT_AND_OUTPUT, _LOCAL = 1, 36, slice(0, 8), slice(12, 16)
START_SECONDS = 10.0
# Between two looks for an interruption and for the shell's end, while a command says something and while it is silent.
LOOK_SECONDS, LOOK_SECONDS_MAX = 0.05, 0.2
GRACE_SECONDS = 1.0
KILL_SECONDS = 4.0
CLOSE_SECONDS = 10.0
_ARGUMENTS = ("/bin/bash", "--noprofile", "--norc", "--noediting", "-i")
_SETUP = "PS1= PS2=; unset PROMPT_COMMAND HISTFILE MAILCHECK; set +m +H +o history; builtin cd -- %s"
_WINDOW = b"".join(number.to_bytes(2, sys.byteorder) for number in (50, 200, 0, 0))  # rows, columns
_MARKER_MAX = 64


class Ended:
    """How a command ended: ``code``, None when the shell itself is gone; ``cause``: finished, timeout, interrupted."""

    def __init__(self, code: int | None, cause: str = "finished") -> None:
        self.code, self.cause = code, cause


class Shell:
    """Not thread-safe: one command at a time; ``stop`` may be set from anywhere."""

    def __init__(self, script: str, cwd: str, environment: dict[str, str]) -> None:
        self._script, self._cwd, self._environment = script, cwd, environment
        self.lock = Lock()  # held by whoever runs a command
        self.was_put_away = False
        self._process: Child | None = None
        self._master = -1
        self._control = -1
        # High, so that scripts do not meet it; bash itself takes the highest one below 256.
        self._number = min(250, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 8)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        master, slave = os.openpty()
        modes = bytearray(fcntl.ioctl(slave, TCGETS, bytes(MODES_BYTES)))
        modes[_INPUT_AND_OUTPUT], modes[_LOCAL] = bytes(8), ISIG.to_bytes(4, sys.byteorder)
        fcntl.ioctl(slave, TCSETS, bytes(modes))
        fcntl.ioctl(slave, TIOCSWINSZ, _WINDOW)
        reading, self._control = os.pipe()
        self._master = master
        try:
            self._process = Child(_ARGUMENTS, self._environment, reading, os.ttyname(slave), self._number)
        finally:
            os.close(reading)
            os.close(slave)
        marker = self._ask_marker(_SETUP % _quoted(self._cwd) + "\n")
        if self._read_until(marker, lambda data: None, time.monotonic() + START_SECONDS, Flag()) != 0:
            self.close()
            raise ToolError("bash: the shell could not be started (is the sandbox out of processes or files?)")

    def close(self) -> None:
        """Kill the shell and everything of its terminal session."""
        if self._process is not None:
            kill_session(self._process.pid)
            self._process.wait(CLOSE_SECONDS)
            self._process = None
        for fd in (self._master, self._control):
            if fd >= 0:
                os.close(fd)
        self._master = self._control = -1

    def put_away(self) -> bool:
        """Close the shell to make room for another; False if it runs a command or isn't there."""
        if not self.alive or not self.lock.acquire(blocking=False):
            return False
        try:
            self.close()
            self.was_put_away = True
        finally:
            self.lock.release()
        return True

    def run(self, command: str, seconds: float, sink: Callable[[bytes], None], stop: Flag) -> Ended:
        """Run one command; ``sink`` receives its raw output as it comes."""
        if not self.alive:
            self.close()
            self.start()
            self.was_put_away = False
        assert self._process is not None
        before = set(children_of(self._process.pid))
        self._write_script(command)
        marker = self._ask_marker("builtin source %s </dev/null %d>&-\n" % (self._script, self._number))
        deadline = time.monotonic() + seconds
        code = self._read_until(marker, sink, deadline, stop)
        with Suppressed(OSError):
            os.unlink(self._script)  # the shell has read it; scripts of many lanes must not fill the place
        if code is not _LATE:
            return Ended(code)
        cause = "interrupted" if stop.is_set() else "timeout"
        self._end_foreground(marker, sink, before)
        return Ended(130 if self.alive else None, cause)

    def _write_script(self, command: str) -> None:
        try:
            script = os.open(self._script, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                data = memoryview(command.encode() + b"\n")
                while data:
                    data = data[os.write(script, data) :]
            finally:
                os.close(script)
        except OSError:
            with Suppressed(OSError):
                os.unlink(self._script)
            raise ToolError("bash: the command is too long; write it to a file and run that") from None

    def _end_foreground(self, marker: bytes, sink: Callable[[bytes], None], before: set[int]) -> None:
        """Interrupt the command as ^C would; what ignores that is killed; last, the shell is."""
        assert self._process is not None
        never, begun = Flag(), time.monotonic()
        wait = GRACE_SECONDS
        while time.monotonic() - begun < KILL_SECONDS:
            with Suppressed(OSError):
                fcntl.ioctl(self._master, TIOCSIG, SIGINT)
            if self._read_until(marker, sink, time.monotonic() + wait, never) is not _LATE:
                return
            for pid in children_of(self._process.pid):
                if pid not in before:
                    kill_tree(pid)
            # Soon again: a shell whose child was killed goes on with the script's next line.
            wait = 0.02
        self.close()

    def _ask_marker(self, before: str) -> bytes:
        """Have the shell read these lines, and then say how they ended."""
        nonce = os.urandom(16).hex()
        self._send(before + "builtin printf '\\036%s:%%d\\037' $? >&%d" % (nonce, self._number))
        return b"\x1e" + nonce.encode() + b":"

    def _send(self, line: str) -> None:
        with Suppressed(BrokenPipeError):
            os.write(self._control, line.encode() + b"\n")

    def _read_until(self, marker: bytes, sink: Callable[[bytes], None], deadline: float, stop: Flag) -> int | None:
        """Feed output to ``sink`` until the marker; its status, None at end of file, or ``_LATE``."""
        held, look = b"", LOOK_SECONDS
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or stop.is_set():
                sink(held)
                return _LATE
            if not select.select([self._master], [], [], min(left, look))[0]:
                look = min(2 * look, LOOK_SECONDS_MAX)
                if not self.alive:
                    sink(held)
                    return None
                sink(b"")  # nothing new, but what came before may be due
                continue
            try:
                data = os.read(self._master, 65536)
            except OSError:
                data = b""
            if not data:
                sink(held)
                self._reap()
                return None
            held, look = held + data, LOOK_SECONDS
            at = held.find(marker)
            end = held.find(b"\x1f", at + len(marker)) if at >= 0 else -1
            if end >= 0:
                sink(held[:at])
                return _status(held[at + len(marker) : end])
            held = _flush(held, at, sink)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(1.0)

    @property
    def exit_status(self) -> int | None:
        return self._process.poll() if self._process is not None else None


_LATE = -1000


def _quoted(path: str) -> str:
    """A path as one word of bash."""
    return "'%s'" % path.replace("'", "'\\''")


def _status(digits: bytes) -> int:
    return int(digits) if digits.isdigit() else 1


def _flush(held: bytes, at: int, sink: Callable[[bytes], None]) -> bytes:
    """Pass on what cannot be a part of the marker; return the rest."""
    keep = at if at >= 0 else held.rfind(b"\x1e")
    if keep < 0 or len(held) - keep > _MARKER_MAX:
        keep = len(held)
    if keep:
        sink(held[:keep])
    return held[keep:]


def base_environment(extra: dict[str, str], home: str) -> dict[str, str]:
    """The variables of a command: no pagers, no prompts, no colours, plus the session's own."""
    quiet: list[str] = ["PAGER", "GIT_PAGER", "MANPAGER", "SYSTEMD_PAGER"]
    env = dict.fromkeys(quiet, "cat")
    first = "".join(f"{part}:" for part in extra.get("HOLDFAST_PATH", "").split(":") if part)
    env.update(
        PATH=f"{first}{home}/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        HOME=home,
        USER="sandbox",
        LOGNAME="sandbox",
        SHELL="/bin/bash",
        LANG="C.UTF-8",
        TERM="dumb",
        GIT_TERMINAL_PROMPT="0",
        DEBIAN_FRONTEND="noninteractive",
        PIP_NO_INPUT="1",
        NO_COLOR="1",
    )
    env.update({name: value for name, value in extra.items() if name != "HOLDFAST_PATH"})
    return env
