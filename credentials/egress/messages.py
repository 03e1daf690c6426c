"""HTTP messages as they pass through: what is left out, what is put in, what is cleaned. Pure but for zlib's state."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import h11

from credentials.egress import placeholders
from credentials.egress.placeholders import Pair, Replacer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from credentials.egress.sessions import Held

Headers = list[tuple[bytes, bytes]]
OF_ONE_CONNECTION = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"te",
        b"trailer",
        b"upgrade",
        b"expect",
    }
)
# A part or a packed form of an answer could carry a secret past the scrubbing.
UNREADABLE_ANSWERS = frozenset({b"accept-encoding", b"range", b"if-range"})
PACKED = frozenset({b"gzip", b"x-gzip", b"deflate"})
DECODED_PIECE = 256 * 1024


class Undecodable(Exception):
    """An answer in an encoding that can't be read, so not scrubbed either."""


def passed_on(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Without what concerns only one connection, and with one length of the body: of two that contradict each other,
    a server could believe the other one, and take the body for requests that nobody judged (RFC 9112, 6.3).
    """
    known = list(headers)
    if header(known, b"transfer-encoding") is not None:
        known = [(name, value) for name, value in known if name != b"content-length"]
    named = {token.strip().lower() for name, value in known if name == b"connection" for token in value.split(b",")}
    return [(name, value) for name, value in known if name not in OF_ONE_CONNECTION and name not in named]


def header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    return next((value for name, value in headers if name == wanted), None)


@dataclass(slots=True)
class Outgoing:
    """A request with the secrets in it, and what its answer must be cleaned of."""

    request: h11.Request
    body: Replacer
    scrub: list[Pair]
    used: list[str] = field(default_factory=list)
    held: Sequence[Held] = ()

    def note_body(self) -> None:
        """After the body has passed."""
        found = [held.id for held in self.held if held.placeholder in self.body.met]
        self.used += [one for one in found if one not in self.used]


def outgoing(request: h11.Request, authority: bytes, held: Sequence[Held], *, inject: Sequence[Held]) -> Outgoing:
    """The request for the server called ``authority``. ``held`` are the credentials of that host, which its answer is
    cleaned of; the secrets of ``inject`` are put in.
    """
    scrub = placeholders.all_scrubbing([(one.value, one.placeholder) for one in held])
    headers = [(name, value) for name, value in passed_on(request.headers) if name != b"host"]
    if held:
        headers = [(name, value) for name, value in headers if name not in UNREADABLE_ANSWERS]
        headers.append((b"accept-encoding", b"identity"))
    used: list[str] = []
    for one in inject:
        if one.header:
            headers, more, hit = _filled(headers, one)
            scrub += more
            used += [one.id] if hit else []
    body = Replacer([(one.placeholder, one.value) for one in inject if one.body])
    headers = _framed(headers, body)
    made = h11.Request(
        method=request.method,
        target=origin_form(request.target),
        headers=[(b"host", authority), *headers, (b"connection", b"close")],
    )
    return Outgoing(made, body, scrub, used, inject)


def _filled(headers: Headers, held: Held) -> tuple[Headers, list[Pair], bool]:
    replacer = Replacer([(held.placeholder, held.value)])
    filled: Headers = []
    scrub: list[Pair] = []
    for name, value in headers:
        new, more = placeholders.put_in_header(value, replacer)
        filled.append((name, new))
        scrub += more
    return filled, scrub, replacer.count > 0


def _framed(headers: Headers, body: Replacer) -> Headers:
    """A body whose length may change is sent in chunks."""
    if body.keeps_length or header(headers, b"content-length") in (None, b"0"):
        return headers
    kept = [(name, value) for name, value in headers if name not in (b"content-length", b"transfer-encoding")]
    return [*kept, (b"transfer-encoding", b"chunked")]


def origin_form(target: bytes) -> bytes:
    """A target without scheme and host."""
    if target.startswith((b"http://", b"HTTP://")):
        slash = target.find(b"/", len(b"http://"))
        return b"/" if slash < 0 else target[slash:]
    return target


class Incoming:
    """The way of one answer: decoded where it must be read, and cleaned."""

    def __init__(self, response: h11.Response, scrub: Sequence[Pair], *, has_body: bool) -> None:
        self._replacer = Replacer(scrub)
        packed = (header(response.headers, b"content-encoding") or b"identity").strip().lower()
        self._unpack = None
        headers = passed_on(response.headers)
        if scrub and has_body and packed != b"identity":
            if packed not in PACKED:
                raise Undecodable(packed.decode("latin-1")[:40])
            self._unpack = _Unpacker()
            headers = [(name, value) for name, value in headers if name != b"content-encoding"]
        if has_body and (self._unpack or not self._replacer.keeps_length):
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        # What the server chunked is chunked anew towards the client.
        headers = [(n, self._replacer.whole(v)) for n, v in headers if n != b"transfer-encoding"]
        self.response = h11.Response(
            status_code=response.status_code, reason=self._replacer.whole(bytes(response.reason)), headers=headers
        )

    def feed(self, data: bytes) -> Iterable[bytes]:
        pieces = self._unpack.feed(data) if self._unpack else (data,)
        for piece in pieces:
            yield self._replacer.feed(piece)

    def finish(self) -> bytes:
        rest = self._replacer.feed(self._unpack.finish()) if self._unpack else b""
        return rest + self._replacer.finish()


class _Unpacker:
    """gzip and deflate, never more than a piece at a time."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        self._begun = False

    def feed(self, data: bytes) -> Iterable[bytes]:
        while data:
            try:
                yield self._object.decompress(data, DECODED_PIECE)
            except zlib.error:
                if self._begun:
                    raise Undecodable("broken compression") from None
                # "deflate" means either of two forms; this server uses the bare one.
                self._object, self._begun = zlib.decompressobj(wbits=-zlib.MAX_WBITS), True
                continue
            self._begun = True
            data = self._object.unconsumed_tail
            if self._object.eof and self._object.unused_data:
                data = self._object.unused_data
                self._object = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    def finish(self) -> bytes:
        """What zlib still holds, a few bytes at most: of an answer that ended where a piece did."""
        return self._object.flush()


def refusal(status: int, kind: str, text: str, *, host: str, rule: str) -> tuple[h11.Response, bytes]:
    """Our own answer: JSON that names host and rule."""
    error = {"type": kind, "message": text, "host": host, "rule": rule}
    body = json.dumps({"error": error}).encode() + b"\n"
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-holdfast-egress", kind.encode()),
        (b"connection", b"close"),
    ]
    return h11.Response(status_code=status, headers=headers, reason=kind.replace("_", " ").encode()), body
