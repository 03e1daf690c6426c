"""The packages of a session's environment: installed before its sandbox is first opened (spec core 7.2)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from agents.sandboxes import packages as sets
from agents.sandboxes.base import MIB, CallResult, Limits, SandboxError, SandboxSpec
from credentials.egress import client
from credentials.egress.client import EgressUnavailable
from credentials.egress.rules import Networking
from sessions import events as ev
from sessions.events import Draft
from sessions.projections.faults import session_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents.sandboxes.base import SandboxBackend
    from sessions.harness.hands.network import Network
    from sessions.models import Session

LIMITS = Limits(memory_bytes=2048 * MIB, call_seconds=900.0)
LOOK_SECONDS = 0.5
SHOWN = 2_000


def packages(session: Session) -> dict[str, Sequence[str]]:
    """The package sets of a session by name: what each holds. In the order of their managers' names."""
    config = session.sandbox_config or session.environment.config
    lists = config.get("packages") or {}
    return {sets.set_name(manager, lists[manager]): lists[manager] for manager in sets.MANAGERS if lists.get(manager)}


def install(
    backend: SandboxBackend,
    network: Network | None,
    wanted: Mapping[str, Sequence[str]],
    give_up: Callable[[], bool],
) -> list[Draft]:
    """Install what this machine doesn't keep yet. A failure is told and the session goes on without those packages.

    Raises ``SandboxError`` if the turn is given up meanwhile, or if there is no host; the sandbox host goes on then.
    """
    if network is None:
        return [_failed("This installation gives sandboxes no network, so that packages can't be installed.")]
    drafts: list[Draft] = []
    pool = ThreadPoolExecutor(1, thread_name_prefix="packages")
    try:
        for name, names in wanted.items():
            manager = sets.manager_of(name) or ""
            begun = time.monotonic()
            work = pool.submit(_install_one, backend, network, name, sets.command(manager, names))
            while not wait([work], timeout=LOOK_SECONDS).done:
                if give_up():
                    raise SandboxError("The turn was ended while the environment's packages were being installed.")
            try:
                result = work.result()
            except EgressUnavailable as error:
                drafts.append(_failed(f"The {manager} packages of the environment are not installed: {error}"))
                continue
            drafts += network.drafts(f"install {manager}")
            if result is None or not result.is_error:
                seconds = round(time.monotonic() - begun, 3)
                about = {"manager": manager, "packages": list(names), "kept": result is None, "seconds": seconds}
                if manager == "apt" and result is not None:
                    about["note"] = _said(result)
                drafts.append(Draft(ev.OPS_PACKAGES_INSTALLED, about))
                continue
            told = f"The {manager} packages of the environment could not be installed: {_said(result)}"
            drafts.append(_failed(told))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return drafts


def _install_one(backend: SandboxBackend, network: Network, name: str, command: str) -> CallResult | None:
    path = network.path()
    assert path is not None
    told = client.register(path, name, Networking("limited", package_managers=True), ())
    spec = SandboxSpec(name, LIMITS, network="proxy", trust=told.trust, environment=told.variables)
    try:
        return backend.make_packages(spec, command)
    finally:
        network.collect_errand(name)


def _said(result: CallResult) -> str:
    return "".join(block.get("text", "") for block in result.content)[-SHOWN:].strip()


def _failed(message: str) -> Draft:
    return Draft(ev.SESSION_ERROR, {"error": session_error("unknown_error", message, "retrying")})
