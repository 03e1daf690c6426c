"""A backend out of a launcher: boxes, calls, the journal, idle closing, snapshots.

The launcher knows how to start the runner somewhere (bubblewrap here, a container elsewhere);
everything that must be the same in every backend is in this file and in ``link``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from agents.sandboxes import archives, egress, packages
from agents.sandboxes.base import (
    MIB,
    CallResult,
    FolderState,
    FolderUpdate,
    Inventory,
    Limits,
    OnOutput,
    Opened,
    OpenSandbox,
    PackageSet,
    Report,
    SandboxError,
    SandboxLost,
    SandboxSpec,
    SandboxUnavailable,
)
from agents.sandboxes.journal import Journal
from agents.sandboxes.link import Link, Process
from agents.sandboxes.results import text_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

log = logging.getLogger("holdfast.sandboxes")

WATCH_SECONDS = 1.0
SANDBOX_BYTES = 24 * MIB
# A sandbox without a running call may still have background jobs: looked at, but less often.
WATCH_IDLE_SECONDS = 15.0


class Launcher(Protocol):
    """What differs between backends. ``Exists`` means: its directory was completely made."""

    layers: tuple[str, ...]

    @property
    def lays_over(self) -> bool:
        """Whether package sets of apt lie over the sandbox's own ``/usr``."""

    def probe(self) -> Report:
        """See ``SandboxBackend.probe``."""

    def ids(self) -> list[str]:
        """Every sandbox of which something is kept."""

    def exists(self, sandbox_id: str) -> bool:
        """Whether a complete directory is kept."""

    def create(self, sandbox_id: str) -> None:
        """Make an empty directory, not yet complete."""

    def seal(self, sandbox_id: str) -> None:
        """Declare the directory complete."""

    def remove(self, sandbox_id: str) -> None:
        """Remove directory and journal."""

    def journal(self, sandbox_id: str) -> Any:
        """Path of the journal file (outside of what the sandbox sees)."""

    def bare(self, sandbox_id: str) -> Mapping[str, int] | None:
        """The modes of the places that a snapshot keeps if nothing lies in any of them."""

    def add_uploads(self, spec: SandboxSpec) -> None:
        """Copy the uploads that are not there yet."""

    def start(self, spec: SandboxSpec) -> Process:
        """Start the runner serving calls, with the spec's limits and network."""

    def run(self, sandbox_id: str, limits: Limits, *arguments: str) -> Process:
        """Start the runner for one errand (pack, unpack) with the same isolation."""

    def read_output(self, sandbox_id: str, path: str) -> Iterator[bytes]:
        """See ``SandboxBackend.read_output``."""

    def exchange(self, sandbox_id: str, folder: str, updates: Sequence[FolderUpdate]) -> FolderState:
        """See ``SandboxBackend.exchange``."""

    def excess(self, sandbox_id: str, process: Process, limits: Limits) -> str | None:
        """Which limit the running sandbox exceeds, as a sentence; None if none."""

    def room(self) -> str | None:
        """Why no further sandbox may be opened (a full disk); None if there is room."""

    def has_packages(self, name: str) -> bool:
        """Whether a package set is kept."""

    def keep_packages(self, name: str) -> None:
        """Keep what the sandbox ``name``, which has ended, installed as the package set of that name."""

    def note_package_fault(self, name: str, fault: str) -> None:
        """Remember why the package set of that name could not be made."""

    def package_set(self, name: str) -> PackageSet:
        """What is known of a package set."""

    def sweep_packages(self, used: Collection[str]) -> None:
        """Remove package sets that were not used for long; those ``used`` are shown in running sandboxes."""

    def ended(self, sandbox_id: str) -> None:
        """The sandbox's processes are gone: give back what was reserved for them."""


def sandboxes_that_fit() -> int:
    """How many idle sandboxes this machine's memory holds with room to work: 16 to 1,000."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(16, min(1000, memory // SANDBOX_BYTES))


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """``idle_seconds``: processes of an unused sandbox are ended after this, files are kept.
    ``max_open``: sandboxes with running processes at one time.
    """

    idle_seconds: float = 900.0
    max_open: int = 200
    watch_seconds: float = WATCH_SECONDS


@dataclass(slots=True)
class _Door:
    """A lock that is there while somebody wants it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    wanted_by: int = 0


