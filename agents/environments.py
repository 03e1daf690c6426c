"""The config of an environment, resolved (spec core 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents import notyet
from contract.errors import InvalidRequest
from contract.hosts import WANTED, is_host

if TYPE_CHECKING:
    from collections.abc import Mapping

MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")
MAX_HOSTS = 256


def config(sent: Mapping[str, Any] | None, stored: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The stored ``cloud`` config. What ``sent`` leaves out is kept from ``stored``, else the default."""
    sent = sent or {"type": "cloud"}
    if stored is not None and sent["type"] != stored["type"]:
        raise InvalidRequest(
            f"config.type: can't change from {stored['type']} to {sent['type']}",
            error_code="invalid_config_type_change",
        )
    notyet.check_environment(sent)
    return {
        "type": "cloud",
        "packages": _packages(sent.get("packages"), (stored or {}).get("packages")),
        "networking": _networking(sent.get("networking"), (stored or {}).get("networking")),
    }


def _packages(sent: Mapping[str, Any] | None, stored: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = {} if stored is None else stored
    lists = {manager: list(kept.get(manager, ())) for manager in MANAGERS}
    for manager in MANAGERS:
        if sent and sent.get(manager) is not None:
            lists[manager] = list(sent[manager])
    return {"type": "packages", **lists}


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
