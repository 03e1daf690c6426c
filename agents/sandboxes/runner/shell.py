"""One long-lived bash on a pseudo-terminal: working directory, variables and functions survive.

Bash is interactive (so that an interrupt aborts the command, not the shell) but without job
control (so that background jobs ignore the interrupt and nothing prints job notices). It reads
our two control lines from a pipe: ``source`` the command's file with ``/dev/null`` as stdin, then
write the exit status to a pipe of its own, which commands do not have. By then all that the command
printed can be read from the terminal: what ends soon wakes us once.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import sys
import time

from .bare import SIGINT, Flag, Lock, Suppressed
from .processes import Child, children_of, children_of_one, kill_session, kill_tree
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
# What a terminal holds for us, 640 KiB, is not read for so long, as the command may have ended by then.
QUIET_SECONDS = 0.02
HELD_BYTES = 1024 * 1024  # more than a terminal holds
GRACE_SECONDS = 1.0
KILL_SECONDS = 4.0
SETTLE_SECONDS, SETTLE_TRIES = 0.25, 20
CLOSE_SECONDS = 10.0
_ARGUMENTS = ("/bin/bash", "--noprofile", "--norc", "--noediting", "-i")
_SETUP = "PS1= PS2=; unset PROMPT_COMMAND HISTFILE MAILCHECK; set +m +H +o history; builtin cd -- %s"
_WINDOW = b"".join(number.to_bytes(2, sys.byteorder) for number in (50, 200, 0, 0))  # rows, columns
_ANSWER_MAX = 4096


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
        self._master = self._control = self._answers = -1
        self._asked = 0
        # High, so that scripts do not meet it; bash itself takes the highest one below 256.
        self._number = min(250, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 8)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, stop: Flag) -> None:
        """Start bash, while ``stop`` is heeded, which stops no more than a command. Raises ``ToolError``."""
        master, slave = os.openpty()
        modes = bytearray(fcntl.ioctl(slave, TCGETS, bytes(MODES_BYTES)))
        modes[_INPUT_AND_OUTPUT], modes[_LOCAL] = bytes(8), ISIG.to_bytes(4, sys.byteorder)
        fcntl.ioctl(slave, TCSETS, bytes(modes))
        fcntl.ioctl(slave, TIOCSWINSZ, _WINDOW)
        os.set_blocking(master, False)
        reading, self._control = os.pipe()
        self._answers, answering = os.pipe()
        self._master = master
        try:
            also = (answering, self._number)
            self._process = Child(_ARGUMENTS, self._environment, reading, os.ttyname(slave), also)
        finally:
            for fd in (reading, slave, answering):
                os.close(fd)
        self._ask(_SETUP % _quoted(self._cwd) + "\n")
        if self._answer(lambda data: None, time.monotonic() + START_SECONDS, stop, stops=False) != 0:
            self.close()
            raise ToolError("bash: the shell could not be started (is the sandbox out of processes or files?)")

    def close(self) -> None:
        """Kill the shell and everything of its terminal session."""
        if self._process is not None:
            kill_session(self._process.pid)
            self._process.wait(CLOSE_SECONDS)
            self._process = None
        for fd in (self._master, self._control, self._answers):
            if fd >= 0:
                os.close(fd)
        self._master = self._control = self._answers = -1

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
            self.start(stop)
            self.was_put_away = False
        assert self._process is not None
        before = children_of_one(self._process.pid)
        self._write_script(command)
        self._ask("builtin source %s </dev/null %d>&-\n" % (self._script, self._number))
        code = self._answer(sink, time.monotonic() + seconds, stop)
        with Suppressed(OSError):
            os.unlink(self._script)  # the shell has read it; scripts of many lanes must not fill the place
        if code is not _LATE:
            return Ended(code)
        cause = "interrupted" if stop.is_set() else "timeout"
        self._end_foreground(sink, before, stop)
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

    def _end_foreground(self, sink: Callable[[bytes], None], before: list[int], stop: Flag) -> None:
        """Interrupt the command as ^C would; what ignores that is killed; last, the shell is."""
        assert self._process is not None
        begun, wait = time.monotonic(), GRACE_SECONDS
        while time.monotonic() - begun < KILL_SECONDS:
            with Suppressed(OSError):
                fcntl.ioctl(self._master, TIOCSIG, SIGINT)
            if self._answer(sink, time.monotonic() + wait, stop, stops=False) is not _LATE:
                self._settle(stop)
                return
            for pid in children_of(self._process.pid):
                if pid not in before:
                    kill_tree(pid)
            # Soon again: a shell whose child was killed goes on with the script's next line.
            wait = 0.02
        self.close()

    def _settle(self, stop: Flag) -> None:
        """Have the shell hear of our interrupts before its next command. One that comes as a command ends by itself
        finds bash reading lines: it prints an empty one, and what it has just read of ours is lost.
        """
        for _ in range(SETTLE_TRIES):
            self._ask("")
            until = time.monotonic() + SETTLE_SECONDS
            if self._answer(lambda data: None, until, stop, stops=False) is not _LATE:
                return
        self.close()

    def _ask(self, before: str) -> None:
        """Have the shell read these lines, and then answer how they ended."""
        self._asked += 1
        line = before + "builtin printf '%d %%d\\n' $? >&%d\n" % (self._asked, self._number)
        with Suppressed(BrokenPipeError):
            os.write(self._control, line.encode())

    def _answer(self, sink: Callable[[bytes], None], deadline: float, stop: Flag, *, stops: bool = True) -> int | None:
        """Feed output to ``sink`` until the shell answers; the status, None at the shell's end, or ``_LATE``."""
        answers, terminal, wait = self._answers, -1, QUIET_SECONDS
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or (stops and stop.is_set()):
                self._drain(sink)
                return _LATE
            watched = [fd for fd in (answers, terminal, stop.fd) if fd >= 0]
            ready = select.select(watched, [], [], min(left, wait))[0]
            if stop.fd in ready:
                stop.heed()
            if answers in ready:
                said = os.read(answers, _ANSWER_MAX)
                status = _status(said, self._asked)
                if status is not None:
                    self._drain(sink)
                    return status
                answers = answers if said else -1  # the shell has gone, or become another program
            if terminal in ready:
                wait = LOOK_SECONDS
                if not self._drain(sink):
                    self._reap()
                    return None
                if answers < 0 and not self.alive:  # what it left running says on
                    return None
            elif not ready:
                wait = LOOK_SECONDS if terminal < 0 else min(2 * wait, LOOK_SECONDS_MAX)
                if not self.alive:
                    self._drain(sink)
                    return None
                sink(b"")  # nothing new, but what came before may be due
            terminal = self._master

    def _drain(self, sink: Callable[[bytes], None]) -> bool:
        """Pass on what the terminal holds; False if nobody has it open any more."""
        left = HELD_BYTES
        while left > 0:
            try:
                data = os.read(self._master, 65536)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            left -= len(data)
            sink(data)
        return True

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


def _status(said: bytes, asked: int) -> int | None:
    """The exit status, if this is the answer that was asked for."""
    for line in said.splitlines():
        number, _, status = line.partition(b" ")
        if number == b"%d" % asked and status.isdigit():
            return int(status)
    return None


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
