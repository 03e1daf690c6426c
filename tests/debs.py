"""A repository of Debian packages, made by this machine's ``dpkg-deb``: ``greeter``, which needs ``greeter-words``."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

MISSING = None if shutil.which("dpkg-deb") and shutil.which("apt-get") else "this machine has no apt"
WORDS = "/usr/share/greeter/words"
SCRIPT = "#!/bin/sh\nset -e\nupdate-alternatives --install /usr/bin/greet greet \\\n  /usr/bin/greet.real 10\n"
PACKAGES: dict[str, dict[str, str]] = {
    "greeter": {
        "usr/bin/greet.real": f"#!/bin/sh\ncat {WORDS} /etc/greeter/name\n",
        "etc/greeter/name": "world\n",
        "DEBIAN/postinst": SCRIPT,
    },
    "greeter-words": {"usr/share/greeter/words": "hello\n", "DEBIAN/postinst": "#!/bin/sh\nadduser greeter\n"},
}
DEPENDS = {"greeter": "Depends: greeter-words (>= 1.0)\n"}


@cache
def repository() -> dict[str, bytes]:
    """The files of a flat repository by name. Its Release file is not signed."""
    files = {f"{name}.deb": _package(name) for name in PACKAGES}
    index = "\n".join(_entry(name, files[f"{name}.deb"]) for name in PACKAGES).encode()
    release = f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {_sha256(index)} {len(index)} Packages\n"
    return {**files, "Packages": index, "Release": release.encode()}


def _control(name: str) -> str:
    about = "Version: 1.0\nArchitecture: all\nMaintainer: Tests <tests@tests.invalid>\nDescription: for tests\n"
    return f"Package: {name}\n{about}{DEPENDS.get(name, '')}"


def _package(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / name
        for path, text in {"DEBIAN/control": _control(name), **PACKAGES[name]}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
            (root / path).chmod(0o755 if text.startswith("#!") else 0o644)
        for made in (root, *(path for path in root.rglob("*") if path.is_dir())):
            made.chmod(0o755)
        target = Path(directory) / "made.deb"
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, target], check=True, capture_output=True)
        return target.read_bytes()


def _entry(name: str, data: bytes) -> str:
    return f"{_control(name)}Filename: ./{name}.deb\nSize: {len(data)}\nSHA256: {_sha256(data)}\n"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
