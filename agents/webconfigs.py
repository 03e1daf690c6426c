"""The extra settings of ``web_fetch`` and ``web_search``, checked and filled in (spec core 5.4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from contract.errors import InvalidRequest
from contract.zone_names import zone_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_DOMAINS = 64
MAX_DOMAIN = 255
MAX_PLACE = 255
MAX_REFERENCES = 128
LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
HOST = re.compile(rf"({LABEL}\.)+{LABEL}")
NUMBERS = re.compile(r"\d+(\.\d+)*|[0-9a-f:]*:[0-9a-f:.]*")
PATH = re.compile(r"/[^\s?#$,|^!]*")
NOT_PUBLIC = ("localhost", "local", "internal", "localdomain", "invalid")
COUNTRY = re.compile(r"[A-Z]{2}")
WEB_TOOLS = ("web_fetch", "web_search")
SOURCES = ("user_input", "server_tool_results", "client_tool_results")


def settings(where: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a web tool's entry holds besides name, ``enabled`` and policy; nothing for other tools."""
    if config["name"] not in WEB_TOOLS:
        return {}
    if config.get("allowed_domains") is not None and config.get("blocked_domains") is not None:
        raise InvalidRequest(f"{where}: Only one of allowed_domains or blocked_domains may be set.")
    domains = {
        field: _domains(f"{where}.{field}", config.get(field), paths=config["name"] == "web_search")
        for field in ("allowed_domains", "blocked_domains")
    }
    if config["name"] == "web_search":
        return {**domains, "user_location": _location(f"{where}.user_location", config.get("user_location"))}
    return {
        **domains,
        "max_content_tokens": _positive(f"{where}.max_content_tokens", config.get("max_content_tokens")),
        "url_sources": _sources(f"{where}.url_sources", config.get("url_sources")),
    }


def _domains(where: str, sent: Sequence[str] | None, *, paths: bool) -> list[str] | None:
    if sent is None:
        return None
    if not sent:
        raise InvalidRequest(f"{where}: Empty list of domains is ambiguous. Provide at least one domain or null.")
    if len(sent) > MAX_DOMAINS:
        raise InvalidRequest(f"{where}: at most {MAX_DOMAINS} domains are allowed")
    for index, domain in enumerate(sent):
        _check_domain(f"{where}.{index}", domain, paths=paths)
    plain = [domain.lower().removesuffix("/") for domain in sent]
    if len(set(plain)) < len(plain):
        raise InvalidRequest(f"{where}: names a domain more than once")
    return list(sent)


def _check_domain(where: str, domain: str, *, paths: bool) -> None:
    """A public host name; a search may be held to a path below it."""
    if not 1 <= len(domain) <= MAX_DOMAIN:
        raise InvalidRequest(f"{where}: must be 1 to {MAX_DOMAIN} characters long")
    host, slash, rest = domain.lower().partition("/")
    if NUMBERS.fullmatch(host.strip("[]")):
        raise InvalidRequest(f'{where}: IP addresses are not supported; provide a plain hostname like "example.com"')
    if rest and not (paths and PATH.fullmatch(slash + rest)):
        what = "holds characters that can't be in a path" if paths else "must not have a path"
        raise InvalidRequest(f"{where}: {what}")
    if not HOST.fullmatch(host) or host.rpartition(".")[2] in NOT_PUBLIC or host.rpartition(".")[2].isdigit():
        raise InvalidRequest(
            f'{where}: must be a public hostname like "example.com", in ASCII, without scheme, port, wildcard or space'
        )


def _positive(where: str, value: int | None) -> int | None:
    if value is not None and not 1 <= value < 2**31:
        raise InvalidRequest(f"{where}: must be from 1 to {2**31 - 1}")
    return value


def _location(where: str, sent: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if sent is None:
        return None
    for field in ("city", "region"):
        if sent.get(field) is not None and not 1 <= len(sent[field]) <= MAX_PLACE:
            raise InvalidRequest(f"{where}.{field}: must be 1 to {MAX_PLACE} characters long")
    country, timezone = sent.get("country"), sent.get("timezone")
    if country is not None and not COUNTRY.fullmatch(country):
        raise InvalidRequest(f"{where}.country: not a country the search provider supports; use a code such as US")
    if timezone is not None and timezone not in zone_names():
        raise InvalidRequest(f"{where}.timezone: must be an IANA time zone such as Europe/Berlin")
    return {"type": "approximate", **{field: sent.get(field) for field in ("city", "country", "region", "timezone")}}


def _sources(where: str, sent: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Each of the three sources as an object; what was left out is ``all``."""
    if sent is None:
        return None
    filled = {source: _source(f"{where}.{source}", sent.get(source)) for source in SOURCES}
    if all(source["type"] == "none" for source in filled.values()):
        raise InvalidRequest(f"{where}: must leave at least one source; disable web_fetch instead")
    for reference in filled["server_tool_results"].get("tools", ()):
        if reference["name"] not in WEB_TOOLS:
            raise InvalidRequest(f"{where}.server_tool_results.tools: may only name {' and '.join(WEB_TOOLS)}")
    return filled


def _source(where: str, sent: str | Mapping[str, Any] | None) -> dict[str, Any]:
    if sent is None or isinstance(sent, str):
        return {"type": sent or "all"}
    if "tools" not in sent:
        return {"type": sent["type"]}
    names = [reference["name"] for reference in sent["tools"]]
    if not 1 <= len(names) <= MAX_REFERENCES or len(set(names)) < len(names):
        raise InvalidRequest(f"{where}.tools: must name 1 to {MAX_REFERENCES} different tools")
    return {"type": sent["type"], "tools": [{"type": "tool_reference", "name": name} for name in names]}


def check_references(where: str, toolset: Mapping[str, Any], custom: Iterable[str]) -> None:
    """The custom tools that ``web_fetch`` names must stand in the same array."""
    known = set(custom)
    for index, config in enumerate(toolset["configs"]):
        sources = config.get("url_sources") or {}
        for reference in sources.get("client_tool_results", {}).get("tools", ()):
            if reference["name"] not in known:
                place = f"{where}.configs.{index}.url_sources.client_tool_results.tools"
                raise InvalidRequest(f"{place}: there is no custom tool {reference['name']!r} in this array")
