"""The container engine of this machine, by Docker's API on its unix socket."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from agents.sandboxes.base import MIB, Limits, SandboxError, SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents.sandboxes.boxes.mounts import Mount

SOCKET = "unix:///var/run/docker.sock"
ANSWER_SECONDS = 60.0
CONNECTIONS = 256
LABEL, ROOT_LABEL = "holdfast.sandbox", "holdfast.root"
SHM_BYTES, RUN_BYTES = 16 * MIB, 4 * MIB
_WAY_OUT = "start it, set DOCKER_HOST to the unix socket of one, or use SANDBOX=local"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A container to make. ``owner``: the uid and gid that it runs as."""

    sandbox_id: str
    command: Sequence[str]
    owner: int
    mounts: Sequence[Mount]
    limits: Limits


@contextlib.contextmanager
def said(what: str) -> Iterator[None]:
    """Turn what the engine or the way to it says into a ``SandboxError``."""
    try:
        yield
    except (DockerException, requests.RequestException, OSError) as error:
        text = getattr(error, "explanation", None) or error
        raise SandboxError(f"The container engine could not {what}: {text}") from error


class Engine:
    """One engine, and the image that sandboxes are made of. Thread-safe."""

    def __init__(self, image: str, root: str) -> None:
        """``root`` names this installation among those that use the same engine."""
        self.image, self.root = image, root
        self.address = os.environ.get("DOCKER_HOST") or SOCKET
        if not self.address.startswith("unix://"):
            raise SandboxUnavailable(
                f"DOCKER_HOST is {self.address}: sandboxes need an engine on this machine, reached by unix://… "
                "For another machine, run `manage.py environment_worker` there."
            )
        try:
            self._api = docker.APIClient(self.address, timeout=ANSWER_SECONDS, num_pools=CONNECTIONS)
            self._api.ping()
        except (DockerException, requests.RequestException, OSError) as error:
            raise SandboxUnavailable(
                f"The container engine at {self.address} can't be reached ({_short(error)}): {_WAY_OUT}."
            ) from None

    @cached_property
    def user_namespace(self) -> str:
        """An engine of an ordinary user has to be told that the user inside is the one outside."""
        with said("describe itself"):
            info = self._api.info()
        return "keep-id" if any("rootless" in option for option in info.get("SecurityOptions") or ()) else "host"

    def image_fault(self) -> str | None:
        """Why no sandbox can be made of the image, as a sentence."""
        try:
            self._api.inspect_image(self.image)
        except ImageNotFound:
            return f"The image {self.image} is not on this machine: `docker pull {self.image}`, or set SANDBOX_IMAGE."
        except (DockerException, requests.RequestException) as error:
            return f"The container engine at {self.address} can't tell of the image {self.image}: {_short(error)}."
        return None

    def image_id(self) -> str:
        """Names the image as it is now; empty where it is missing."""
        try:
            return str(self._api.inspect_image(self.image)["Id"]).rpartition(":")[2]
        except (DockerException, requests.RequestException):
            return ""

    def create(self, wanted: Wanted) -> str:
        """Make a container that is closed in every respect; its id. Not yet started."""
        limits = wanted.limits
        ulimits = (("nofile", limits.open_files), ("nproc", limits.processes), ("core", 0))
        host = self._api.create_host_config(
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            userns_mode=self.user_namespace,
            ipc_mode="private",
            mem_limit=limits.memory_bytes,
            memswap_limit=limits.memory_bytes,
            pids_limit=limits.processes,
            ulimits=[docker.types.Ulimit(name=name, soft=value, hard=value) for name, value in ulimits],
            shm_size=SHM_BYTES,
            # The machine is not shown: programs find no /sys in the local backend either.
            tmpfs={
                "/sys": "size=4k,mode=555,ro,nosuid,nodev,noexec",
                "/run/holdfast": f"size={RUN_BYTES},mode=1777,nosuid,nodev",
            },
            mounts=[
                docker.types.Mount(one.target, str(one.source), type="bind", read_only=not one.writable)
                for one in wanted.mounts
            ],
            log_config=docker.types.LogConfig(type="none"),
        )
        with said("make a container"):
            made = self._api.create_container(
                self.image,
                list(wanted.command),
                entrypoint=[],
                user=f"{wanted.owner}:{wanted.owner}",
                hostname="sandbox",
                working_dir="/",
                stdin_open=True,
                detach=False,
                labels={LABEL: wanted.sandbox_id, ROOT_LABEL: self.root},
                host_config=host,
            )
        return str(made["Id"])

    def attach(self, container: str) -> Any:
        """The three streams as the library's socket. Attach before the start: the first words would be lost."""
        with said("attach to a container"):
            stream = self._api.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        raw(stream).settimeout(None)
        return stream

    def start(self, container: str) -> int:
        """Start it; the number of its first process on this machine."""
        with said("start a container"):
            self._api.start(container)
            return int(self._api.inspect_container(container)["State"]["Pid"])

    def wait(self, container: str, seconds: float) -> int | None:
        """Its exit status; None if it has not ended in time, or is gone."""
        try:
            return int(self._api.wait(container, timeout=seconds)["StatusCode"])
        except (DockerException, requests.RequestException):
            return None

    def kill(self, container: str) -> bool:
        """End all its processes; False if the engine did not answer. No error if there are none."""
        try:
            self._api.kill(container)
        except (requests.RequestException, DockerException) as error:
            return isinstance(error, APIError) and error.is_client_error()
        return True

    def remove(self, container: str) -> None:
        with contextlib.suppress(NotFound), said("remove a container"):
            self._api.remove_container(container, v=True, force=True)

    def left_over(self) -> list[str]:
        """Ids of this installation's containers."""
        with said("list containers"):
            found = self._api.containers(all=True, filters={"label": f"{ROOT_LABEL}={self.root}"})
        return [one["Id"] for one in found]


def raw(stream: Any) -> socket.socket:
    """The socket below what the library gives out."""
    below = getattr(stream, "_sock", stream)
    assert isinstance(below, socket.socket)
    return below


def _short(error: Exception) -> str:
    """The system's own reason, which the libraries wrap several times."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return below.strerror
        below = below.__cause__ or below.__context__
    return str(getattr(error, "explanation", None) or error)[:200]
