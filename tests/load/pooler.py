"""A long session of an installation that reaches its database through PgBouncer in session mode, beside one without."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import psutil

from config import places
from config.places import DATABASE, DATABASE_USER
from config.services import kernel
from config.services.postgres import Postgres
from tests.live import Installation, free_port, wait_for
from tests.load.cost import Server
from tests.load.filling import TOOLS
from tests.load.tables import table
from tests.sdk.talk import client_of, text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

STEPS = 100
PATIENCE_SECONDS = 240.0
CONFIGURATION = """
[databases]
* = host={sockets} port=5432
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = session
default_pool_size = 200
max_client_conn = 500
ignore_startup_parameters = extra_float_digits,options
"""


class Pooled(Installation):
    """An installation whose every connection goes through the pooler of this port."""

    through: ClassVar[int]

    def join(self, first: Installation) -> None:
        super().join(first)
        self.environment["DATABASE_URL"] = f"postgresql://{DATABASE_USER}@127.0.0.1:{self.through}/{DATABASE}"


def run(options: argparse.Namespace) -> str:
    """The same conversation both ways, one after the other, on the same database."""
    del options
    if shutil.which("pgbouncer") is None:
        return "There is no pgbouncer on this machine (apt install pgbouncer)."
    first = Installation(Path(os.environ["DATA_DIR"]), 0, {})
    with Installation.started(False, first) as direct:
        rows = {"directly": _row(direct, None)}
    with _pooler(places.runtime_dir(first.data_dir)) as pooler, Pooled.started(False, first) as pooled:
        rows["PgBouncer, session mode"] = _row(pooled, pooler)
    columns = ["steps", "ms a step", "database, µs a step", "pooler, µs a step", "connections"]
    note = f"One session of {STEPS} steps of the demo model, each with a command in its sandbox; µs: of a processor."
    return table("A pooler before the database", columns, rows, [note])


def _row(installation: Installation, pooler: psutil.Process | None) -> list[str]:
    client, said = client_of(installation), text(f"[[demo: steps={STEPS}]]")
    agent = client.beta.agents.create(name="Pooler", model="demo", tools=TOOLS)
    environment = next(iter(client.beta.environments.list()))
    session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id).id
    server, begun, spent = Server(), time.perf_counter(), _spent(pooler)
    events: list[Any] = [said]
    client.beta.sessions.events.send(session, events=events)

    def ended() -> list[Any]:
        time.sleep(0.5)
        return client.beta.sessions.events.list(session, types=["session.status_idle"]).data

    wait_for(ended, PATIENCE_SECONDS, "the session did not come to its end")
    lasted = time.perf_counter() - begun
    steps = len(list(client.beta.sessions.events.list(session, types=["agent.tool_use"])))
    each = [f"{lasted * 1000 / steps:.0f}", f"{server.spent() * 1e6 / steps:,.0f}"]
    each.append(f"{(_spent(pooler) - spent) * 1e6 / steps:,.0f}" if pooler else "-")
    return [str(steps), *each, str(len(pooler.net_connections()) if pooler else "-")]


@contextlib.contextmanager
def _pooler(sockets: Path) -> Iterator[psutil.Process]:
    """A PgBouncer before the server of this directory. It refuses to be root as that does, so it is who that is."""
    Pooled.through = free_port()
    with tempfile.TemporaryDirectory(prefix="hf-pooler-", dir="/tmp") as place:
        users, configuration = Path(place) / "users", Path(place) / "pgbouncer.ini"
        Path(place).chmod(0o755)
        users.write_text(f'"{DATABASE_USER}" ""\n', encoding="utf-8")
        told = CONFIGURATION.format(sockets=sockets, port=Pooled.through, users=users)
        configuration.write_text(told, encoding="utf-8")
        process = subprocess.Popen(
            ["pgbouncer", "-q", str(configuration)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=kernel.setup(signal.SIGKILL, Postgres(sockets.parent, sockets).identity),
        )  # fmt: skip
        try:
            wait_for(_answers, 20, "the pooler did not start")
            yield psutil.Process(process.pid)
        finally:
            process.kill()
            process.wait(10)


def _answers() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", Pooled.through)) == 0


def _spent(process: psutil.Process | None) -> float:
    return sum(process.cpu_times()[:2]) if process else 0.0