class RunnerBackend:
    """``SandboxBackend`` over any launcher. Thread-safe."""

    def __init__(self, launcher: Launcher, settings: EngineSettings | None = None) -> None:
        self._launcher = launcher
        self._settings = settings or EngineSettings()
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}
        self._doors: dict[str, _Door] = {}
        self._stop = threading.Event()
        threading.Thread(target=self._watch, name="sandbox-watchdog", daemon=True).start()

    def probe(self) -> Report:
        return self._launcher.probe()

    def open(self, spec: SandboxSpec, snapshot: BinaryIO | None = None) -> Opened:
        with self._door(spec.sandbox_id):
            if self._running(spec.sandbox_id):
                self._launcher.add_uploads(spec)
                return Opened(spec.sandbox_id, "running", self._launcher.layers)
            self._make_room()
            if self._launcher.exists(spec.sandbox_id):
                self._launcher.add_uploads(spec)
                self._start(spec)
                return Opened(spec.sandbox_id, "kept", self._launcher.layers)
            return self._open_new(spec, snapshot)

    def call(
        self,
        sandbox_id: str,
        call_id: str,
        name: str,
        tool_input: Mapping[str, Any],
        *,
        reattempt: bool = False,
        lane: str = "",
        on_output: OnOutput | None = None,
    ) -> CallResult:
        begun = self._link(sandbox_id).begin(call_id, name, tool_input, reattempt, lane)
        if isinstance(begun, CallResult):
            return begun
        for text in begun.output():
            if on_output is not None:
                on_output(text)
        if begun.result is None:
            raise begun.fault or SandboxLost("The sandbox ended; open it again.")
        return begun.result

    def interrupt(self, sandbox_id: str, call_id: str | None = None) -> None:
        self._link(sandbox_id).interrupt(call_id)

    def snapshot(self, sandbox_id: str) -> Iterator[bytes]:
        if not self._launcher.exists(sandbox_id):
            raise SandboxLost(f"There are no files of {sandbox_id} on this host.")
        modes = self._launcher.bare(sandbox_id)
        if modes is not None:
            return iter([archives.bare(modes)])
        limits = self._limits(sandbox_id)
        return archives.pack(self._launcher.run(sandbox_id, limits, "pack", *archives.ROOTS), limits)

    def read_output(self, sandbox_id: str, path: str) -> Iterator[bytes]:
        if not self._launcher.exists(sandbox_id):
            raise SandboxLost(f"There are no files of {sandbox_id} on this host.")
        return self._launcher.read_output(sandbox_id, path)

    def exchange(self, sandbox_id: str, folder: str, updates: Sequence[FolderUpdate]) -> FolderState:
        if not self._launcher.exists(sandbox_id):
            raise SandboxLost(f"There are no files of {sandbox_id} on this host.")
        return self._launcher.exchange(sandbox_id, folder, updates)

    def inventory(self, sets: Sequence[str]) -> Inventory:
        with self._lock:
            links = dict(self._links)
        sandboxes = (OpenSandbox(name, link.busy, link.idle_seconds()) for name, link in links.items())
        return Inventory(tuple(self._launcher.package_set(name) for name in sets), tuple(sandboxes))

    def make_packages(self, spec: SandboxSpec, command: str, *, anew: bool = False) -> CallResult | None:
        name = spec.sandbox_id
        with self._door(f"packages of {name}"):
            if self._launcher.has_packages(name) and not anew:
                return None
            self.close(name, discard=True)
            try:
                self.open(replace(spec, packages=(name,)))
                result = self.call(name, name, "bash", {"command": command})
                if not result.is_error:
                    self._end(name, "The packages are installed.")
                    self._launcher.keep_packages(name)
                else:
                    self._launcher.note_package_fault(name, text_of(result))
                return result
            except SandboxError as error:
                self._launcher.note_package_fault(name, str(error))
                raise
            finally:
                self.close(name, discard=True)

    def close(self, sandbox_id: str, *, discard: bool = False) -> None:
        with self._door(sandbox_id):
            self._end(sandbox_id, "The sandbox was closed.")
            if discard:
                self._launcher.remove(sandbox_id)

    def sweep(self, alive: Sequence[str]) -> list[str]:
        kept = {*alive, *(name for name in list(self._links) if packages.manager_of(name))}
        gone = [sandbox_id for sandbox_id in self._launcher.ids() if sandbox_id not in kept]
        for sandbox_id in gone:
            self.close(sandbox_id, discard=True)
        self._launcher.sweep_packages({name for link in list(self._links.values()) for name in link.spec.packages})
        return gone

    def shutdown(self) -> None:
        """End every process of every sandbox; directories and journals stay."""
        self._stop.set()
        for sandbox_id in list(self._links):
            self._end(sandbox_id, "The sandbox host was stopped.")

    def _open_new(self, spec: SandboxSpec, snapshot: BinaryIO | None) -> Opened:
        self._launcher.create(spec.sandbox_id)
        if snapshot is not None:
            archives.unpack(self._launcher.run(spec.sandbox_id, spec.limits, "unpack", *archives.ROOTS), snapshot, spec)
        journal = Journal.create(self._launcher.journal(spec.sandbox_id), reaches_back=spec.first)
        try:
            self._launcher.seal(spec.sandbox_id)
            self._launcher.add_uploads(spec)
        except BaseException:
            journal.close()
            raise
        self._start(spec, journal)
        return Opened(spec.sandbox_id, "restored" if snapshot else "fresh", self._launcher.layers)

    def _start(self, spec: SandboxSpec, journal: Journal | None = None) -> None:
        usual = egress.ENVIRONMENT if spec.network == "proxy" else {}
        installed = packages.environment(spec.packages, in_place=self._launcher.lays_over)
        spec = replace(spec, environment={**usual, **installed, **spec.environment})
        journal = journal or Journal.load(self._launcher.journal(spec.sandbox_id))
        try:
            link = Link(spec, self._launcher.start(spec), journal)
        except BaseException:
            journal.close()
            self._launcher.ended(spec.sandbox_id)
            raise
        with self._lock:
            self._links[spec.sandbox_id] = link

    def _running(self, sandbox_id: str) -> bool:
        link = self._links.get(sandbox_id)
        if link is not None and link.lost is not None:
            self._end(sandbox_id, link.lost)
            return False
        return link is not None

    def _link(self, sandbox_id: str) -> Link:
        link = self._links.get(sandbox_id)
        if link is None:
            raise SandboxLost(f"The sandbox {sandbox_id} is not open on this host; open it again.")
        return link

    def _limits(self, sandbox_id: str) -> Limits:
        link = self._links.get(sandbox_id)
        return link.spec.limits if link else Limits()

    @contextlib.contextmanager
    def _door(self, sandbox_id: str) -> Iterator[None]:
        """One opening or closing of a sandbox at a time."""
        with self._lock:
            door = self._doors.setdefault(sandbox_id, _Door())
            door.wanted_by += 1
        try:
            with door.lock:
                yield
        finally:
            with self._lock:
                door.wanted_by -= 1
                if not door.wanted_by:
                    del self._doors[sandbox_id]

    def _end(self, sandbox_id: str, reason: str) -> None:
        with self._lock:
            link = self._links.pop(sandbox_id, None)
        if link is not None:
            link.end(reason)
            link.ended.wait(10)
            link.journal.close()
            self._launcher.ended(sandbox_id)

    def _make_room(self) -> None:
        """Refuse where nothing is left; at the cap, end the sandbox unused for the longest time."""
        why = self._launcher.room()
        if why is not None:
            raise SandboxUnavailable(why)
        with self._lock:
            links = dict(self._links)
        if len(links) < self._settings.max_open:
            return
        why = "Ended to make room: it was not in use."
        for name, link in sorted(links.items(), key=lambda one: one[1].last_used):
            if link.retire(why):
                self._end(name, why)
                return
        raise SandboxUnavailable(
            f"All {self._settings.max_open} sandboxes of this host are at work; try again later, "
            "or raise the host's --max-open."
        )

    def _watch(self) -> None:
        while not self._stop.wait(self._settings.watch_seconds):
            for sandbox_id, link in list(self._links.items()):
                try:
                    self._check(sandbox_id, link)
                except Exception:
                    log.exception("watchdog: checking %s failed", sandbox_id)

    def _check(self, sandbox_id: str, link: Link) -> None:
        if link.lost is not None:
            return
        why = "Ended after a time without use; its files are kept."
        if link.idle_seconds() > self._settings.idle_seconds and link.retire(why):
            self._end(sandbox_id, why)
            return
        overdue = link.overdue()
        if overdue is not None:
            link.end(f"The sandbox did not end {overdue.name} in time and was stopped.")
            return
        now = time.monotonic()
        if not link.busy and now - link.last_checked < WATCH_IDLE_SECONDS:
            return
        link.last_checked = now
        excess = self._launcher.excess(sandbox_id, link.process, link.spec.limits)
        if excess is not None:
            log.warning("sandbox %s ended: %s", sandbox_id, excess)
            link.end(excess)
