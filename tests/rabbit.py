"""A RabbitMQ of our own on free ports, for the tests that need one: the server of the system's package."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from config.services import kernel
from tests.live import free_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # not the package's wrapper, which insists on its own user
START_SECONDS = 120.0


@dataclass
class Rabbit:
    """A broker that can be killed and started again with what it kept."""

    directory: Path
    port: int
    names: int  # the port of epmd, where Erlang's nodes find each other
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Run it until it accepts."""
        home = str(self.directory)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "RABBITMQ_NODENAME": "holdfast@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(self.names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": f"{home}/data",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/plugins",
            "RABBITMQ_CONF_ENV_FILE": f"{home}/none",
            "RABBITMQ_CONFIG_FILE": f"{home}/none",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +S 1",
        }
        with (self.directory / "out").open("ab") as output:
            self.process = subprocess.Popen(
                [PROGRAM], cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, preexec_fn=kernel.setup(signal.SIGKILL),
            )  # fmt: skip
        wait_for(self._accepts, START_SECONDS, lambda: self.output()[-3000:])

    def output(self) -> str:
        """What it printed: its log."""
        return (self.directory / "out").read_text()

    def kill(self) -> None:
        """SIGKILL to all of it."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.process = None

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Rabbit]:
    """A broker that ends with the block."""
    rabbit = Rabbit(directory, free_port(), free_port())
    try:
        rabbit.start()
        yield rabbit
    finally:
        rabbit.kill()
        names = {"PATH": os.environ["PATH"], "ERL_EPMD_PORT": str(rabbit.names)}
        subprocess.run(["epmd", "-kill"], env=names, capture_output=True, timeout=20, check=False)
