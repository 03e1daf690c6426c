"""Which hosts a session may reach (spec core 7.2). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Collection

NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
MAX_NAME = 253
ANY = "*"


class BadHost(ValueError):
    """Not the name or address of a host."""


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a host that is reached whatever the environment lists: a repository of the session's own."""

    host: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Networking:
    """What a session may reach. ``mcp_hosts`` are those of the agent's servers if the environment lets them in."""

    kind: Literal["limited", "unrestricted"]
    allowed_hosts: tuple[str, ...] = ()
    mcp_hosts: tuple[str, ...] = ()
    package_managers: bool = False
    places: tuple[Place, ...] = ()

    @property
    def reaches_packages(self) -> bool:
        return self.package_managers or self.kind == "unrestricted"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rule`` names what allowed or refused it, in the words of the environment's fields.

    ``paths``: only what lies below one of these; None is every path.
    """

    allowed: bool
    rule: str
    paths: tuple[str, ...] | None = None


def normalised(host: str) -> str:
    """A host as it is compared: small letters, no dot at the end, addresses in their short form, no brackets."""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return str(ip_address(bare))
    except ValueError:
        name = host.lower().removesuffix(".")
    if len(name) > MAX_NAME or not NAME.fullmatch(name):
        raise BadHost("not the name of a host")
    return name


def is_address(host: str) -> bool:
    """Whether a normalised host is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def matches(pattern: str, host: str) -> bool:
    """Whether a list's entry names a normalised host: itself, or by ``*.suffix`` any name below the suffix."""
    wanted = pattern.lower().removesuffix(".")
    if wanted.startswith("*."):
        return host.endswith(wanted[1:]) and len(host) > len(wanted) - 1 and not is_address(host)
    return host == wanted


def first_match(patterns: Collection[str], host: str) -> str | None:
    """The first entry that names the host."""
    return next((pattern for pattern in patterns if matches(pattern, host)), None)


def decide(networking: Networking, host: str, package_hosts: Collection[str]) -> Verdict:
    """Whether a session may ask for a normalised host. What the name resolves to is judged apart."""
    if networking.kind == "unrestricted":
        return Verdict(True, "networking: unrestricted")
    entry = first_match(networking.allowed_hosts, host)
    if entry is not None:
        return Verdict(True, f"allowed_hosts: {entry}")
    if first_match(networking.mcp_hosts, host) is not None:
        return Verdict(True, "allow_mcp_servers")
    if networking.package_managers and first_match(package_hosts, host) is not None:
        return Verdict(True, "allow_package_managers")
    paths = tuple(path for place in networking.places if place.host == host for path in place.paths)
    if paths:
        return Verdict(True, "a repository of the session", paths)
    return Verdict(False, "networking: limited, and the host is not in allowed_hosts")


def within(target: str, paths: Collection[str]) -> bool:
    """Whether a request's target lies below one of ``paths``. A target that could be read in two ways never does."""
    path = unquote(target.partition("?")[0])
    if "%" in path or "\\" in path or {".", ".."} & set(path.split("/")):
        return False
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in paths)
