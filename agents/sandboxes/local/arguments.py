"""The one safe configuration of bubblewrap. Every option here stops an escape that was tried;
the reasons are in THREAT_MODEL.md and each has a row in the escape table of the tests.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from agents.sandboxes.base import MIB, WORKSPACE
from agents.sandboxes.boxes import runtime as start
from agents.sandboxes.boxes.mounts import RUN, RUNNER, SHARED_MEMORY, TEMPORARY, of_session
from agents.sandboxes.boxes.trust import system_bundles
from agents.sandboxes.egress import BUNDLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from agents.sandboxes.boxes.layout import Box
    from agents.sandboxes.boxes.mounts import Mount
    from agents.sandboxes.local.binary import Runtime

SHM_BYTES = 16 * MIB
RUN_BYTES = 4 * MIB

_NAMESPACES = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--disable-userns",
    "--new-session",
    "--die-with-parent",
    "--clearenv",
)
# Only what programs need to run; never the host's whole /etc.
_HOST_ETC = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates.conf",
    "/etc/fonts",
    "/etc/mime.types",
    "/etc/magic",
)
_USR_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


def options(runtime: Runtime, box: Box, trust: Path | None = None, mounts: Sequence[Mount] = ()) -> list[str]:
    """Options for ``bwrap --args``: they go through a descriptor, so that neither host paths nor
    values show in a command line that the sandbox can read. ``trust``: the bundle of a sandbox with a network;
    ``mounts``: what is shown besides, of ``/usr`` also over what is there.
    """
    over = [mount.source for mount in mounts if mount.over]
    return [
        *_NAMESPACES,
        *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--cap-drop", "ALL"),
        *usr(over),
        *_beside_usr(),
        *_etc(runtime.etc),
        *_trust(trust),
        *("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"),
        *("--dev", "/dev", "--size", str(SHM_BYTES), "--tmpfs", SHARED_MEMORY, "--remount-ro", "/dev"),
        *("--size", str(RUN_BYTES), "--tmpfs", RUN),
        *_binds(of_session(box)),
        *("--symlink", TEMPORARY, "/var" + TEMPORARY),
        *("--ro-bind", str(runtime.shown), RUNNER),
        *_binds(mount for mount in mounts if not mount.over),
        *("--chdir", WORKSPACE, "--remount-ro", "/"),
    ]


def command(runtime: Runtime, *arguments: str) -> list[str]:
    """The runner's command line inside the sandbox."""
    return start.command(str(runtime.python), *arguments)


def waiting() -> list[str]:
    """What keeps a sandbox that a runner enters: it says back what it is told once the sandbox is made, and stays."""
    return ["/bin/cat"]


def shown_in_etc(name: str) -> bool:
    """Whether something of that name is in every sandbox's /etc."""
    return name in start.ETC or any(Path(path).parts[2] == name for path in _HOST_ETC)


def usr(over: Sequence[Path]) -> list[str]:
    """The machine's /usr, and what is laid over it."""
    if not over:
        return ["--ro-bind", "/usr", "/usr"]
    sources = [word for source in (Path("/usr"), *over) for word in ("--overlay-src", str(source))]
    return [*sources, "--ro-overlay", "/usr"]


@functools.cache
def _beside_usr() -> tuple[str, ...]:
    """What of the machine's layout leads into ``/usr``, or is kept beside it."""
    found: list[str] = []
    for link in _USR_LINKS:
        path = Path(link)
        if path.is_symlink():
            found += ("--symlink", str(path.readlink()), link)
        elif path.is_dir():
            found += ("--ro-bind", link, link)
    return tuple(found)


@functools.lru_cache(maxsize=1)
def _etc(names: tuple[str, ...]) -> tuple[str, ...]:
    """Files are links to our copies, directories are the machine's own: bubblewrap reads the list of all mounts for
    every further one.
    """
    copies = {f"/etc/{name}": name for name in names}
    links = [word for path, name in copies.items() for word in ("--symlink", f"{RUNNER}/etc/{name}", path)]
    shown = [word for path in _HOST_ETC if path not in copies for word in ("--ro-bind-try", path, path)]
    return (*links, *shown)


def _trust(bundle: Path | None) -> Iterator[str]:
    """In the place of the system's own bundle too, for programs that heed no variable."""
    if bundle is not None:
        for path in (BUNDLE, *system_bundles(below=_HOST_ETC)):
            yield from ("--ro-bind", str(bundle), path)


def _binds(mounts: Iterable[Mount]) -> Iterator[str]:
    for mount in mounts:
        yield from ("--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target)
