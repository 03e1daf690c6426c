"""What every sandbox is shown of ours, copied to where any uid can read it: the runner and an /etc of its own."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RUNNER = Path(__file__).parent.parent / "runner"
# The modules needed at once are in one file (see ``runner.whole``), if this Python is of the kind that wrote it.
START = """
import sys
from marshal import load
sys.path.insert(0, '/opt/holdfast')
try:
    with open('/opt/holdfast/whole.' + sys.implementation.cache_tag, 'rb') as whole:
        exec(load(whole), {})
except FileNotFoundError:
    pass
from runner.__main__ import main
main()
"""

ETC = {
    "passwd": (
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        "sandbox:x:1000:1000:sandbox:/home/sandbox:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "group": "root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "resolv.conf": "",
    "gitconfig": "[user]\n\tname = agent\n\temail = agent@sandbox.invalid\n[safe]\n\tdirectory = *\n",
}


def command(python: str, *arguments: str) -> list[str]:
    """The runner's command line inside the sandbox."""
    return [python, "-I", "-S", "-c", START, *arguments]


def digest(*more: bytes) -> str:
    """A name for the runner, our /etc and ``more`` as they are now."""
    sha = hashlib.sha256(b"\0".join(more))
    for path in sorted(RUNNER.glob("*.py")):
        sha.update(path.name.encode() + b"\0" + path.read_bytes())
    sha.update(repr(sorted(ETC.items())).encode())
    return sha.hexdigest()[:16]


def install(target: Path, python: str, add: Callable[[Path], None]) -> Path:
    """Copy the runner and what ``add`` puts beside it below ``target``; an existing copy is used as it is. Old
    copies are left to the sandboxes that still show them.
    """
    if not target.exists():
        part = target.with_name(target.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        (part / "lib" / "runner").mkdir(parents=True)
        for source in RUNNER.glob("*.py"):
            shutil.copy(source, part / "lib" / "runner" / source.name)
        for made in (["-m", "compileall", "-q", str(part / "lib")], [str(part / "lib" / "runner" / "whole.py")]):
            subprocess.run([python, "-I", *made], env={}, timeout=60, check=False, capture_output=True)
        add(part)
        for path in (part, *part.rglob("*")):
            if path.is_symlink():
                continue
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)
        part.rename(target)
    return target
