"""The host as a program: its environment, its refusals, its socket."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agents.sandboxes import host as module
from agents.sandboxes import registry
from agents.sandboxes.base import Report, SandboxError, SandboxSpec, SandboxUnavailable
from agents.sandboxes.client import HostClient
from agents.sandboxes.server import listen
from agents.sandboxes.wire import FRAME_BYTES, Broken, Connection
from tests.agents.sandboxes.conftest import SECRET
from tests.agents.sandboxes.hosts import ROOT, RunningHost

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.sandbox


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name."""
    path = Path(tempfile.mkdtemp(prefix="hfs-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def run(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agents.sandboxes.host", *options]
    given = {"PATH": os.environ["PATH"], **env}
    return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False)


def test_the_host_drops_everything_it_need_not_know(host: RunningHost) -> None:
    seen = Path(f"/proc/{host.process.pid}/environ").read_bytes().decode()
    assert host.identity == "ordinary" or SECRET not in seen
    given = {"DATABASE_URL": "x", "ANTHROPIC_API_KEY": "y", "PATH": "/bin", "LANG": "C"}
    assert module.kept_environment(given) == {"PATH": "/bin", "LANG": "C"}


def test_the_host_imports_no_django_and_no_sdk() -> None:
    code = "import sys, agents.sandboxes.host, agents.sandboxes.local.launcher; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"django", "celery", "anthropic", "psycopg", "redis", "sessions", "credentials"}


def test_the_probe_prints_a_report(short: Path) -> None:
    done = run("--probe", "--data", str(short / "data"))
    assert done.returncode == 0
    assert "usable    yes" in done.stdout
    assert "rlimits, watchdog" in done.stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--data", "/proc/nowhere"], "The sandbox host cannot use /proc/nowhere"),
        (["--backend", "vm"], "There is no sandbox backend 'vm'"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(options: list[str], sentence: str) -> None:
    done = run("--probe", *options)
    assert done.returncode == 1
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_a_machine_without_user_namespaces_is_told_the_ways_out(monkeypatch: pytest.MonkeyPatch, short: Path) -> None:
    from agents.sandboxes.boxes.layout import Layout
    from agents.sandboxes.local import probe

    class NoNamespaces:
        def start(self, *_: object) -> None:
            raise SandboxError("bubblewrap did not start: No permissions to create new namespace")

    closed = short / "max_user_namespaces"
    closed.write_text("0\n")
    monkeypatch.setattr(probe, "_SWITCHES", {closed: ("0", "sysctl user.max_user_namespaces=15000")})
    report = probe.report(Layout(short / "data"), NoNamespaces(), ("rlimits",), [])  # type: ignore[arg-type]
    assert (report.usable, report.strength, report.layers) == (False, "none", ())
    assert "No permissions to create new namespace" in report.reasons[0]
    assert "run `sysctl user.max_user_namespaces=15000`" in report.reasons[0]
    assert list((short / "data" / "boxes").iterdir()) == []


def test_a_report_is_readable() -> None:
    report = Report("local", usable=False, strength="none", layers=(), reasons=("No way.",))
    assert module.describe(report).splitlines()[1:] == [
        "usable    no",
        "strength  none",
        "limits    none",
        "note      No way.",
    ]


def test_the_socket_is_for_its_owner_and_a_stale_one_is_replaced(short: Path) -> None:
    path = short / "run" / "s.sock"
    listen(path).close()
    listener = listen(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SandboxUnavailable, match="Another sandbox host answers"):
        listen(path)
    listener.close()


def test_a_path_that_cannot_be_a_socket_is_refused(short: Path) -> None:
    (short / "file").touch()
    with pytest.raises(SandboxUnavailable, match="is no socket"):
        listen(short / "file")
    with pytest.raises(SandboxUnavailable, match="longer than 107 bytes"):
        listen(short / ("x" * 120))


def test_a_host_that_is_not_there_is_unavailable(short: Path) -> None:
    client = HostClient(short / "none.sock")
    with pytest.raises(SandboxUnavailable, match="No sandbox host answers"):
        client.probe()


def test_nonsense_on_the_socket_ends_only_that_connection(host: RunningHost) -> None:
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"J\xff\xff\xff\xff", b"J\0\0\0\2[]", b"J\0\0\0\x0d" + b'{"op":"what"}'):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(host.socket))
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(4096):
                continue
    assert host.client.probe().usable


def test_a_frame_too_large_is_never_sent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(Broken):
        Connection(ours).send(b"B", bytes(FRAME_BYTES + 1))


def test_workers_share_one_client_per_socket(short: Path) -> None:
    path = short / "s.sock"
    assert registry.client("local", path) is registry.client("local", path)
    with pytest.raises(SandboxUnavailable, match="no sandbox backend"):
        registry.client("vm", path)


def test_sandboxes_of_ended_sessions_are_swept(short: Path) -> None:
    running = RunningHost("root")
    try:
        for name in ("keep", "drop"):
            running.client.open(SandboxSpec(name, first=True))
        assert running.client.sweep(["keep"]) == ["drop"]
        assert running.client.open(SandboxSpec("keep")).origin == "running"
        assert running.client.open(SandboxSpec("drop")).origin == "fresh"
    finally:
        running.stop()
