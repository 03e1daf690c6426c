"""The frame of every test: real servers, a database per worker, and no way out to a model.

The environment is set while this file is imported, before pytest-django loads the settings. The first process of a run
starts the servers; xdist's workers inherit their addresses.
"""

from __future__ import annotations

import base64
import gc
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import hypothesis
import pytest
from django.conf import settings
from django.db import connection

from config.places import DATABASE
from tests import prepared, servers

if TYPE_CHECKING:
    from collections.abc import Iterator

# What is collected stays: a quarter of that time, and some of every test's, would go into looking for garbage in it.
gc.disable()
pytest_plugins = ["tests.lasting", "tests.scheduling"]

# Properties are about values here, not about how fast a busy machine finds them.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
WORKER_NUMBER = int(WORKER.removeprefix("gw") or 0)
NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing answers there
OPERATORS_OWN = (
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "MODEL_API_KEY", "MODEL_BASE_URL", "MODEL_DEFAULT", "PORT", "BIND",
    "PUBLIC_URL", "TASKS_URL", "DEBUG", "ALLOWED_HOSTS", "SANDBOX", "SANDBOX_SOCKET", "EGRESS_SOCKET",
    "EGRESS_ALLOW_NETWORKS", "EGRESS_PACKAGE_HOSTS", "EGRESS_PLAIN_CREDENTIALS", "WORKERS", "WORKER_THREADS",
    "PYTHONDONTWRITEBYTECODE",  # with it every process that a test starts would compile the product anew
)  # fmt: skip


def _start_servers() -> servers.Servers | None:
    if WORKER:
        return None
    # A short path: a unix socket's name holds about a hundred bytes.
    directory = Path(tempfile.mkdtemp(prefix="hf-", dir="/tmp"))
    started = servers.start(directory)
    os.environ["HOLDFAST_TEST_DIRECTORY"] = str(directory)
    os.environ["DATABASE_URL"] = started.database_url
    return started


def _set_environment() -> Path:
    directory = Path(os.environ["HOLDFAST_TEST_DIRECTORY"])
    for name in OPERATORS_OWN:
        os.environ.pop(name, None)
    data = directory / (WORKER or "main")
    data.mkdir(exist_ok=True)
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings",
        REDIS_URL=f"unix://{directory}/valkey.sock?db={WORKER_NUMBER % 16}",
        DATA_DIR=str(data),
        INSTANCE_NAME=f"test-{WORKER or 'main'}",  # channels are not divided by database number
        SECRET_KEY="only-for-tests-" + "0" * 32,
        HOLDFAST_KEYS="test:" + base64.b64encode(bytes(32)).decode(),
        ANTHROPIC_BASE_URL=NOWHERE,
        EGRESS_SOCKET="off",  # tests of the network start their own
        LOG_LEVEL="WARNING",
    )
    return data


SERVERS = _start_servers()
KNOWN_WORKERS: list[Any] = [None]  # keepers that this process has had or may have
DATA = _set_environment()
django.setup()  # models are imported while tests are collected
if not WORKER:
    # xdist's workers inherit our environment, and with this in it pytest-django would load the settings, ours, before
    # they have set their own.
    del os.environ["DJANGO_SETTINGS_MODULE"]
# The usual hash of a password takes a second of a busy core, and nearly every world has people in it.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """A turn run here without the fixture `worker` makes the process one, with heartbeats, for all that follow."""
    yield
    leases = sys.modules.get("sessions.harness.lease")
    if leases is not None and leases._keeper not in KNOWN_WORKERS:
        KNOWN_WORKERS.append(leases._keeper)  # it goes on, but the tests after this one are not to blame
        pytest.fail("the test left this process as a worker; use the fixture `worker` of tests/sessions")


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVERS is not None:
        SERVERS.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """This process's database is made as a copy of a migrated one: migrating is most of the cost of a database."""
    prepared.migrate_template()
    connection.settings_dict["TEST"]["TEMPLATE"] = DATABASE


@pytest.fixture(autouse=True, scope="session")
def no_way_out() -> Iterator[None]:
    """Any connection to another machine fails with a sentence: a test must never reach a real model."""
    patch = pytest.MonkeyPatch()
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_here(str(address[0])):
            raise PermissionError(f"tests may not connect to {address[0]}")
        connect(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and not _is_here(host.decode() if isinstance(host, bytes) else str(host)):
            raise socket.gaierror(socket.EAI_NONAME, f"tests may not look up {host}")
        return look_up(host, *args, **kwargs)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def static_files_found_once() -> Iterator[None]:
    """Every test client makes the middleware anew, and WhiteNoise then looks at each static file: half of a request."""
    from whitenoise.middleware import WhiteNoiseMiddleware

    look = WhiteNoiseMiddleware.add_files_from_finders
    found: dict[str, Any] = {}

    def remember(self: Any) -> None:
        if not found:
            look(self)
            found.update(self.files)
        self.files.update(found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", remember)
        yield


def _is_here(host: str) -> bool:
    return host in {"", "localhost", "::1", "0.0.0.0", "::"} or host.startswith("127.") or host == socket.gethostname()


@pytest.fixture
def redis_url() -> str:
    """This worker's own Valkey database, empty at the start of the test."""
    import redis

    url = os.environ["REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(autouse=True)
def nobody_failed_to_sign_in(request: pytest.FixtureRequest) -> None:
    """Failures are counted by address for minutes, and all tests that sign in come from the same one."""
    if request.path.parent.name in {"config", "web"}:
        import redis

        with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
            for name in client.scan_iter(f"{os.environ['INSTANCE_NAME']}:signin:*"):
                client.delete(name)
