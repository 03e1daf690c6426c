"""Moving a workspace between two servers through the SDK alone: references follow, secrets and pasts are told of."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anthropic

from sessions.exchange.copying import Copy
from tests.agents.skills.zips import good
from tests.live import ROOT, wait_for

if TYPE_CHECKING:
    from tests.live import Installation

NEW_KEY = """
from agents.models import Workspace
from credentials.actions import issue_api_key
made = Workspace.objects.create(name="The other side")
print("KEY", issue_api_key(workspace=made, name="copy", role="admin", created_by=None)[1])
"""


def other_side(installation: Installation) -> anthropic.Anthropic:
    """A client of an empty workspace."""
    command = [sys.executable, "manage.py", "shell", "-c", NEW_KEY]
    told = subprocess.run(command, cwd=ROOT, env=installation.environment, capture_output=True, text=True, check=True)
    key = told.stdout.split("KEY ")[1].split()[0]
    return anthropic.Anthropic(base_url=installation.url, api_key=key)


def test_a_workspace_arrives_on_the_other_side(client: anthropic.Anthropic, installation: Installation) -> None:
    skill = client.skills.create(files=[("greeting.zip", good())], display_name="Copied")
    skills: Any = [{"type": "custom", "skill_id": skill.id}]
    toolset: Any = {"type": "agent_toolset_20260401"}
    agent = client.beta.agents.create(name="Copied", model="demo", tools=[toolset], skills=skills)
    environment = client.beta.environments.create(name="copied", metadata={"k": "v"})
    store = client.beta.memory_stores.create(name="Copied")
    client.beta.memory_stores.memories.create(store.id, path="/notes/a.md", content="remember")
    vault = client.beta.vaults.create(display_name="Copied")
    auth: Any = {"type": "static_bearer", "token": "not-to-be-read", "mcp_server_url": "https://mcp.example"}
    client.beta.vaults.credentials.create(vault.id, display_name="c", auth=auth)
    session = client.beta.sessions.create(agent=agent.id, environment_id=environment.id)
    message: Any = {"type": "user.message", "content": [{"type": "text", "text": "hello"}]}
    client.beta.sessions.events.send(session.id, events=[message])
    wait_for(lambda: client.beta.sessions.retrieve(session.id).status == "idle", 60, "the session did not rest")

    there = other_side(installation)
    copy = Copy(client, there, say=lambda sentence: None)
    copy.run()

    theirs = next(one for one in there.beta.agents.list() if one.name == "Copied")
    moved = next(one for one in there.skills.list(source="custom") if one.display_name == "Copied")
    assert [one.skill_id for one in theirs.skills] == [moved.id]
    assert moved.id != skill.id
    assert next(one for one in there.beta.environments.list() if one.name == "copied").metadata == {"k": "v"}
    their_store = next(one for one in there.beta.memory_stores.list() if one.name == "Copied")
    memories = list(there.beta.memory_stores.memories.list(their_store.id, view="full"))
    assert [(one.path, one.content) for one in memories] == [("/notes/a.md", "remember")]
    assert "Copied" in [one.display_name for one in there.beta.vaults.list()]
    assert any("secrets can't be read" in sentence for sentence in copy.left)
    assert copy.done["session history"] >= 1
    histories = [file.filename for file in there.files.list()]
    assert f"{session.id}.jsonl" in histories
    history = [json.loads(line) for line in copy._history(client.beta.sessions.retrieve(session.id))]
    assert [line["id"] for line in history] == [
        session.id,
        *(event.id for event in client.beta.sessions.events.list(session.id)),
    ]
