"""Which addresses the web tools may use: the rules of an agent's tool settings (spec core 5.4). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_URL = 2_048


def split(url: str) -> SplitResult | None:
    """The parts of a web address; None for anything that a browser's address bar would not open as one."""
    if not url.isprintable() or " " in url or len(url) > LONGEST_URL:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    return parts


def permitted(parts: SplitResult, config: Mapping[str, Any]) -> bool:
    """True unless ``allowed_domains`` leaves the address out or ``blocked_domains`` names it."""
    allowed, blocked = config.get("allowed_domains"), config.get("blocked_domains")
    if allowed is not None and not _any(allowed, parts):
        return False
    return blocked is None or not _any(blocked, parts)


def _any(domains: Iterable[str], parts: SplitResult) -> bool:
    return any(_matches(domain, parts) for domain in domains)


def _matches(domain: str, parts: SplitResult) -> bool:
    """A domain stands for itself and its subdomains; with a path, for addresses below it only."""
    name, _, path = domain.lower().partition("/")
    host = (parts.hostname or "").lower().rstrip(".")
    if host != name and not host.endswith("." + name):
        return False
    below = path.rstrip("/")
    given = parts.path.lower().lstrip("/")
    return not below or given == below or given.startswith(below + "/")
