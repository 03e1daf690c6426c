"""The probe's errand: look from inside whether the confinement is in force."""

from __future__ import annotations

import os
import sys


def faults(user: int) -> list[str]:
    """What is not as it must be, ``user`` being the one to run as; empty when all is well."""
    with open("/proc/self/status") as handle:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in handle if ":\t" in line)
    found = [f"{name} is {status.get(name)}" for name in _wrong(status)]
    if os.getuid() != user:
        found.append("the user is %d" % os.getuid())
    if os.access("/proc/sys/kernel/core_pattern", os.W_OK):
        found.append("kernel settings are writable")
    with open("/proc/net/dev") as handle:
        names = {line.split(":")[0].strip() for line in handle if ":" in line}
    if names - {"lo"}:
        found.append("network interfaces: {}".format(", ".join(sorted(names))))
    return found


def _wrong(status: dict[str, str]) -> list[str]:
    empty = "0" * 16
    wanted = {"CapInh": empty, "CapPrm": empty, "CapEff": empty, "CapBnd": empty, "CapAmb": empty}
    wanted.update(NoNewPrivs="1", Seccomp="2")
    return [name for name, value in wanted.items() if status.get(name, "").strip() != value]


def main(user: int) -> None:
    found = faults(user)
    if found:
        sys.stderr.write("; ".join(found) + "\n")
        sys.exit(1)
