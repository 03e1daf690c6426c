"""The one safe configuration of bubblewrap. Every option here stops an escape that was tried;
the reasons are in THREAT_MODEL.md and each has a row in the escape table of the tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agents.sandboxes.base import MEMORY, MIB, OUTPUTS, SKILLS, UPLOADS, WORKSPACE
from agents.sandboxes.egress import BUNDLE
from agents.sandboxes.local.trust import system_bundles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents.sandboxes.local.binary import Runtime
    from agents.sandboxes.local.layout import Box

HOME = "/home/sandbox"
RUN = "/run/holdfast"
SHM_BYTES = 16 * MIB
RUN_BYTES = 4 * MIB
TEMPORARY, SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108 - names inside the sandbox

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
_OWN_ETC = ("passwd", "group", "hosts", "nsswitch.conf", "resolv.conf", "gitconfig")
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


def options(runtime: Runtime, box: Box, trust: Path | None = None, mounts: Sequence[str] = ()) -> list[str]:
    """Options for ``bwrap --args``: they go through a descriptor, so that neither host paths nor
    values show in a command line that the sandbox can read. ``trust``: the bundle of a sandbox with a network;
    ``mounts``: options that show something more.
    """
    return [
        *_NAMESPACES,
        *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--cap-drop", "ALL"),
        *_system(),
        *_etc(runtime),
        *_trust(trust),
        *("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"),
        *("--dev", "/dev", "--size", str(SHM_BYTES), "--tmpfs", SHARED_MEMORY, "--remount-ro", "/dev"),
        *("--size", str(RUN_BYTES), "--tmpfs", RUN),
        *_session(box),
        *("--symlink", TEMPORARY, "/var" + TEMPORARY),
        *("--ro-bind", str(runtime.runner), "/opt/holdfast"),
        *mounts,
        *("--chdir", WORKSPACE, "--remount-ro", "/"),
    ]


def command(runtime: Runtime, *arguments: str) -> list[str]:
    """The runner's command line inside the sandbox."""
    start = "import sys; sys.path.insert(0, '/opt/holdfast'); from runner.__main__ import main; main()"
    return [str(runtime.python), "-I", "-S", "-c", start, *arguments]


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for link in _USR_LINKS:
        path = Path(link)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), link)
        elif path.is_dir():
            yield from ("--ro-bind", link, link)


def _etc(runtime: Runtime) -> Iterator[str]:
    for name in _OWN_ETC:
        yield from ("--ro-bind", str(runtime.etc / name), f"/etc/{name}")
    for path in _HOST_ETC:
        yield from ("--ro-bind-try", path, path)


def _trust(bundle: Path | None) -> Iterator[str]:
    """In the place of the system's own bundle too, for programs that heed no variable."""
    if bundle is not None:
        for path in (BUNDLE, *system_bundles(below=_HOST_ETC)):
            yield from ("--ro-bind", str(bundle), path)


def _session(box: Box) -> Iterator[str]:
    yield from ("--bind", str(box.files / "workspace"), WORKSPACE)
    yield from ("--bind", str(box.files / "home"), HOME)
    yield from ("--bind", str(box.files / "tmp"), TEMPORARY)
    yield from ("--bind", str(box.outputs), OUTPUTS)
    yield from ("--ro-bind", str(box.uploads), UPLOADS)
    if box.has_skills:
        yield from ("--ro-bind", str(box.skills), SKILLS)
    for folder in box.folders:
        yield from ("--ro-bind" if folder.read_only else "--bind", str(box.folder(folder)), f"{MEMORY}/{folder.name}")
