"""An installation whose sandboxes may reach servers of the tests' own, on loopback addresses that stand for others."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.chaos.apart import Apart
from tests.credentials.egress.rig import OTHERS, Server
from tests.live import Installation
from tests.network import tarballs, wheels
from tests.network.upstream import METRICS_TOKEN, MODEL_KEY, WORLD
from tests.sdk.talk import client_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anthropic


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/network/" in item.path.as_posix() and {"online", "settings"} & set(getattr(item, "fixturenames", ())):
            for mark in (pytest.mark.live, pytest.mark.sandbox):
                item.add_marker(mark)


@pytest.fixture(scope="package")
def index() -> Iterator[Server]:
    """A package index that the installation's pip is configured with."""
    server = Server(None, address=WORLD)
    server.respond = wheels.answer
    yield server
    server.stop()


@pytest.fixture(scope="package")
def model_server() -> Iterator[Server]:
    """A Messages API server that knows no models. It is asked for them, with the installation's key."""
    server = Server(None, lambda request: request.send(b'{"data": [], "has_more": false}'))
    yield server
    server.stop()


@pytest.fixture(scope="package")
def settings(index: Server, model_server: Server) -> Iterator[dict[str, str]]:
    """What the installations of these tests are started with."""
    with tempfile.TemporaryDirectory(prefix="hf-trust-", dir="/tmp") as directory:
        trusted = Path(directory) / "trusted.pem"
        system = Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
        sources = Path(directory) / "sources.list"
        sources.write_text(f"deb [trusted=yes] http://{WORLD}:{index.port}{wheels.DEBS} ./\n")
        apt = Path(directory) / "apt.conf"
        apt.write_text(f'Dir::Etc::sourcelist "{sources}"; Dir::Etc::sourceparts "/dev/null";\n')
        trusted.write_text((system.read_text() if system.exists() else "") + OTHERS.certificate)
        yield {
            "APT_CONFIG": str(apt),
            "EGRESS_ALLOW_NETWORKS": f"{WORLD}/32",
            "PIP_INDEX_URL": f"http://{WORLD}:{index.port}/simple",
            "ALLOW_NETWORKS": "127.0.0.1/32",  # MCP servers and token endpoints
            "METRICS_TOKEN": METRICS_TOKEN,
            "MODEL_BASE_URL": f"http://127.0.0.1:{model_server.port}",
            "MODEL_API_KEY": MODEL_KEY,
            "NPM_CONFIG_REGISTRY": f"http://{WORLD}:{index.port}{tarballs.BASE}/",
            "GOOGLE_API_KEY": "only for tests",  # of no concern to the egress proxy
            "GIT_HOSTS": f"github.com {WORLD}",
            "SSL_CERT_FILE": str(trusted),
            "RETRY_BASE_SECONDS": "0.05",
        }


@pytest.fixture(scope="package")
def online(settings: dict[str, str]) -> Iterator[Installation]:
    with Installation.started(**settings) as running:
        yield running


@pytest.fixture(scope="package")
def production(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One of the production profile: a database and a broker with passwords, and each secret in a file."""
    directory = tmp_path_factory.mktemp("given")
    given = dict(settings)
    for name in ("METRICS_TOKEN", "MODEL_API_KEY"):
        (directory / name).write_text(given.pop(name), encoding="utf-8")
        given[f"{name}_FILE"] = str(directory / name)
    with Apart.started(**given) as running:
        yield running


@pytest.fixture(scope="package")
def client(online: Installation) -> anthropic.Anthropic:
    return client_of(online)


@pytest.fixture
def secure() -> Iterator[Server]:
    """A server that speaks TLS."""
    server = Server(WORLD, address=WORLD)
    yield server
    server.stop()


@pytest.fixture
def plain() -> Iterator[Server]:
    server = Server(None, address=WORLD)
    yield server
    server.stop()
