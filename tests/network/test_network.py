"""What a sandbox reaches through its network and what not, seen by the programs that agents use (spec core 7.2)."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.live import wait_for
from tests.network.upstream import LIMITED, WORLD, begin, environment, operator_events, requests, run

if TYPE_CHECKING:
    import anthropic

    from tests.credentials.egress.rig import Server
    from tests.live import Installation
    from tests.sdk.talk import Talk

NODE = """node -e "
const http = require('http'), tls = require('tls');
const ask = http.request({{port: 3128, host: '127.0.0.1', method: 'CONNECT', path: '{host}:{port}'}});
ask.on('connect', (answer, socket) => {{
  if (answer.statusCode !== 200) {{ console.log('refused', answer.statusCode); process.exit(0); }}
  const secure = tls.connect({{socket, rejectUnauthorized: false}}, () => {{
    secure.write('GET /path HTTP/1.1\\\\r\\\\nHost: {host}:{port}\\\\r\\\\nConnection: close\\\\r\\\\n\\\\r\\\\n');
  }});
  secure.on('data', data => process.stdout.write(data));
}});
ask.end();
" """
PYTHON = """python3 -c "
import ssl, urllib.request
print(urllib.request.urlopen('https://{host}:{port}/path', context=ssl._create_unverified_context()).read())
" """
CLIENTS = {
    "curl": "curl -sS -k https://{host}:{port}/path",
    "node": NODE,
    "python": PYTHON,
    "git": "git -c http.sslVerify=false ls-remote https://{host}:{port}/path",
    "pip": "python3 -m pip download -q --no-deps --retries 0 --trusted-host {host} -d /tmp/p "
    "-i https://{host}:{port}/path nothing",
}


@pytest.fixture(scope="module")
def limited(client: anthropic.Anthropic) -> Talk:
    return begin(client, networking=LIMITED)


@pytest.fixture(scope="module")
def unrestricted(client: anthropic.Anthropic) -> Talk:
    return begin(client)


@pytest.mark.parametrize("program", CLIENTS)
def test_a_listed_host_is_reached(online: Installation, limited: Talk, secure: Server, program: str) -> None:
    run(limited, CLIENTS[program].format(host=WORLD, port=secure.port))
    assert secure.seen[0].path.startswith("/path")


def test_programs_trust_what_the_operator_names_by_ssl_cert_file(
    online: Installation, limited: Talk, secure: Server
) -> None:
    run(limited, f"curl -sS https://{WORLD}:{secure.port}/trusted")
    assert secure.seen[0].path == "/trusted"


@pytest.mark.parametrize("program", CLIENTS)
def test_a_host_that_is_not_listed_is_refused_and_the_rule_is_told(
    online: Installation, limited: Talk, program: str
) -> None:
    host = f"{program}.elsewhere.example"
    answer = run(limited, CLIENTS[program].format(host=host, port=443))
    rule = "networking: limited, and the host is not in allowed_hosts"
    assert f"{host}:443 ({rule})" in answer
    (told,) = [one for one in requests(limited) if one["host"] == host][:1]
    assert (told["decision"], told["rule"], told["status"]) == ("denied", rule, 403)


def test_a_refusal_of_plain_http_says_in_json_what_and_why(online: Installation, limited: Talk) -> None:
    answer = run(limited, "curl -sS -w ' %{http_code}' http://elsewhere.example/")
    assert '"host": "elsewhere.example"' in answer
    assert " 403" in answer


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254"),
        ("http://10.0.0.1/", "10.0.0.1"),
        ("https://192.168.0.1/", "192.168.0.1"),
        ("http://[fd00:ec2::254]/", "fd00:ec2::254"),
        ("http://127.0.0.1:1/", "127.0.0.1"),
        ("http://localhost:1/", "localhost"),
    ],
)
def test_no_environment_opens_what_is_not_public(online: Installation, unrestricted: Talk, url: str, host: str) -> None:
    answer = run(unrestricted, f"curl -sS -g --noproxy '' -m 20 '{url}'")
    assert "not public" in answer
    assert [one["decision"] for one in requests(unrestricted) if one["host"] == host] == ["denied"]


