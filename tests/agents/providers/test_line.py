"""A connection of our own: what it sends, which answers it reads, and after which it can be used again."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpcore2
import httpx2
import pytest

from agents.providers import interrupt, transport
from agents.providers.base import TurnInterrupted
from agents.providers.line import Line
from tests.agents.providers import tls
from tests.agents.providers.peer import accepted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Server:
    """Answers each whole request with the next of ``answers``; closes the connection once it has none left."""

    def __init__(self, *answers: bytes, certificate: Path | None = None) -> None:
        self._answers = list(answers)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._listener.getsockname()[1]}/"
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.reading = threading.Event()  # let it read
        self.reading.set()
        self.connections = 0

    def serve(self) -> None:
        for connection in accepted(self._listener):
            self.connections += 1
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Accept nobody any more."""
        self._listener.close()

    def _converse(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with connection if self._context is None else self._context.wrap_socket(connection, True) as connection:
            while self._read(connection) and self._answers:
                connection.sendall(self._answers.pop(0))
                if not self._answers:
                    return

    def _read(self, connection: socket.socket) -> bool:
        self.reading.wait(30)
        data = b""
        while b"\r\n\r\n" not in data:
            data += (more := connection.recv(1024))
            if not more:
                return False
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        taken = bytearray(body)
        while len(taken) < length or (b"chunked" in head and not taken.endswith(b"0\r\n\r\n")):
            taken += connection.recv(65_536)
        self.heads.append(head)
        self.bodies.append(bytes(taken))
        return True


@contextmanager
def asking(*answers: bytes, certificate: Path | None = None) -> Iterator[tuple[httpx2.Client, Server]]:
    server = Server(*answers, certificate=certificate)
    threading.Thread(target=server.serve, daemon=True).start()
    with transport.http_client(connect=10, read=10, streams=4) as client:
        yield client, server
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        CHUNKED + b"2;a=b\r\nok\r\n0\r\nx-sum: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    ],
)
def test_after_an_answer_that_ends_by_itself_the_connection_is_used_again(answer: bytes) -> None:
    with asking(answer, answer) as (client, server):
        assert [client.get(server.url).content for _ in range(2)] == [b"ok", b"ok"]
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + b"and more",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_after_one_that_says_or_sends_more_it_is_not(answer: bytes) -> None:
    with asking(answer, answer) as (client, server):
        assert [client.get(server.url).content for _ in range(2)] == [b"ok", b"ok"]
    assert server.connections == 2


def test_an_answer_without_a_length_goes_on_to_the_connections_end() -> None:
    with asking(b"HTTP/1.1 200 OK\r\n\r\nall of it") as (client, server):
        assert client.get(server.url).content == b"all of it"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nok",
        CHUNKED + b"20\r\nok",
        CHUNKED + b"zz\r\nok\r\n",
    ],
)
def test_a_broken_answer_is_the_servers_fault(answer: bytes) -> None:
    with asking(*([answer] if answer else [])) as (client, server):
        for _ in range(2):  # the second time it does not answer at all
            with pytest.raises(httpx2.RemoteProtocolError):
                client.get(server.url)
    assert server.connections == 2


def test_a_head_is_said_anew_whenever_it_is_another() -> None:
    with asking(OK, OK, OK, OK) as (client, server):
        client.post(server.url, content=b"one")
        client.post(server.url, content=b"three")
        client.get(f"{server.url}elsewhere", headers={"x-mine": "yes"})
        client.post(server.url, content=iter([b"in ", b"parts"]))
    assert server.bodies == [b"one", b"three", b"", b"3\r\nin \r\n5\r\nparts\r\n0\r\n\r\n"]
    assert b"Content-Length: 3" in server.heads[0]
    assert server.heads[1] == server.heads[0].replace(b"Content-Length: 3", b"Content-Length: 5")
    assert server.heads[2].startswith(b"GET /elsewhere")
    assert b"x-mine: yes" in server.heads[2]
    assert b"x-mine" not in server.heads[3]


def test_a_header_that_holds_a_line_of_its_own_is_not_sent() -> None:
    with asking(OK) as (client, server), pytest.raises(httpx2.LocalProtocolError):
        client.get(server.url, headers=[(b"x-mine", b"yes\r\nx-other: yes")])
    assert server.heads == []


def test_a_body_of_another_length_than_is_said_is_not_sent() -> None:
    with asking(OK) as (client, server), pytest.raises(httpx2.LocalProtocolError, match="not as long"):
        client.post(server.url, content=b"four", headers={"content-length": "5"})
    assert server.heads == []


def test_a_body_larger_than_a_sockets_buffers_arrives_whole() -> None:
    body = bytes(range(256)) * 64_000
    with asking(OK) as (client, server):
        server.reading.clear()
        threading.Timer(0.05, server.reading.set).start()
        assert client.post(server.url, content=body).content == b"ok"
    assert server.bodies == [body]


@pytest.mark.parametrize("behind_a_proxy", [False, True])
def test_over_tls_large_bodies_and_many_chunks_arrive_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind_a_proxy: bool
) -> None:
    certificate = tls.certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    body, answer = bytes(range(256)) * 16_000, CHUNKED + b"5\r\nhello\r\n" * 20_000 + b"0\r\n\r\n"
    with tls.tunnelling() as (proxy, asked):
        if behind_a_proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy)
        with asking(answer, answer, certificate=certificate) as (client, server):
            for _ in range(2):
                with interrupt.scope(lambda: False, seconds=60, max_bytes=10_000_000):
                    assert client.post(server.url, content=body).content == b"hello" * 20_000
        assert len(asked) == int(behind_a_proxy)
    assert server.bodies == [body, body]
    assert server.connections == 1


def test_sending_to_a_server_that_does_not_read_can_be_interrupted_and_has_an_end() -> None:
    body = b"x" * 64_000_000
    with asking() as (client, server):
        server.reading.clear()
        with pytest.raises(httpx2.WriteTimeout):
            client.post(server.url, content=body, timeout=httpx2.Timeout(10, write=0.05))
        with pytest.raises(TurnInterrupted), interrupt.scope(_after(3), seconds=60, max_bytes=1000):
            client.post(server.url, content=body)
        server.reading.set()


def test_after_a_request_that_was_not_sent_whole_the_connection_is_not_used_again() -> None:
    class Early(httpcore2.NetworkStream):
        """A server that answers, and reads no more."""

        def write_all(self, pieces: object, timeout: float | None = None) -> None:
            raise httpcore2.WriteError("it does not read")

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            return OK

        def close(self) -> None:
            """Nothing to close."""

    line = Line(lambda _: Early(), None)  # type: ignore[arg-type, return-value]
    assert line.request("GET", "http://model.test/").content == b"ok"
    assert line.is_closed()


def test_a_pool_of_httpcores_takes_a_line_as_one_of_its_connections() -> None:
    with asking(OK) as (_, server):
        opener = httpcore2.ConnectionPool(network_backend=transport.PolledBackend(httpcore2.SyncBackend()))
        line = transport._connection(opener, httpcore2.URL(server.url).origin)
        assert not line.is_available()
        assert line.request("GET", server.url).content == b"ok"
        assert line.is_idle()
        line.close()
        assert line.is_closed()
    assert server.connections == 1


def _after(times: int) -> Callable[[], bool]:
    asked = iter(range(times))
    return lambda: next(asked, None) is None
