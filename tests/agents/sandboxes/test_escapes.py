"""The escape table of THREAT_MODEL.md: every row is tried from inside, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import platform
import socket
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agents.sandboxes.conformance import Bench
from tests.agents.sandboxes.conftest import SECRET
from tests.agents.sandboxes.hosts import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agents.sandboxes.hosts import RunningHost

pytestmark = [pytest.mark.sandbox, pytest.mark.parametrize("host", KINDS, indirect=True, scope="session")]

ATTEMPTS = Path(__file__).with_name("attempts.py").read_text()
GONE = {"ENOENT", "ENOTDIR"}
SHUT = {"EPERM", "EACCES", "EROFS"}
NO_FAMILY = {"EAFNOSUPPORT"}
NO_ROUTE = {"ENETUNREACH", "ECONNREFUSED"}


@pytest.fixture(scope="module", params=["none", "proxy"])
def inside(host: RunningHost, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One sandbox for all attempts of one identity and one kind of network."""
    bench = Bench(host.client)
    bench.open(network=request.param)
    bench.call("write", file_path="attempts.py", content=ATTEMPTS)
    yield bench
    bench.discard()


def attempt(inside: Bench, name: str, *given: Any) -> dict[str, str]:
    printed = inside.bash(f"python3 attempts.py {name} '{json.dumps(given)}'")
    answer: dict[str, str] = json.loads(printed.splitlines()[-1])
    return answer


Answers = dict[str, dict[str, Any]]


def key(name: str, *given: Any) -> str:
    return json.dumps([name, given])


@pytest.fixture(scope="module")
def answers(inside: Bench) -> Answers:
    """By ``key``, what became of each row of the tables, all tried in one call, each in a process of its own: starting
    an interpreter for each is most of what they take.
    """
    rows: list[tuple[str, list[Any]]] = [
        *((name, [path]) for name, path, _ in FILES),
        *(("call", [name, *NOTHING]) for name in CALLS),
        *((name, given) for name, given, _ in ACTS),
        *(("socket", [family, 2]) for family in FAMILIES.values()),
    ]
    inside.call("write", file_path="rows.json", content=json.dumps(rows))
    printed = inside.bash("python3 attempts.py --each rows.json 2>/dev/null").splitlines()
    return {key(name, *given): json.loads(line) for (name, given), line in zip(rows, printed, strict=True)}


FILES = [
    ("read", "/etc/shadow", GONE),
    ("read", "/etc/sudoers", GONE),
    ("list", "/root", GONE),
    ("list", "/sys/kernel", GONE),
    ("list", "/var/lib", GONE),
    ("read", "/proc/1/root/etc/shadow", GONE | SHUT),
    ("through_link", "/etc/shadow", GONE),
    ("through_link", "/proc/1/root/etc/shadow", GONE | SHUT),
    ("through_link", "../../../../../../etc/shadow", GONE),
    ("read", "/proc/kcore", GONE | SHUT),
    ("read", "/proc/kmsg", SHUT),
    ("read", "/dev/mem", GONE),
    ("read", "/dev/vda", GONE),
    ("write", "/proc/sys/kernel/core_pattern", SHUT),
    ("write", "/proc/sys/vm/overcommit_memory", SHUT),
    ("write", "/proc/sysrq-trigger", SHUT | GONE),
    ("write", "/etc/passwd", SHUT),
    ("write", "/usr/bin/env", SHUT | {"ETXTBSY"}),
    ("create", "/usr/new", SHUT),
    ("create", "/new", SHUT),
    ("create", "/etc/new", SHUT),
    ("create", "/dev/new", SHUT),
    ("create", "/mnt/session/new", SHUT),
    ("create", "/mnt/session/uploads/new", SHUT),
    ("create", "/opt/holdfast/new", SHUT),
]


@pytest.mark.parametrize(("name", "path", "expected"), FILES, ids=[f"{row[0]} {row[1]}" for row in FILES])
def test_files_of_the_machine_are_out_of_reach(
    answers: Answers, host: RunningHost, name: str, path: str, expected: set[str]
) -> None:
    answer = answers[key(name, path)]
    if host.identity == "docker" and path in ("/root", "/var/lib"):
        assert set(answer["reached"]) != {entry.name for entry in Path(path).iterdir()}  # the image's
    else:
        assert answer.get("errno") in expected


