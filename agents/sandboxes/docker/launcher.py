"""The docker launcher: what ``engine.Launcher`` asks for, by containers of this machine's engine.

A box's directories are the same as the local backend's, shown in a container whose own file system is read-only. The
runner inside puts our system-call filter on before it does anything, besides the engine's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.sandboxes.base import Limits, Report, SandboxError, SandboxUnavailable
from agents.sandboxes.boxes import runtime, seccomp
from agents.sandboxes.boxes.keeper import BoxSettings, Keeper, mib
from agents.sandboxes.boxes.mounts import RUNNER, Mount, of_session
from agents.sandboxes.docker import limits as in_force
from agents.sandboxes.docker.container import Container
from agents.sandboxes.docker.engine import Engine, Wanted
from agents.sandboxes.egress import BUNDLE, receive_listener

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agents.sandboxes.base import SandboxSpec
    from agents.sandboxes.boxes.layout import Box

START_SECONDS = 30.0
# A short errand may have ended before it was looked at; engines look about every quarter of a second, when they can.
GONE_SECONDS = 10.0
IMAGE = "python:3.12"
FILTER = f"{RUNNER}/filter.bpf"
DOOR = "/run/door"
SYSTEM_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class DockerSettings(BoxSettings):
    """``image``: what sandboxes are made of; it must hold bash and python3 (3.9 or newer)."""

    image: str = IMAGE


class DockerLauncher(Keeper):
    """Sandboxes as containers."""

    layers: tuple[str, ...] = ("rlimits", "cgroup", "watchdog")
    lays_over = False  # a container's own files are the image's alone

    def __init__(self, settings: DockerSettings) -> None:
        if not seccomp.supported():
            raise SandboxUnavailable(f"There is no system-call filter for {os.uname().machine}; use another machine.")
        root = settings.root.absolute()
        self._engine = Engine(settings.image, hashlib.sha256(str(root).encode()).hexdigest()[:16])
        # What was installed for one image need not run in another.
        super().__init__(settings, f"packages-{self._engine.image_id()[:16] or 'none'}")
        self._runtime = _install(root / "runtime")
        for container in self._engine.left_over():
            self._engine.remove(container)

    def probe(self) -> Report:
        """Start a container in a throw-away box and look at it from inside."""
        fault = self._engine.image_fault() or self._fault()
        if fault is None:
            room = self.room()
            return Report(
                "docker", usable=True, strength="namespace", layers=self.layers, reasons=(room,) if room else ()
            )
        return Report("docker", usable=False, strength="none", layers=(), reasons=(fault,))

    def start(self, spec: SandboxSpec) -> Container:
        box, mounts = self.prepared(spec)
        if spec.network == "none":
            return self._start(box, spec.limits, mounts, "serve")
        gate = self.gate()
        trust = self.trusting(box, spec.trust)
        mounts += [Mount(trust, place) for place in (BUNDLE, SYSTEM_BUNDLE)]
        with _door(box) as (listener, directory):
            process = self._start(box, spec.limits, [*mounts, Mount(directory, DOOR)], "serve", f"{DOOR}/socket")
            try:
                gate.attach(spec.sandbox_id, _received(listener))
            except (OSError, ValueError):
                text = process.errors()
                process.close()
                raise SandboxError(f"The sandbox handed no proxy port out: {text or 'no reason given'}") from None
        return process

    def run(self, sandbox_id: str, limits: Limits, *arguments: str) -> Container:
        return self._start(self._box(sandbox_id), limits, (), *arguments)

    def excess(self, sandbox_id: str, process: object, limits: Limits) -> str | None:
        assert isinstance(process, Container)
        if in_force.killed_for_memory(process.init_pid):
            return f"The sandbox needed more memory than its limit of {mib(limits.memory_bytes)}."
        return self.disk_excess(sandbox_id, limits)

    def _start(self, box: Box, limits: Limits, mounts: Sequence[Mount], *arguments: str) -> Container:
        wanted = Wanted(
            sandbox_id=box.path.name,
            command=runtime.command("python3", "confined", FILTER, *arguments),
            owner=_owner(box),
            mounts=[*self._shown(box), *mounts],
            limits=limits,
        )
        container = self._engine.create(wanted)
        try:
            stream = self._engine.attach(container)
            process = Container(self._engine, container, stream, self._engine.start(container))
        except SandboxError:
            self._engine.remove(container)
            raise
        missing = in_force.missing(process.init_pid, limits)
        if missing is not None and process.wait(GONE_SECONDS) is None:
            process.close()
            raise SandboxUnavailable(f"The container engine does not keep to the sandbox's limits: {missing}.")
        return process

    def _shown(self, box: Box) -> Iterator[Mount]:
        yield from of_session(box)
        yield Mount(box.files / "tmp", "/var/tmp", writable=True)  # noqa: S108 - a name inside the sandbox
        yield Mount(self._runtime / "lib", RUNNER)
        for path in _etc(box):
            yield Mount(path, f"/etc/{path.name}")

    def _fault(self) -> str | None:
        name = f"probe-{uuid.uuid4().hex}"
        try:
            box = self._layout.create(name)
            process = self._start(box, Limits(), (), "check", str(_owner(box)))
            try:
                status = process.wait(START_SECONDS)
                text = process.errors()
            finally:
                process.close()
        except (SandboxError, OSError) as error:
            return f"No sandbox could be started by {self._engine.address}: {error}"
        finally:
            self._layout.remove(name)
        return None if status == 0 else f"The sandbox started but is not closed: {text or status}."


def _owner(box: Box) -> int:
    return os.geteuid() if box.uid is None else box.uid


def _etc(box: Box) -> Iterator[Path]:
    """The box's own /etc, in which the user that it runs as has its usual name."""
    directory = box.path / "etc"
    directory.mkdir(mode=0o755, exist_ok=True)
    for name, text in runtime.ETC.items():
        path = directory / name
        path.write_text(
            text.replace(":1000:1000:", f":{_owner(box)}:{_owner(box)}:").replace(":1000:", f":{_owner(box)}:")
        )
        path.chmod(0o644)
        yield path


def _install(directory: Path) -> Path:
    program = seccomp.build()

    def add(part: Path) -> None:
        (part / "lib" / "filter.bpf").write_bytes(program)

    return runtime.install(directory / f"docker-{runtime.digest(program)}", sys.executable, add)


@contextlib.contextmanager
def _door(box: Box) -> Iterator[tuple[socket.socket, Path]]:
    """A socket in a directory of the box, on which the runner hands out the proxy's port; gone when the block ends."""
    directory = box.path / "door"
    directory.mkdir(mode=0o755, exist_ok=True)
    (directory / "socket").unlink(missing_ok=True)
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"/proc/self/fd/{fd}/socket")  # a socket's name may not be long
            if box.uid is not None:
                os.chown(directory / "socket", box.uid, box.uid)
            listener.listen(1)
            listener.settimeout(START_SECONDS)
            yield listener, directory
    finally:
        os.close(fd)
        (directory / "socket").unlink(missing_ok=True)


def _received(listener: socket.socket) -> socket.socket:
    sock, _ = listener.accept()
    with sock:
        return receive_listener(sock, START_SECONDS)
