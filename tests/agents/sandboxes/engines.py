"""A container engine for the tests: podman's service on a socket of its own, with storage that no one else uses."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

import pytest

from tests.agents.sandboxes import images

# Kept between runs: making the image takes some seconds and 300 MB.
STORAGE = Path("/tmp/holdfast-test-engine")
IMAGE = "localhost/holdfast-sandbox:test"
SECONDS = 60.0


class Podman:
    """The service, until it is stopped. Skips the test by name where no container can be run."""

    def __init__(self) -> None:
        reason = unusable()
        if reason is not None:
            pytest.skip(f"the docker backend was not tried: {reason}")
        self.directory = Path(tempfile.mkdtemp(prefix="hfp-", dir="/tmp"))
        self.directory.chmod(0o755)
        socket = self.directory / "p.sock"
        self.address = f"unix://{socket}"
        # Should this process be killed, the service goes with it.
        command = ["setpriv", "--pdeathsig", "KILL", *podman("system", "service", "--time=0", self.address)]
        with (self.directory / "log").open("wb") as log:
            # Its monitors leave a file in their working directory when a container runs out of memory.
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)
        deadline = time.monotonic() + SECONDS
        while not socket.exists():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)
        shutil.rmtree(self.directory, ignore_errors=True)


def podman(*arguments: str) -> list[str]:
    places = ["--root", str(STORAGE / "root"), "--runroot", str(STORAGE / "run")]
    return ["podman", *places, "--cgroup-manager", "cgroupfs", "--runtime", "runc", *arguments]


@cache
def unusable() -> str | None:
    """Why no container can be run here; makes the image at the first time."""
    if os.geteuid() != 0:
        return "only root can run a container engine beside the system's"
    for program in ("podman", "runc", "setpriv", "dpkg-query"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    STORAGE.mkdir(mode=0o711, exist_ok=True)
    with (STORAGE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _run(podman("image", "exists", IMAGE)).returncode != 0:
            archive = STORAGE / "image.tar"
            images.write(archive)
            made = _run(podman("import", str(archive), IMAGE))
            archive.unlink()
            if made.returncode != 0:
                return f"podman can't keep an image here: {made.stderr.strip()[-300:]}"
        limits = ("--ulimit", "nofile=64:64", "--ulimit", "nproc=64:64", "--memory", "100m", "--pids-limit", "50")
        tried = _run(podman("run", "--rm", "--network", "none", *limits, IMAGE, "true"))
    return f"podman can't run a container here: {tried.stderr.strip()[-300:]}" if tried.returncode != 0 else None


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS * 3, check=False)
