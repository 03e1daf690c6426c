"""What the web server below Django says of requests that never became whole."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.web import http

from config.webserver import BODY_TIMEOUT, change_channel


class Channel(http.HTTPChannel):
    """A class of its own, so that no other test sees the changes."""

    timeOut = 60  # noqa: N815  # Twisted's name


change_channel(Channel)


def connected() -> tuple[Any, Any, Clock]:
    made: Any = Channel
    channel = made()
    clock = Clock()
    channel.callLater = clock.callLater
    transport: Any = StringTransport()  # type: ignore[no-untyped-call]
    channel.makeConnection(transport)
    return channel, transport, clock


def test_a_body_that_stops_coming_is_told_so_by_the_sdks_code() -> None:
    channel, transport, clock = connected()
    channel.dataReceived(b"POST /v1/agents HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{}")
    clock.advance(61)
    head, _, body = transport.value().partition(b"\r\n\r\n")
    told = json.loads(body)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert told["error"]["details"] == {"error_code": BODY_TIMEOUT}
    assert transport.disconnecting


def test_a_body_that_comes_slowly_but_comes_is_waited_for() -> None:
    channel, transport, clock = connected()
    channel.dataReceived(b"POST /v1/agents HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
    for _ in range(3):
        clock.advance(50)
        channel.dataReceived(b" ")
    assert not transport.value()


def test_a_connection_that_asks_for_nothing_is_closed_without_a_word() -> None:
    _, transport, clock = connected()
    clock.advance(61)
    assert not transport.value()
    assert transport.disconnecting
