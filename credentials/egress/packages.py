"""The hosts this machine's own package managers use, asked from the package managers and their configuration.

No list in our code: what a machine's ``pip``, ``npm``, ``go``, ``gem``, ``cargo`` and ``apt`` would contact is what
its sandboxes may. A mirror that the operator configured is thereby the one sandboxes use.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from credentials.egress import rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = logging.getLogger("holdfast.egress")

ASK_SECONDS = 20.0
PATIENCE_SECONDS = 8.0  # less than whoever asks the proxy waits for its answer
ANSWER_BYTES = 64 * 1024
URL = re.compile(r"https?://[^\s'\",|<>\]]+")
PIP_OWN = (
    "from pip._internal.models.index import PyPI as i\nprint(i.simple_url)\nprint('https://' + i.file_storage_domain)\n"
)
# What to ask each manager, all of them without the network.
QUESTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "pip": (("python3", "-m", "pip", "config", "list"), ("python3", "-c", PIP_OWN)),
    "npm": (("npm", "config", "get", "registry"),),
    "go": (("go", "env", "GOPROXY"), ("go", "env", "GOSUMDB")),
    "gem": (("gem", "sources", "--list"),),
    "apt": (("apt-get", "indextargets", "--format", "$(REPO_URI)"),),
    "git": (("git", "config", "--get-regexp", r"^url\..*\.insteadof$"),),
}
CARGO = (".cargo/config.toml", ".cargo/config")
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CONFIG_HOME")
# Settings of package managers. Of Go's each by its name: "GO" alone begins other programs' keys as well.
CONFIGURED = (
    *("PIP_", "UV_", "NPM_CONFIG_", "npm_config_", "GEM_", "BUNDLE_", "CARGO_", "APT_", "GIT_CONFIG_"),
    *("GOENV", "GOFLAGS", "GOINSECURE", "GONOPROXY", "GONOSUMDB", "GOPATH", "GOPRIVATE", "GOPROXY", "GOROOT"),
    *("GOSUMDB", "GOTOOLCHAIN", "GOVCS"),
)
# How a sandbox's own managers are told of the first place each was configured with.
VARIABLES = {"pip": "PIP_INDEX_URL", "npm": "NPM_CONFIG_REGISTRY"}


class Packages:
    """``hosts`` is empty until ``ask`` has run. ``variables``: a sandbox's environment that names the same places."""

    def __init__(self, extra: Iterable[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self.hosts = frozenset(rules.normalised(host) for host in extra)
        self.variables: dict[str, str] = {}
        self._answered: asyncio.Event | None = None

    async def settled(self) -> None:
        """Wait while the managers are being asked, but not for ever: after a start that takes a moment."""
        if self._answered is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._answered.wait(), PATIENCE_SECONDS)

    async def ask(self) -> None:
        """Ask every manager there is."""
        self._answered = asyncio.Event()
        try:
            await self._ask()
        finally:
            self._answered.set()

    async def _ask(self) -> None:
        asked = await asyncio.gather(*(self._urls(name) for name in QUESTIONS), self._cargo())
        found = [url for urls in asked for url in urls]
        self.hosts |= frozenset(host for url in found if (host := _host(url)))
        for name, urls in zip(QUESTIONS, asked, strict=False):
            if name in VARIABLES and urls:
                self.variables[VARIABLES[name]] = _without_sign_in(urls[0])
                if name == "pip" and urls[0].startswith("http://"):  # which pip refuses unless told
                    self.variables["PIP_TRUSTED_HOST"] = urlsplit(urls[0]).hostname or ""
        log.info("package managers of this machine use: %s", ", ".join(sorted(self.hosts)) or "no host")

    async def _urls(self, name: str) -> list[str]:
        urls: list[str] = []
        for question in QUESTIONS[name]:
            urls += _sorted_by_use(await self._run(question))
        return urls

    async def _cargo(self) -> list[str]:
        home = Path(self._environment.get("HOME", "/nonexistent"))
        paths = [home / name for name in CARGO]
        if "CARGO_HOME" in self._environment:
            paths.append(Path(self._environment["CARGO_HOME"]) / "config.toml")
        return [url for path in paths for url in await asyncio.to_thread(_cargo_urls, path)]

    async def _run(self, command: tuple[str, ...]) -> str:
        """What a program prints, nothing where it is missing or fails."""
        if shutil.which(command[0], path=self._environment.get("PATH")) is None:
            return ""
        kept = {k: v for k, v in self._environment.items() if k in KEPT or k.startswith(CONFIGURED)}
        process = None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                process = await asyncio.create_subprocess_exec(
                    *command,
                    env=kept,
                    cwd="/",
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                assert process.stdout is not None
                answer = await _up_to(ANSWER_BYTES, process.stdout)
                if len(answer) < ANSWER_BYTES:
                    await process.wait()
        except (OSError, TimeoutError):
            return ""
        finally:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()
        return answer.decode("utf-8", "replace")


async def _up_to(size: int, stream: asyncio.StreamReader) -> bytes:
    """What comes until the end, however many pieces it comes in."""
    try:
        return await stream.readexactly(size)
    except asyncio.IncompleteReadError as error:
        return error.partial


def _sorted_by_use(text: str) -> list[str]:
    """The URLs of an answer, those of a main index first."""
    lines = sorted(text.splitlines(), key=lambda line: "extra" in line or "find-links" in line)
    return [url for line in lines for url in URL.findall(line)]


def _cargo_urls(path: Path) -> list[str]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    tables = [*found.get("source", {}).values(), *found.get("registries", {}).values()]
    texts = [str(table.get(key, "")) for table in tables if isinstance(table, dict) for key in ("registry", "index")]
    return [url for text in texts for url in URL.findall(text)]


def _host(url: str) -> str | None:
    try:
        return rules.normalised(urlsplit(url).hostname or "")
    except ValueError:
        return None


def _without_sign_in(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
