"""Escapes, tried from inside a sandbox: ``python3 attempts.py NAME JSON``. Standard library only.

Prints one JSON object: ``errno`` (the name of the error that stopped the attempt), or ``reached``
(what it got hold of), or ``seen`` for attempts that are judged by their output. ``python3 attempts.py --each FILE``
tries every ``[NAME, GIVEN]`` of a JSON file in a process of its own and prints an object a line; ``ended`` is the
status of a process that had no answer.
"""

# ruff: noqa: PTH101, PTH115, PTH123, PTH207, PTH208, PTH211, UP031

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import json
import os
import platform
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ARM = platform.machine() == "aarch64"
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
# name: (x86_64, aarch64)
NUMBERS = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268),
    "clone": (56, 220), "clone3": (435, 435), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "pidfd_getfd": (438, 438), "kcmp": (312, 272), "init_module": (175, 105),
    "kexec_load": (246, 104), "reboot": (169, 142), "settimeofday": (164, 170), "sethostname": (170, 161),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "personality": (135, 92), "syslog": (103, 116),
}  # fmt: skip
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000


def call(name: str, *values: Any) -> Any:
    number = NUMBERS[name][ARM] if name in NUMBERS else int(name)
    result = libc.syscall(ctypes.c_long(number), *[v if isinstance(v, bytes) else ctypes.c_long(v) for v in values])
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def read(path: str) -> str:
    with open(path, "rb") as handle:
        return handle.read(200).decode("utf-8", "replace")


def write(path: str) -> str:
    with open(path, "r+b", buffering=0) as handle:
        handle.write(b"x")
    return path


def create(path: str) -> str:
    with open(path, "wb"):
        return path


def through_link(target: str) -> str:
    link = "/workspace/link-%d" % os.getpid()
    os.symlink(target, link)
    return read(link)


def all_environments() -> str:
    """Every environment and command line that /proc shows."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as handle:
                found.append(handle.read().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(found)


def runner_pid() -> int:
    with open("/proc/self/stat") as handle:
        pid = int(handle.read().rpartition(")")[2].split()[1])
    while True:
        with open("/proc/%d/stat" % pid) as handle:
            parent = int(handle.read().rpartition(")")[2].split()[1])
        if parent == 1:
            return pid
        pid = parent


def clone_user() -> int:
    pid = call("clone", CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return int(pid)


def clone3_user() -> int:
    args = struct.pack("11Q", CLONE_NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    pid = call("clone3", args, len(args))
    if pid == 0:
        os._exit(0)
    return int(pid)


def open_socket(family: int, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> str:
    socket.socket(family, kind, protocol).close()
    return "socket of family %d" % family


def connect(address: Any) -> str:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(3)
        sock.connect(address if isinstance(address, str) else tuple(address))
    return "connected to %r" % (address,)


def set_user_id() -> str:
    """A set-user-id copy of an interpreter, run by its own owner and under no-new-privileges."""
    shutil.copy("/usr/bin/env", "/workspace/suid")
    os.chmod("/workspace/suid", 0o6755)
    ids = "import os; print(os.getresuid(), os.getresgid())"
    done = subprocess.run(["/workspace/suid", sys.executable, "-c", ids], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def set_user_id_programs() -> str:
    """Who the machine's own set-user-id programs make us: none of them gains an effective uid."""
    gained = []
    for name in ("su", "sudo", "mount", "passwd", "newgrp", "chsh"):
        program = shutil.which(name, path="/usr/bin:/bin:/usr/sbin")
        if program is None:
            continue
        process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            with open("/proc/%d/status" % process.pid) as handle:
                line = next(line for line in handle if line.startswith("Uid:"))
            if set(line.split()[1:]) != {str(os.getuid())}:
                gained.append("%s: %s" % (name, line.strip()))
        except OSError:
            continue
        finally:
            process.kill()
            process.communicate()
    return "; ".join(gained)


def inject() -> str:
    terminal = os.open("/dev/tty", os.O_RDWR)
    fcntl.ioctl(terminal, 0x5412, b"x")
    return "typed into the terminal"


def raise_limit(kind: int) -> str:
    hard = resource.getrlimit(kind)[1]
    try:
        resource.setrlimit(kind, (hard + 1, hard + 1))
    except ValueError as error:
        raise OSError(errno.EPERM, str(error)) from None
    return "raised from %d" % hard


def link_out() -> str:
    os.link("/usr/bin/env", "/workspace/linked")
    return "linked"


def remount(path: str) -> int:
    return int(call("mount", b"none", path.encode() + b"\0", b"none", 0x1000 | 0x20, 0))


