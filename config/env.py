"""Every setting of an installation, read once from the environment: `load()` gives a frozen `Holdfast`.

Two profiles, one code path. Without DATABASE_URL the installation is *embedded*: its database, broker and secrets live
in the data directory. With DATABASE_URL it is *production*: secrets must be given, nothing is generated.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import socket
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from config import places, telemetry
from config.endpoints import refuse_own_address
from config.readers import FALSE, Reader, SettingError
from config.signin import settings as signing_in
from contract import limits
from contract.hosts import WANTED, is_host
from contract.secret import Secret
from credentials import addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent
DEMO_MODEL = "demo"
CLAUDE_MODEL = "claude-sonnet-4-5"
KEY_BYTES = 32
SHORTEST_HANG = 5


@dataclass(frozen=True, kw_only=True)
class Mail:
    """The server that takes our mail; without a host none is sent."""

    host: str
    port: int
    user: str
    password: Secret
    security: str  # starttls, tls or none
    sender: str


class Sealing(NamedTuple):
    """What lies under the key ring besides secrets: what was said, in the database; workspaces between turns."""

    events: bool
    snapshots: bool


@dataclass(frozen=True, kw_only=True)
class Egress:
    """The way out of sandboxes. ``socket`` None: sandboxes have no network, whatever their environment says."""

    socket: Path | None
    networks: tuple[str, ...]  # not public, but sandboxes may reach them
    package_hosts: tuple[str, ...]  # besides those this machine's package managers are configured with
    plain_credentials: bool  # secrets may go over plain http
    git_hosts: tuple[str, ...]  # where sessions' repositories may be


@dataclass(frozen=True, kw_only=True)
class Holdfast:
    """The settings of one installation. URLs may hold passwords, so they are left out of `repr`."""

    data_dir: Path
    runtime_dir: Path
    embedded_database: bool
    embedded_redis: bool
    production: bool
    debug: bool
    bind: str
    port: int
    public_url: str
    allowed_hosts: tuple[str, ...]
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    tasks_url: str = field(repr=False)
    secret_key: Secret
    keys: tuple[tuple[str, Secret], ...]  # (name, base64 of 32 bytes); the first one encrypts, all of them decrypt
    model_base_url: str
    model_api_key: Secret
    model_default: str
    model_media: tuple[str, ...]  # "image", "pdf": what models take whose server doesn't say
    workers: int  # worker processes
    worker_threads: int  # turns at once in one of them
    lease_seconds: float
    hang_seconds: int  # after so much silence `manage.py up` starts a process anew; 0: never
    requests_per_minute: int  # of one API key; 0 for no limit
    retry_base_seconds: float  # first wait before a broken model turn is asked again; doubles
    retry_ceiling_seconds: float  # the longest such wait
    instance: str  # names our queue and channels, so that installations can share one Redis
    searxng_url: str
    brave_api_key: Secret
    tavily_api_key: Secret
    mcp_call_seconds: float  # one call of an MCP server's tool
    compact_at_tokens: int  # a prompt beyond it is summarised before the next request
    snapshot_days: int  # how long a workspace's earlier snapshots stay; 0: for ever
    delivery_days: int  # how long the records of webhook deliveries stay; 0: for ever
    limits: Mapping[str, Any]  # caps of every session: contract.limits.Limits as it is stored
    machine: str  # this machine's name among those that run workers
    running_hour_price: Decimal  # dollars that an hour of a session's running time costs
    sandbox: str
    sandbox_image: str  # of the docker backend
    sandbox_socket: Path
    allowed_networks: tuple[str, ...]  # not public, but users may name servers there
    egress: Egress
    sealing: Sealing
    log_level: str
    time_zone: str
    mail: Mail
    permission_judge: str  # "rules", or the model that judges calls whose policy is auto
    telemetry_endpoint: str
    telemetry_headers: Secret
    telemetry_content: bool  # whether what was said goes out with the traces
    telemetry_redact: tuple[str, ...]  # regular expressions of what is hidden in it
    metrics_token: Secret
    work_lease_seconds: int  # how long an outside worker holds a session without a heartbeat
    signing_in: signing_in.SigningIn
    missed_runs: str  # which due times of schedules are made up for after an outage: all, or the latest


@cache
def load() -> Holdfast:
    """The settings of this process. Raises `SettingError` for one that cannot work."""
    return read(os.environ)


def read(environ: Mapping[str, str]) -> Holdfast:
    """Settings from any mapping, so that tests and the supervisor need not touch the process's own environment."""
    reader = Reader(environ)
    data = places.data_dir(reader.text("DATA_DIR", "var"), ROOT)
    run = places.runtime_dir(data)
    database_url = reader.url("DATABASE_URL", "", ("postgresql", "postgres"))
    redis_url = reader.url("REDIS_URL", "", ("redis", "rediss", "unix"))
    debug = reader.flag("DEBUG")
    production = bool(database_url) and not debug
    port = reader.integer("PORT", 8400, low=1, high=65535)
    bind = reader.text("BIND", "127.0.0.1")
    public_url = reader.url("PUBLIC_URL", f"http://{_host(bind)}:{port}", ("http", "https")).rstrip("/")
    base_url, api_key, model = _model(reader)
    refuse_own_address(base_url, port=port, bind=bind, public_url=public_url)
    redis_url_or_ours = redis_url or places.redis_url(run)
    return Holdfast(
        data_dir=data,
        runtime_dir=run,
        embedded_database=not database_url,
        embedded_redis=not redis_url,
        production=production,
        debug=debug,
        bind=bind,
        port=port,
        public_url=public_url,
        allowed_hosts=reader.names("ALLOWED_HOSTS", _usual_hosts(bind, public_url)),
        database_url=database_url or places.database_url(run),
        redis_url=redis_url_or_ours,
        tasks_url=reader.url("TASKS_URL", "", ("redis", "rediss", "unix", "amqp", "amqps")) or redis_url_or_ours,
        secret_key=_secret_key(reader, data, production=production),
        keys=_key_ring(reader, data, production=production),
        model_base_url=base_url,
        model_api_key=api_key,
        model_default=model,
        workers=reader.integer("WORKERS", min(2, os.cpu_count() or 1), low=1, high=64),
        worker_threads=reader.integer("WORKER_THREADS", 100, low=1, high=1000),
        lease_seconds=reader.number("LEASE_SECONDS", 6.0, low=1.0, high=300.0),
        requests_per_minute=reader.integer("REQUESTS_PER_MINUTE", 0, low=0, high=1_000_000),
        retry_base_seconds=reader.number("RETRY_BASE_SECONDS", 1.0, low=0.01, high=60.0),
        retry_ceiling_seconds=reader.number("RETRY_CEILING_SECONDS", 60.0, low=0.01, high=3600.0),
        instance=_instance(reader),
        searxng_url=reader.url("SEARXNG_URL", "", ("http", "https")),
        brave_api_key=reader.secret("BRAVE_API_KEY"),
        tavily_api_key=reader.secret("TAVILY_API_KEY"),
        mcp_call_seconds=reader.number("MCP_CALL_SECONDS", 120.0, low=1.0, high=3600.0),
        snapshot_days=reader.integer("SNAPSHOT_DAYS", 90, low=0, high=36_500),
        compact_at_tokens=reader.integer("COMPACT_AT_TOKENS", 160_000, low=1_000, high=10_000_000),
        limits=_limits(reader),
        machine=(reader.text("MACHINE") or places.generated(data / "machine", socket.gethostname))[:64],
        running_hour_price=_price(reader, "RUNNING_HOUR_PRICE"),
        sandbox_socket=Path(reader.text("SANDBOX_SOCKET", str(run / "sandbox.sock"))),
        allowed_networks=_networks(reader, "ALLOW_NETWORKS"),
        egress=_egress(reader, run),
        sealing=Sealing(reader.flag("SEAL_EVENTS"), reader.flag("SEAL_SNAPSHOTS")),
        time_zone=reader.zone("TIME_ZONE", "UTC"),
        log_level=reader.level("LOG_LEVEL", "INFO"),
        mail=_mail(reader),
        permission_judge=reader.text("PERMISSION_JUDGE", "rules"),
        **_more(reader),
    )


