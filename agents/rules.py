"""Permission rules by argument: ordered, the first that matches decides, none leaves it to the policy. Pure.

A rule's conditions must all hold. Commands are judged one by one (``agents.commands``) and the strictest
answer holds for the whole call. Where it can't be told whether a condition holds, a rule that allows
doesn't match and one that asks or denies asks.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agents.commands import ANYTHING, UNKNOWN, Command, Unclear, commands

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MAX_RULES = 100
WORKING_DIRECTORY = "/workspace"
SHELL = "bash"
PATH_FIELDS = {"read": "file_path", "write": "file_path", "edit": "file_path", "glob": "path", "grep": "path"}
# What they run stands among their own words, so a rule that denies looks at every tail of them.
RUNNERS = frozenset(
    {
        "sudo", "doas", "env", "nohup", "time", "nice", "ionice", "timeout", "xargs", "parallel", "command", "builtin",
        "exec", "setsid", "stdbuf", "watch", "find", "busybox", "chroot", "unshare", "script", "strace", "trap",
    }
)  # fmt: skip

HOST = r"^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.:-]{0,251}[A-Za-z0-9_])?$"


def _told(host: Any) -> Any:
    """What a host looks like, in words instead of its pattern."""
    if isinstance(host, str) and not re.match(HOST, host):
        raise ValueError("must be a host such as api.example.com, or *.example.com for all below it")
    return host


def _names(pattern: str | None, tools: Iterable[str]) -> bool:
    """Whether a pattern, or none, is about any of these tools."""
    return pattern is None or any(fnmatchcase(tool, pattern) for tool in tools)


Text = Annotated[str, Field(min_length=1, max_length=500)]


class Rule(BaseModel):
    """One permission rule, as it is sent and stored (fields not given are left out).

    ``tool`` and ``mcp_server`` are patterns with ``*``; a rule that names a tool but no server is about
    built-in tools. ``command_prefix`` compares whole words; ``command`` is a pattern for one command.
    ``path`` is a pattern of file tools, ``**`` crosses folders; a relative one begins at ``/workspace``
    (``/**/*.pem``: anywhere). ``host`` is a host or ``*.example.com``.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    effect: Literal["allow", "ask", "deny"]
    tool: Text | None = None
    mcp_server: Text | None = None
    command_prefix: Text | None = None
    command: Text | None = None
    path: Text | None = None
    host: Annotated[str, BeforeValidator(_told), Field(pattern=HOST)] | None = None
    note: Text | None = None
    self_approval: bool | None = None
    expires_after_seconds: Annotated[int, Field(ge=10, le=30 * 86400)] | None = None
    on_expiry: Literal["deny", "interrupt"] | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Rule:
        about_asking = (self.self_approval, self.expires_after_seconds, self.on_expiry)
        if self.effect != "ask" and any(value is not None for value in about_asking):
            raise ValueError("self_approval, expires_after_seconds and on_expiry belong to rules that ask")
        if self.on_expiry is not None and self.expires_after_seconds is None:
            raise ValueError("on_expiry needs expires_after_seconds")
        if self.command_prefix is not None and self.command is not None:
            raise ValueError("give command_prefix or command, not both")
        if self.mcp_server is not None and (self.command_prefix or self.command or self.path):
            raise ValueError("commands and paths are conditions of built-in tools, not of MCP servers")
        if self.command_prefix is not None and not self.command_prefix.split():
            raise ValueError("command_prefix must hold a word")
        if (self.command_prefix or self.command) and not _names(self.tool, (SHELL,)):
            raise ValueError(f"commands are conditions of the tool {SHELL}: with another tool the rule matches nothing")
        if self.path is not None and not _names(self.tool, PATH_FIELDS):
            raise ValueError(
                f"paths are conditions of {', '.join(PATH_FIELDS)}; this rule's tool is another, so it matches nothing"
            )
        return self

    def stored(self) -> dict[str, Any]:
        """The rule as JSON, without the fields that were not given."""
        return self.model_dump(exclude_none=True)


Rules = Annotated[list[Rule], Field(max_length=MAX_RULES)]


