"""What a session's sandbox reaches: the environment's networking, in a real sandbox behind the real proxy."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.credentials.egress.rig import OTHERS, Server
from tests.live import Installation, wait_for
from tests.sdk.talk import TOOLSET, Talk, client_of, only, said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import anthropic

HERE = "127.0.0.2"  # loopback, but no name that programs leave out of proxies by themselves


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Its own one: here the operator opened a part of loopback to sandboxes, and trusts our servers' authority."""
    trusted = tmp_path_factory.mktemp("trust") / "ca.pem"
    trusted.write_text(OTHERS.certificate)
    with Installation.started(EGRESS_ALLOW_NETWORKS=f"{HERE}/32", SSL_CERT_FILE=str(trusted)) as running:
        yield running


@pytest.fixture(scope="module")
def client(installation: Installation) -> anthropic.Anthropic:
    return client_of(installation)


@pytest.fixture
def plain() -> Iterator[Server]:
    server = Server(None, address=HERE)
    yield server
    server.stop()


@pytest.fixture
def secure() -> Iterator[Server]:
    server = Server(HERE, address=HERE)
    yield server
    server.stop()


@pytest.fixture
def begin(client: anthropic.Anthropic) -> Callable[..., Talk]:
    """A session in an environment with the networking given."""

    def start(networking: dict[str, Any] | None, **session: Any) -> Talk:
        agent = client.beta.agents.create(name="Tester", model="demo", tools=[{"type": TOOLSET}])
        config: Any = {"type": "cloud", **({"networking": networking} if networking else {})}
        environment = client.beta.environments.create(name=f"env {time.time_ns()}", config=config)
        return Talk(client, client.beta.sessions.create(agent=agent.id, environment_id=environment.id, **session).id)

    return start


def limited(*hosts: str) -> dict[str, Any]:
    return {"type": "limited", "allowed_hosts": list(hosts)}


def run(talk: Talk, command: str) -> str:
    """What one command printed, with whatever was added to its result."""
    return said(only(talk.says(f"run `{command}`"), "agent.tool_result"))


def requests(talk: Talk) -> list[dict[str, Any]]:
    """The operator's events about the network, oldest first."""
    listed = talk.client.get(
        f"/v1/sessions/{talk.id}/events?types[]=ops.egress_request&order=asc", cast_to=dict[str, Any]
    )
    return list(listed["data"])


def test_a_limited_session_reaches_the_host_it_lists(begin: Callable[..., Talk], plain: Server) -> None:
    talk = begin(limited(HERE))
    assert '"path": "/x"' in run(talk, f"curl -sS http://{HERE}:{plain.port}/x")
    (told,) = requests(talk)
    assert (told["host"], told["port"], told["method"], told["decision"]) == (HERE, plain.port, "GET", "allowed")
    assert (told["status"], told["rule"]) == (200, f"allowed_hosts: {HERE}")


def test_a_session_without_a_wish_reaches_any_host(begin: Callable[..., Talk], secure: Server) -> None:
    talk = begin(None)
    assert '"path": "/x"' in run(talk, f"curl -sSk https://{HERE}:{secure.port}/x")


def test_a_host_that_is_not_listed_is_refused_and_the_model_is_told(begin: Callable[..., Talk], plain: Server) -> None:
    talk = begin(limited())
    words = run(talk, f"curl -sS https://{HERE}:{plain.port}/")
    assert f"[network: {HERE}:{plain.port} was refused by the proxy (403): networking: limited" in words
    assert [told["decision"] for told in requests(talk)] == ["denied"]
    assert not plain.seen


@pytest.mark.parametrize("host", ["127.0.0.3", "169.254.169.254", "10.0.0.1"])
def test_an_address_that_is_not_public_is_refused_even_without_limits(begin: Callable[..., Talk], host: str) -> None:
    assert "not public" in run(begin(None), f"curl -sS http://{host}/")


def test_events_about_the_network_stay_out_of_the_compatible_list(begin: Callable[..., Talk], plain: Server) -> None:
    talk = begin(limited(HERE))
    run(talk, f"curl -sS http://{HERE}:{plain.port}/")
    assert not [event for event in talk.log() if event.type.startswith("ops.")]


def test_a_proxy_that_was_killed_comes_back_for_the_same_sandbox(
    begin: Callable[..., Talk], installation: Installation, plain: Server
) -> None:
    talk = begin(limited(HERE))
    url = f"http://{HERE}:{plain.port}/"
    assert '"path"' in run(talk, f"curl -sS {url}")
    killed = installation.kill("egress", signal.SIGKILL)
    wait_for(lambda: installation.pids("egress") and installation.pids("egress") != killed, 30, "it was not restarted")
    assert '"path"' in run(talk, f"curl -sS --retry 5 --retry-all-errors {url}")


def test_a_proxy_killed_while_a_command_runs_is_told_anew(
    begin: Callable[..., Talk], installation: Installation, plain: Server
) -> None:
    talk = begin(limited(HERE))
    url = f"http://{HERE}:{plain.port}/"
    command = f"until curl -fsS {url}stop | grep -q path; do curl -sS {url}go; sleep 0.1; done; curl -fsS {url}end"

    def kill() -> None:
        wait_for(lambda: plain.seen, 30, "the command did not start")
        installation.kill("egress", signal.SIGKILL)

    plain.refused = "/stop"
    import threading

    killer = threading.Thread(target=kill)
    killer.start()

    def let_go() -> None:
        killer.join()
        before = len(plain.seen)
        wait_for(lambda: len(plain.seen) > before + 3, 60, "nothing came through any more")
        plain.refused = ""

    other = threading.Thread(target=let_go)
    other.start()
    assert '"path": "/end"' in run(talk, command)
    other.join()
