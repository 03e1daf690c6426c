"""The tools of MCP servers, and how a model knows them. Pure.

A server's tool ``search`` of a server declared as ``docs`` is ``mcp__docs__search`` for the model, whichever other
servers there are: so names are unique and stay as they are when a server comes or goes. Events carry the bare name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from agents.policies import Grant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TOOLSET_TYPE = "mcp_toolset"
LONGEST_NAME = 128  # of the Messages API
LONGEST_DESCRIPTION = 10_000
MOST_OFFERED = 256  # tools of all servers of one session; a model can't choose among more
FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")
NOT_AT_THE_TOP = ("oneOf", "anyOf", "allOf")  # keywords that the Messages API refuses there; the server checks them


@dataclass(frozen=True)
class McpTool:
    """A tool as a server lists it. ``read_only``: the server says that calling it again does no harm."""

    server: str
    name: str
    description: str
    input_schema: Mapping[str, Any]
    read_only: bool = False

    @cached_property
    def is_sound(self) -> bool:
        """False if the schema is none; a model's provider would refuse the whole request for it."""
        try:
            Draft202012Validator.check_schema(dict(self.input_schema))
        except (SchemaError, RecursionError):
            return False
        return True

    def params(self, known_as: str) -> dict[str, Any]:
        """The tool as a Messages API request names it."""
        schema = {key: value for key, value in self.input_schema.items() if key not in NOT_AT_THE_TOP}
        description = self.description[:LONGEST_DESCRIPTION]
        return {"name": known_as, "description": description, "input_schema": {**schema, "type": "object"}}


@dataclass(frozen=True, slots=True)
class Offer:
    """What a session's servers add to the agent's tools. ``left_out``: how many of each server's are not offered."""

    grants: dict[str, Grant] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


def toolsets(tools: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The resolved ``mcp_toolset`` entries of an agent's tools by the name of their server."""
    return {tool["mcp_server_name"]: tool for tool in tools if tool["type"] == TOOLSET_TYPE}


def offer(entries: Mapping[str, Mapping[str, Any]], listed: Mapping[str, Sequence[McpTool]]) -> Offer:
    """The enabled tools of all servers, at most ``MOST_OFFERED``; those that a toolset names go first."""
    enabled = [pair for server, tools in listed.items() for pair in _enabled(entries[server], tools)]
    enabled.sort(key=lambda pair: not pair[2])  # stable: otherwise in the order of declaration and listing
    grants: dict[str, Grant] = {}
    left_out: dict[str, int] = {}
    for tool, policy, _ in enabled:
        if len(grants) >= MOST_OFFERED or not tool.is_sound:
            left_out[tool.server] = left_out.get(tool.server, 0) + 1
            continue
        name = known_as(tool.server, tool.name, grants)
        grants[name] = Grant(name, policy, mcp=tool)
    return Offer(grants, left_out)


def _enabled(entry: Mapping[str, Any], tools: Iterable[McpTool]) -> Iterator[tuple[McpTool, str, bool]]:
    """Tool, permission policy, and whether the toolset names the tool."""
    configs = {config["name"]: config for config in entry.get("configs", ())}
    for tool in tools:
        config = {**entry["default_config"], **configs.get(tool.name, {})}
        if config["enabled"]:
            yield tool, config["permission_policy"]["type"], tool.name in configs


def known_as(server: str, tool: str, taken: Mapping[str, object]) -> str:
    """The name by which the model knows a tool: as spelled, unless letters or length don't fit or it is taken."""
    name = f"mcp__{_slug(server)}__{_slug(tool)}"
    exact = name == f"mcp__{server}__{tool}"
    if exact and len(name) <= LONGEST_NAME and name not in taken:
        return name
    digest = hashlib.sha256(f"{server}\n{tool}".encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]}_{digest}"


def _slug(text: str) -> str:
    return FOREIGN.sub("_", text) or "_"
