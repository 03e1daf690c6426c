"""The head of a ``SKILL.md``: YAML between two lines of ``---``, name and description (spec advanced 5.4). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from contract.errors import InvalidRequest

FILE = "SKILL.md"
MAX_HEAD = 8 * 1024
MAX_BRACKETS = 64  # the parser's work grows with the square of what is open
MAX_NAME = 64
MAX_DESCRIPTION = 1_024
RESERVED = ("anthropic", "claude")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
HEAD = re.compile(r"---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
MARKUP = re.compile(r"</?[A-Za-z!?][^<>]*>")


@dataclass(frozen=True, slots=True)
class Frontmatter:
    """``name`` is the skill's slug, ``description`` says when to use it; other keys are the author's own."""

    name: str
    description: str


def parse(data: bytes, *, directory: str) -> Frontmatter:
    """The head of a ``SKILL.md``. ``directory`` ("" for none) names the skill where the head doesn't.

    Raises ``InvalidRequest`` that says what is wrong with which key.
    """
    fields = _fields(_text(data))
    name = fields.get("name", directory or None)
    return Frontmatter(_name(name), _description(fields.get("description")))


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{FILE}: must be UTF-8 text") from None


def _fields(text: str) -> dict[Any, Any]:
    head = HEAD.match(text[:MAX_HEAD])
    if head is None:
        raise InvalidRequest(f"{FILE}: must begin with YAML frontmatter, two lines of --- and at most {MAX_HEAD} bytes")
    if sum(head["yaml"].count(bracket) for bracket in "[{") > MAX_BRACKETS:
        raise InvalidRequest(f"{FILE}: its frontmatter has too many brackets")
    try:
        # The base loader knows text, lists and mappings only, and follows no merge keys, whose expansion has no bound.
        fields = yaml.load(head["yaml"], Loader=yaml.BaseLoader)  # noqa: S506  safer than the safe loader
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InvalidRequest(f"{FILE}: its frontmatter is not valid YAML") from None
    if not isinstance(fields, dict):
        raise InvalidRequest(f"{FILE}: its frontmatter must be a list of keys and values")
    return fields


def _name(value: Any) -> str:
    text = _required("name", value)
    if len(text) > MAX_NAME:
        raise InvalidRequest(f"{FILE}: name must be at most {MAX_NAME} characters long")
    if not NAME.fullmatch(text):
        raise InvalidRequest(f"{FILE}: name must be lowercase letters and digits, in words joined by single hyphens")
    taken = next((word for word in RESERVED if word in text), None)
    if taken:
        raise InvalidRequest(f"{FILE}: name must not contain the reserved word {taken}")
    return text


def _description(value: Any) -> str:
    text = _required("description", value)
    if len(text) > MAX_DESCRIPTION:
        raise InvalidRequest(f"{FILE}: description must be at most {MAX_DESCRIPTION} characters long")
    if MARKUP.search(text):
        raise InvalidRequest(f"{FILE}: description must not contain XML tags")
    if CONTROL.search(text):
        raise InvalidRequest(f"{FILE}: description must not contain control characters")
    return text


def _required(key: str, value: Any) -> str:
    if value is None:
        raise InvalidRequest(f"{FILE}: its frontmatter needs a {key}")
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest(f"{FILE}: {key} must be text that is not empty")
    return value.strip()
