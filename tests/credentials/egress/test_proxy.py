"""What the proxy lets through, what it refuses, and how it says so."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from credentials.egress import client, records
from credentials.egress.packages import Packages
from credentials.egress.rules import Networking
from tests.credentials.egress.rig import API, OTHERS, UNRESTRICTED, Request, Rig, Server, drain, grant, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIMITED = Networking("limited", (API,))


def head(data: bytes) -> int:
    return int(data.split()[1])


def test_an_allowed_host_is_reached_through_a_tunnel(rig: Rig, api: Server) -> None:
    session = rig.session(LIMITED)
    connection = session.tls(API, api.port, trust=OTHERS.certificate)
    connection.request("GET", "/x")
    assert json.loads(connection.getresponse().read())["path"] == "/x"
    connection.close()
    (record,) = session.records()
    assert (record["host"], record["method"], record["decision"]) == (API, "CONNECT", "allowed")
    assert record["bytes_sent"] > 0 and record["bytes_received"] > 0


def test_a_host_that_is_not_listed_is_refused_with_its_name_and_the_rule(rig: Rig) -> None:
    session = rig.session(LIMITED)
    status, body = session.connect("evil.example.test", 443)
    error = json.loads(body)["error"]
    assert (status, error["type"], error["host"]) == (403, "egress_denied", "evil.example.test")
    assert "allowed_hosts" in error["rule"]
    assert session.plain("http://evil.example.test/").status == 403
    assert [r["status"] for r in session.records(2)] == [403, 403]
    assert not rig.asked  # a name that may not be reached is not looked up either


def test_plain_http_is_carried_with_its_body(rig: Rig) -> None:
    server = Server(None)
    rig.names[API] = [["127.0.0.1"]]
    answer = rig.session(LIMITED).raw(
        f"POST http://{API}:{server.port}/a?b=c HTTP/1.1\r\nHost: lies.example.test\r\nContent-Length: 3\r\n"
        "Proxy-Authorization: Basic eDp5\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\nabc".encode()
    )
    assert head(answer) == 200
    seen = server.seen[0]
    assert (seen.method, seen.path, seen.body) == ("POST", "/a?b=c", b"abc")
    assert seen.headers["host"] == f"{API}:{server.port}"
    assert not {"proxy-authorization", "x-hop"} & set(seen.headers)
    server.stop()


def test_one_connection_carries_several_plain_requests(rig: Rig) -> None:
    server = Server(None)
    rig.names[API] = [["127.0.0.1"]]
    request = f"GET http://{API}:{server.port}/ HTTP/1.1\r\nHost: x\r\n"
    answer = rig.session(LIMITED).raw(f"{request}\r\n{request}Connection: close\r\n\r\n".encode())
    assert answer.count(b"HTTP/1.1 200") == 2
    server.stop()


def test_a_body_in_chunks_and_an_expectation_are_carried(rig: Rig, api: Server) -> None:
    session = rig.session(LIMITED, grant("a-secret-of-some-length", API))
    connection = session.tls(API, api.port)
    connection.request("POST", "/", body=iter([b"ab", b"cd"]), headers={"Expect": "100-continue"}, encode_chunked=True)
    assert json.loads(connection.getresponse().read())["body"] == "abcd"
    connection.close()


@pytest.mark.parametrize("length", [0, 3])
@pytest.mark.parametrize("lent", [False, True])
def test_a_body_with_two_lengths_goes_on_with_one(rig: Rig, *, length: int, lent: bool) -> None:
    server = Server(None)
    rig.names[API] = [["127.0.0.1"]]
    answer = rig.session(LIMITED, *([grant("a-secret-of-some-length", API)] if lent else [])).raw(
        f"POST http://{API}:{server.port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"
        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n".encode()
    )
    server.stop()
    assert head(answer) == 200
    (seen,) = server.seen
    assert (seen.body, seen.headers["transfer-encoding"]) == (b"abcdef", "chunked")
    assert "content-length" not in seen.headers


@pytest.mark.parametrize(
    "request_line",
    ["GET / HTTP/1.1", "GET https://a.test/ HTTP/1.1", "GET ftp://a.test/ HTTP/1.1", "CONNECT a.test HTTP/1.1",
     "CONNECT a.test:0 HTTP/1.1", "CONNECT a.test:99999 HTTP/1.1", "GET http://u:p@a.test/ HTTP/1.1", "nonsense"],
)  # fmt: skip
def test_what_is_no_request_for_a_proxy_is_refused(rig: Rig, request_line: str) -> None:
    assert head(rig.session().raw(f"{request_line}\r\nHost: a.test\r\n\r\n".encode())) == 400


def test_headers_without_end_are_refused(rig: Rig) -> None:
    assert head(rig.session().raw(b"GET http://a.test/ HTTP/1.1\r\nX: " + b"x" * 70_000)) == 431


def test_a_client_that_says_nothing_is_let_go(rig: Rig) -> None:
    with rig.session().dial() as sock:
        assert drain(sock) == b""


def test_a_name_inside_tls_other_than_the_host_asked_for_is_refused(rig: Rig, api: Server) -> None:
    session = rig.session(LIMITED)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        session.tls(API, api.port, name="evil.example.test").request("GET", "/")
    (record,) = session.records()
    assert (record["decision"], record["rule"]) == ("denied", "the server's name inside TLS is not the host of CONNECT")
    assert not api.seen


def test_a_host_header_that_lies_inside_an_opened_connection_is_refused(rig: Rig, api: Server) -> None:
    session = rig.session(LIMITED, grant("a-secret-of-some-length", API))
    connection = session.tls(API, api.port)
    connection.request("GET", "/", headers={"Host": "evil.example.test"})
    assert connection.getresponse().status == 421
    connection.close()
    assert not api.seen


def test_a_server_with_a_foreign_certificate_gets_no_request(rig: Rig) -> None:
    server = Server("other.example.test")
    rig.names[API] = [["127.0.0.1"]]
    session = rig.session(LIMITED, grant("a-secret-of-some-length", API))
    connection = session.tls(API, server.port)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 502
    assert b"TLS failed" in answer.read()
    connection.close()
    assert not server.seen
    server.stop()


def test_only_http_1_1_is_offered(rig: Rig, api: Server) -> None:
    session = rig.session(LIMITED, grant("a-secret-of-some-length", API))
    context = ssl.create_default_context(cadata=session.told.trust)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with session.dial() as sock:
        sock.sendall(f"CONNECT {API}:{api.port} HTTP/1.1\r\nHost: {API}\r\n\r\n".encode())
        assert head(sock.recv(4096)) == 200
        with context.wrap_socket(sock, server_hostname=API) as inner:
            assert inner.selected_alpn_protocol() == "http/1.1"


def test_a_credentials_host_is_not_spoken_to_without_tls(rig: Rig, api: Server) -> None:
    session = rig.session(LIMITED, grant("a-secret-of-some-length", API))
    answer = session.raw(f"CONNECT {API}:{api.port} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n".encode())
    assert answer.count(b"HTTP/1.1") == 1
    assert session.records()[0]["rule"] == "a credential's host is reached by TLS only"


@pytest.fixture
def silent() -> Iterator[int]:
    """A port whose server accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_server_that_never_answers_is_given_up(rig: Rig, silent: int) -> None:
    rig.names[API] = [["127.0.0.1"]]
    session = rig.session(LIMITED)
    answer = session.plain(f"http://{API}:{silent}/")
    assert answer.status == 504
    assert API in json.loads(answer.read())["error"]["message"]
    assert session.records()[0]["decision"] == "failed"


