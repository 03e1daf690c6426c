"""The tools: what a model sees of them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from agents.sandboxes.base import OUTPUTS, UPLOADS, Upload
from agents.sandboxes.conformance.bench import WAIT_SECONDS, Bench, background, expect, refused, text, until

if TYPE_CHECKING:
    from collections.abc import Callable


def _shell_persists(b: Bench) -> None:
    b.open()
    b.bash("mkdir -p d && cd d && export A=1 && x=2 && f() { echo f-$1; }")
    seen = b.bash("pwd; echo $A $x; f 3")
    expect(seen == "/workspace/d\n1 2\nf-3", seen)


def _restart(b: Bench) -> None:
    b.open()
    b.bash("x=1; cd /tmp")
    expect(text(b.call("bash", restart=True)) == "bash session restarted")
    expect(b.bash("pwd; echo [$x]") == "/workspace\n[]")


def _exit_status(b: Bench) -> None:
    b.open()
    result = b.call("bash", command="echo no; exit_with() { return 3; }; exit_with")
    expect(result.is_error and text(result) == "no", result)
    expect(b.bash("true") == "(no output)")


def _no_stdin(b: Bench) -> None:
    b.open()
    expect(b.bash("cat; read line; echo [$line]") == "[]")


def _timeout(b: Bench) -> None:
    b.open()
    b.bash("x=kept; cd /usr; sleep 300 & echo $! > /tmp/job")
    result = b.call("bash", command="echo begun; sleep 60; echo never", timeout_ms=500)
    expect(result.is_error and text(result) == "begun\nbash: bash command timed out after 0.5s", result)
    expect(b.bash("pwd; echo $x; kill -0 $(cat /tmp/job) && echo job") == "/usr\nkept\njob")


def _stubborn(b: Bench) -> None:
    b.open()
    b.bash("x=kept")
    result = b.call("bash", command="(trap '' INT TERM; echo $BASHPID > /tmp/pid; sleep 60)", timeout_ms=1500)
    expect(result.is_error and "timed out" in text(result), result)
    # Killed, it is still to be seen until it is waited for.
    gone = "for _ in $(seq 50); do kill -0 $(cat /tmp/pid) 2>/dev/null || { echo gone; break; }; sleep 0.1; done"
    seen = b.bash(f"echo $x; {gone}")
    expect(seen == "kept\ngone", seen)


def _stubborn_shell(b: Bench) -> None:
    b.open()
    result = b.call("bash", command="trap '' INT; while :; do :; done", timeout_ms=300)
    expect(result.is_error and "new shell" in text(result), result)
    expect(b.bash("echo on") == "on")


def _shell_ends(b: Bench) -> None:
    b.open()
    result = b.call("bash", command="echo bye; exit 4")
    expect(result.is_error and "ended with status 4" in text(result), result)
    expect(b.bash("echo again") == "again")


def _shell_ends_beside_a_talker(b: Bench) -> None:
    b.open()
    said = text(b.call("bash", command="while :; do echo more; done & exit 3", timeout_ms=60_000))
    expect("[the shell ended with status 3]" in said, said[-300:])
    expect(b.bash("echo on") == "on")


def _broken_syntax(b: Bench) -> None:
    b.open()
    expect(b.call("bash", command="echo 'open").is_error)
    expect(b.bash("echo fine") == "fine")


def _bytes(b: Bench) -> None:
    b.open()
    seen = b.bash(r"printf 'a\xff\x00b \x1b[31mred\x1b[0m'")
    expect(seen == "a\ufffd\ufffdb red", seen)


def _long_output(b: Bench) -> None:
    b.open()
    seen = b.bash("seq 1 1500000")
    expect(seen.startswith("[output truncated]\n") and seen.endswith("\n1500000"), seen[:300])
    expect(len(seen) < 101_000, len(seen))
    path = next(word for word in seen[:500].replace(";", " ").split() if word.startswith("/"))
    expect(b.bash(f"head -1 {path}; tail -1 {path}; wc -l < {path}") == "1\n1500000\n1500000")


def _streams(b: Bench) -> None:
    b.open()
    pieces: list[str] = []
    go = "/workspace/go"
    work = f"echo one; while [ ! -e {go} ]; do sleep 0.02; done; echo two"
    thread, results = background(
        lambda: b.backend.call(b.id, "stream", "bash", {"command": work}, on_output=pieces.append)
    )
    until(lambda: "one" in "".join(pieces))
    expect(not results, results)
    b.call("write", file_path=go, content="")
    thread.join(WAIT_SECONDS)
    expect("".join(pieces) == "one\ntwo\n" and text(results[0]) == "one\ntwo", pieces, results)


def _endless(b: Bench) -> None:
    b.open()
    pieces: list[str] = []
    given = {"command": "yes", "timeout_ms": 700}
    result = b.backend.call(b.id, "endless", "bash", given, on_output=pieces.append)
    expect(result.is_error and text(result).endswith("timed out after 0.7s"), text(result)[-200:])
    expect(len("".join(pieces)) < 600_000, len("".join(pieces)))


def _whole_output(b: Bench) -> None:
    """Also what a command's last program prints just before its end, and what a terminal holds at one time."""
    b.open()
    for size in (1, 5_000, 90_000):
        printed = b.bash(f"printf %s first; head -c {size} /dev/zero | tr '\\0' x; bash -c 'printf %s last'")
        expect(printed == "first" + "x" * size + "last", size, printed[:40], printed[-40:])


