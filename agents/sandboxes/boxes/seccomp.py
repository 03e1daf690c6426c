"""The system-call filter, as classic BPF written out in Python (no library needed).

A deny list over a fixed, known range: what the kernel has added since is refused as unknown, so a
new kernel opens no door. Sockets are limited to families that end inside the sandbox's own
network namespace: AF_VSOCK, for one, would reach the hypervisor.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JEQ, _JGE, _JSET = 0x15, 0x35, 0x45
_RET = 0x06
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL = 0x80000000

# Offsets in struct seccomp_data; low halves of the arguments on little-endian machines.
_NR, _ARCH = 0, 4
_ARG0, _ARG1, _ARG2 = 16, 24, 32

_X32_BIT = 0x40000000
_LAST_KNOWN = 469  # file_setattr; see the docstring
_NAMESPACES = 0x7E020000 | 0x80  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET} and NEWTIME
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
_AF_NETLINK, _NETLINK_ROUTE = 16, 0
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_PERSONALITIES = (0x0, 0x0040000, 0xFFFFFFFF)  # Linux, without address randomisation, query


@dataclass(frozen=True)
class _Machine:
    arch: int
    socket: int
    socketpair: int
    clone: int
    clone3: int
    ioctl: int
    personality: int
    denied: dict[str, int]


# Newer calls have the same number everywhere.
_COMMON = {
    "pidfd_getfd": 438,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "memfd_secret": 447,
    "process_mrelease": 448,
    "statmount": 457,
    "listmount": 458,
    "open_tree_attr": 467,
}

_X86_64 = _Machine(
    arch=0xC000003E,
    socket=41,
    socketpair=53,
    clone=56,
    clone3=435,
    ioctl=16,
    personality=135,
    denied={
        **_COMMON,
        "ptrace": 101,
        "syslog": 103,
        "uselib": 134,
        "ustat": 136,
        "vhangup": 153,
        "modify_ldt": 154,
        "pivot_root": 155,
        "_sysctl": 156,
        "adjtimex": 159,
        "chroot": 161,
        "acct": 163,
        "settimeofday": 164,
        "mount": 165,
        "umount2": 166,
        "swapon": 167,
        "swapoff": 168,
        "reboot": 169,
        "sethostname": 170,
        "setdomainname": 171,
        "iopl": 172,
        "ioperm": 173,
        "create_module": 174,
        "init_module": 175,
        "delete_module": 176,
        "quotactl": 179,
        "nfsservctl": 180,
        "lookup_dcookie": 212,
        "clock_settime": 227,
        "kexec_load": 246,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "migrate_pages": 256,
        "unshare": 272,
        "move_pages": 279,
        "perf_event_open": 298,
        "fanotify_init": 300,
        "name_to_handle_at": 303,
        "open_by_handle_at": 304,
        "clock_adjtime": 305,
        "setns": 308,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "kcmp": 312,
        "finit_module": 313,
        "kexec_file_load": 320,
        "bpf": 321,
        "userfaultfd": 323,
    },
)

_AARCH64 = _Machine(
    arch=0xC00000B7,
    socket=198,
    socketpair=199,
    clone=220,
    clone3=435,
    ioctl=29,
    personality=92,
    denied={
        **_COMMON,
        "lookup_dcookie": 18,
        "umount2": 39,
        "mount": 40,
        "pivot_root": 41,
        "nfsservctl": 42,
        "chroot": 51,
        "vhangup": 58,
        "quotactl": 60,
        "acct": 89,
        "unshare": 97,
        "kexec_load": 104,
        "init_module": 105,
        "delete_module": 106,
        "clock_settime": 112,
        "syslog": 116,
        "ptrace": 117,
        "reboot": 142,
        "sethostname": 161,
        "setdomainname": 162,
        "settimeofday": 170,
        "adjtimex": 171,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "swapon": 224,
        "swapoff": 225,
        "migrate_pages": 238,
        "move_pages": 239,
        "perf_event_open": 241,
        "fanotify_init": 262,
        "name_to_handle_at": 264,
        "open_by_handle_at": 265,
        "clock_adjtime": 266,
        "setns": 268,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "kcmp": 272,
        "finit_module": 273,
        "bpf": 280,
        "userfaultfd": 282,
        "kexec_file_load": 294,
    },
)

_MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}

_Step = tuple[int, int, int, int]
_Verdict = list[_Step]  # steps of which the last one answers


def supported(machine: str | None = None) -> bool:
    """Whether a filter can be written for this processor."""
    return (machine or platform.machine()) in _MACHINES


def build(machine: str | None = None) -> bytes:
    """The filter program for ``bwrap --seccomp``, in native byte order."""
    target = _MACHINES[machine or platform.machine()]
    steps: list[_Step] = [
        (_LD, 0, 0, _ARCH),
        (_JEQ, 1, 0, target.arch),
        (_RET, 0, 0, _KILL),
        (_LD, 0, 0, _NR),
        *_search(_ranges(_verdicts(target))),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _verdicts(target: _Machine) -> dict[int, _Verdict]:
    """What becomes of the calls that are not simply allowed."""
    return {
        **dict.fromkeys(target.denied.values(), _refuse(errno.EPERM)),
        # glibc falls back to clone, whose flags a filter can see.
        target.clone3: _refuse(errno.ENOSYS),
        target.clone: _by_argument(_ARG0, [(_JSET, 0, 1, _NAMESPACES), *_refuse(errno.EPERM)]),
        target.ioctl: _by_argument(_ARG1, _none_of(_TERMINAL_INJECTION, errno.EPERM)),
        target.personality: _by_argument(_ARG0, _only(_PERSONALITIES, errno.EPERM)),
        target.socketpair: _by_argument(_ARG0, _only((_FAMILIES["AF_UNIX"],), errno.EAFNOSUPPORT)),
        target.socket: _by_argument(_ARG0, _sockets()),
    }


def _ranges(verdicts: Mapping[int, _Verdict]) -> list[tuple[int, _Verdict]]:
    """Every number there is, in their order: the first of each range, and what becomes of all of them."""
    allowed = [(_RET, 0, 0, _ALLOW)]
    ranges: list[tuple[int, _Verdict]] = []
    for number in range(_LAST_KNOWN + 1):
        verdict = verdicts.get(number, allowed)
        if not ranges or ranges[-1][1] != verdict:
            ranges.append((number, verdict))
    return [*ranges, (_LAST_KNOWN + 1, _refuse(errno.ENOSYS)), (_X32_BIT, _refuse(errno.EPERM))]


def _search(ranges: Sequence[tuple[int, _Verdict]]) -> list[_Step]:
    """Find the range that the loaded number is in, by halves: the kernel tries every number when a filter is put on,
    and calls with an argument to look at run it each time.
    """
    if len(ranges) == 1:
        return ranges[0][1]
    half = len(ranges) // 2
    below, above = _search(ranges[:half]), _search(ranges[half:])
    return [(_JGE, len(below), 0, ranges[half][0]), *below, *above]


def _refuse(number: int) -> _Verdict:
    return [(_RET, 0, 0, _ERRNO | number)]


def _by_argument(offset: int, body: list[_Step]) -> _Verdict:
    """Run ``body`` on one argument; what it lets through is allowed."""
    return [(_LD, 0, 0, offset), *body, (_RET, 0, 0, _ALLOW)]


def _none_of(values: tuple[int, ...], number: int) -> list[_Step]:
    """Refuse these ``values``, fall through for everything else."""
    return [step for value in values for step in ((_JEQ, 0, 1, value), *_refuse(number))]


def _only(values: tuple[int, ...], number: int) -> list[_Step]:
    """Fall through for ``values``, refuse everything else."""
    left = len(values)
    steps: list[_Step] = [(_JEQ, left - index, 0, value) for index, value in enumerate(values)]
    return [*steps, *_refuse(number)]


def _sockets() -> list[_Step]:
    families = tuple(_FAMILIES.values())
    netlink: list[_Step] = [
        (_JEQ, 0, 4, _AF_NETLINK),
        (_LD, 0, 0, _ARG2),
        (_JEQ, 0, 1, _NETLINK_ROUTE),
        (_RET, 0, 0, _ALLOW),
        (_LD, 0, 0, _ARG0),
    ]
    return [*netlink, *_only(families, errno.EAFNOSUPPORT)]
