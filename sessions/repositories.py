"""Git repositories as a session's resources: how they are cloned, what a failure means, the skills in them
(spec core 9.1 and 13.2, advanced 5.3). Pure.

The clone runs in the sandbox, through the egress proxy, with a placeholder in the token's place.
"""

from __future__ import annotations

import base64
import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from agents.skills import frontmatter
from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MARK = "holdfast-repository:"
# What becomes of large files that Git LFS keeps elsewhere, if they are not there; and how it is told.
LARGE_FILES = {
    "lfs": (
        "Large files of this repository are kept by Git LFS, which is not installed here; their pointers lie in their "
        "place, not what they hold. An environment may name the package: apt git-lfs."
    ),
    "lfs-failed": "Large files of this repository are kept by Git LFS and could not all be fetched: {said}",
}
SKILL_MARK = "holdfast-skill:"
SKILLS_AT = ".claude/skills"
MAX_SKILLS, HEAD_BYTES = 32, 2_048  # what a tool's output holds, coded
USER = "x-access-token"
CLONE_SECONDS = 900
SAID = 1_000

Kind = Literal[
    "repository_authentication_error",
    "repository_forbidden_error",
    "repository_not_found_error",
    "repository_checkout_error",
    "repository_clone_error",
]
# Git's own words, and those of the servers it speaks to; the first that is found decides.
SIGNS: tuple[tuple[str, Kind], ...] = (
    (
        r"returned error: 401|authentication failed|could not read (username|password)",
        "repository_authentication_error",
    ),
    (r"returned error: 403|permission to .* denied|access denied", "repository_forbidden_error"),
    (r"returned error: 404|repository .*not found", "repository_not_found_error"),
)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository to have in the sandbox at ``path``. ``checkout`` is the API's, None for the default branch."""

    id: str
    url: str
    path: str
    checkout: Mapping[str, Any] | None

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def paths(self) -> tuple[str, ...]:
        """What lies in the repository, as its server's paths; with and without the ending that git may add."""
        path = urlsplit(self.url).path
        return path, f"{path}.git"


@dataclass(frozen=True, slots=True)
class RepositorySkill:
    """A skill found in a repository. ``path`` is its ``SKILL.md``."""

    name: str
    description: str
    path: str


def clone_command(repository: Repository) -> str:
    """The shell command that clones, checks out, and says how far it came. A clone that is there is left alone.

    Cloned beside its place and moved there, so that a clone that was cut off is never taken for a whole one.
    """
    path, part = shlex.quote(repository.path), shlex.quote(f"{repository.path}.part")
    steps = [
        f"[ -e {path}/.git ] && {{ echo {MARK} there; exit 0; }}",
        f"rm -rf {part}; mkdir -p $(dirname {path})",
        f"git clone --quiet --no-checkout -- {shlex.quote(repository.url)} {part} || {{ echo {MARK} clone; exit 1; }}",
        f"{_checkout(repository, part)} || {{ echo {MARK} checkout; rm -rf {part}; exit 1; }}",
        f"large=$({_large_files(part)})",
        f"mv -T {part} {path} || {{ echo {MARK} clone; exit 1; }}",
        f"echo {MARK} commit $(git -C {path} rev-parse HEAD 2>/dev/null) $large",
    ]
    return "( " + "\n".join(steps) + " ) 2>&1"


def _large_files(part: str) -> str:
    """Fetch what Git LFS keeps, with the sign-in that git has for the repository; prints a name of ``LARGE_FILES``
    where pointers remain.
    """
    used = f"git -C {part} grep -q filter=lfs HEAD -- '*.gitattributes' 2>/dev/null"
    fetched = f"{{ git -C {part} lfs install --local >/dev/null && git -C {part} lfs pull; }} >&2"
    return (
        f"if ! {used}; then :; elif ! command -v git-lfs >/dev/null; then echo lfs; "
        f"elif ! {fetched}; then echo lfs-failed; fi"
    )


