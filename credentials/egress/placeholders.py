"""What a sandbox holds in a secret's place, and how one is put for the other in a stream of bytes. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from credentials.encodings import forms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
SHORTEST = 12  # of a placeholder: not to be guessed, and met nowhere by chance
SHORTEST_SCRUBBED = 4  # shorter secrets are met everywhere by chance

Pair = tuple[bytes, bytes]


def derive(key: bytes, session_id: str, credential_id: str, length: int) -> bytes:
    """The placeholder of a credential in a session: the same every time, as long as the secret or ``SHORTEST``."""
    wanted, made, block = max(length, SHORTEST), b"", 0
    while len(made) < wanted:
        made += hmac.digest(key, f"placeholder\0{session_id}\0{credential_id}\0{block}".encode(), hashlib.sha256)
        block += 1
    return bytes(ALPHABET[byte % len(ALPHABET)] for byte in made[:wanted])


class Replacer:
    """Replaces byte strings in a stream, however it is cut. Of two that begin at one place the longer one counts."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._pairs = dict(pairs)
        ordered = sorted(self._pairs, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, ordered))) if ordered else None
        self._longest = len(ordered[0]) if ordered else 0
        self._held = b""
        self.count = 0
        self.met: set[bytes] = set()

    @property
    def keeps_length(self) -> bool:
        return all(len(old) == len(new) for old, new in self._pairs.items())

    def feed(self, data: bytes) -> bytes:
        """What is sure by now. Held back is only an end that may be the beginning of something to replace."""
        if self._pattern is None:
            return data
        data, place, out = self._held + data, 0, []
        while True:
            hold = self._doubtful(data, place)
            found = self._pattern.search(data, place)
            if found is None or found.start() >= hold:
                break
            out += [data[place : found.start()], self._put(found)]
            place = found.end()
        self._held = data[hold:]
        return b"".join([*out, data[place:hold]])

    def finish(self) -> bytes:
        """The rest, at the end of the stream."""
        rest, self._held = self._held, b""
        return self.whole(rest)

    def whole(self, data: bytes) -> bytes:
        """A complete value in one go."""
        if self._pattern is None:
            return data
        return self._pattern.sub(self._put, data)

    def _put(self, found: re.Match[bytes]) -> bytes:
        self.count += 1
        self.met.add(found.group())
        return self._pairs[found.group()]

    def _doubtful(self, data: bytes, place: int) -> int:
        """Where the longest end of ``data`` starts that is a proper beginning of something to replace."""
        start = max(place, len(data) - self._longest + 1)
        for at in range(start, len(data)):
            end = data[at:]
            if any(len(old) > len(end) and old.startswith(end) for old in self._pairs):
                return at
        return len(data)


def scrubbing(secret: bytes, placeholder: bytes) -> list[Pair]:
    """What a response is cleaned of: the secret, however it may be written."""
    if len(secret) < SHORTEST_SCRUBBED:
        return []
    pairs = dict(zip(forms(secret), forms(placeholder), strict=True))
    return list(pairs.items())


def put_in_header(value: bytes, replacer: Replacer) -> tuple[bytes, list[Pair]]:
    """A header's value with the secrets put in, also inside ``Basic``; and what to scrub besides the secrets."""
    scheme, _, coded = value.partition(b" ")
    if scheme.lower() == b"basic":
        try:
            plain = base64.b64decode(coded.strip(), validate=True)
        except binascii.Error:
            plain = b""
        filled = replacer.whole(plain)
        if filled != plain:
            new = base64.b64encode(filled)
            return scheme + b" " + new, [(new, coded.strip())]
    return replacer.whole(value), []


def all_scrubbing(held: Sequence[tuple[bytes, bytes]]) -> list[Pair]:
    """The pairs of every (secret, placeholder)."""
    return [pair for secret, placeholder in held for pair in scrubbing(secret, placeholder)]
