"""What lasts, what is shared with nobody, and what never happens twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.sandboxes.base import OUTPUTS, SandboxSpec
from agents.sandboxes.conformance.bench import WAIT_SECONDS, Bench, background, expect, lost, refused, text, until

if TYPE_CHECKING:
    from collections.abc import Callable


def _once(b: Bench) -> None:
    b.open()
    first = b.call("bash", call_id="once", command="echo x >> count; wc -l < count")
    again = b.call("bash", call_id="once", command="echo x >> count; wc -l < count")
    expect(first == again and b.bash("wc -l < count") == "1", first, again)


def _joined(b: Bench) -> None:
    b.open()
    command = "while [ ! -e go ]; do sleep 0.02; done; echo x >> count"
    one, first = background(lambda: b.call("bash", call_id="same", command=command))
    two, second = background(lambda: b.call("bash", call_id="same", command=command))
    b.call("write", file_path="go", content="")
    one.join(WAIT_SECONDS)
    two.join(WAIT_SECONDS)
    expect(first == second and b.bash("wc -l < count") == "1", first, second)


def _kept(b: Bench) -> None:
    expect(b.open().origin == "fresh")
    first = b.call("bash", call_id="before", command="echo x > f; echo done")
    b.backend.close(b.id)
    lost(lambda: b.call("bash", command="true"))
    expect(b.open().origin == "kept")
    expect(b.call("bash", call_id="before", command="") == first)
    expect(b.bash("cat f") == "x")


def _lost_midway(b: Bench) -> None:
    b.open()
    pieces: list[str] = []
    given = {"command": "echo begun; sleep 60"}
    thread, results = background(lambda: b.backend.call(b.id, "cut", "bash", given, on_output=pieces.append))
    until(lambda: bool(pieces))
    b.backend.close(b.id)
    thread.join(WAIT_SECONDS)
    expect(results[0].outcome == "unknown" and results[0].is_error, results)
    b.open()
    again = b.backend.call(b.id, "cut", "bash", given, reattempt=True)
    expect(again.outcome == "unknown", again)


def _reattempts(b: Bench) -> None:
    b.open(first=True)
    known = b.backend.call(b.id, "new", "bash", {"command": "echo ran"}, reattempt=True)
    expect(text(known) == "ran", known)
    b.discard()
    b.open(first=False)
    lost = b.backend.call(b.id, "old", "bash", {"command": "echo ran"}, reattempt=True)
    expect(lost.outcome == "unknown" and lost.is_error, lost)
    fresh = b.backend.call(b.id, "next", "bash", {"command": "echo ran"})
    expect(text(fresh) == "ran", fresh)


def _snapshot(b: Bench) -> None:
    b.open()
    b.bash(f"echo w > w; ln -s w l; ln w h; mkdir -p d/e; touch -d @1 w; echo o > {OUTPUTS}/o; echo h > ~/h; mkfifo p")
    b.bash("cp /usr/bin/env s; chmod 6755 s; mkdir closed; chmod 500 closed")
    packed = b"".join(b.backend.snapshot(b.id))
    b.discard()
    expect(b.open(packed, first=False).origin == "restored")
    seen = b.bash(f"cat w l h; stat -c '%Y %h' w; cat {OUTPUTS}/o ~/h; stat -c %a s; ls -d d/e; test -e p || echo none")
    expect(seen == "w\nw\nw\n1 2\no\nh\n755\nd/e\nnone", seen)


def _bare(b: Bench) -> None:
    b.open()
    b.bash("chmod 750 .")
    packed = b"".join(b.backend.snapshot(b.id))
    expect(packed == b"".join(b.backend.snapshot(b.id)), "two snapshots of nothing differ")
    b.bash("mkdir d")
    expect(packed != b"".join(b.backend.snapshot(b.id)), "an empty directory is something")
    b.discard()
    expect(b.open(packed, first=False).origin == "restored")
    seen = b.bash(f"ls -A . {OUTPUTS} ~; stat -c %a . {OUTPUTS}")
    expect(seen == f".:\n\n/home/sandbox:\n\n{OUTPUTS}:\n750\n755", seen)


def _damaged(b: Bench) -> None:
    refused(lambda: b.open(b"this is no snapshot"))
    expect(b.open().origin == "fresh")


def _apart(b: Bench) -> None:
    other = Bench(b.backend, b.limits)
    b.open()
    other.open()
    b.bash("echo secret > mine; echo secret > /tmp/mine")
    expect(other.bash("ls /workspace /tmp /home") == "/home:\nsandbox\n\n/tmp:\n\n/workspace:")
    other.discard()


def _discarded(b: Bench) -> None:
    b.open()
    b.bash("echo x > f; mkdir c; touch c/f; chmod 000 c")
    b.discard()
    lost(lambda: b.call("bash", command="true"))
    lost(lambda: list(b.backend.snapshot(b.id)))
    expect(b.open().origin == "fresh" and b.bash("ls") == "(no output)")


def _bad_id(b: Bench) -> None:
    for name in ("", "../x", "a/b", ".hidden", "x" * 200):
        refused(lambda name=name: b.backend.open(SandboxSpec(name)))  # type: ignore[misc]


CHECKS: dict[str, Callable[[Bench], None]] = {
    "a call runs once for its id": _once,
    "a second caller gets the running call's result": _joined,
    "a closed sandbox keeps files and journal": _kept,
    "a call cut off by its sandbox's end is unknown": _lost_midway,
    "a reattempt is run only where the journal reaches back": _reattempts,
    "a snapshot restores files, links and times without set-user-id": _snapshot,
    "a snapshot of a sandbox without files restores it": _bare,
    "a damaged snapshot is refused": _damaged,
    "sandboxes do not see each other": _apart,
    "a discarded sandbox is gone": _discarded,
    "a bad sandbox id is refused": _bad_id,
}
