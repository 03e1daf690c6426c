"""A client that goes away ends its request towards the server, whatever either was waiting for."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from credentials.egress.rules import Networking
from tests.credentials.egress.rig import API, Request, Rig, Server, grant, until

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITED = Networking("limited", (API,))


@pytest.fixture
def patient() -> Iterator[Rig]:
    """Waits far longer than a test does for what says nothing."""
    rig = Rig(idle_seconds=600.0, server_seconds=600.0)
    rig.names[API] = [["127.0.0.1"]]
    yield rig
    rig.stop()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"])
def test_a_request_whose_client_hangs_up_is_ended_towards_its_server_at_once(patient: Rig, said: bytes) -> None:
    session = patient.session(LIMITED)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with session.dial() as sock:
            sock.sendall(f"GET http://{API}:{listener.getsockname()[1]}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            upstream, _ = listener.accept()
            upstream.settimeout(60)
            upstream.recv(4096)
            upstream.sendall(said)
            if said:
                assert sock.recv(4096)
        with upstream:
            assert upstream.recv(4096) == b""
    until(lambda: patient.sessions.get(session.name).connections == 0)
    assert session.records()[0]["decision"] == "failed"


def test_a_request_inside_tls_whose_client_hangs_up_is_ended_too(patient: Rig) -> None:
    over, begun = threading.Event(), threading.Event()

    def slow(request: Request) -> None:
        begun.set()
        request.handler.connection.settimeout(60)
        assert request.handler.rfile.read(1) == b""
        over.set()

    server = Server(API, slow)
    session = patient.session(LIMITED, grant("a-secret-of-some-length", API))
    connection = session.tls(API, server.port)
    connection.request("GET", "/")
    assert begun.wait(60)
    connection.close()
    assert over.wait(60)
    server.stop()


def test_what_a_client_says_before_the_answer_came_is_its_next_request(patient: Rig) -> None:
    def first_late(request: Request) -> None:
        if request.path == "/first":
            assert second_sent.wait(60)
        request.send(request.path.encode())

    second_sent, server = threading.Event(), Server(None, first_late)
    session = patient.session(LIMITED)
    with session.dial() as sock:
        sock.sendall(f"GET http://{API}:{server.port}/first HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        until(lambda: server.seen)
        sock.sendall(f"GET http://{API}:{server.port}/second HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        second_sent.set()
        sock.settimeout(60)
        answer = b""
        while b"/second" not in answer:
            answer += sock.recv(4096)
    assert answer.count(b"HTTP/1.1 200") == 2
    server.stop()
