"""The addresses that are dialled, and those that never are."""

from __future__ import annotations

import pytest

from credentials.addresses import networks
from credentials.egress.reach import dialable
from credentials.egress.rules import Networking
from tests.credentials.egress.rig import API, Rig, Server

INSIDE = [
    "127.0.0.1", "127.8.8.8", "::1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "169.254.169.254",
    "0.0.0.0", "fd00::1", "fe80::1", "fe80::1%eth0", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fd00:ec2::254", "224.0.0.1",
    "255.255.255.255", "168.63.129.16", "x",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not dialable(address, ())


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_dialled(address: str) -> None:
    assert dialable(address, ())


def test_a_network_that_the_operator_opened_is_dialled() -> None:
    assert dialable("10.1.2.3", networks(["10.0.0.0/8"]))
    assert dialable("::ffff:10.1.2.3", networks(["10.0.0.0/8"]))
    assert not dialable("10.1.2.3", networks(["192.168.0.0/16"]))


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254"])
def test_no_setting_opens_the_metadata_service(address: str) -> None:
    assert not dialable(address, networks(["0.0.0.0/0", "::/0", "169.254.0.0/16", "fd00::/8"]))


def test_loopback_opens_only_for_a_network_within_loopback() -> None:
    assert not dialable("127.0.0.1", networks(["0.0.0.0/0"]))
    assert dialable("127.0.0.1", networks(["127.0.0.0/8"]))
    assert dialable("::1", networks(["::1/128"]))


@pytest.fixture
def closed() -> object:
    rig = Rig(allow=())
    yield rig
    rig.stop()


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["::1"], ["10.0.0.1"], ["::ffff:127.0.0.1"], ["1.1.1.1", "127.0.0.1"]]
)
def test_a_name_that_stands_for_a_private_address_is_refused(closed: Rig, answers: list[str]) -> None:
    closed.names["inside.example.test"] = [answers]
    session = closed.session()
    status, body = session.connect("inside.example.test", 443)
    assert status == 403
    assert b"inside.example.test" in body and b"not public" in body
    assert session.plain("http://inside.example.test/").status == 403
    assert {record["decision"] for record in session.records(2)} == {"denied"}


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[::1]", "127.0.0.1", "0x7f000001", "2130706433", "127.1", "[::ffff:7f00:1]"]
)
def test_an_address_that_is_written_down_is_judged_like_a_name(closed: Rig, host: str) -> None:
    assert closed.session().connect(host, 80)[0] in (403, 502)


def test_the_address_that_was_checked_is_the_one_dialled(rig: Rig) -> None:
    """A name that answers with another address the second time is not asked a second time."""
    server = Server(None)
    rig.names[API] = [["127.0.0.1"], ["10.9.9.9"]]
    assert rig.session().plain(f"http://{API}:{server.port}/").status == 200
    assert rig.asked == [API]
    server.stop()


def test_a_name_that_turns_private_between_two_requests_is_refused_then(rig: Rig, api: Server) -> None:
    rig.names[API] = [["127.0.0.1"], ["10.9.9.9"]]
    session = rig.session()
    assert session.plain(f"http://{API}:1/").status == 502
    assert session.connect(API, api.port)[0] == 403


def test_a_redirect_is_followed_by_the_client_alone_and_judged_anew(rig: Rig) -> None:
    def away(request: object) -> None:
        request.send(b"", 302, Location="http://169.254.169.254/latest/")  # type: ignore[attr-defined]

    server = Server(None, away)
    rig.names[API] = [["127.0.0.1"]]
    session = rig.session(Networking("limited", (API,)))
    answer = session.plain(f"http://{API}:{server.port}/")
    assert (answer.status, answer.headers["location"]) == (302, "http://169.254.169.254/latest/")
    assert session.plain("http://169.254.169.254/latest/").status == 403
    server.stop()


def test_an_unknown_name_and_a_closed_port_are_told_apart_from_a_refusal(rig: Rig) -> None:
    rig.names[API] = [["127.0.0.1"]]
    session = rig.session()
    assert session.connect(API, 1)[0] == 502
    assert session.connect("nowhere.example.test", 443)[0] == 502
    assert [record["decision"] for record in session.records(2)] == ["failed", "failed"]