@dataclass(frozen=True, slots=True)
class Request:
    """A call to be judged. ``mcp_server`` is set for tools of an MCP server."""

    tool: str
    input: Mapping[str, Any]
    mcp_server: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The rule that decided: its place in the list, its effect on this call.

    ``unsure``: it was not clear whether the rule matches, so a person is asked.
    """

    index: int
    effect: str
    rule: Rule
    unsure: bool = False


class Match(IntEnum):
    """Whether a condition holds; the least of several is the whole rule's."""

    NO = 0
    MAYBE = 1
    YES = 2


STRICTNESS = {"allow": 0, "ask": 2, "deny": 3}
BY_POLICY = 1  # between allow and ask: the policy may be either


WORDS = {
    "tool": "calls of {}",
    "mcp_server": "tools of the MCP server {}",
    "command_prefix": "commands that start with “{}”",
    "command": "commands like “{}”",
    "path": "paths like {}",
    "host": "the host {}",
}
EFFECT_WORDS = {"allow": "Allow", "ask": "Ask about", "deny": "Deny"}


def words(rule: Mapping[str, Any]) -> str:
    """A stored rule as a sentence for people."""
    about = ", ".join(text.format(rule[field]) for field, text in WORDS.items() if rule.get(field)) or "every call"
    found = [f"{EFFECT_WORDS.get(rule.get('effect', ''), 'Ask about')} {about}"]
    if rule.get("self_approval") is False:
        found.append("whoever started the session may not approve it")
    if seconds := rule.get("expires_after_seconds"):
        outcome = "the turn is interrupted" if rule.get("on_expiry") == "interrupt" else "it is denied"
        found.append(f"after {span(seconds)} without an answer {outcome}")
    return "; ".join(found)


def span(seconds: int) -> str:
    """A length of time in its largest whole unit."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"


def load(stored: Sequence[Mapping[str, Any]]) -> list[Rule]:
    """Rules out of JSON. Raises pydantic's ``ValidationError``."""
    return [Rule.model_validate(rule) for rule in stored]


def find(rules: Sequence[Rule], request: Request) -> Found | None:
    """The rule that decides about ``request``; None leaves it to the policy."""
    if not rules:
        return None
    found = [_first(rules, request, unit) for unit in _units(request)]
    return max(found, key=lambda one: STRICTNESS[one.effect] if one else BY_POLICY)


def _units(request: Request) -> Sequence[Command | Unclear | None]:
    """What is judged separately: a shell call's commands, else the call as a whole (None)."""
    script = request.input.get("command")
    if request.tool != SHELL or request.mcp_server is not None or not isinstance(script, str):
        return [None]
    try:
        return commands(script) or [None]
    except Unclear as unclear:
        return [unclear]


def _first(rules: Sequence[Rule], request: Request, unit: Command | Unclear | None) -> Found | None:
    for index, rule in enumerate(rules):
        match = _match(rule, request, unit)
        if match is Match.YES:
            return Found(index, rule.effect, rule)
        if match is Match.MAYBE and rule.effect != "allow":
            return Found(index, "ask", rule, unsure=True)
    return None


def _match(rule: Rule, request: Request, unit: Command | Unclear | None) -> Match:
    conditions: list[Callable[[], Match]] = [lambda: _tool(rule, request)]
    if rule.command_prefix is not None or rule.command is not None:
        conditions.append(lambda: _command(rule, unit))
    if rule.path is not None:
        conditions.append(lambda: _path(rule.path or "", request))
    if rule.host is not None:
        conditions.append(lambda: _host(rule.host or "", request))
    least = Match.YES
    for condition in conditions:
        least = min(least, condition())
        if least is Match.NO:
            break
    return least


def about_tool(rule: Rule, request: Request) -> bool:
    """Whether a rule is about calls of a tool, whatever else it asks of them. The tool ``*`` stands for any one."""
    if request.tool == "*" and rule.tool is not None:
        request = Request(rule.tool, request.input, request.mcp_server)
    if rule.host is not None and request.mcp_server is None and request.tool != "web_fetch":
        return False
    if (rule.command or rule.command_prefix) and request.tool != SHELL:
        return False
    if rule.path is not None and (request.tool not in PATH_FIELDS or request.mcp_server is not None):
        return False
    return _tool(rule, request) is Match.YES


