"""Sessions that use their network, and what their log says of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.live import wait_for
from tests.sdk.talk import TOOLSET, Talk, all_of, said

if TYPE_CHECKING:
    import anthropic

# Not 127.0.0.1, which programs never ask a proxy for.
METRICS_TOKEN = "decoy-metrics-9a7c5e3b1d2f4a6c8e0b"
MODEL_KEY = "decoy-model-9a7c5e3b1d2f4a6c8e0b"
WORLD = "127.0.0.2"
LIMITED: dict[str, Any] = {"type": "limited", "allowed_hosts": [WORLD]}


def environment(client: anthropic.Anthropic, **config: Any) -> str:
    wanted: Any = {"type": "cloud", **config}
    return client.beta.environments.create(name=f"network {time.time_ns()}", config=wanted).id


def begin(client: anthropic.Anthropic, *, networking: Any = None, environment_id: str = "", **session: Any) -> Talk:
    """A session of the demo agent in an environment with this networking."""
    tools: list[Any] = [{"type": TOOLSET}]
    agent = client.beta.agents.create(name="Networker", model="demo", tools=tools)
    where = environment_id or environment(client, **({"networking": networking} if networking else {}))
    return Talk(client, client.beta.sessions.create(agent=agent.id, environment_id=where, **session).id)


def run(talk: Talk, command: str) -> str:
    """What a command says in the session's sandbox."""
    events = talk.says(f"Run `{command}`.")
    return said(all_of(events, "agent.tool_result")[-1])


def operator_events(talk: Talk, *types: str) -> list[dict[str, Any]]:
    """Entries of the log that only operators see."""
    query = {"types": list(types), "order": "asc", "limit": 1000}
    found: Any = talk.client.get(f"/v1/sessions/{talk.id}/events", cast_to=object, options={"params": query})
    return list(found["data"])


def requests(talk: Talk, count: int = 1) -> list[dict[str, Any]]:
    """The requests on the log, once there are as many."""
    found: list[dict[str, Any]] = []

    def enough() -> bool:
        found[:] = operator_events(talk, "ops.network_request")
        return len(found) >= count

    wait_for(enough, 30, lambda: f"only {found}")
    return found
