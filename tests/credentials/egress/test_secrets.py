"""A secret goes to its hosts only, and comes back from nowhere."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import TYPE_CHECKING

import pytest

from credentials.egress import client
from credentials.egress.rules import Networking
from tests.credentials.egress.rig import API, UNRESTRICTED, Inside, Request, Rig, Server, grant, until

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator

SECRET = "canary-4f6e2d9a-\u00e9-secret"
RAW = SECRET.encode()


def asked(
    session: Inside, port: int, body: bytes | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = session.tls(API, port, trust=session.told.trust)
    connection.request("GET" if body is None else "POST", "/", body=body, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


@pytest.fixture
def session(rig: Rig, api: Server) -> Inside:
    return rig.session(Networking("limited", (API,)), grant(SECRET, API))


@pytest.fixture
def placed(session: Inside) -> str:
    return session.told.placeholders["API_TOKEN"]


def test_the_placeholder_is_as_long_as_the_secret_and_not_it(placed: str) -> None:
    assert len(placed) == len(RAW)
    assert placed.isalnum()


def test_a_secret_reaches_its_host_in_header_and_body(session: Inside, placed: str, api: Server) -> None:
    asked(session, api.port, f'{{"key": "{placed}"}}'.encode(), Authorization=f"Bearer {placed}")
    assert api.seen[0].headers["authorization"].encode("latin-1") == b"Bearer " + RAW
    assert api.seen[0].body == b'{"key": "' + RAW + b'"}'


def test_a_secret_reaches_its_host_within_basic_authentication(session: Inside, placed: str, api: Server) -> None:
    coded = base64.b64encode(f"me:{placed}".encode()).decode()
    _, content = asked(session, api.port, Authorization=f"Basic {coded}")
    assert base64.b64decode(api.seen[0].headers["authorization"].split()[1]) == b"me:" + RAW
    assert json.loads(content)["headers"]["authorization"] == f"Basic {coded}"


@pytest.mark.parametrize(("header", "body"), [(True, False), (False, True)])
def test_a_secret_goes_only_where_its_location_says(rig: Rig, api: Server, header: bool, body: bool) -> None:
    session = rig.session(UNRESTRICTED, grant(SECRET, API, header=header, body=body))
    placed = session.told.placeholders["API_TOKEN"]
    asked(session, api.port, placed.encode(), Authorization=placed)
    assert (api.seen[0].headers["authorization"].encode("latin-1") == RAW) is header
    assert (api.seen[0].body == RAW) is body


def test_a_secret_is_not_put_into_the_path(session: Inside, placed: str, api: Server) -> None:
    connection = session.tls(API, api.port, trust=session.told.trust)
    connection.request("GET", f"/?key={placed}")
    connection.getresponse().read()
    connection.close()
    assert api.seen[0].path == f"/?key={placed}"


def test_another_host_gets_the_placeholder_and_is_not_opened(rig: Rig, api: Server) -> None:
    session = rig.session(UNRESTRICTED, grant(SECRET, "other.example.test"))
    placed = session.told.placeholders["API_TOKEN"]
    connection = session.tls(API, api.port)
    connection.request("GET", "/", headers={"Authorization": placed})
    connection.getresponse().read()
    connection.close()
    assert api.seen[0].headers["authorization"] == placed
    assert session.records()[0]["opened"] is False


def test_another_sessions_placeholder_stays_what_it_is(rig: Rig, api: Server, placed: str) -> None:
    other = rig.session(UNRESTRICTED, grant("another-secret-of-the-other", API))
    asked(other, api.port, Authorization=placed)
    assert api.seen[0].headers["authorization"] == placed


def test_plain_http_gets_the_placeholder(rig: Rig) -> None:
    server = Server(None)
    rig.names[API] = [["127.0.0.1"]]
    session = rig.session(UNRESTRICTED, grant(SECRET, API))
    placed = session.told.placeholders["API_TOKEN"]
    assert session.plain(f"http://{API}:{server.port}/", Authorization=placed).status == 200
    assert server.seen[0].headers["authorization"] == placed
    server.stop()


def test_a_host_that_says_back_what_it_got_reveals_nothing(session: Inside, placed: str, api: Server) -> None:
    answer, content = asked(session, api.port, placed.encode(), Authorization=f"Bearer {placed}")
    assert answer.headers["x-echo"] == f"Bearer {placed}"
    assert RAW not in content and placed.encode() in content
    assert json.loads(content)["body"] == placed


FORMS = {
    "as it is": RAW,
    "in JSON": json.dumps(SECRET).encode(),
    "in base64": base64.b64encode(RAW),
    "in hexadecimal": RAW.hex().encode(),
    "in a URL": b"canary-4f6e2d9a-%C3%A9-secret",
}


def spoken(rig: Rig, *pieces: bytes, **headers: str) -> bytes:
    """What a sandbox reads when a credential's host answers with ``pieces``."""

    def respond(request: Request) -> None:
        request.send_chunks(pieces, **headers)

    server = Server(API, respond)
    rig.names[API] = [["127.0.0.1"]]
    session = rig.session(UNRESTRICTED, grant(SECRET, API))
    try:
        return asked(session, server.port)[1]
    finally:
        server.stop()


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_scrubbed_in_every_usual_form(rig: Rig, form: str) -> None:
    content = spoken(rig, b"<" + FORMS[form] + b">")
    assert FORMS[form] not in content
    assert content.startswith(b"<") and content.endswith(b">")


