"""The local launcher: what ``engine.Launcher`` asks for, by bubblewrap on this machine."""

from __future__ import annotations

import functools
import json
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.sandboxes import packages
from agents.sandboxes.base import SandboxUnavailable
from agents.sandboxes.boxes import usage
from agents.sandboxes.boxes.keeper import BoxSettings, Keeper, mib
from agents.sandboxes.local import apt, cgroups, probe
from agents.sandboxes.local.binary import Runtime, clear, install
from agents.sandboxes.local.cgroups import Cgroups
from agents.sandboxes.local.process import Process, Spawner, start_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agents.sandboxes.base import Limits, Report, SandboxSpec
    from agents.sandboxes.boxes.layout import Box
    from agents.sandboxes.boxes.mounts import Mount


@dataclass(frozen=True, slots=True)
class LocalSettings(BoxSettings):
    """``cgroup``: a delegated cgroup directory, or None."""

    cgroup: Path | None = None


class LocalLauncher(Keeper):
    """Sandboxes by bubblewrap."""

    def __init__(self, settings: LocalSettings, runtime: Runtime | None = None) -> None:
        super().__init__(settings)
        self._runtime = runtime or install(settings.root / "runtime")
        self._spawner = Spawner(self._runtime)
        self._cgroups, self._cgroup_fault = _cgroups(settings.cgroup)
        self._kill_leftovers()
        clear(self._runtime)
        layers = ["rlimits", "watchdog"]
        if self._cgroups is not None:
            layers.insert(1, "cgroup")
        self.layers = tuple(layers)

    def probe(self) -> Report:
        """Start a sandbox in a throw-away box and look at it from inside."""
        reasons = [reason for reason in (self._cgroup_fault, self.room()) if reason]
        return probe.report(self._layout, self._spawner, self.layers, reasons)

    def start(self, spec: SandboxSpec) -> Process:
        sandbox_id, limits = spec.sandbox_id, spec.limits
        process = self._start(spec)
        try:
            record = {"pid": process.init_pid, "start": start_time(process.init_pid)}
            (self._box(sandbox_id).path / "init.json").write_text(json.dumps(record))
            if self._cgroups is not None:
                # The runner waits for its first line, so nothing has been started in there yet.
                self._cgroups.create(sandbox_id, limits)
                self._cgroups.enter(sandbox_id, process.init_pid)
        except (OSError, ValueError) as error:
            process.close()
            raise SandboxUnavailable(f"The sandbox's limits could not be put in force: {error}") from error
        return process

    def _start(self, spec: SandboxSpec) -> Process:
        box, mounts = self.prepared(spec)
        mounts += self._apt(box, spec)
        if spec.network == "none":
            return self._spawner.serve(box, mounts)
        gate = self.gate()
        process, listener = self._spawner.serve_with_door(box, self.trusting(box, spec.trust), mounts)
        gate.attach(spec.sandbox_id, listener)
        return process

    def _apt(self, box: Box, spec: SandboxSpec) -> Iterator[Mount]:
        """What shows apt's configuration to the sandbox that makes a set of it, and a set of it in its place."""
        for name in spec.packages:
            if packages.manager_of(name) != "apt":
                continue
            if name == spec.sandbox_id:
                yield from apt.configuration(box.path / "apt")
            elif self.lays_over and self._packages.has(name):
                yield from apt.in_place(self._packages.path(name))

    @functools.cached_property
    def lays_over(self) -> bool:
        return probe.lays_over(self._runtime)

    def run(self, sandbox_id: str, limits: Limits, *arguments: str) -> Process:
        return self._spawner.start(self._box(sandbox_id), *arguments)

    def excess(self, sandbox_id: str, process: object, limits: Limits) -> str | None:
        assert isinstance(process, Process)
        memory = usage.memory_bytes(process.init_pid, limits.memory_bytes)
        if memory > limits.memory_bytes:
            return f"The sandbox used {mib(memory)} of memory, more than its limit of {mib(limits.memory_bytes)}."
        return self.disk_excess(sandbox_id, limits)

    def ended(self, sandbox_id: str) -> None:
        super().ended(sandbox_id)
        if self._cgroups is not None:
            self._cgroups.remove(sandbox_id)

    def release(self) -> None:
        self._spawner.close()
        super().release()

    def _kill_leftovers(self) -> None:
        """End what a killed host may have left; a number used again has another start time."""
        for sandbox_id in self._layout.ids():
            try:
                record = json.loads((self._layout.boxes / sandbox_id / "init.json").read_text())
                fd = os.pidfd_open(record["pid"])
            except (OSError, ValueError, KeyError):
                continue
            if start_time(record["pid"]) == record["start"]:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)


def _cgroups(root: Path | None) -> tuple[Cgroups | None, str | None]:
    if root is None:
        return None, "No cgroup is delegated (--cgroup): memory is limited by rlimits and the watchdog only."
    try:
        groups = Cgroups(cgroups.own() if root == cgroups.OWN else root)
    except (OSError, ValueError) as error:
        return None, f"--cgroup own can't be used ({error}); let systemd delegate it (Delegate=yes) or leave it out."
    fault = groups.fault()
    return (None, fault) if fault else (groups, None)
