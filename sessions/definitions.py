"""The agents of a session: the version referred to, a session's overrides, and those it may call on (spec core 8.3)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents import references, resolve, rosters
from agents.actions import find_agent
from agents.additions import additions
from agents.api.shapes import agent_snapshot, thread_agent
from agents.tools import registry as tools
from contract import versions
from contract.errors import ApiError, InvalidRequest
from credentials.egress.rules import first_match

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agents.models import AgentVersion, Environment
    from contract.acting import Acting

FIELDS = frozenset({"model", "system", "tools", "mcp_servers", "skills", "multiagent"})


def define(reference: str | Mapping[str, Any], acting: Acting) -> tuple[AgentVersion, dict[str, Any]]:
    """The version that a session's ``agent`` refers to, and the snapshot of it that the session carries.

    Raises ``NotFound`` for what isn't in the workspace, ``InvalidRequest`` for archived agents and for overrides
    that break a rule.
    """
    sent: Mapping[str, Any] = {"type": "agent", "id": reference} if isinstance(reference, str) else reference
    version = _version(sent, acting)
    with _naming_agent():
        spec = _overridden(version.spec, sent, acting)
        members = rosters.members(spec["multiagent"], acting)
        rosters.check(spec, members.values())
        rosters.check_alive(members.values())
    snapshot = agent_snapshot(version, spec)
    definitions = {key: thread_agent(agent_snapshot(row, row.spec)) for key, row in members.items()}
    snapshot["multiagent"] = rosters.snapshot(spec["multiagent"], thread_agent(snapshot), definitions)
    return version, snapshot


def _version(sent: Mapping[str, Any], acting: Acting) -> AgentVersion:
    wanted = sent.get("version")
    versions.check("agent.version", wanted)
    version = find_agent(sent["id"], acting, version=wanted)
    if version.agent.archived_at is not None:
        raise InvalidRequest(f"Agent {version.agent_id} is archived and takes no new sessions.")
    return version


def _overridden(spec: dict[str, Any], sent: Mapping[str, Any], acting: Acting) -> dict[str, Any]:
    if sent["type"] != "agent_with_overrides":
        return spec
    changed = resolve.overridden_agent(spec, sent)
    if "skills" in sent:
        changed["skills"] = references.skills(sent["skills"], acting)
    resolve.check_whole(changed)
    return changed


@contextmanager
def _naming_agent() -> Iterator[None]:
    """Errors name the agent's fields; in a session's body those are one level down."""
    try:
        yield
    except ApiError as error:
        if error.message.partition(":")[0].partition(".")[0] in FIELDS:
            error.message = f"agent.{error.message}"
        raise


def changed(snapshot: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """A snapshot with the tools and servers of a session update (spec core 8.6), for its copies of itself too."""
    with _naming_agent():
        fields = {field: resolve.RESOLVERS[field](sent[field]) for field in ("tools", "mcp_servers") if field in sent}
        result = {**snapshot, **fields}
        resolve.check_whole(result)
    own = {(snapshot["id"], snapshot["version"]): thread_agent(result)}
    result["multiagent"] = rosters.snapshot(snapshot["multiagent"], thread_agent(result), own)
    return result


def everyone(snapshot: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The definitions of all agents that a session can run; advisors are models, not agents."""
    return [snapshot, *rosters.entries(snapshot["multiagent"])]


def models(snapshot: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The model objects of everything that a session can run: its agents, what they fall back on, its advisor."""
    found = [definition["model"] for definition in everyone(snapshot)]
    plain = [name for definition in everyone(snapshot) for name in additions(definition).get("fallback_models", ())]
    adviser = rosters.advisor(snapshot["multiagent"])
    plain += [adviser] if adviser else []
    return found + [{"id": name, "speed": "standard", "inference_geo": None} for name in plain]


def check_tools(snapshot: Mapping[str, Any]) -> None:
    """Refuse tools that were asked for by name and need what this installation isn't set up with."""
    for definition in everyone(snapshot):
        if why := tools.missing(definition["tools"]):
            raise InvalidRequest(f"agent.tools: {why}")


def check_reachable(snapshot: Mapping[str, Any], environment: Environment) -> None:
    """Under limited networking an agent may only declare servers that the environment lets it reach."""
    networking = environment.config.get("networking") or {"type": "unrestricted"}
    if networking["type"] == "unrestricted" or networking["allow_mcp_servers"]:
        return
    for definition in everyone(snapshot):
        for server in definition["mcp_servers"]:
            host = (urlsplit(server["url"]).hostname or "").lower()
            if first_match(networking["allowed_hosts"], host) is None:
                raise InvalidRequest(
                    f"environment_id: environment {environment.pk} does not let agents reach {host}, the MCP server "
                    f"{server['name']!r}; allow it in allowed_hosts or by allow_mcp_servers"
                )
