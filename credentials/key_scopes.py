"""What an API key may be used for within its role: families of the API's paths, perhaps for reading only. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

READ = ":read"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
FAMILIES = (
    "agents",
    "environments",
    "sessions",
    "files",
    "models",
    "skills",
    "vaults",
    "memory_stores",
    "user_profiles",
    "deployments",
    "dreams",
    "webhooks",
    "approvals",
    "permissions",
    "audit",
    "members",
    "limits",
    "usage",
    "workspace",
)
ALSO = {
    "deployment_runs": "deployments",
    "credentials": "vaults",
    "search": "sessions",
    "views": "sessions",
}  # path -> the family it belongs to
WRAPPERS = frozenset({"x", "organizations"})  # path parts that a family's name follows


def check(scopes: Iterable[str]) -> list[str]:
    """The scopes, sorted, each once. Raises ``ValueError`` naming one that isn't known."""
    found = sorted(set(scopes))
    for scope in found:
        if scope.removesuffix(READ) not in FAMILIES:
            raise ValueError(f"{scope} is no scope; use one of {', '.join(FAMILIES)}, or one with {READ}")
    return found


def permits(scopes: Sequence[str], method: str, path: str) -> bool:
    """Whether a key with these scopes may make a request under ``/v1``. No scopes at all permit everything."""
    if not scopes:
        return True
    family = family_of(path)
    return family in scopes or (method in READING and family + READ in scopes)


def family_of(path: str) -> str:
    """``/v1/sessions/sesn_1`` -> ``sessions``; ``/v1/x/approvals`` -> ``approvals``; "" where there is none."""
    parts = [part for part in path.split("/") if part][1:]
    if parts and parts[0] in WRAPPERS:
        parts = parts[1:]
    name = parts[0] if parts else ""
    return ALSO.get(name, name)