def _tool(rule: Rule, request: Request) -> Match:
    if rule.mcp_server is not None:
        if request.mcp_server is None or not fnmatchcase(request.mcp_server, rule.mcp_server):
            return Match.NO
    elif request.mcp_server is not None and (rule.tool is not None or rule.command or rule.command_prefix):
        return Match.NO
    return Match.YES if rule.tool is None or fnmatchcase(request.tool, rule.tool) else Match.NO


def _command(rule: Rule, unit: Command | Unclear | None) -> Match:
    if unit is None:
        return Match.NO
    if isinstance(unit, Unclear):
        return Match.MAYBE
    tails = [unit.words]
    if rule.effect != "allow":
        tails += _inner(unit.words)
    elif not unit.plain:
        return Match.NO
    if rule.command_prefix is not None:
        wanted = rule.command_prefix.split()
        return max((_prefix(wanted, words) for words in tails), default=Match.NO)
    return max((_pattern(rule.command or "", words) for words in tails), default=Match.NO)


def _inner(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What else a command may run: itself by its bare name, and every tail of a command that runs others."""
    if not words:
        return []
    bare = words[0].rsplit("/", 1)[-1]
    found = [(bare, *words[1:])] if bare != words[0] else []
    if bare in RUNNERS:
        found += [words[start:] for start in range(1, min(len(words), 50))]
    return found


def _prefix(wanted: Sequence[str], words: Sequence[str]) -> Match:
    least = Match.YES
    for place, token in enumerate(wanted):
        if place >= len(words):
            return Match.MAYBE if tuple(words) == ANYTHING else Match.NO
        if UNKNOWN in words[place]:
            least = Match.MAYBE
        elif words[place] != token:
            return Match.NO
    return least


def _pattern(pattern: str, words: Sequence[str]) -> Match:
    line = " ".join(words)
    if UNKNOWN not in line:
        return Match.YES if fnmatchcase(line, pattern) else Match.NO
    known = line.partition(UNKNOWN)[0]
    fixed = pattern[: min((pattern.find(char) for char in "*?[" if char in pattern), default=len(pattern))]
    if fnmatchcase(line, pattern) and len(known) >= len(fixed):
        return Match.YES  # the unknown text stands where the pattern takes any
    shared = min(len(known), len(fixed))
    return Match.MAYBE if known[:shared] == fixed[:shared] else Match.NO


def _path(pattern: str, request: Request) -> Match:
    field = PATH_FIELDS.get(request.tool)
    if field is None or request.mcp_server is not None:
        return Match.NO
    given = request.input.get(field) or WORKING_DIRECTORY
    if not isinstance(given, str):
        return Match.NO
    return Match.YES if path_matches(absolute(given), absolute(pattern)) else Match.NO


def absolute(path: str) -> str:
    """A path without ``..``, ``.`` and doubled slashes; relative ones start in the working directory."""
    whole = posixpath.normpath(posixpath.join(WORKING_DIRECTORY, path))
    return "/" + whole.lstrip("/")


def path_matches(path: str, pattern: str) -> bool:
    """Whether a path fits a pattern: ``*`` within one name, ``**`` any number of names."""
    names, wanted = path.strip("/").split("/"), pattern.strip("/").split("/")
    reached = {0}  # how many of the pattern's parts the names so far may have used up
    for name in names:
        fitting = [(at, part) for at, part in _parts(reached, wanted) if part == "**" or fnmatchcase(name, part)]
        reached = {at + (part != "**") for at, part in fitting}
    return any(all(part == "**" for part in wanted[place:]) for place in reached)


def _parts(reached: set[int], wanted: Sequence[str]) -> list[tuple[int, str]]:
    """The parts that may come next; a ``**`` may also stand for no name at all."""
    found: dict[int, str] = {}
    for start in reached:
        place = start
        while place < len(wanted):
            found[place] = wanted[place]
            if wanted[place] != "**":
                break
            place += 1
    return list(found.items())


def _host(pattern: str, request: Request) -> Match:
    url = request.input.get("url")
    if not isinstance(url, str):
        return Match.NO
    try:
        host = (urlsplit(url.strip()).hostname or "").rstrip(".").lower()
    except ValueError:
        return Match.MAYBE
    if not host:
        return Match.MAYBE
    wanted = pattern.lower()
    if wanted.startswith("*."):
        return Match.YES if host.endswith(wanted[1:]) else Match.NO
    return Match.YES if host == wanted else Match.NO