CALLS = [
    "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2", "pivot_root", "chroot", "unshare", "setns",
    "open_tree", "move_mount", "fsopen", "mount_setattr", "add_key", "request_key", "keyctl", "bpf", "perf_event_open",
    "userfaultfd", "io_uring_setup", "io_uring_enter", "pidfd_getfd", "kcmp", "init_module", "kexec_load", "reboot",
    "settimeofday", "sethostname", "open_by_handle_at", "name_to_handle_at", "syslog",
]  # fmt: skip
NOTHING = [0] * 5


@pytest.mark.parametrize("name", CALLS)
def test_a_dangerous_system_call_is_refused(answers: Answers, name: str) -> None:
    assert answers[key("call", name, *NOTHING)] == {"errno": "EPERM"}


ACTS: list[tuple[str, list[Any], set[str]]] = [
    ("ptrace_attach", [], {"EPERM"}),
    ("unshare_user", [], {"EPERM"}),
    ("unshare_program", [], {"EPERM"}),
    ("clone_user", [], {"EPERM"}),
    ("clone3_user", [], {"ENOSYS"}),
    ("remount", ["/usr"], {"EPERM"}),
    ("setns", [], {"EPERM", "EACCES"}),
    ("mknod", [], {"EPERM"}),
    ("inject", [], {"EPERM"}),
    ("raise_nproc", [], {"EPERM"}),
    ("raise_data", [], {"EPERM"}),
    ("raise_fsize", [], {"EPERM"}),
    ("link_out", [], {"EXDEV", "EPERM", "EROFS"}),
    ("runner_memory", [], {"EACCES", "EPERM"}),
    ("runner_environ", [], {"EACCES", "EPERM"}),
    ("runner_pipe", [], {"EACCES", "EPERM"}),
    ("call", ["personality", 0x0400000], {"EPERM"}),
    ("call", ["999", 0], {"ENOSYS"}),
]


@pytest.mark.parametrize(("name", "given", "expected"), ACTS, ids=[f"{row[0]} {row[1]}" for row in ACTS])
def test_an_act_beyond_the_sandbox_is_refused(
    answers: Answers, name: str, given: list[Any], expected: set[str]
) -> None:
    assert answers[key(name, *given)].get("errno") in expected