def test_a_secret_cut_over_many_chunks_is_scrubbed(rig: Rig) -> None:
    content = spoken(rig, *(bytes([byte]) for byte in b"<" + RAW + b">"))
    assert len(content) == len(RAW) + 2
    assert RAW not in content


@pytest.mark.parametrize(("name", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_packed_answer_is_unpacked_and_scrubbed(rig: Rig, name: str, pack: object) -> None:
    packed = pack(b"x" * 1_000_000 + RAW)  # type: ignore[operator]
    content = spoken(rig, packed[:10], packed[10:], Content_Encoding=name)
    assert len(content) == 1_000_000 + len(RAW)
    assert RAW not in content


def test_an_answer_in_an_unknown_packing_is_refused(rig: Rig) -> None:
    content = spoken(rig, b"whatever", Content_Encoding="br")
    assert json.loads(content)["error"]["type"] == "egress_failed"


def test_no_part_of_an_answer_is_asked_for(session: Inside, api: Server) -> None:
    asked(session, api.port, Range="bytes=0-3", Accept_Encoding="gzip")
    assert "range" not in api.seen[0].headers
    assert api.seen[0].headers["accept-encoding"] == "identity"


def test_a_short_secret_changes_the_length_of_a_body_and_it_still_arrives(rig: Rig, api: Server) -> None:
    session = rig.session(UNRESTRICTED, grant("pass", API))
    placed = session.told.placeholders["API_TOKEN"]
    _, content = asked(session, api.port, b"a=" + placed.encode())
    assert api.seen[0].body == b"a=pass"
    assert json.loads(content)["body"] == f"a={placed}"


def test_a_secret_that_no_header_can_hold_is_not_sent_and_not_told(rig: Rig, api: Server) -> None:
    session = rig.session(UNRESTRICTED, grant("two\r\nX-Lines: secret", API))
    answer, content = asked(session, api.port, Authorization=session.told.placeholders["API_TOKEN"])
    assert answer.status == 502
    assert b"Lines" not in content
    assert not api.seen


def test_a_replaced_secret_takes_effect_under_the_same_placeholder(
    rig: Rig, session: Inside, api: Server, placed: str
) -> None:
    known = rig.sessions.get(session.name).credentials[0]
    for secret in ("a-much-longer-secret-than-the-one-before", "short"):
        renewed = client.Grant(known.id, "API_TOKEN", type(known.secret)(secret), (API,), header=True, body=True)
        told = client.register(rig.socket, session.name, UNRESTRICTED, [renewed])
        assert told.placeholders["API_TOKEN"] == placed
        asked(session, api.port, Authorization=placed)
        assert api.seen[-1].headers["authorization"] == secret


def test_a_credential_taken_away_is_no_longer_put_in(rig: Rig, session: Inside, api: Server, placed: str) -> None:
    client.register(rig.socket, session.name, UNRESTRICTED, [])
    connection = session.tls(API, api.port)
    connection.request("GET", "/", headers={"Authorization": placed})
    connection.getresponse().read()
    connection.close()
    assert api.seen[0].headers["authorization"] == placed


def test_the_records_name_the_credential_and_hold_no_value(session: Inside, placed: str, api: Server) -> None:
    asked(session, api.port, Authorization=placed)
    asked(session, api.port)
    used, unused = session.records(2)
    assert (used["credential_names"], unused["credential_names"]) == (["API_TOKEN"], [])
    assert (used["method"], used["status"], used["opened"]) == ("GET", 200, True)
    assert RAW not in json.dumps([used, unused], ensure_ascii=False).encode()


def test_a_session_that_is_forgotten_passes_nothing(rig: Rig, session: Inside, api: Server) -> None:
    client.forget(rig.socket, session.name)
    assert not client.report(rig.socket, session.name, "test").known


@pytest.fixture
def restarted(rig: Rig) -> Iterator[Rig]:
    again = Rig()
    yield again
    again.stop()


def test_a_proxy_started_anew_gives_the_same_placeholder_and_is_trusted_still(
    restarted: Rig, session: Inside, placed: str
) -> None:
    known = session.rig.sessions.get(session.name).credentials[0]
    same = client.Grant(known.id, known.name, known.secret, known.hosts, header=True, body=True)
    told = client.register(restarted.socket, session.name, UNRESTRICTED, [same])
    server = Server()
    restarted.names[API] = [["127.0.0.1"]]
    later = Inside(restarted, session.name, 0, told)
    assert told.placeholders == {"API_TOKEN": placed}
    assert (
        later.rig.sessions.get(session.name).authority.certificate != session.told.trust
    )  # made anew, of the same key
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    later.port = listener.getsockname()[1]
    restarted.gate.attach(session.name, listener)
    connection = later.tls(API, server.port, trust=session.told.trust)
    connection.request("GET", "/", headers={"Authorization": placed})
    assert connection.getresponse().status == 200
    connection.close()
    until(lambda: server.seen)
    server.stop()
