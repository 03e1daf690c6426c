"""What a credential may be used for, beyond what its kind says: agents, tools, hosts, methods. Pure.

A scope is the stored JSON object ``{"agents", "tools", "hosts", "methods"}``; a list that is missing or null limits
nothing, an empty one is not stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.errors import InvalidRequest
from contract.hosts import WANTED, is_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIELDS = ("agents", "tools", "hosts", "methods")
MAX_ENTRIES = 64
MAX_ENTRY = 255
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Scope = dict[str, list[str]]


def checked(sent: Mapping[str, Any] | None, where: str = "holdfast.scope") -> Scope:
    """The scope to store. Raises ``InvalidRequest`` naming the field."""
    scope: Scope = {}
    for field in FIELDS:
        names = (sent or {}).get(field)
        if names is None:
            continue
        if not names:
            raise InvalidRequest(f"{where}.{field}: must name something; null or leaving it out means any")
        if len(names) > MAX_ENTRIES:
            raise InvalidRequest(f"{where}.{field}: at most {MAX_ENTRIES} entries are allowed")
        scope[field] = [_entry(field, name, f"{where}.{field}.{index}") for index, name in enumerate(names)]
    return scope


def _entry(field: str, name: str, where: str) -> str:
    if field == "methods":
        if name.upper() not in METHODS:
            raise InvalidRequest(f"{where}: must be one of {', '.join(sorted(METHODS))}")
        return name.upper()
    if field == "hosts" and not is_host(name):
        raise InvalidRequest(f"{where}: {WANTED}")
    if not 1 <= len(name) <= MAX_ENTRY or not name.isprintable():
        raise InvalidRequest(f"{where}: must be 1 to {MAX_ENTRY} printable characters long")
    return name.lower() if field == "hosts" else name


def excluded(
    scope: Mapping[str, Sequence[str]], *, agent: str | None = None, tool: str | None = None, host: str | None = None
) -> str | None:
    """Why a use falls outside of the scope, as a rule's name; None if it does not. What is None isn't looked at."""
    for field, value in (("agents", agent), ("tools", tool)):
        if value is not None and field in scope and value not in scope[field]:
            return f"scope: {field} does not hold {value}"
    if host is not None and "hosts" in scope and not any(matches(entry, host) for entry in scope["hosts"]):
        return f"scope: hosts does not hold {host}"
    return None


def described(scope: Mapping[str, Sequence[str]]) -> str:
    """The scope as the rule that a use is recorded with."""
    parts = [f"{field} {', '.join(scope[field])}" for field in FIELDS if field in scope]
    return f"scope: {'; '.join(parts)}" if parts else "scope: any"


def matches(pattern: str, host: str) -> bool:
    """Whether a host, or every host of a pattern, is one of ``pattern``'s."""
    pattern, host = pattern.lower(), host.lower()
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def narrowed(hosts: Sequence[str] | None, others: Sequence[str] | None) -> tuple[str, ...] | None:
    """The hosts that both lists name; None is any host."""
    if hosts is None or others is None:
        both = hosts if others is None else others
        return None if both is None else tuple(both)
    found = [host for host in hosts if any(matches(other, host) for other in others)]
    found += [other for other in others if other not in found and any(matches(host, other) for host in hosts)]
    return tuple(found)