FAMILIES = {
    "AF_VSOCK": 40,
    "AF_PACKET": 17,
    "AF_ALG": 38,
    "AF_BLUETOOTH": 31,
    "AF_KEY": 15,
    "AF_TIPC": 30,
    "AF_XDP": 44,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_socket_family_that_leaves_the_sandbox_is_unknown(answers: Answers, family: str) -> None:
    assert answers[key("socket", FAMILIES[family], 2)].get("errno") in NO_FAMILY


def test_netlink_is_open_for_routes_only(inside: Bench) -> None:
    assert "reached" in attempt(inside, "socket", 16, 3, 0)
    assert attempt(inside, "socket", 16, 3, 12).get("errno") in NO_FAMILY


def test_raw_sockets_are_refused(inside: Bench) -> None:
    assert attempt(inside, "socket", 2, 3, 1).get("errno") == "EPERM"


@pytest.mark.parametrize("address", [["169.254.169.254", 80], ["192.0.2.1", 80]])
def test_no_address_outside_is_reachable(inside: Bench, address: list[Any]) -> None:
    assert attempt(inside, "connect", address).get("errno") in NO_ROUTE


def test_the_machines_loopback_is_not_the_sandboxs(inside: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert attempt(inside, "connect", ["127.0.0.1", listener.getsockname()[1]]).get("errno") in NO_ROUTE
    assert attempt(inside, "interfaces") == {"seen": "lo"}


def test_the_proxys_port_is_the_only_one_open(inside: Bench, request: pytest.FixtureRequest) -> None:
    ports = inside.bash("awk '$4 == \"0A\" {print $2}' /proc/net/tcp /proc/net/tcp6; echo end").split()
    assert ports == {"none": ["end"], "proxy": ["0100007F:0C38", "end"]}[request.node.callspec.params["inside"]]


def test_the_machines_unix_sockets_are_out_of_reach(inside: Bench, host: RunningHost) -> None:
    name = f"\0holdfast-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        assert attempt(inside, "connect", name).get("errno") == "ECONNREFUSED"
    assert attempt(inside, "connect", str(host.socket)).get("errno") in GONE


def test_another_sessions_files_are_out_of_reach(inside: Bench, bench: Bench, host: RunningHost) -> None:
    bench.open()
    bench.bash("echo mine > secret")
    found = [path for path in host.directory.rglob("secret") if "workspace" in path.parts]
    assert found, "the other session's file must exist for the attempt to mean anything"
    path = str(host.data / "boxes" / bench.id / "files" / "workspace" / "secret")
    for way in (path, "../../../../../../../.." + path, "/proc/1/root" + path, "/proc/self/root" + path):
        assert attempt(inside, "read", way).get("errno") in GONE | SHUT
        assert attempt(inside, "through_link", way).get("errno") in GONE | SHUT


def test_processes_of_the_machine_cannot_be_signalled_or_seen(inside: Bench, host: RunningHost) -> None:
    high = max(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    for pid in {os.getpid(), host.process.pid, high} - set(range(60)):
        assert attempt(inside, "kill", pid) == {"errno": "ESRCH"}
        assert attempt(inside, "read", f"/proc/{pid}/environ").get("errno") in GONE


def test_no_environment_or_command_line_tells_of_the_machine(inside: Bench, host: RunningHost) -> None:
    seen = attempt(inside, "all_environments")["seen"]
    assert ("confined" if host.identity == "docker" else "bwrap") in seen  # the first process is among them
    for word in (SECRET, "API_KEY", str(host.directory), str(host.data), "--bind", "--setenv", os.environ["PATH"]):
        assert word not in seen


def user(inside: Bench, host: RunningHost) -> int:
    """Containers show the uid that the machine gave the session; bubblewrap always the same."""
    files = host.data / "boxes" / inside.id / "files"
    return files.stat().st_uid if host.identity == "docker" else 1000


def test_no_set_user_id_program_changes_the_user(inside: Bench, host: RunningHost) -> None:
    uid = user(inside, host)
    assert attempt(inside, "set_user_id") == {"seen": f"({uid}, {uid}, {uid}) ({uid}, {uid}, {uid})"}
    assert attempt(inside, "set_user_id_programs") == {"seen": ""}


def test_no_capability_is_left_and_the_filter_is_in_force(inside: Bench, host: RunningHost) -> None:
    seen = attempt(inside, "status")["seen"].split()
    values = {name.rstrip(":"): value for name, value in pairwise(seen) if name.endswith(":")}
    assert {values[f"Cap{which}"] for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (values["Uid"], values["NoNewPrivs"], values["Seccomp"]) == (str(user(inside, host)), "1", "2")


def test_no_descriptor_is_left_over(inside: Bench) -> None:
    seen = dict(pair.split("=", 1) for pair in attempt(inside, "descriptors")["seen"].split())
    assert set(seen) <= {"0", "1", "2"}
    assert seen["0"] == "/dev/null"
    assert seen["1"].startswith("/dev/pts/")


OWN = {"/workspace", "/home/sandbox", "/tmp", "/mnt/session/outputs", "/dev/shm", "/run/holdfast"}


def test_only_the_sandboxs_own_directories_are_writable(inside: Bench, host: RunningHost) -> None:
    if host.identity == "docker":  # some mounts there are the engine's, who writes to them is what counts
        found = inside.bash("find / -type d -writable -not -path '/proc/*' -prune 2>/dev/null; true")
        assert set(found.splitlines()) == OWN | {"/var/tmp", "/dev/mqueue"}
    else:
        assert set(attempt(inside, "mounts")["seen"].split()) == {f"{path}:rw" for path in (*OWN, "/proc")}


@pytest.mark.parametrize("way", ["x32", "interrupt_32"])
def test_other_system_call_tables_are_shut(inside: Bench, way: str) -> None:
    if platform.machine() == "x86_64":
        assert attempt(inside, way) in ({"errno": "EPERM"}, {"seen": "killed by 31"})
    else:
        assert attempt(inside, "call", "999", 0) == {"errno": "ENOSYS"}


def test_processes_run_as_a_uid_of_their_own(inside: Bench, bench: Bench, host: RunningHost) -> None:
    bench.open()
    owners = set()
    for box in (inside.id, bench.id):
        owners.add((host.data / "boxes" / box / "files").stat().st_uid)
    assert 0 not in owners
    assert len(owners) == (1 if host.identity == "ordinary" else 2)
    assert (host.data / "boxes" / bench.id / "files").stat().st_mode & 0o077 == 0
