"""URLs of the database, the broker and the model, turned into what their clients want."""

from __future__ import annotations

import ipaddress
import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from config.readers import SettingError

REACH_SECONDS = 3
# Of a machine that is cut off nothing is heard, not even that it has gone: whoever waits for it would wait for hours.
CUT_OFF_SECONDS = 25
KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
LIBPQ_OPTIONS = frozenset(
    {
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "application_name",
        "connect_timeout",
        "options",
        "target_session_attrs",
        "tcp_user_timeout",
        *KEEPALIVES,
    }
)


def django_database(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for a PostgreSQL URL, with a pool of its own in every process.

    `?host=/directory` (libpq's way to name a unix socket) and libpq's ssl options are understood.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = query.pop("host", "") or unquote(parts.hostname or "")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise SettingError(
            "DATABASE_URL names no database; write it like postgresql://user:password@host:5432/holdfast."
        )
    unknown = sorted(set(query) - LIBPQ_OPTIONS)
    if unknown:
        known = ", ".join(sorted(LIBPQ_OPTIONS))
        raise SettingError(f"DATABASE_URL has the option {unknown[0]!r}, which is not known; known: {known}.")
    return {
        "ENGINE": "config.database",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 0,  # the pool keeps connections, not the thread
        "OPTIONS": {
            "connect_timeout": 5,
            **KEEPALIVES,
            "tcp_user_timeout": CUT_OFF_SECONDS * 1000,
            **query,
            "prepare_threshold": 0,  # lets statements be prepared; Django's own are not, only `sessions.prepared`
            "pool": {
                "min_size": 1,
                "max_size": connections_of_a_process(),
                "timeout": 15,
                "max_idle": 300,
                # It tries at ever longer distances for so long, then whoever needs one begins anew. Of a minute's
                # absence the default made two.
                "reconnect_timeout": 10,
            },
        },
    }


def connections_of_a_process() -> int:
    """How many of its hundreds of threads may speak to the database at once: more wait for a core, not for the disk.

    Each costs the database some 20 ms until it knows tables and statements; too few cost more, since whoever waits for
    one is woken in vain: of 160 busy sessions on two cores, ten took a worker a tenth more of its time than sixteen.
    Never more than 24: 500 threads under a model of half a second were never seen to hold more than 21.
    """
    return min(24, 12 + 2 * (os.cpu_count() or 1))


def reach_database(url: str) -> None:
    """Connect once, to find out early. Raises ``SettingError`` after ``REACH_SECONDS`` at the latest."""
    import psycopg

    about = django_database(url)
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    given: dict[str, Any] = {name: about[ours] for name, ours in names.items() if about[ours]}
    options = {name: value for name, value in about["OPTIONS"].items() if name != "pool"}
    try:
        psycopg.connect(**given, **{**options, "connect_timeout": REACH_SECONDS}).close()
    except psycopg.Error as error:
        raise SettingError(f"The database can't be reached; look at DATABASE_URL. It said: {error}") from None


def celery_broker(url: str) -> str:
    """Celery's spelling of a broker URL: `unix:///path?db=1` becomes `redis+socket:///path?virtual_host=1`.

    A name and a password go along, wherever they stand: `unix://:secret@/path` or `?password=secret`.
    """
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    given = dict(parse_qsl(parts.query))
    query = {"virtual_host": given.pop("db", "0"), **given}
    return f"redis+socket://{parts.netloc}{parts.path}?{urlencode(query)}"


def refuse_own_address(model_base_url: str, *, port: int, bind: str, public_url: str) -> None:
    """Refuse a model address that is this installation itself: every turn would start another session."""
    if not model_base_url:
        return
    model, public = urlsplit(model_base_url), urlsplit(public_url)
    here = _is_local(model.hostname or "", bind) and _port(model.scheme, model.port) == port
    published = bool(public.hostname) and (model.hostname, _port(model.scheme, model.port)) == (
        public.hostname,
        _port(public.scheme, public.port),
    )
    if here or published:
        raise SettingError(
            "MODEL_BASE_URL is this installation's own address; "
            "give the address of a model server, or leave it out for the demo model."
        )


def _port(scheme: str, port: int | None) -> int:
    return port or (443 if scheme == "https" else 80)


def _is_local(host: str, bind: str) -> bool:
    if host in {bind, "localhost"} or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