def _interrupt(b: Bench) -> None:
    b.open()
    pieces: list[str] = []
    given = {"command": "x=5; echo begun; sleep 60"}
    thread, results = background(lambda: b.backend.call(b.id, "long", "bash", given, on_output=pieces.append))
    until(lambda: bool(pieces))
    b.backend.interrupt(b.id, "long")
    thread.join(WAIT_SECONDS)
    expect(results[0].is_error and text(results[0]).endswith("bash: interrupted"), results)
    expect(b.bash("echo $x") == "5")


def _files(b: Bench) -> None:
    b.open()
    expect(text(b.call("write", file_path="a/b.txt", content="één\ntwo\n")) == "wrote 10 bytes to a/b.txt")
    expect(text(b.call("read", file_path="/workspace/a/b.txt")) == "één\ntwo\n")
    expect(text(b.call("read", file_path="a/b.txt", view_range=[2, 2])) == "two")
    edited = b.call("edit", file_path="a/b.txt", old_string="two", new_string="2")
    expect(text(edited) == "edited a/b.txt (1 replacement(s))", edited)
    expect(text(b.call("glob", pattern="**/*.txt")) == "/workspace/a/b.txt")
    expect(text(b.call("grep", pattern="^2$")) == "/workspace/a/b.txt:2:2")


def _images(b: Bench) -> None:
    b.open()
    b.bash("printf 'GIF89a' > x.gif; printf '%%PDF' > x.pdf")
    image = b.call("read", file_path="x.gif").content[0]
    expect(image["type"] == "image" and image["source"]["data"] == "R0lGODlh", image)
    document = b.call("read", file_path="x.pdf").content[0]
    expect(document["source"]["media_type"] == "application/pdf", document)


def _bad_input(b: Bench) -> None:
    b.open()
    rows: list[tuple[str, dict[str, Any], str]] = [
        ("bash", {"comand": "x"}, "comand"),
        ("bash", {}, "command"),
        ("bash", {"command": 3}, "command"),
        ("bash", {"command": "x", "timeout_ms": -1}, "timeout_ms"),
        ("read", {}, "file_path"),
        ("read", {"file_path": "x", "view_range": [1]}, "view_range"),
        ("write", {"file_path": "x"}, "content"),
        ("write", {"file_path": "x", "content": "\ud800"}, "content"),
        ("edit", {"file_path": "x", "old_string": "a"}, "new_string"),
        ("glob", {"pattern": "/etc/*"}, "pattern"),
        ("grep", {"pattern": "("}, "regex"),
        ("no_such_tool", {}, "no_such_tool"),
    ]
    for name, given, word in rows:
        result = b.call(name, None, **given)
        expect(result.is_error and word in text(result), name, given, result)


