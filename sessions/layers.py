"""An environment's packages and sandboxes as this machine has them, and making its packages anew (spec core 7.2).

Each machine keeps package sets of its own; what is told here is of the machine that answers.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from django.conf import settings
from django.db import transaction

from agents.actions import find_environment
from agents.models import Environment
from agents.sandboxes import packages as sets
from agents.sandboxes.base import SandboxError
from contract import audit
from contract.errors import InvalidRequest
from contract.roles import Permission
from contract.times import timestamp_or_none
from credentials.egress import client
from credentials.egress.client import EgressUnavailable
from sessions import wake
from sessions.harness.hands import environments
from sessions.harness.hands.network import Network
from sessions.harness.hands.sandbox import backend
from sessions.models import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.sandboxes.base import PackageSet
    from contract.acting import Acting

log = logging.getLogger(__name__)

LISTED = 50


@dataclass(frozen=True, slots=True)
class Layer:
    """The packages of one manager. ``failure`` is why the last attempt to install them failed, if it did; an earlier
    set, if there is one, is then still in use.
    """

    manager: str
    packages: Sequence[str]
    state: Literal["ready", "building", "failed", "absent"]
    size_bytes: int | None
    built_at: datetime | None
    used_at: datetime | None
    failed_at: datetime | None
    failure: str


@dataclass(frozen=True, slots=True)
class Running:
    """A session whose sandbox has processes on this machine."""

    session: Session
    busy: bool
    idle_seconds: int


@dataclass(frozen=True, slots=True)
class State:
    """``problem``: why this machine can't tell; then nothing else is told. ``more``: sandboxes that are not listed."""

    machine: str
    layers: Sequence[Layer] = ()
    sandboxes: Sequence[Running] = ()
    more: int = 0
    problem: str = ""

    @property
    def building(self) -> bool:
        return any(layer.state == "building" for layer in self.layers)


def state(environment: Environment) -> State:
    """Ask the sandbox host of this machine."""
    machine = settings.HOLDFAST_MACHINE
    wanted = environments.packages_of(environment.config)
    try:
        found = backend().inventory(list(wanted))
    except SandboxError as error:
        return State(machine, problem=str(error))
    at_work = {one.sandbox_id: one for one in found.open}
    layers = [_layer(one, wanted[one.name], building=one.name in at_work) for one in found.sets]
    rows = Session.objects.filter(environment=environment, pk__in=list(at_work)).order_by("-created_at")
    shown = rows.only("id", "title", "status")[:LISTED]
    running = [Running(one, at_work[one.pk].busy, round(at_work[one.pk].idle_seconds)) for one in shown]
    more = rows.count() - LISTED if len(running) == LISTED else 0
    return State(machine, layers, running, more)


@audit.logged("environment.packages_rebuilt", "agents.Environment", "environment_id", always=True)
def rebuild(environment_id: str, acting: Acting) -> Environment:
    """Have every machine install the environment's packages anew. What is in use stays until the new ones are there.

    Raises ``InvalidRequest`` where there are none.
    """
    acting.require(Permission.BUILD)
    environment = find_environment(environment_id, acting)
    if environment.archived_at is not None:
        raise InvalidRequest(f"Environment {environment_id} is archived.", error_code="environment_archived")
    if not environments.packages_of(environment.config):
        raise InvalidRequest(f"Environment {environment_id} names no packages; set config.packages first.")
    if Network.path() is None:
        raise InvalidRequest("This installation gives sandboxes no network, so that packages can't be installed.")
    transaction.on_commit(lambda: wake.build_packages(environment_id))
    return environment


def build(environment_id: str) -> None:
    """Install an environment's packages anew on this machine. A failure is kept by the sandbox host, for ``state``."""
    egress = Network.path()
    environment = Environment.objects.filter(pk=environment_id).first()
    if environment is None or egress is None:
        return
    for name, names in environments.packages_of(environment.config).items():
        try:
            environments.make(backend(), egress, name, names, anew=True)
            client.forget(egress, name)
        except (SandboxError, EgressUnavailable) as error:
            log.warning("The %s packages of %s were not installed: %s", sets.manager_of(name), environment_id, error)


def shape(state: State) -> dict[str, Any]:
    """A state as the API tells it."""
    return {
        "type": "environment_state",
        "machine": state.machine,
        "layers": [
            {
                "manager": one.manager,
                "packages": list(one.packages),
                "state": one.state,
                "size_bytes": one.size_bytes,
                "built_at": timestamp_or_none(one.built_at),
                "used_at": timestamp_or_none(one.used_at),
                "failed_at": timestamp_or_none(one.failed_at),
                "failure": one.failure or None,
            }
            for one in state.layers
        ],
        "sandboxes": [
            {"session_id": one.session.pk, "busy": one.busy, "idle_seconds": one.idle_seconds}
            for one in state.sandboxes
        ],
        "more_sandboxes": state.more,
        "problem": state.problem or None,
    }


def _layer(one: PackageSet, names: Sequence[str], *, building: bool) -> Layer:
    manager = sets.manager_of(one.name) or ""
    kept: Literal["ready", "failed", "absent"] = "ready" if one.kept else "failed" if one.fault else "absent"
    return Layer(
        manager=manager,
        packages=names,
        state="building" if building else kept,
        size_bytes=one.size,
        built_at=_moment(one.built_at),
        used_at=_moment(one.used_at),
        failed_at=_moment(one.failed_at),
        failure=one.fault,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
