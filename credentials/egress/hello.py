"""Reads the server's name out of the first bytes of a TLS connection. Pure."""

from __future__ import annotations

from dataclasses import dataclass

HANDSHAKE, CLIENT_HELLO, SERVER_NAME = 22, 1, 0
MAX_HELLO = 64 * 1024
RECORD_HEAD, MESSAGE_HEAD = 5, 4


class NotTls(Exception):
    """The bytes begin something else."""


class Unreadable(Exception):
    """It begins like TLS, but isn't what a client may say first."""


@dataclass(frozen=True, slots=True)
class Hello:
    """``server_name`` is None where the client names no server."""

    server_name: str | None


def read(data: bytes) -> Hello | None:
    """The client's hello; None while more bytes are needed."""
    if not data:
        return None
    if data[0] != HANDSHAKE:
        raise NotTls
    message = _message(data)
    if message is None:
        if len(data) > MAX_HELLO:
            raise Unreadable("the first message is too long")
        return None
    try:
        return Hello(_server_name(_extensions(message)))
    except (IndexError, UnicodeDecodeError):
        raise Unreadable("the first message is broken") from None


def _message(data: bytes) -> bytes | None:
    """The first handshake message, put together from its records."""
    body, place = b"", 0
    while len(data) >= place + RECORD_HEAD:
        if data[place] != HANDSHAKE or data[place + 1] != 3:
            raise Unreadable("a record of another kind")
        end = place + RECORD_HEAD + int.from_bytes(data[place + 3 : place + 5])
        body += data[place + RECORD_HEAD : end]
        if body and body[0] != CLIENT_HELLO:
            raise Unreadable("not a client's hello")
        if len(body) >= MESSAGE_HEAD:
            length = MESSAGE_HEAD + int.from_bytes(body[1:4])
            if length > MAX_HELLO:
                raise Unreadable("the first message is too long")
            if len(body) >= length:
                return body[MESSAGE_HEAD:length]
        if len(data) < end:
            return None
        place = end
    return None


def _extensions(message: bytes) -> bytes:
    place = 2 + 32
    place += 1 + message[place]
    place += 2 + _number(message, place)
    place += 1 + message[place]
    if place == len(message):
        return b""
    return _slice(message, place + 2, _number(message, place))


def _server_name(extensions: bytes) -> str | None:
    place = 0
    while place < len(extensions):
        kind, length = _number(extensions, place), _number(extensions, place + 2)
        body = _slice(extensions, place + 4, length)
        place += 4 + length
        if kind == SERVER_NAME:
            # A list of which TLS knows one kind of entry: 2 bytes of length, 1 of kind, 2 of length, the name.
            return _slice(body, 5, _number(body, 3)).decode("ascii")
    return None


def _number(data: bytes, place: int) -> int:
    return int.from_bytes(_slice(data, place, 2))


def _slice(data: bytes, place: int, length: int) -> bytes:
    found = data[place : place + length]
    if len(found) != length:
        raise IndexError
    return found