def test_a_redirect_to_a_closed_address_ends_there(online: Installation, unrestricted: Talk, plain: Server) -> None:
    plain.respond = lambda request: request.send(b"", 302, Location="http://169.254.169.254/latest/")
    answer = run(unrestricted, f"curl -sS -L http://{WORLD}:{plain.port}/")
    assert "169.254.169.254 is not allowed" in answer
    assert len(plain.seen) == 1


def test_there_is_no_way_around_the_proxy(online: Installation, unrestricted: Talk, plain: Server) -> None:
    answer = run(unrestricted, f"curl -sS -m 5 --noproxy '*' http://{WORLD}:{plain.port}/; getent hosts example.com")
    assert "Couldn't connect" in answer or "Failed to connect" in answer
    assert plain.seen == []


def test_each_request_is_on_the_log_with_its_size_and_without_content(
    online: Installation, client: anthropic.Anthropic, plain: Server
) -> None:
    talk = begin(client, networking=LIMITED)
    run(talk, f"curl -sS -d hidden=contents http://{WORLD}:{plain.port}/path?query=also")
    (told,) = requests(talk)
    assert (told["host"], told["port"], told["method"], told["status"]) == (WORLD, plain.port, "POST", 200)
    assert told["rule"] == f"allowed_hosts: {WORLD}"
    assert told["bytes_sent"] > len("hidden=contents")
    assert not {"hidden", "contents", "also", "/path"} & {str(value) for value in told.values()}
    compatible = {event.type for event in talk.log()}
    assert not any(name.startswith("ops.") for name in compatible)


def test_what_a_background_program_asks_is_on_the_log_too(
    online: Installation, client: anthropic.Anthropic, plain: Server
) -> None:
    talk = begin(client, networking=LIMITED)
    run(talk, f"(sleep 0.3; curl -sS http://{WORLD}:{plain.port}/late) >/dev/null 2>&1 &")
    wait_for(lambda: plain.seen, 20)
    run(talk, "true")
    assert requests(talk)[0]["host"] == WORLD


def test_a_change_of_the_environment_reaches_new_sandboxes_only(
    online: Installation, client: anthropic.Anthropic, plain: Server
) -> None:
    where = environment(client, networking=LIMITED)
    early = begin(client, environment_id=where)
    fetch = f"curl -sS http://{WORLD}:{plain.port}/"
    assert "allowed" not in run(early, fetch)
    change: Any = {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["elsewhere.example"]}}
    client.beta.environments.update(where, config=change)
    late = begin(client, environment_id=where)
    assert "is not allowed" in run(late, fetch)
    assert "is not allowed" not in run(early, fetch)


def test_sessions_go_on_when_the_proxy_is_killed(
    online: Installation, client: anthropic.Anthropic, plain: Server
) -> None:
    talk = begin(client, networking=LIMITED)
    fetch = f"curl -sS --retry 20 --retry-delay 1 --retry-all-errors -o /dev/null -w '%{{http_code}}' http://{WORLD}:{plain.port}/"
    assert run(talk, fetch).endswith("200")
    (before,) = online.pids("egress")
    online.kill("egress", signal.SIGKILL)
    wait_for(lambda: online.pids("egress") != [before], 30)
    assert run(talk, fetch).endswith("200")
    online.wait_ready()


def test_the_proxy_knows_nothing_of_the_installations_own_secrets(online: Installation) -> None:
    (pid,) = online.pids("egress")
    with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - a path of the kernel's
        names = {entry.partition(b"=")[0].decode() for entry in file.read().split(b"\0") if entry}
    # Where this machine's pip installs from, it must know: sandboxes with allow_package_managers use the same place.
    assert {name for name in names if name.endswith(("_URL", "_KEY", "_KEYS", "_TOKEN"))} == {"PIP_INDEX_URL"}


def test_too_many_requests_are_counted_not_listed(online: Installation, client: anthropic.Anthropic) -> None:
    talk = begin(client, networking=LIMITED)
    ask = (
        "import http.client\nfor n in range(600):\n"
        " c = http.client.HTTPConnection('127.0.0.1', 3128); c.request('GET', 'http://no.example/'); c.getresponse()\n"
        " c.close()"
    )
    run(talk, f'python3 -c "{ask}"')
    counted = operator_events(talk, "ops.network_requests_omitted")
    listed = operator_events(talk, "ops.network_request")
    assert sum(one["count"] for one in counted) + len(listed) >= 600