def _more(reader: Reader) -> dict[str, Any]:
    """Settings of sandboxes, schedules, webhooks, outside workers, telemetry and signing in."""
    return {
        "telemetry_endpoint": reader.url("OTEL_EXPORTER_OTLP_ENDPOINT", "", ("http", "https")),
        "telemetry_headers": reader.secret("OTEL_EXPORTER_OTLP_HEADERS"),
        "model_media": _media(reader),
        "telemetry_content": reader.flag("TELEMETRY_CONTENT"),
        "telemetry_redact": telemetry.patterns(reader.text("TELEMETRY_REDACT")),
        "metrics_token": reader.secret("METRICS_TOKEN"),
        "work_lease_seconds": reader.integer("WORK_LEASE_SECONDS", 60, low=5, high=3600),
        "signing_in": signing_in.read(reader),
        "sandbox": reader.choice("SANDBOX", "local", ("local", "docker")),
        "sandbox_image": reader.text("SANDBOX_IMAGE", "python:3.12"),
        "delivery_days": reader.integer("WEBHOOK_DELIVERY_DAYS", 30, low=0, high=36_500),
        "hang_seconds": _hang_seconds(reader),
        "missed_runs": reader.choice("MISSED_RUNS", "all", ("all", "latest")),
    }


def _hang_seconds(reader: Reader) -> int:
    found = reader.integer("HANG_SECONDS", 20, low=0, high=3600)
    if 0 < found < SHORTEST_HANG:
        why = "since a process of a busy machine may be late"
        raise SettingError(f"HANG_SECONDS is {found}; write at least {SHORTEST_HANG}, {why}, or 0 for never.")
    return found


