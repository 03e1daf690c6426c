"""Packages of an environment: what installs them, where they lie, and how programs find them (spec core 7.2). Pure.

Each manager's packages are one *package set*: installed once on a machine, in a sandbox of its own whose network
reaches package managers only, then shown read-only to every sandbox that asks for the same list. Nothing needs root
for that: of ``apt`` packages the files are taken, their set-up scripts are not run (``runner.debs``).
"""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")
ROOT = "/opt/packages"
PREFIX = "packages-"

_PROGRAMS = {"apt": "apt-get", "cargo": "cargo", "gem": "gem", "go": "go", "npm": "npm", "pip": "python3"}
_INSTALL = {
    "apt": (
        """python3 -I -S -c "import sys; sys.path.insert(0, '/opt/holdfast'); from runner.debs import main; """
        """sys.exit(main(sys.argv[1:]))" {place} {names}"""
    ),
    "cargo": "CARGO_HOME=/tmp/cargo cargo install --quiet --root {place} -- {names}",
    "gem": "gem install --quiet --no-document --install-dir {place} --bindir {place}/bin -- {names}",
    "go": (
        "export GOPATH=/tmp/go GOFLAGS=-modcacherw GOBIN={place}/bin; "
        'for each in {names}; do go install "$each" || exit 1; done'
    ),
    "npm": (
        "npm install --global --prefix {place} --cache /tmp/npm --no-audit --no-fund --no-update-notifier "
        "--loglevel=error -- {names}"
    ),
    "pip": "python3 -m pip install --quiet --no-cache-dir --disable-pip-version-check --target {place} -- {names}",
}  # fmt: skip
# Of a set that is not laid over the sandbox's own /usr.
_APART = {
    "LD_LIBRARY_PATH": ":".join(f"{{place}}/usr/lib{part}" for part in ("/x86_64-linux-gnu", "/aarch64-linux-gnu", "")),
    "XDG_DATA_DIRS": "{place}/usr/share:/usr/local/share:/usr/share",
}
_VARIABLES = {
    "gem": {"GEM_PATH": "{place}:"},
    "npm": {"NODE_PATH": "{place}/lib/node_modules"},
    "pip": {"PYTHONPATH": "{place}"},
}


def set_name(manager: str, names: Sequence[str]) -> str:
    """The name of a package set: the same for the same list, in any order."""
    digest = hashlib.sha256(json.dumps(sorted(names)).encode()).hexdigest()[:32]
    return f"{PREFIX}{manager}-{digest}"


def manager_of(name: str) -> str | None:
    """The manager of a package set; None if ``name`` is not one's."""
    manager, _, digest = name.removeprefix(PREFIX).partition("-")
    return manager if name.startswith(PREFIX) and manager in MANAGERS and digest else None


def place_of(name: str) -> str:
    """Where a package set lies inside."""
    return f"{ROOT}/{manager_of(name)}"


def command(manager: str, names: Sequence[str]) -> str:
    """The shell command that installs a package set in its own sandbox."""
    program = _PROGRAMS[manager]
    missing = f"echo 'This machine has no {program}, which {manager} packages need.'"
    quoted = " ".join(shlex.quote(name) for name in names)
    install = _INSTALL[manager].format(place=f"{ROOT}/{manager}", names=quoted)
    # In a shell of its own, so that what fails ends that one.
    return f"( command -v {program} >/dev/null || {{ {missing}; exit 127; }}\n{install} )"


def environment(names: Iterable[str], *, in_place: bool = False) -> Mapping[str, str]:
    """The variables that let programs find the package sets named. ``HOLDFAST_PATH`` goes before the usual ``PATH``.

    ``in_place``: sets of ``apt`` lie over the sandbox's own ``/usr`` too.
    """
    places = {manager: place_of(name) for name in names if (manager := manager_of(name))}
    if not places:
        return {}
    variables = _VARIABLES if in_place else {**_VARIABLES, "apt": _APART}
    found = {
        variable: value.format(place=place)
        for manager, place in places.items()
        for variable, value in variables.get(manager, {}).items()
    }
    programs = [f"{place}/bin" for manager, place in places.items() if manager != "apt"]
    if "apt" in places:
        programs += ["/usr/games"] if in_place else [f"{places['apt']}/usr/{part}" for part in ("bin", "sbin", "games")]
    return {**found, "HOLDFAST_PATH": ":".join(programs)}
