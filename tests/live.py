"""The real product for tests: `manage.py up` in a directory of its own on a free port.

Folders whose tests share one have a fixture for it, which ends with the folder's tests: an idle one costs a processor
something too. A test that breaks things on purpose makes its own: `Installation.started(...)`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import httpx2

from config import places
from config.services import kernel
from tests import prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 90.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.25
NEW = True  # for `Installation.started`: begin with an empty data directory
PORTS = range(16_000, 32_000)
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV", "ANTHROPIC_BASE_URL")


@dataclass
class Installation:
    """A running installation and its sign-in, as `dev.json` gives them."""

    command: ClassVar[Sequence[str]] = (sys.executable, str(ROOT / "manage.py"), "up")
    directory: ClassVar[Path] = Path("/")  # where the command is run

    data_dir: Path
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)  # what ends with it

    @classmethod
    @contextlib.contextmanager
    def started(
        cls, new: bool = not prepared.AVAILABLE, beside: Installation | None = None, /, **settings: str
    ) -> Iterator[Installation]:
        """An installation that ends with the block. `settings` are environment variables (`WORKERS="1"`).

        Its data directory is a copy of one that was prepared once a run, or an empty one (`new`). `beside` another
        one it is a second machine of that: with its database, broker, keys and blobs, and its own processes.
        """
        directory = Path(tempfile.mkdtemp(prefix="hf-live-", dir="/tmp"))
        # The sandboxes' own user ids must be able to pass through.
        directory.chmod(0o711)
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        port = free_port()
        data = directory / "data"
        environment = {**kept, "WORKERS": "1", "DATA_DIR": str(data), "PORT": str(port), **settings}
        installation = cls(data, port, environment)
        try:
            if beside is not None:
                installation.join(beside)
            elif not new:
                prepared.copy_installation(data, kept)
            installation.start()
            yield installation
        finally:
            installation.closing.close()
            installation.stop()
            shutil.rmtree(directory, ignore_errors=True)

    def join(self, first: Installation) -> None:
        """Become a second machine of `first`."""
        servers = places.runtime_dir(first.data_dir)
        self.data_dir.mkdir()
        (first.data_dir / "blobs").mkdir(mode=0o700, exist_ok=True)
        (self.data_dir / "blobs").symlink_to(first.data_dir / "blobs")
        shutil.copy(first.data_dir / "dev.json", self.data_dir)
        self.environment |= {
            "DATABASE_URL": f"postgresql://holdfast@/holdfast?host={servers}",
            "REDIS_URL": f"unix://{servers}/valkey.sock?db=0",
            "SECRET_KEY_FILE": str(first.data_dir / "secret_key"),
            "HOLDFAST_KEYS_FILE": str(first.data_dir / "keys"),
        }

    def start(self) -> None:
        """Run the command until it is ready."""
        self.data_dir.mkdir(exist_ok=True)
        self.data_dir.chmod(0o711)
        with (self.data_dir / "up.out").open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=kernel.setup(signal.SIGTERM),
            )
        self.wait_ready()
        found = json.loads((self.data_dir / "dev.json").read_text(encoding="utf-8"))
        # The copied file still has another installation's address; `up` mends it, but after it is ready.
        self.url, self.username = f"http://127.0.0.1:{self.port}", found["username"]
        self.password, self.api_key = found["password"], found["api_key"]

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Until `/readyz?all` says yes."""
        wait_for(self._ready, seconds, lambda: f"the installation is not ready:\n{self.output()}")

    def _ready(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the installation ended with {self.process.returncode}:\n{self.output()}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz?all", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def signed_in(self) -> httpx2.Client:
        """A client with the operator's cookies, as a browser has them."""
        http = httpx2.Client(base_url=self.url, timeout=60, headers={"referer": self.url})
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', http.get("/login").text)
        assert token is not None, "no sign-in form"
        form = {"username": self.username, "password": self.password, "csrfmiddlewaretoken": token[1]}
        assert http.post("/login", data=form).status_code == 302, "the sign-in was refused"
        return http

    def output(self) -> str:
        """What `up` printed."""
        return (self.data_dir / "up.out").read_text(encoding="utf-8", errors="replace")

    def log(self, name: str) -> str:
        """The log of one service (`web`, `worker1`, …)."""
        return (self.data_dir / "log" / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def all_pids(self) -> dict[str, int]:
        """Service name to process id, as the supervisor last wrote it."""
        file = places.runtime_dir(self.data_dir) / "pids.json"
        found: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))
        return found

    def pids(self, role: str) -> list[int]:
        """Process ids of a role: `web`, `worker` (all of them), `sweeper`, `sandbox`, `postgres`, `valkey`, or `up`."""
        if role == "up":
            return [self.process.pid] if self.process is not None else []
        return [pid for name, pid in self.all_pids().items() if name.rstrip("0123456789") == role]

    def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> list[int]:
        """Send a signal, SIGKILL unless told, to every process of a role; the ids it went to."""
        pids = self.pids(role)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def die(self) -> None:
        """kill -9 of the supervisor, which takes everything with it."""
        pids = list(self.all_pids().values())
        self.kill("up")
        assert self.process is not None
        self.process.wait(10)
        wait_for(lambda: not any(_alive(pid) for pid in pids), 20, "a child outlived the supervisor")
        self.process = None

    def stop(self) -> None:
        """Ctrl-C, and SIGKILL when that takes too long."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def free_port() -> int:
    """A port below those that the kernel gives out: it stays free while its server is killed and started again."""
    while True:
        port = secrets.randbelow(PORTS.stop - PORTS.start) + PORTS.start
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for(condition: Callable[[], object], seconds: float, what: Callable[[], str] | str = "") -> None:
    """Poll until `condition()` is true, ever less often; an AssertionError with `what` after `seconds`."""
    deadline, pause = time.monotonic() + seconds, SHORTEST_PAUSE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(what() if callable(what) else what or "did not happen in time")
        time.sleep(pause)
        pause = min(pause * 1.2, LONGEST_PAUSE)  # a look through the API costs the processor more than the wait