def _limits(reader: Reader) -> Mapping[str, Any]:
    """Caps of every session; 0, the default, is none."""
    names = (
        "steps", "model_requests", "tokens", "running_seconds", "approval_seconds",
        "concurrent_sessions", "concurrent_sessions_per_person", "tokens_per_day",
    )  # fmt: skip
    counts = {name: reader.integer(f"LIMIT_{name.upper()}", 0, low=0, high=limits.MAX_COUNT) for name in names}
    counts["storage_bytes"] = reader.integer("LIMIT_STORAGE_BYTES", 0, low=0, high=limits.MAX_BYTES)
    found: dict[str, Any] = {name: count for name, count in counts.items() if count}
    for name, setting in (("list_cost", "LIMIT_DOLLARS"), ("list_cost_per_day", "LIMIT_DOLLARS_PER_DAY")):
        if dollars := _price(reader, setting):
            if dollars < Decimal("0.01"):
                raise SettingError(f"{setting} is {dollars}; write at least 0.01, or 0 for none.")
            found[name] = {"amount": str(int(dollars * 100)), "currency": "USD"}
    return found


def _price(reader: Reader, name: str) -> Decimal:
    text = reader.text(name, "0")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
        raise SettingError(f"{name} is {text!r}; write US dollars, such as 0.08.")
    return Decimal(text)


def _networks(reader: Reader, name: str) -> tuple[str, ...]:
    names = reader.names(name)
    try:
        addresses.networks(names)
    except ValueError as error:
        raise SettingError(f"{name}: {error}; write networks such as 10.0.0.0/8 or 127.0.0.1.") from None
    return names


def _egress(reader: Reader, run: Path) -> Egress:
    hosts = reader.names("EGRESS_PACKAGE_HOSTS")
    for host in hosts:
        if not is_host(host):
            raise SettingError(f"EGRESS_PACKAGE_HOSTS: {host!r}: {WANTED}.")
    place = reader.text("EGRESS_SOCKET", str(run / "egress.sock"))
    return Egress(
        socket=None if place.lower() in FALSE else Path(place),
        networks=_networks(reader, "EGRESS_ALLOW_NETWORKS"),
        package_hosts=hosts,
        plain_credentials=reader.flag("EGRESS_PLAIN_CREDENTIALS"),
        git_hosts=_git_hosts(reader),
    )


def _git_hosts(reader: Reader) -> tuple[str, ...]:
    hosts = reader.names("GIT_HOSTS", ("github.com",))
    for host in hosts:
        if not is_host(host) or host.startswith("*"):
            raise SettingError(f"GIT_HOSTS: {host!r} is no host; write names such as github.com git.example.com.")
    return hosts


