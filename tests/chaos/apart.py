"""An installation whose processes stand apart: the commands of `deploy/systemd`, each loaded and started by itself in
the production profile, beside a database and a broker that it was given by URL and that ask for a password.

`python -m tests.chaos.apart` runs one in the foreground, in DATA_DIR and on PORT.
"""

from __future__ import annotations

import base64
import configparser
import contextlib
import os
import secrets
import shlex
import socket
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

import psycopg
import redis
from psycopg import sql

from config import env, places
from config.places import DATABASE, DATABASE_USER
from config.services import roles, up
from config.services.postgres import Postgres
from config.services.service import Service
from config.services.supervisor import Stop, Supervisor
from config.services.valkey import Valkey
from config.services.watch import Watch, told
from credentials.egress.packages import CONFIGURED
from tests.live import ROOT, Installation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UNITS = ROOT / "deploy" / "systemd"
SETTINGS = "/etc/holdfast/env"
EGRESS_SETTINGS = "-/etc/holdfast/egress.env"
SANDBOX_SETTINGS = "-/etc/holdfast/sandbox.env"
PLAIN = ("PATH", "LANG")  # what systemd gives a unit that names no file of settings


@dataclass
class Apart(Installation):
    """A production-shaped installation, with the same handles as one process tree has."""

    command: ClassVar[Sequence[str]] = (sys.executable, "-m", "tests.chaos.apart")
    directory: ClassVar[Path] = ROOT

    def start(self) -> None:
        self.data_dir.mkdir(exist_ok=True)
        run = places.runtime_dir(self.data_dir)
        places.generated(self.data_dir / "secret_key", lambda: secrets.token_urlsafe(48))
        places.generated(self.data_dir / "keys", lambda: f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}")
        words = {name: places.generated(self.data_dir / f"{name}.word", _word) for name in ("database", "broker")}
        self.environment |= {
            "DATABASE_URL": f"postgresql://{DATABASE_USER}:{words['database']}@/{DATABASE}?host={quote(str(run))}",
            "REDIS_URL": f"unix://:{words['broker']}@{Valkey(self.data_dir, run).socket}?db=0",
            "SECRET_KEY_FILE": str(self.data_dir / "secret_key"),
            "HOLDFAST_KEYS_FILE": str(self.data_dir / "keys"),
            "SANDBOX_SOCKET": str(run / "sandbox.sock"),
            "EGRESS_SOCKET": str(run / "egress.sock"),
        }
        super().start()


def main() -> None:
    holdfast = env.load()
    data, run = holdfast.data_dir, holdfast.runtime_dir
    watch = Watch(roles.beats_at(holdfast), holdfast.hang_seconds)  # in systemd's place
    supervisor = Supervisor(data / "log", run / "pids.json", lambda line: print(line, flush=True), watch)
    supervisor.install_signals()
    given = [guarded_database(holdfast), guarded_broker(holdfast)]
    names = ["egress", "sandbox", "web", *(f"worker@{number + 1}" for number in range(holdfast.workers)), "sweeper"]
    try:
        for together in (given, [unit(holdfast, "prepare")], [unit(holdfast, name) for name in names]):
            supervisor.start(*together)
            supervisor.wait_ready(together, up.START_SECONDS)
        supervisor.watch()
    except Stop:
        print("stopping", flush=True)
    finally:
        supervisor.stop(*up.STOP_ORDER)


def guarded_database(holdfast: env.Holdfast) -> Service:
    """The database, ready once it lets in nobody without the password of its URL."""
    postgres = Postgres(holdfast.data_dir, holdfast.runtime_dir)
    rules = postgres.cluster / "pg_hba.conf"

    def ready() -> bool:
        if not postgres.ready():
            return False
        if "trust" in rules.read_text(encoding="utf-8"):
            with psycopg.connect(holdfast.database_url, autocommit=True) as connection:
                word = sql.Literal(connection.info.password)
                connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(DATABASE_USER), word))
                rules.write_text("local all all scram-sha-256\n", encoding="utf-8")
                connection.execute("SELECT pg_reload_conf()")
        return True

    return replace(postgres.service(), ready=ready)


def guarded_broker(holdfast: env.Holdfast) -> Service:
    """The broker; it reads its password from a file, as command lines can be read by everybody."""
    service = Valkey(holdfast.data_dir, holdfast.runtime_dir).service()
    client = redis.Redis.from_url(holdfast.redis_url)
    settings = holdfast.data_dir / "valkey.conf"
    settings.touch(mode=0o600)
    settings.write_text(f"requirepass {client.connection_pool.connection_kwargs['password']}\n", encoding="utf-8")

    def ready() -> bool:
        with contextlib.suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    return replace(service, argv=[service.argv[0], settings, *service.argv[1:]], ready=ready)


def _word() -> str:
    return f"decoy-{secrets.token_hex(16)}"


def unit(holdfast: env.Holdfast, name: str) -> Service:
    """A unit of `deploy/systemd` (`web`, `worker@2`) as a service, its places exchanged for this installation's."""
    template, _, instance = name.partition("@")
    read = configparser.ConfigParser(interpolation=None)
    read.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's names have capitals
    read.read(UNITS / f"holdfast-{template}{'@' if instance else ''}.service", encoding="utf-8")
    found = read["Service"]

    def here(text: str) -> str:
        exchanged = {
            "/opt/holdfast/.venv/bin/python": sys.executable,
            "/opt/holdfast": str(ROOT),
            "/var/lib/holdfast": str(holdfast.data_dir),
            "/run/holdfast-sandbox": str(holdfast.runtime_dir),
            "/run/holdfast-egress": str(holdfast.runtime_dir),
            "8400": str(holdfast.port),
            "%i": instance,
            "%H": socket.gethostname(),
        }
        for theirs, ours in exchanged.items():
            text = text.replace(theirs, ours)
        return text

    inherited = {key: value for key, value in os.environ.items() if _is_given(key, found.get("EnvironmentFile", ""))}
    plain = {key: os.environ[key] for key in PLAIN if key in os.environ}
    own = dict(pair.split("=", 1) for pair in shlex.split(here(found.get("Environment", ""))))
    beats = told(roles.beats_at(holdfast), holdfast.hang_seconds, {}) if "WatchdogSec" in found else {}
    return Service(
        name=f"{template}{instance}",
        argv=shlex.split(here(found["ExecStart"])),
        cwd=ROOT,
        env={**plain, **inherited, **own, **beats},
        once=found.get("Type") == "oneshot",
        stop_seconds=float(found.get("TimeoutStopSec", "5")),
    )


def _is_given(name: str, settings: str) -> bool:
    """Whether a file of settings that a unit names would hold this variable of ours."""
    of_egress = name.startswith(("EGRESS_", *CONFIGURED)) or name in roles.EGRESS_ENVIRONMENT
    of_sandbox = name == "SSL_CERT_FILE"
    return settings == SETTINGS or (settings, True) in ((EGRESS_SETTINGS, of_egress), (SANDBOX_SETTINGS, of_sandbox))


if __name__ == "__main__":
    main()
