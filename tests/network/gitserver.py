"""Git's own HTTP server behind a sign-in, as a hosting service runs it."""

from __future__ import annotations

import base64
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.credentials.egress.rig import Request

SKILL = "---\nname: release-notes\ndescription: Writes release notes.\n---\nDo it.\n"


class GitHost:
    """Repositories below ``root``. ``tokens``: those that open them; ``statuses``: paths answered with an error."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tokens: set[str] = set()
        self.public: set[str] = set()
        self.statuses: dict[str, int] = {}
        self.used: list[str] = []
        self.url = ""

    def make(self, name: str) -> Path:
        """A repository with a file, a branch ``side`` and a skill."""
        work = self.root / "work" / name
        (work / ".claude/skills/notes").mkdir(parents=True)
        (work / ".claude/skills/notes/SKILL.md").write_text(SKILL)
        (work / "README").write_text("first\n")
        git(work, "init", "-q", "-b", "main")
        git(work, "add", "-A")
        git(work, "commit", "-qm", "first")
        git(work, "branch", "side")
        bare = self.root / name
        git(self.root, "clone", "-q", "--bare", str(work), str(bare))
        git(bare, "config", "http.receivepack", "true")
        return bare

    def answer(self, request: Request) -> None:
        path, _, query = request.path.partition("?")
        name = "/".join(path.strip("/").split("/")[:2])
        if name in self.statuses:
            request.send(b"no", self.statuses[name])
            return
        if name not in self.public and not self._signed_in(request):
            request.send(b"sign in", 401, WWW_Authenticate='Basic realm="git"')
            return
        done = subprocess.run(
            ["git", "http-backend"],
            input=request.body,
            capture_output=True,
            timeout=60,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "REQUEST_METHOD": request.method,
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REMOTE_USER": "tester",
                "CONTENT_TYPE": request.headers.get("content-type", ""),
                "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
                "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory",
                "GIT_CONFIG_VALUE_0": "*",
            },
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        request.send(body, status, **{name.replace("-", "_"): value for name, value in headers.items()})

    def _signed_in(self, request: Request) -> bool:
        scheme, _, coded = request.headers.get("authorization", "").partition(" ")
        given = base64.b64decode(coded).decode().partition(":")[2] if scheme == "Basic" else ""
        self.used.append(given)
        return given in self.tokens


def git(path: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "safe.directory=*")
    done = subprocess.run(["git", *identity, *arguments], cwd=path, capture_output=True, text=True, check=True)
    return done.stdout.strip()
