"""What a credential is for: one server or one variable (spec advanced 1.6)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORTS = {"http": 80, "https": 443}


class BadUrl(ValueError):
    """Not the address of a server; the text says what is wrong and reads on after a field's name."""


def split(url: str) -> SplitResult:
    """The parts of a server's address: http or https, a host, no sign-in and no fragment."""
    if not url.isprintable() or " " in url:
        raise BadUrl("must not hold spaces or control characters")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BadUrl("is not a URL") from None
    if parts.scheme.lower() not in DEFAULT_PORTS or not parts.hostname:
        raise BadUrl("must be a URL that starts with https:// or http:// and names a host")
    if "@" in parts.netloc:
        raise BadUrl("must not hold a user name or password")
    if "#" in url:
        raise BadUrl("must not hold a fragment")
    return parts


def normalised(url: str) -> str:
    """The address as it is compared: scheme and host in small letters, no default port, no slash at the end.

    Path, subdomain, other ports and the query stay significant. Raises ``BadUrl``.
    """
    parts = split(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, DEFAULT_PORTS[scheme]) else f":{parts.port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{scheme}://{shown}{port}{parts.path.removesuffix('/')}{query}"


def server_slot(url: str) -> str:
    """The slot of credentials for the server at ``url``, 64 hexadecimal digits."""
    return _digest(f"server {normalised(url)}")


def variable_slot(name: str) -> str:
    """The slot of credentials for the environment variable ``name``."""
    return _digest(f"variable {name}")


def slot(auth: Mapping[str, Any]) -> str:
    """The slot of a stored or sent ``auth`` object."""
    if auth["type"] == "environment_variable":
        return variable_slot(auth["secret_name"])
    return server_slot(auth["mcp_server_url"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