@pytest.mark.parametrize(
    "said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, b"HTTP/1.1 101 Up\r\n\r\n"]
)
def test_a_server_that_speaks_no_http_is_an_error_that_names_it(rig: Rig, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        rig.names[API] = [["127.0.0.1"]]
        session = rig.session(LIMITED)
        with session.dial() as sock:
            sock.sendall(f"GET http://{API}:{listener.getsockname()[1]}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            upstream, _ = listener.accept()
            with upstream:
                upstream.recv(4096)
                upstream.sendall(said)
            answer = drain(sock)
    assert head(answer) == 502
    assert API.encode() in answer


def test_an_answer_that_breaks_off_is_not_made_to_look_whole(rig: Rig) -> None:
    def half(request: Request) -> None:
        request.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        request.handler.close_connection = True

    server = Server(API, half)
    rig.names[API] = [["127.0.0.1"]]
    session = rig.session(LIMITED, grant("a-secret-of-some-length", API))
    connection = session.tls(API, server.port)
    connection.request("GET", "/")
    import http.client

    with pytest.raises(http.client.IncompleteRead):
        connection.getresponse().read()
    connection.close()
    server.stop()


@pytest.fixture
def tight() -> Iterator[Rig]:
    rig = Rig(connections=2, bytes=100_000)
    rig.names[API] = [["127.0.0.1"]]
    yield rig
    rig.stop()


def test_a_sandbox_has_a_bounded_number_of_connections(tight: Rig) -> None:
    session = tight.session()
    with session.dial(), session.dial():
        until(lambda: tight.sessions.get(session.name).connections == 2)
        assert head(session.raw(b"GET http://a.test/ HTTP/1.1\r\nHost: a\r\n\r\n")) == 503


def test_a_connection_moves_a_bounded_number_of_bytes(tight: Rig) -> None:
    server = Server(None, lambda request: request.send(b"x" * 300_000))
    answer = tight.session().raw(f"GET http://{API}:{server.port}/ HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert len(answer) <= 100_000
    server.stop()


def test_a_session_whose_rules_are_not_known_passes_nothing(rig: Rig) -> None:
    session = rig.session()
    listener = socket.create_server(("127.0.0.1", 0))
    rig.gate.attach("sesn_unknown", listener)
    session.port = listener.getsockname()[1]
    assert session.connect("1.1.1.1", 443)[0] == 503


def test_hosts_of_package_managers_come_from_the_machine(rig: Rig, api: Server) -> None:
    other = Rig(packages=Packages([API], environment={}))
    other.names[API] = [["127.0.0.1"]]
    refused = other.session(Networking("limited"))
    assert refused.connect(API, api.port)[0] == 403
    session = other.session(Networking("limited", package_managers=True))
    connection = session.tls(API, api.port)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()
    other.stop()


async def _asked_slowly(packages: Packages) -> list[str]:
    order: list[str] = []

    async def answer() -> None:
        await asyncio.sleep(0)
        order.append("known")

    packages._ask = answer  # type: ignore[method-assign]
    task = asyncio.create_task(packages.ask())
    await asyncio.sleep(0)
    await packages.settled()
    order.append("told")
    await task
    return order


def test_a_session_that_begins_while_the_managers_are_asked_waits_for_their_answers() -> None:
    """It would never learn of them later: its sandbox is furnished once."""
    assert asyncio.run(_asked_slowly(Packages([], environment={}))) == ["known", "told"]
    asyncio.run(Packages([], environment={}).settled())


def test_a_great_number_of_requests_is_told_by_the_newest_and_a_count(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "KEPT", 10)
    session = rig.session(LIMITED)
    for _ in range(15):
        session.connect("evil.example.test", 443)
    report = client.report(rig.socket, session.name, "test")
    assert (len(report.records), report.omitted) == (10, 5)


def test_a_record_that_was_stored_is_not_told_again(rig: Rig) -> None:
    session = rig.session(LIMITED)
    session.connect("evil.example.test", 443)
    (first,) = session.records()
    session.connect("worse.example.test", 443)
    (second,) = client.report(rig.socket, session.name, "test", [first["id"]]).records
    assert (first["host"], second["host"]) == ("evil.example.test", "worse.example.test")


def test_a_record_goes_to_one_taker_until_that_one_is_taken_for_dead(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    session = rig.session(LIMITED)
    session.connect("evil.example.test", 443)
    assert [record["again"] for record in client.report(rig.socket, session.name, "one").records] == [False]
    assert client.report(rig.socket, session.name, "two").records == []
    monkeypatch.setattr(records, "TAKEN_SECONDS", -1.0)
    assert [record["again"] for record in client.report(rig.socket, session.name, "two").records] == [True]


def test_an_unrestricted_session_reaches_any_name(rig: Rig, api: Server) -> None:
    session = rig.session(UNRESTRICTED)
    connection = session.tls(API, api.port)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_worker_asks_over_one_connection_until_the_proxy_goes_away(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled: list[socket.socket] = []
    connected = client._connected

    def dial(path: Path) -> socket.socket:
        dialled.append(connected(path))
        return dialled[-1]

    monkeypatch.setattr(client, "_connected", dial)
    monkeypatch.setattr(client, "_idle", client._Idle())
    client.probe(rig.socket)
    client.probe(rig.socket)
    assert len(dialled) == 1
    dialled[0].shutdown(socket.SHUT_RDWR)
    client.probe(rig.socket)
    assert len(dialled) == 2
