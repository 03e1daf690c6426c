"""Host names as lists of allowed hosts take them."""

from __future__ import annotations

import re

HOST = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
MAX_HOST = 255
WANTED = "must be a bare host such as example.com or *.example.com, without scheme, port or path"


def is_host(text: str) -> bool:
    """A host name, an IPv4 address, or ``*.`` and a host name; nothing with a scheme, port, path or colon."""
    return len(text) <= MAX_HOST and HOST.fullmatch(text) is not None
