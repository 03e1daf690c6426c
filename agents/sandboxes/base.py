"""What a sandbox backend must offer, and the values that cross its border.

A sandbox is a session's pair of hands: one isolated file system and process tree in which the
agent's tools run. Workers never hold one; they talk to the machine's *sandbox host*, so that a
worker may die in the middle of a call and its successor can ask for the result by ``call_id``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, Protocol

WORKSPACE = "/workspace"
UPLOADS = "/mnt/session/uploads"
OUTPUTS = "/mnt/session/outputs"
MEMORY = "/mnt/memory"
NOT_SAVED = "/tmp/not-saved"  # noqa: S108  a name inside the sandbox
SKILLS = "/workspace/skills"

MIB = 1024 * 1024

OnOutput = Callable[[str], None]


class SandboxError(Exception):
    """Base of everything a backend raises; the text is fit for an operator to read."""


class SandboxUnavailable(SandboxError):
    """No sandbox can be opened here (no user namespaces, no host process); says the way out."""


class SandboxLost(SandboxError):
    """The sandbox named does not (any longer) exist on this host; open it again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits of one sandbox. Sizes in bytes, times in seconds."""

    memory_bytes: int = 1024 * MIB
    processes: int = 512
    file_bytes: int = 512 * MIB
    open_files: int = 1024
    disk_bytes: int = 10 * 1024 * MIB
    call_seconds: float = 120.0
    call_seconds_max: float = 3600.0


@dataclass(frozen=True, slots=True)
class Upload:
    """A file shown read-only inside the sandbox. ``path`` is absolute and under ``UPLOADS`` or ``SKILLS``."""

    path: str
    size: int
    open: Callable[[], BinaryIO]
    executable: bool = False


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """A directory at ``MEMORY/name`` whose files are documents kept elsewhere; see ``SandboxBackend.exchange``."""

    name: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class FolderUpdate:
    """What to do to one file of a shared folder, if its digest still is ``seen`` (None: there is none).

    ``put`` writes ``content``, ``drop`` removes the file, ``note`` takes note that it is stored as it is,
    ``aside`` moves it to ``NOT_SAVED``, out of the folder.
    """

    path: str
    kind: Literal["put", "drop", "note", "aside"]
    seen: str | None
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class FolderChange:
    """A file that the agent wrote or removed: its digest when it was last known, and now (None: not there).

    ``content`` is None for a removed file, and for one that is too large or not a regular file.
    """

    path: str
    known: str | None
    now: str | None
    content: bytes | None
    size: int


@dataclass(frozen=True, slots=True)
class FolderState:
    """A shared folder after an exchange: what is known to be stored (path to SHA-256), and what changed.

    ``more``: there are more changes than one answer holds.
    """

    known: Mapping[str, str]
    changes: tuple[FolderChange, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """How to open a sandbox. ``sandbox_id`` is the session's id; opening twice is a no-op, except
    that uploads not yet present are added.

    ``first``: no call of this session was ever sent to a sandbox (a mark must be committed between
    the first ``open`` and the first ``call``). The journal of a fresh sandbox then reaches back to
    the session's beginning.

    ``network``: ``none`` is a loopback interface and nothing else; ``proxy`` adds the machine's egress proxy on one
    port of it, and ``trust`` is the certificate (PEM) to trust besides the system's. ``packages`` names the package
    sets to show (``agents.sandboxes.packages``); one that is not kept here is not shown.
    """

    sandbox_id: str
    limits: Limits = field(default_factory=Limits)
    network: Literal["none", "proxy"] = "none"
    trust: str = ""
    uploads: Sequence[Upload] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[SharedFolder] = ()
    first: bool = False
    packages: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """Answer of ``open``. ``origin``: was running already, kept its directory, came from the
    snapshot, or starts empty. ``layers``: the limit layers really in force (``rlimits``, …).
    """

    sandbox_id: str
    origin: Literal["running", "kept", "restored", "fresh"]
    layers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A regular file below ``OUTPUTS``; ``path`` is relative to it."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class CallResult:
    """Result of one tool call.

    ``content`` holds wire content blocks (text, image, document: spec core 10.2). ``outcome`` is
    ``unknown`` when the call started and its sandbox was lost: then ``is_error`` is true and the
    text tells the model so. ``outputs`` lists every file now below ``OUTPUTS``.
    """

    content: list[dict[str, Any]]
    is_error: bool
    outcome: Literal["finished", "unknown"] = "finished"
    outputs: tuple[OutputFile, ...] = ()
    duration_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """Answer of ``probe``. ``reasons`` are sentences: why not usable, or which layer is missing."""

    backend: str
    usable: bool
    strength: Literal["none", "process", "namespace", "vm"]
    layers: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PackageSet:
    """What a host knows of a package set. Times in seconds since the epoch.

    ``built_at``, ``used_at`` and ``size`` (bytes) are of the one that is ``kept``, where they are known. ``failed_at``
    and ``fault`` are of the last attempt to make it, if that one failed.
    """

    name: str
    kept: bool = False
    built_at: float | None = None
    size: int | None = None
    used_at: float | None = None
    failed_at: float | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class OpenSandbox:
    """A sandbox with running processes; ``busy`` while a call runs. One that makes a package set has that name."""

    sandbox_id: str
    busy: bool
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class Inventory:
    """The package sets asked for, in that order, and every open sandbox of the host."""

    sets: tuple[PackageSet, ...]
    open: tuple[OpenSandbox, ...]


class SandboxBackend(Protocol):
    """One kind of sandbox. Every method may raise ``SandboxError``."""

    def probe(self) -> Report:
        """Say whether sandboxes can be opened here, how strong they are, and what is missing."""

    def open(self, spec: SandboxSpec, snapshot: BinaryIO | None = None) -> Opened:
        """Make the sandbox ready. A snapshot (tar.zst) is used only if no directory was kept."""

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
        """Run a tool once per ``call_id``, ever.

        Every ``lane`` has a shell of its own: commands of one lane run one after another, lanes side by side.

        ``reattempt`` says that an earlier attempt may have reached some host. A finished call
        answers its recorded result; a running one is waited for; one that was started and lost
        is ``unknown``; one that the journal does not know is run, except when ``reattempt`` is
        set and the journal does not reach back (fresh or restored sandbox): then ``unknown``.
        """

    def interrupt(self, sandbox_id: str, call_id: str | None = None) -> None:
        """Stop the running call (or all); it ends with an error result soon after."""

    def snapshot(self, sandbox_id: str) -> Iterator[bytes]:
        """Stream the workspace, outputs and home as tar.zst; safe while nothing runs."""

    def read_output(self, sandbox_id: str, path: str) -> Iterator[bytes]:
        """Stream one file below ``OUTPUTS``; links are never followed out of it."""

    def exchange(self, sandbox_id: str, folder: str, updates: Sequence[FolderUpdate]) -> FolderState:
        """Carry out updates of a shared folder, each only if its file is still as seen; then tell what changed."""

    def make_packages(self, spec: SandboxSpec, command: str, *, anew: bool = False) -> CallResult | None:
        """Make the package set that ``spec.sandbox_id`` names, by a command in a sandbox of its own.

        None if it is kept already, unless it is to be made ``anew``; a set whose command fails is not kept, and leaves
        an earlier one as it is. Takes as long as the spec's ``call_seconds``; whoever asks meanwhile waits for the
        same.
        """

    def inventory(self, sets: Sequence[str]) -> Inventory:
        """What is known of these package sets, and which sandboxes are open."""

    def close(self, sandbox_id: str, *, discard: bool = False) -> None:
        """End all its processes; ``discard`` also removes directory and journal."""

    def sweep(self, alive: Sequence[str]) -> list[str]:
        """Discard every sandbox not named in ``alive``; returns the ids removed."""
