"""The examples of the README do what it says, word for word."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.live import Installation

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("\n## With the SDK\n")[2].partition("\n## ")[0]
PATIENCE_SECONDS = 120


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)
    assert found is not None, f"the section has no {language} example"
    return found[1]


@pytest.fixture
def folder(installation: Installation, tmp_path: Path) -> Path:
    """A folder in which `var/` is the installation's."""
    (tmp_path / "var").symlink_to(installation.data_dir)
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    kept = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=kept, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_python_example_prints_a_turn_and_its_file(folder: Path) -> None:
    lines = run([sys.executable, "-c", block("python")], folder).splitlines()
    assert "session.status_idle" in lines
    assert "agent.tool_result" in lines
    assert lines[-1] == "hello.txt hello"


def test_the_curl_example_streams_a_turn(folder: Path) -> None:
    out = run(["bash", "-euo", "pipefail", "-c", block("sh")], folder)
    assert "event: agent.tool_result" in out
    assert out.splitlines()[-1] == "idle"
