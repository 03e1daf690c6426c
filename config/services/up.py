"""`manage.py up`: the whole installation as one process tree. Ctrl-C ends it; a child that dies is started again."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import socket
import sys
import time
from typing import IO, TYPE_CHECKING

from config import env
from config.endpoints import reach_database
from config.readers import SettingError
from config.services import kernel, roles, stamp
from config.services.forked import Nursery
from config.services.postgres import Postgres
from config.services.supervisor import ServiceFailed, Stop, Supervisor
from config.services.valkey import Valkey
from config.services.watch import Watch
from contract.processes import allow_many_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.env import Holdfast
    from config.services.service import Service

START_SECONDS = 120.0
STOP_ORDER = (("sweeper", "web"), ("sandbox",), ("egress",), ("valkey",), ("postgres",))  # workers first


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="manage.py up", description=__doc__)
    parser.add_argument("--quiet", action="store_true", help="print nothing but the sign-in and errors")
    options = parser.parse_args(argv)
    try:
        holdfast = env.load()
        allow_many_files()  # inherited by all that is started
        with lock(holdfast), listen(holdfast) as listener:
            return run(holdfast, listener, quiet=options.quiet)
    except SettingError as error:
        print(f"holdfast: {error}", file=sys.stderr)
        return 2


def lock(holdfast: Holdfast) -> IO[str]:
    """The installation's lock, held while the returned file is open; no child holds it, any death frees it."""
    file = (holdfast.data_dir / "up.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        pid = file.read().strip() or "another one"
        file.close()
        raise SettingError(
            f"This installation is already running (process {pid}) on {holdfast.data_dir}; "
            "stop it, or set DATA_DIR and PORT for a second one."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def listen(holdfast: Holdfast) -> socket.socket:
    """The listening socket, or a refusal that names the port."""
    try:
        return socket.create_server(
            (holdfast.bind, holdfast.port),
            family=socket.AF_INET6 if ":" in holdfast.bind else socket.AF_INET,
            backlog=512,
        )
    except OSError as error:
        raise SettingError(
            f"Port {holdfast.port} on {holdfast.bind} cannot be used ({error.strerror}); set PORT to a free one."
        ) from None


def run(holdfast: Holdfast, listener: socket.socket, *, quiet: bool) -> int:
    began = time.monotonic()

    def say(line: str) -> None:
        if not quiet:
            print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)

    watch = Watch(roles.beats_at(holdfast), holdfast.hang_seconds) if holdfast.hang_seconds else None
    supervisor = Supervisor(holdfast.data_dir / "log", holdfast.runtime_dir / "pids.json", say, watch)
    supervisor.install_signals()
    code = 0
    try:
        start(holdfast, supervisor, listener)
        welcome(holdfast, time.monotonic() - began)
        supervisor.watch()
    except Stop:
        say("stopping")
    except (ServiceFailed, SettingError) as error:
        print(f"holdfast: {error}", file=sys.stderr, flush=True)
        code = 1
    finally:
        supervisor.stop(*STOP_ORDER)
    say("stopped")
    return code


def start(holdfast: Holdfast, supervisor: Supervisor, listener: socket.socket) -> None:
    if not holdfast.embedded_database:
        reach_database(holdfast.database_url)
    first = [*embedded(holdfast), *_nursery(holdfast, supervisor, listener)]
    supervisor.say(f"starting {', '.join(service.name for service in first)}")
    supervisor.start(*first)
    supervisor.wait_ready(first, START_SECONDS)
    prepare(holdfast, supervisor)
    application = [roles.web(holdfast, listener), *(roles.worker(holdfast, n + 1) for n in range(holdfast.workers))]
    application.append(roles.sweeper(holdfast))
    application.append(roles.sandbox_host(holdfast))
    if holdfast.egress.socket is not None:
        application.append(roles.egress(holdfast, holdfast.egress.socket))
    supervisor.say(f"starting {', '.join(service.name for service in application)}")
    supervisor.start(*application)
    supervisor.wait_ready(application, START_SECONDS)


def prepare(holdfast: Holdfast, supervisor: Supervisor) -> None:
    """Bring the database up to this code and seed it, unless it is and has been."""
    if not stamp.current(holdfast):
        supervisor.say("preparing the database")
        step = roles.prepare(holdfast)
        supervisor.start(step)
        supervisor.wait_ready([step], START_SECONDS)
        stamp.write(holdfast)


def _nursery(holdfast: Holdfast, supervisor: Supervisor, listener: socket.socket) -> list[Service]:
    """The nursery, unless this kernel doesn't let us adopt what it forks; then programs are executed one by one."""
    if not kernel.adopt_orphans():
        return []
    path = holdfast.runtime_dir / "nursery.sock"
    supervisor.nursery = Nursery(path)
    return [roles.nursery(holdfast, listener, path)]


def embedded(holdfast: Holdfast) -> list[Service]:
    services: list[Service] = []
    if holdfast.embedded_database:
        services.append(Postgres(holdfast.data_dir, holdfast.runtime_dir).service())
    if holdfast.embedded_redis:
        services.append(Valkey(holdfast.data_dir, holdfast.runtime_dir).service())
    return services


def welcome(holdfast: Holdfast, seconds: float) -> None:
    """The address and the sign-in, from the file the seed wrote; its address follows a changed PORT."""
    path = holdfast.data_dir / "dev.json"
    lines = [f"Holdfast is ready after {seconds:.1f} s at {holdfast.public_url}"]
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["url"] != holdfast.public_url:
            found["url"] = holdfast.public_url
            path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        lines += [f"  {name:<9} {found[name]}" for name in ("username", "password", "api_key")]
        lines.append(f"  (also in {path}; logs in {holdfast.data_dir / 'log'}; Ctrl-C stops everything)")
    print("\n" + "\n".join(lines) + "\n", flush=True)
