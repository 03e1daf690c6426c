"""The JavaScript SDK, unmodified, in three flows. `make js` installs it where node is present."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.live import Installation

FOLDER = Path(__file__).resolve().parents[1] / "js"
SDK = FOLDER / "node_modules" / "@anthropic-ai" / "sdk"
PATIENCE_SECONDS = 240

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="the JavaScript SDK: node is not installed"),
    pytest.mark.skipif(not SDK.is_dir(), reason="the JavaScript SDK: not installed; `make js` does it"),
]


@pytest.fixture(scope="module")
def seen(installation: Installation) -> dict[str, Any]:
    """What the flows saw."""
    environment = {
        "PATH": os.environ["PATH"],
        "ANTHROPIC_BASE_URL": installation.url,
        "ANTHROPIC_API_KEY": installation.api_key,
    }
    done = subprocess.run(
        ["node", "flows.mjs"],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_quickstart_streams_a_turn_and_lists_it(seen: dict[str, Any]) -> None:
    flow = seen["quickstart"]
    assert flow["types"][-1] == "session.status_idle"
    assert {"session.status_running", "agent.tool_use", "agent.tool_result", "agent.message"} <= set(flow["types"])
    assert flow["results"][-1].strip() == "hello"
    assert flow["listed"]


def test_calls_are_allowed_and_denied(seen: dict[str, Any]) -> None:
    assert seen["approvals"]["allowed"][0].strip() == "allowed"
    assert "Not today." in seen["approvals"]["denied"][0]


def test_a_file_goes_in_and_another_comes_out(seen: dict[str, Any]) -> None:
    assert seen["outputs"] == {"mounted": "/plan.txt", "name": "copy.txt", "text": "tea at four"}


def test_a_failure_has_the_sdks_own_name(seen: dict[str, Any]) -> None:
    assert seen["failures"] == {"kind": "NotFoundError", "status": 404}
