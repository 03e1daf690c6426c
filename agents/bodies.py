"""The API's bodies that carry an agent's fields, where it accepts more than the SDK's types say."""

from __future__ import annotations

from typing import Any

from agents.additions import AgentAdditions
from contract.errors import InvalidRequest
from contract.schema import Params

CLEARABLE = ("tools", "mcp_servers", "skills")
DOMAINS = ("allowed_domains", "blocked_domains")


def null_domains_are_absent(agent: Any) -> Any:
    """Lists of domains are shown as null where there is no limit, and taken back that way (spec core 5.4)."""
    tools = agent.get("tools") if isinstance(agent, dict) else None
    if not isinstance(tools, list):
        return agent
    return {**agent, "tools": [_toolset(tool) for tool in tools]}


def _toolset(tool: Any) -> Any:
    configs = tool.get("configs") if isinstance(tool, dict) else None
    return tool if not isinstance(configs, list) else {**tool, "configs": [_config(config) for config in configs]}


def _config(config: Any) -> Any:
    if not isinstance(config, dict):
        return config
    return {key: value for key, value in config.items() if value is not None or key not in DOMAINS}


def session_body(body: Any) -> Any:
    """In a session's ``agent``, null clears lists in overrides too (spec core 8.3)."""
    agent = body.get("agent") if isinstance(body, dict) else None
    if not isinstance(agent, dict):
        return body
    if agent.get("type") == "agent_with_overrides":
        if "model" in agent and agent["model"] is None:
            raise InvalidRequest("agent.model: can't be cleared", error_code="agent_model_required")
        agent = agent | {field: [] for field in CLEARABLE if field in agent and agent[field] is None}
    return {**body, "agent": null_domains_are_absent(agent)}


AGENT_CREATE = Params("agent_create_params.AgentCreateParams", prepare=null_domains_are_absent, beside=AgentAdditions)
AGENT_UPDATE = Params("agent_update_params.AgentUpdateParams", prepare=null_domains_are_absent, beside=AgentAdditions)
