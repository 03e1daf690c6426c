"""Checks of what threads and stores share: lanes, skills, and folders whose documents are kept elsewhere."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from agents.sandboxes.base import MEMORY, SKILLS, FolderUpdate, SharedFolder, Upload
from agents.sandboxes.conformance.bench import Bench, background, expect, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.sandboxes.base import FolderState

NOTES = SharedFolder("notes", read_only=False)
REFERENCE = SharedFolder("reference", read_only=True)


def _put(path: str, content: bytes, seen: bytes | None = None) -> FolderUpdate:
    return FolderUpdate(path, "put", _sha(seen), content)


def _sha(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def _exchange(b: Bench, *updates: FolderUpdate, folder: str = "notes") -> FolderState:
    return b.backend.exchange(b.id, folder, updates)


def _changes(state: FolderState) -> list[tuple[str, bytes | None]]:
    return [(change.path, change.content) for change in state.changes]


def _documents(b: Bench) -> None:
    b.open(folders=(NOTES,))
    state = _exchange(b, _put("/a.md", b"one"), _put("/d/b.md", b"two"))
    expect((dict(state.known), state.changes) == ({"/a.md": _sha(b"one"), "/d/b.md": _sha(b"two")}, ()), state)
    expect(b.bash(f"cd {MEMORY}/notes && cat a.md d/b.md") == "onetwo")
    b.bash(f"cd {MEMORY}/notes && printf 1 > a.md && rm d/b.md && mkdir -p e && printf new > e/c.md")
    state = _exchange(b)
    expect(sorted(_changes(state)) == [("/a.md", b"1"), ("/d/b.md", None), ("/e/c.md", b"new")], state)
    expect({change.path: change.known for change in state.changes}["/a.md"] == _sha(b"one"), state)
    noted = [FolderUpdate(change.path, "note", change.now) for change in state.changes]
    expect(_exchange(b, *noted).changes == (), "noted")


def _not_stale(b: Bench) -> None:
    b.open(folders=(NOTES,))
    _exchange(b, _put("/a.md", b"one"))
    b.bash(f"printf mine > {MEMORY}/notes/a.md")
    state = _exchange(b, _put("/a.md", b"theirs", seen=b"one"))
    expect(_changes(state) == [("/a.md", b"mine")], state)
    aside = FolderUpdate("/a.md", "aside", _sha(b"mine"))
    state = _exchange(b, aside, _put("/a.md", b"theirs"))
    expect(state.changes == (), state)
    expect(b.bash(f"cat {MEMORY}/notes/a.md /tmp/not-saved/notes/a.md") == "theirsmine")


def _read_only(b: Bench) -> None:
    b.open(folders=(NOTES, REFERENCE))
    _exchange(b, _put("/a.md", b"fixed"), folder="reference")
    expect(b.call("bash", command=f"echo x > {MEMORY}/reference/a.md").is_error)
    expect(b.call("bash", command=f"touch {MEMORY}/other").is_error)
    _exchange(b, _put("/a.md", b"newer", seen=b"fixed"), folder="reference")
    expect(b.bash(f"cat {MEMORY}/reference/a.md") == "newer")


def _odd(b: Bench) -> None:
    b.open(folders=(NOTES,))
    b.bash(
        f"cd {MEMORY}/notes; ln -s /etc/passwd link; ln -s / way; mkfifo pipe; head -c 200000 /dev/zero > big; "
        "printf '\\xff' > raw"
    )
    state = _exchange(b)
    found = dict(_changes(state))
    wanted = {"/link": None, "/way": None, "/pipe": None, "/big": None, "/raw": b"\xff"}
    expect(found == wanted, found)
    _exchange(b, _put("/way/tmp/x.md", b"x"))
    expect(b.call("bash", command="cat /tmp/x.md").is_error)
    aside = [FolderUpdate(change.path, "aside", change.now) for change in state.changes]
    expect(_exchange(b, *aside).changes == (), "aside")
    expect(b.bash(f"ls {MEMORY}/notes") == "(no output)")


def _kept(b: Bench) -> None:
    b.open(folders=(NOTES,))
    _exchange(b, _put("/a.md", b"one"))
    b.bash(f"printf two > {MEMORY}/notes/a.md")
    b.backend.close(b.id)
    b.open(folders=(NOTES,))
    expect(_changes(_exchange(b)) == [("/a.md", b"two")], "after a restart")


def _skills(b: Bench) -> None:
    run = b"#!/bin/sh\necho works\n"
    files = (
        Upload(f"{SKILLS}/greeter/SKILL.md", 4, lambda: io.BytesIO(b"read")),
        Upload(f"{SKILLS}/greeter/bin/run", len(run), lambda: io.BytesIO(run), executable=True),
    )
    b.open(uploads=files)
    expect(b.bash(f"cat {SKILLS}/greeter/SKILL.md; {SKILLS}/greeter/bin/run") == "readworks")
    expect(b.call("bash", command=f"echo x > {SKILLS}/greeter/SKILL.md").is_error)
    snapshot = b"".join(b.backend.snapshot(b.id))
    b.discard()
    b.open(snapshot, uploads=files)
    expect(b.bash("skills/greeter/bin/run") == "works")


def _lanes(b: Bench) -> None:
    b.open()

    def call(lane: str, command: str) -> str:
        return text(b.backend.call(b.id, f"{lane}-{command}", "bash", {"command": command}, lane=lane))

    thread, results = background(
        lambda: b.backend.call(b.id, "waits", "bash", {"command": "until [ -e go ]; do sleep 0.02; done"}, lane="one")
    )
    expect(call("two", "cd /tmp && V=2; touch /workspace/go; echo $V") == "2")
    thread.join()
    expect(not results[0].is_error, results)
    expect(call("one", "echo [$V]; pwd") == "[]\n/workspace")
    expect(call("two", "echo [$V]; pwd") == "[2]\n/tmp")


CHECKS: dict[str, Callable[[Bench], None]] = {
    "documents of a shared folder come in, and changes go out": _documents,
    "an update never overwrites what the agent wrote meanwhile": _not_stale,
    "a read-only folder can't be written from inside": _read_only,
    "links and odd files in a shared folder lead nowhere": _odd,
    "changes of a shared folder outlive the processes": _kept,
    "skills are read-only, runnable and in no snapshot": _skills,
    "lanes have shells of their own, side by side": _lanes,
}
