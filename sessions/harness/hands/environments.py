"""The packages of a session's environment: installed before its sandbox is first opened (spec core 7.2)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from agents.sandboxes import packages as sets
from agents.sandboxes.base import MIB, CallResult, Limits, SandboxError, SandboxSpec
from agents.sandboxes.results import text_of
from credentials.egress import client
from credentials.egress.client import EgressUnavailable
from credentials.egress.rules import Networking
from sessions import events as ev
from sessions.events import Draft
from sessions.projections.faults import session_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agents.sandboxes.base import SandboxBackend
    from sessions.harness.hands.network import Network
    from sessions.models import Session

LIMITS = Limits(memory_bytes=2048 * MIB, call_seconds=900.0)
LOOK_SECONDS = 0.5
SHOWN = 2_000


def packages(session: Session) -> dict[str, Sequence[str]]:
    """The package sets of a session by name: what each holds. In the order of their managers' names."""
    return packages_of(session.sandbox_config or session.environment.config)


def packages_of(config: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The package sets that an environment's config asks for, by name."""
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
            work = pool.submit(_install_one, backend, network, name, names)
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
                    about["note"] = text_of(result)[-SHOWN:]
                drafts.append(Draft(ev.OPS_PACKAGES_INSTALLED, about))
                continue
            told = f"The {manager} packages of the environment could not be installed: {text_of(result)[-SHOWN:]}"
            drafts.append(_failed(told))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return drafts


def _install_one(backend: SandboxBackend, network: Network, name: str, names: Sequence[str]) -> CallResult | None:
    path = network.path()
    assert path is not None
    try:
        return make(backend, path, name, names)
    finally:
        network.collect_errand(name)


def make(
    backend: SandboxBackend, egress: Path, name: str, names: Sequence[str], *, anew: bool = False
) -> CallResult | None:
    """Make a package set, in a sandbox that reaches package managers only and that the proxy knows by the set's name.

    See ``SandboxBackend.make_packages``. Raises ``SandboxError`` and ``EgressUnavailable``.
    """
    told = client.register(egress, name, Networking("limited", package_managers=True), ())
    spec = SandboxSpec(name, LIMITS, network="proxy", trust=told.trust, environment=told.variables)
    return backend.make_packages(spec, sets.command(sets.manager_of(name) or "", names), anew=anew)


def _failed(message: str) -> Draft:
    return Draft(ev.SESSION_ERROR, {"error": session_error("unknown_error", message, "retrying")})