def _odd_files(b: Bench) -> None:
    b.open()
    b.bash("mkfifo pipe; mkdir dir; printf '\\xff' > latin; ln -s loop loop")
    for path in ("pipe", "dir", "latin", "loop", "missing", "/proc/kmsg"):
        result = b.call("read", file_path=path)
        expect(result.is_error and path in text(result), path, result)
    expect(b.call("write", file_path="pipe", content="x").is_error)
    expect(b.call("write", file_path="/usr/x", content="x").is_error)


def _beside(b: Bench) -> None:
    b.open()
    thread, results = background(lambda: b.call("bash", command="while [ ! -e go ]; do sleep 0.02; done; echo went"))
    b.call("write", file_path="go", content="")
    thread.join(WAIT_SECONDS)
    expect(text(results[0]) == "went", results)


def _outputs(b: Bench) -> None:
    b.open()
    result = b.call("bash", command=f"cd {OUTPUTS}; mkdir d; echo hi > d/f; ln -s /etc/passwd link; mkfifo p")
    expect([(o.path, o.size) for o in result.outputs] == [("d/f", 3)], result)
    expect(b"".join(b.backend.read_output(b.id, "d/f")) == b"hi\n")
    for path in ("link", "p", "d", "../workspace", "/etc/passwd", "missing", ""):
        refused(lambda path=path: list(b.backend.read_output(b.id, path)))  # type: ignore[misc]


def _uploads(b: Bench) -> None:
    first = Upload(f"{UPLOADS}/a.txt", 3, lambda: io.BytesIO(b"one"))
    second = Upload(f"{UPLOADS}/d/b.txt", 3, lambda: io.BytesIO(b"two"))
    b.open(uploads=(first,))
    expect(b.open(uploads=(first, second)).origin == "running")
    expect(b.bash(f"cat {UPLOADS}/a.txt {UPLOADS}/d/b.txt") == "onetwo")
    expect(b.call("bash", command=f"echo x > {UPLOADS}/a.txt").is_error)
    outside = Upload(f"{UPLOADS}/../x", 0, lambda: io.BytesIO(b""))
    refused(lambda: b.open(uploads=(outside,)))


def _environment(b: Bench) -> None:
    b.open(environment={"GREETING": "hello there"})
    expect(b.bash("echo $GREETING") == "hello there")


CHECKS: dict[str, Callable[[Bench], None]] = {
    "directory, variables and functions carry over between commands": _shell_persists,
    "a restart gives a fresh shell": _restart,
    "a non-zero status is an error whose text is the output": _exit_status,
    "commands read end of file": _no_stdin,
    "a command out of time is interrupted and the shell goes on": _timeout,
    "a command that ignores the interrupt is killed": _stubborn,
    "a shell that ignores the interrupt is replaced": _stubborn_shell,
    "a shell that ends is replaced": _shell_ends,
    "a shell that ends is replaced, also where what it left behind goes on printing": _shell_ends_beside_a_talker,
    "broken syntax harms only its own call": _broken_syntax,
    "bytes that are no text are replaced and colours removed": _bytes,
    "long output is kept in a file and its end returned": _long_output,
    "output is passed on while the command runs": _streams,
    "endless output is bounded": _endless,
    "output is whole, and in order": _whole_output,
    "an interrupt ends the call with an error": _interrupt,
    "files are written, read, edited, found and searched": _files,
    "images and PDFs are read as blocks": _images,
    "bad input names the field": _bad_input,
    "odd files are refused and never hang": _odd_files,
    "file tools run beside a command": _beside,
    "outputs are listed and read, links never followed": _outputs,
    "uploads are read-only and can be added": _uploads,
    "the session's variables are set": _environment,
}