def _checkout(repository: Repository, part: str) -> str:
    wanted, git = repository.checkout, f"git -C {part}"
    if wanted is None:
        # A repository without a commit has nothing to check out, and is a repository all the same.
        return f"{{ ! {git} rev-parse --quiet --verify HEAD >/dev/null || {git} checkout --quiet; }}"
    if wanted["type"] == "branch":
        branch = shlex.quote(wanted["name"])
        return f"{git} checkout --quiet -B {branch} --track origin/{branch}"
    sha = shlex.quote(wanted["sha"])
    there = f"{git} checkout --quiet --detach {sha}"
    return f"{{ {there} || {{ {git} fetch --quiet origin {sha} && {there}; }}; }}"


def outcome(said: str) -> tuple[str, str]:
    """How far the command came, and what was said besides: ``there``, ``clone``, ``checkout``, or
    ``commit <sha>``, with a name of ``LARGE_FILES`` behind it if some of the repository lie elsewhere.
    """
    before, found, after = said.rpartition(MARK)
    if not found:
        return "clone", said.strip()
    stage, _, late = after.partition("\n")  # a process that git started may still speak when git has ended
    return stage.strip(), f"{before.strip()}\n{late.strip()}".strip()


def failure(stage: str, said: str) -> Kind:
    """Which of the five errors of a repository git's words stand for."""
    if stage == "checkout":
        return "repository_checkout_error"
    for sign, kind in SIGNS:
        if re.search(sign, said, re.IGNORECASE):
            return kind
    return "repository_clone_error"


def git_variables(repositories: Sequence[tuple[Repository, str]]) -> dict[str, str]:
    """Git's configuration in environment variables: every repository's own sign-in, a placeholder for its token."""
    entries: list[tuple[str, str]] = []
    for repository, placeholder in repositories:
        pair = base64.b64encode(f"{USER}:{placeholder}".encode()).decode()
        urls = (repository.url, f"{repository.url}.git")
        entries += [(f"http.{url}.extraHeader", f"Authorization: Basic {pair}") for url in urls]
    if not entries:
        return {}
    variables = {"GIT_CONFIG_COUNT": str(len(entries))}
    for number, (key, value) in enumerate(entries):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def skills_command(repository: Repository) -> str:
    """The shell command that prints the head of every skill of a repository, exactly one level below its root's
    ``.claude/skills``. Each is coded, so that no text can look like another file's beginning.
    """
    place = shlex.quote(f"{repository.path}/{SKILLS_AT}")
    look = f"find {place} -mindepth 2 -maxdepth 2 -name SKILL.md -type f | LC_ALL=C sort | head -n {MAX_SKILLS}"
    tell = f'echo "{SKILL_MARK} $(printf %s "$f" | base64 -w0) $(head -c {HEAD_BYTES} "$f" | base64 -w0)"'
    return f"( {look} | while IFS= read -r f; do {tell}; done ) 2>/dev/null"


def discovered(said: str) -> list[RepositorySkill]:
    """The skills that ``skills_command`` printed; a file without a proper head is none."""
    found = []
    for line in said.splitlines():
        words = line.split(" ")
        if len(words) != 3 or words[0] != SKILL_MARK:
            continue
        try:
            path = base64.b64decode(words[1]).decode()
            head = frontmatter.parse(base64.b64decode(words[2]), directory=PurePosixPath(path).parent.name)
        except (ValueError, InvalidRequest):
            continue
        if path.isprintable():  # it will stand in the prompt
            found.append(RepositorySkill(head.name, head.description, path))
    return found


def skills_note(skills: Sequence[Mapping[str, Any]]) -> str:
    """What the system prompt says of repositories' skills; "" for none. ``skills`` as events hold them."""
    if not skills:
        return ""
    lines = [f"- {skill['name']}: {skill['description']} (read {skill['path']})" for skill in skills]
    head = "Skills that came with the repositories. Read a skill's file before you do what it is for:"
    return "\n".join([head, *lines])
