"""A request of the API as a person would send it: with curl, and with the official SDK in Python.

Address and key are read from the environment (``HOLDFAST_URL``, ``HOLDFAST_KEY``), so that none is ever shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pprint import pformat
from typing import TYPE_CHECKING, Any

from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH = 100


@dataclass(frozen=True, slots=True)
class Spelled:
    """One request in both spellings."""

    curl: str
    python: str


def agent(body: Mapping[str, Any], agent_id: str = "") -> Spelled:
    """The request that creates an agent of ``body``, or that changes the agent ``agent_id``."""
    path = f"/v1/agents/{agent_id}" if agent_id else "/v1/agents"
    call = f'agents.update(\n    "{agent_id}",\n' if agent_id else "agents.create(\n"
    return Spelled(_curl(path, body), _python(call, "agent", body))


def _curl(path: str, body: Mapping[str, Any]) -> str:
    text = json.dumps(body, indent=2, ensure_ascii=False)  # no line of it can be the word that ends it
    head = f'curl -sS --fail-with-body "$HOLDFAST_URL{path}" -H "x-api-key: $HOLDFAST_KEY"'
    return f"{head} -H \"content-type: application/json\" -d @- <<'JSON'\n{text}\nJSON\n"


def _python(call: str, name: str, body: Mapping[str, Any]) -> str:
    given = {key: value for key, value in body.items() if key != OURS}
    if OURS in body:
        given["extra_body"] = {OURS: body[OURS]}
    lines = "".join(f"    {key}={_indented(value)},\n" for key, value in given.items())
    client = 'client = anthropic.Anthropic(base_url=os.environ["HOLDFAST_URL"], api_key=os.environ["HOLDFAST_KEY"])'
    return f"import os\n\nimport anthropic\n\n{client}\n{name} = client.beta.{call}{lines})\nprint({name}.id)\n"


def _indented(value: Any) -> str:
    return pformat(value, width=WIDTH, sort_dicts=False).replace("\n", "\n    ")
