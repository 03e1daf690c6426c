"""The config of an environment, resolved (spec core 7.2)."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

from django.conf import settings

from contract.errors import InvalidRequest
from contract.hosts import WANTED, is_host

if TYPE_CHECKING:
    from collections.abc import Mapping

SELF_HOSTED = "self_hosted"
MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")
APT_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+|/[A-Za-z0-9._-]+)?")
MAX_DESCRIPTION = 1_024
MAX_HOSTS = 256
MAX_PACKAGES = 256
MAX_PACKAGE = 255
PACKAGE = re.compile(r"[^\s\x00-\x1f\x7f-][^\s\x00-\x1f\x7f]{0,254}")


def config(sent: Mapping[str, Any] | None, stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The stored config. What ``sent`` leaves out is kept from ``stored``, else the default: cloud, unrestricted."""
    sent = sent or {"type": "cloud"}
    if stored is not None and sent["type"] != stored["type"]:
        raise InvalidRequest(
            f"config.type: can't change from {stored['type']} to {sent['type']}",
            error_code="invalid_config_type_change",
        )
    if sent["type"] == SELF_HOSTED:
        return {"type": SELF_HOSTED}
    resolved: dict[str, Any] = {
        "type": "cloud",
        "packages": _packages(sent.get("packages"), (stored or {}).get("packages")),
        "networking": _networking(sent.get("networking"), (stored or {}).get("networking")),
    }
    limited = resolved["networking"]["type"] == "limited" and not resolved["networking"]["allow_package_managers"]
    if limited and any(resolved["packages"][manager] for manager in MANAGERS):
        raise InvalidRequest(
            "config.networking.allow_package_managers: must be true when packages are named under limited networking"
        )
    return resolved


def _packages(sent: Mapping[str, Any] | None, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """The six lists. Whether a package exists, and in this version, shows when a sandbox is made."""
    kept = {} if stored is None else stored
    lists = {manager: list(kept.get(manager, ())) for manager in MANAGERS}
    for manager in MANAGERS:
        if sent and sent.get(manager) is not None:
            lists[manager] = _names(f"config.packages.{manager}", sent[manager])
    _check_apt(lists["apt"])
    if sum(map(len, lists.values())) > MAX_PACKAGES:
        raise InvalidRequest(f"config.packages: at most {MAX_PACKAGES} packages are allowed")
    return {"type": "packages", **lists}


def _names(where: str, names: list[str]) -> list[str]:
    """Names become arguments of an installer, so that none may look like one of its options."""
    for index, name in enumerate(names):
        if not PACKAGE.fullmatch(name):
            raise InvalidRequest(
                f"{where}.{index}: must be a package's name, perhaps with a version, at most {MAX_PACKAGE} characters "
                "long, without spaces and not beginning with a hyphen"
            )
    return list(names)


def _check_apt(names: list[str]) -> None:
    """Apt reads more than names: what would remove something, stand for many packages or be a file is refused."""
    for index, name in enumerate(names):
        if not APT_PACKAGE.fullmatch(name):
            raise InvalidRequest(
                f"config.packages.apt.{index}: must be the name of a Debian package, perhaps with =version or /release"
            )
    if names and settings.HOLDFAST_SANDBOX == "local" and shutil.which("apt-get") is None:
        raise InvalidRequest(
            "config.packages.apt: this machine has no apt, and sandboxes see its /usr; use pip, npm, gem, cargo or go, "
            "or install the packages on the machine itself"
        )


def _networking(sent: Mapping[str, Any] | None, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    if sent is None:
        return dict(stored) if stored else {"type": "unrestricted"}
    if sent["type"] == "unrestricted":
        return {"type": "unrestricted"}
    kept = stored if stored and stored["type"] == "limited" else {}
    return {
        "type": "limited",
        "allowed_hosts": _hosts(_sent(sent, "allowed_hosts", kept.get("allowed_hosts", []))),
        "allow_mcp_servers": _sent(sent, "allow_mcp_servers", kept.get("allow_mcp_servers", False)),
        "allow_package_managers": _sent(sent, "allow_package_managers", kept.get("allow_package_managers", False)),
    }


def _sent(sent: Mapping[str, Any], field: str, otherwise: Any) -> Any:
    return otherwise if sent.get(field) is None else sent[field]


def _hosts(hosts: list[str]) -> list[str]:
    if len(hosts) > MAX_HOSTS:
        raise InvalidRequest(f"config.networking.allowed_hosts: at most {MAX_HOSTS} hosts are allowed")
    for index, host in enumerate(hosts):
        if not is_host(host):
            raise InvalidRequest(f"config.networking.allowed_hosts.{index}: {WANTED}")
    return list(hosts)
