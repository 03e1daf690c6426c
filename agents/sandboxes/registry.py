"""Which backends there are: kind -> how the sandbox host makes one, and how workers reach it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from agents.sandboxes.base import SandboxBackend, SandboxUnavailable
from agents.sandboxes.client import HostClient
from agents.sandboxes.engine import EngineSettings, RunnerBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What the sandbox host is started with. ``data``: where sandboxes are kept, if every uid
    can reach it; ``cgroup``: a delegated cgroup directory; ``egress``: the egress proxy's unix socket;
    ``image``: what containers are made of.
    """

    data: Path
    cgroup: Path | None = None
    egress: Path | None = None
    image: str = ""
    engine: EngineSettings = field(default_factory=EngineSettings)


def local(settings: HostSettings) -> RunnerBackend:
    from agents.sandboxes.boxes.layout import sandbox_root
    from agents.sandboxes.local.launcher import LocalLauncher, LocalSettings
    from agents.sandboxes.local.probe import unsupported

    why = unsupported()
    if why is not None:
        raise SandboxUnavailable(why)
    local = LocalSettings(root=sandbox_root(settings.data), cgroup=settings.cgroup, egress=settings.egress)
    launcher = LocalLauncher(local)
    return RunnerBackend(launcher, settings.engine)


def docker(settings: HostSettings) -> RunnerBackend:
    from agents.sandboxes.boxes.layout import sandbox_root
    from agents.sandboxes.docker.launcher import IMAGE, DockerLauncher, DockerSettings

    given = DockerSettings(root=sandbox_root(settings.data), egress=settings.egress, image=settings.image or IMAGE)
    return RunnerBackend(DockerLauncher(given), settings.engine)


HOSTED: dict[str, Callable[[HostSettings], RunnerBackend]] = {
    "docker": docker,
    "local": local,
}


def backend(kind: str, settings: HostSettings) -> RunnerBackend:
    """A backend for the sandbox host's own process."""
    return _known(kind)(settings)


@cache
def client(kind: str, socket_path: str | Path) -> SandboxBackend:
    """The backend as workers see it: always through the host of this machine."""
    _known(kind)
    return HostClient(socket_path)


def _known(kind: str) -> Callable[[HostSettings], RunnerBackend]:
    if kind not in HOSTED:
        raise SandboxUnavailable(f"There is no sandbox backend {kind!r}; there are: {', '.join(sorted(HOSTED))}.")
    return HOSTED[kind]
