"""One line of JSON at a time, by the interpreter's own coder without the ``json`` package around it.

That package loads regular expressions and enumerations, which take longer than the rest of a start.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Lines:
    """The lines that come by a descriptor, as they come."""

    def __init__(self, fd: int) -> None:
        self._fd, self._begun = fd, list[bytes]()

    def take(self) -> list[bytes]:
        """Those that were ended by what is read now, perhaps none. Waits; raises ``EOFError`` at the end."""
        data = os.read(self._fd, 65536)
        if not data:
            raise EOFError
        self._begun.append(data)
        if b"\n" not in data:
            return []
        *ended, rest = b"".join(self._begun).split(b"\n")
        self._begun = [rest]
        return ended


class _Reading:
    """What the scanner asks of a decoder: what is usual for JSON."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = float


def _refuse(value: Any) -> Any:
    raise TypeError("no JSON: %r" % type(value))


def _coder() -> tuple[Callable[[str], Any], Callable[[Any], str]]:
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    scan = make_scanner(_Reading)  # type: ignore[arg-type]  # any object with these names
    encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, True)
    if scan('{"a": [1.5]}', 0)[0] != {"a": [1.5]} or "".join(encode({"a": [1.5]}, 0)) != '{"a": [1.5]}':
        raise TypeError("an unknown kind of coder")
    return lambda text: scan(text, 0)[0], lambda value: "".join(encode(value, 0))


try:
    _loads, _dumps = _coder()
except (ImportError, TypeError, AttributeError):  # an interpreter that has it elsewhere
    from json import dumps as _dumps
    from json import loads as _loads


def read(line: bytes) -> Any:
    """The value of a line; it must begin with it."""
    return _loads(line.decode())


def written(value: Any) -> bytes:
    """A value as a line, in ASCII."""
    return _dumps(value).encode("ascii") + b"\n"