def _mail(reader: Reader) -> Mail:
    security = reader.choice("SMTP_SECURITY", "starttls", ("starttls", "tls", "none"))
    found = Mail(
        host=reader.text("SMTP_HOST"),
        port=reader.integer("SMTP_PORT", 465 if security == "tls" else 587, low=1, high=65535),
        user=reader.text("SMTP_USER"),
        password=reader.secret("SMTP_PASSWORD"),
        security=security,
        sender=reader.text("MAIL_FROM"),
    )
    if found.host and not found.sender:
        raise SettingError("SMTP_HOST is set but MAIL_FROM is not; give the address that mail comes from.")
    return found


def _instance(reader: Reader) -> str:
    name = reader.text("INSTANCE_NAME", "holdfast")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
        raise SettingError(f"INSTANCE_NAME is {name!r}; write up to 40 letters, digits, hyphens or underscores.")
    return name


def _usual_hosts(bind: str, public_url: str) -> tuple[str, ...]:
    """On loopback only the names of this machine, so that no foreign page can point its own name here; else any."""
    if bind in {"127.0.0.1", "::1", "localhost"}:
        return ("localhost", ".localhost", "127.0.0.1", "[::1]", urlsplit(public_url).hostname or "localhost")
    return ("*",)


def _host(bind: str) -> str:
    """The host a person types to reach a bind address."""
    if bind in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{bind}]" if ":" in bind else bind


def _model(reader: Reader) -> tuple[str, Secret, str]:
    """Base URL, key and default model. With neither key nor address the demo model answers."""
    base_url = reader.url("MODEL_BASE_URL", "", ("http", "https")).rstrip("/")
    api_key = reader.secret("MODEL_API_KEY") or reader.secret("ANTHROPIC_API_KEY")
    default = CLAUDE_MODEL if base_url or api_key else DEMO_MODEL
    return base_url, api_key, reader.text("MODEL_DEFAULT", default)


def _secret_key(reader: Reader, data: Path, *, production: bool) -> Secret:
    given = reader.secret("SECRET_KEY")
    if given and len(given.reveal()) < KEY_BYTES:
        raise SettingError(f"SECRET_KEY is shorter than {KEY_BYTES} characters; make one with `openssl rand -hex 32`.")
    if given:
        return given
    if production:
        raise SettingError(
            "SECRET_KEY is not set, and with DATABASE_URL it must be; make one with `openssl rand -hex 32`."
        )
    return Secret(places.generated(data / "secret_key", lambda: secrets.token_urlsafe(48)))


def _media(reader: Reader) -> tuple[str, ...]:
    kinds = reader.names("MODEL_MEDIA")
    if set(kinds) - {"image", "pdf"}:
        raise SettingError("MODEL_MEDIA names kinds other than image and pdf; give one of them, both, or none.")
    return kinds


def _key_ring(reader: Reader, data: Path, *, production: bool) -> tuple[tuple[str, Secret], ...]:
    """`name:base64key` entries, newest first, separated by commas, spaces or lines."""
    text = reader.text("HOLDFAST_KEYS")
    if not text and production:
        raise SettingError(
            "HOLDFAST_KEYS is not set, and with DATABASE_URL it must be; "
            "make a key with `echo k1:$(openssl rand -base64 32)` and keep it safe."
        )
    text = text or places.generated(data / "keys", _new_key)
    ring = tuple(_key(entry) for entry in text.replace(",", " ").split())
    if len({name for name, _ in ring}) != len(ring):
        raise SettingError("HOLDFAST_KEYS names the same key twice; give each key its own name.")
    return ring


def _new_key() -> str:
    return f"k1:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def _key(entry: str) -> tuple[str, Secret]:
    name, _, encoded = entry.partition(":")
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except ValueError:
        size = 0
    if not name or size != KEY_BYTES:
        raise SettingError(
            f"HOLDFAST_KEYS has an entry that is not `name:base64 of {KEY_BYTES} bytes`; "
            "make one with `echo k1:$(openssl rand -base64 32)`."
        )
    return name, Secret(encoded)
