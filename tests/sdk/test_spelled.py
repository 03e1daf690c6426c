"""The request that the editor of an agent shows does what it says: it is run as it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from agents import requests
from tests.sdk.talk import client_of

if TYPE_CHECKING:
    from tests.live import Installation

BODY: dict[str, Any] = {
    "name": 'It\'s "spelled"',
    "model": {"id": "demo", "effort": "low"},
    "system": "Line one\nJSON\n$HOME `id` \u00e9",
    "tools": [{"type": "agent_toolset_20260401", "configs": [{"name": "bash", "enabled": False}]}],
    "holdfast": {"limits": {"steps": 7}},
}


def run(installation: Installation, command: list[str], text: str) -> str:
    environment = {**os.environ, "HOLDFAST_URL": installation.url, "HOLDFAST_KEY": installation.api_key}
    done = subprocess.run(command, input=text, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.live
def test_the_shown_python_and_curl_create_and_change_the_agent(installation: Installation) -> None:
    client = client_of(installation)
    made = run(installation, [sys.executable, "-"], requests.agent(BODY).python).strip()
    agent = client.beta.agents.retrieve(made)
    assert (agent.name, agent.system) == (BODY["name"], BODY["system"])
    assert agent.to_dict()["holdfast"] == BODY["holdfast"]
    if shutil.which("curl") is None:
        pytest.fail("curl is needed to run what is shown")
    change = {"version": 1, "system": "Other\nJSON\nwords"}
    run(installation, ["bash", "-s"], requests.agent(change, made).curl)
    assert client.beta.agents.retrieve(made).system == change["system"]