def interrupt_32() -> str:
    """A 32-bit system call, which the filter's numbers do not describe (x86_64)."""
    import mmap

    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # mov eax, getpid; int 0x80; ret
    pid = os.fork()
    if pid == 0:
        address = ctypes.addressof(ctypes.c_char.from_buffer(code))
        ctypes.CFUNCTYPE(ctypes.c_int)(address)()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return "killed by %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "answered"


def status() -> str:
    with open("/proc/self/status") as handle:
        wanted = ("Uid", "Cap", "NoNewPrivs", "Seccomp:", "Groups")
        return " ".join(line.strip() for line in handle if line.startswith(wanted))


def descriptors() -> str:
    return " ".join("%s=%s" % (fd, os.readlink("/proc/self/fd/" + fd)) for fd in os.listdir("/proc/self/fd")[:-1])


def interfaces() -> str:
    return " ".join(name for _, name in socket.if_nameindex())


def mounts() -> str:
    """Writable mounts, and mounts where set-user-id or devices would count."""
    odd = []
    with open("/proc/self/mounts") as handle:
        for line in handle:
            _, target, kind, options = line.split()[:4]
            given = set(options.split(","))
            if kind in ("devtmpfs", "devpts"):
                continue
            if "rw" in given or not {"nosuid", "nodev"} <= given:
                odd.append("%s:%s" % (target, "rw" if "rw" in given else "ro"))
            if not {"nosuid", "nodev"} <= given:
                odd.append(target + ":open")
    return " ".join(sorted(odd))


ATTEMPTS: dict[str, Callable[..., Any]] = {
    "read": read,
    "write": write,
    "create": create,
    "through_link": through_link,
    "list": lambda path: os.listdir(path),
    "runner_memory": lambda: read("/proc/%d/mem" % runner_pid()),
    "runner_environ": lambda: read("/proc/%d/environ" % runner_pid()),
    "runner_pipe": lambda: os.listdir("/proc/%d/fd" % runner_pid()),
    "kill": lambda pid: os.kill(pid, 0),
    "ptrace_attach": lambda: call("ptrace", 16, 1, 0, 0),
    "mknod": lambda: os.mknod("/workspace/sda", 0o60666, os.makedev(8, 0)),
    "unshare_user": lambda: call("unshare", CLONE_NEWUSER),
    "unshare_program": lambda: subprocess.run(["unshare", "-Ur", "true"], check=True),
    "clone_user": clone_user,
    "clone3_user": clone3_user,
    "remount": remount,
    "setns": lambda: call("setns", os.open("/proc/1/ns/user", os.O_RDONLY), 0),
    "socket": open_socket,
    "connect": connect,
    "inject": inject,
    "raise_nproc": lambda: raise_limit(resource.RLIMIT_NPROC),
    "raise_data": lambda: raise_limit(resource.RLIMIT_DATA),
    "raise_fsize": lambda: raise_limit(resource.RLIMIT_FSIZE),
    "link_out": link_out,
    "x32": lambda: call(str(0x40000000 | 39)),
    "all_environments": all_environments,
    "set_user_id": set_user_id,
    "set_user_id_programs": set_user_id_programs,
    "interrupt_32": interrupt_32,
    "status": status,
    "descriptors": descriptors,
    "interfaces": interfaces,
    "mounts": mounts,
    "call": call,
}
JUDGED_BY_OUTPUT = {
    "all_environments", "set_user_id", "set_user_id_programs", "interrupt_32", "status", "descriptors", "interfaces",
    "mounts",
}  # fmt: skip


def tried(name: str, given: list[Any]) -> dict[str, str]:
    try:
        seen = ATTEMPTS[name](*given)
    except OSError as error:
        return {"errno": errno.errorcode.get(error.errno or 0, str(error))}
    except subprocess.CalledProcessError:
        return {"errno": "EPERM"}
    return {"seen" if name in JUDGED_BY_OUTPUT else "reached": str(seen)}


def tried_apart(name: str, given: list[Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, json.dumps(tried(name, given)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read()
    status = os.waitpid(pid, 0)[1]
    answer: dict[str, Any] = json.loads(said) if said else {"ended": status}
    return answer


def main() -> None:
    if sys.argv[1] == "--each":
        with open(sys.argv[2]) as handle:
            answers = [tried_apart(name, given) for name, given in json.load(handle)]
    else:
        answers = [tried(sys.argv[1], json.loads(sys.argv[2]))]
    for answer in answers:
        sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
