"""The sandbox host that a worker for any machine starts beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.sandboxes.base import SandboxError
from sessions.work.outside import Outside, host

if TYPE_CHECKING:
    from pathlib import Path


def test_a_host_that_can_hold_no_sandbox_is_told_of_before_any_work_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    options = Outside("http://127.0.0.1:9", "env_1", "key", "docker", tmp_path / "data", max_idle=1.0, image="none")
    taken = False
    with pytest.raises(SandboxError, match="did not start; what it said is above"), host(options):
        taken = True
    assert not taken
    assert "The container engine at unix://" in capfd.readouterr().err
