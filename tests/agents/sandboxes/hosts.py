"""Sandbox hosts for the tests: as the user who runs them, and as an ordinary one where that is root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from agents.sandboxes.base import SandboxUnavailable
from agents.sandboxes.client import HostClient
from tests.agents.sandboxes.engines import IMAGE, Podman

ROOT = Path(__file__).resolve().parents[3]
ORDINARY_UID = 61_183
START_SECONDS = 60.0
IDENTITIES = ("root", "ordinary") if os.geteuid() == 0 else ("ordinary",)
KINDS = (*IDENTITIES, "docker")


class RunningHost:
    """A host process with a data directory of its own: the local backend as one of ``IDENTITIES``, or docker, with an
    engine that ends with it. ``egress``: the proxy's socket, which nobody need serve.
    """

    def __init__(self, identity: str, *options: str, secret: str = "", egress: Path | None = None) -> None:
        self.engine = Podman() if identity == "docker" else None
        # Not pytest's own directory: that is closed to other users.
        self.directory = Path(tempfile.mkdtemp(prefix="hfs-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.identity = identity
        self.socket = self.directory / "run" / "s.sock"
        self.data = self.directory / "data"
        self.egress = egress or self.directory / "run" / "e.sock"
        self.options = options
        self.secret = secret
        self.socket.parent.mkdir()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command(),
            cwd=ROOT,
            env=self._environment(),
            stderr=subprocess.PIPE,
        )
        self.client = HostClient(self.socket)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.report = self.client.probe()
                return
            except SandboxUnavailable:
                ended = self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    assert self.process.stderr is not None
                    raise AssertionError(self.process.stderr.read().decode()) from None
                time.sleep(0.02)

    def kill(self) -> None:
        """End the host as a crash would."""
        self.process.kill()
        self.process.wait(10)
        self.client.disconnect()

    def stop(self) -> None:
        self.client.disconnect()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            assert self.process.stderr is not None
            self.process.stderr.close()
            shutil.rmtree(self.directory, ignore_errors=True)
            if self.engine is not None:
                self.engine.stop()

    def _environment(self) -> dict[str, str]:
        given = {"PATH": os.environ["PATH"], "LOG_LEVEL": "ERROR"}
        if self.engine is not None:
            given["DOCKER_HOST"] = self.engine.address
        return {**given, "API_KEY": self.secret} if self.secret else given

    def _command(self) -> list[str]:
        if self.identity == "ordinary" and os.geteuid() == 0:
            here = "tests.agents.sandboxes.as_user"
            shutil.rmtree(self.data / "runtime", ignore_errors=True)
            return [sys.executable, "-m", here, str(ORDINARY_UID), str(self.socket), str(self.data), str(self.egress)]
        paths = ["--socket", str(self.socket), "--data", str(self.data), "--egress", str(self.egress)]
        kind = ["--backend", "docker", "--image", IMAGE] if self.engine is not None else []
        return [sys.executable, "-m", "agents.sandboxes.host", *paths, *kind, "--die-with-parent", *self.options]
