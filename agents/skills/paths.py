"""Paths inside a skill: relative, plain, each once, all below one directory (spec advanced 5.4). Pure."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_BYTES = 512
MAX_STEP_BYTES = 255
MAX_DEPTH = 20
SHOWN = 80
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # line separators and lone surrogates too
LITTER_DIRECTORY = "__MACOSX"
LITTER_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def checked(sent: str) -> str:
    """The path without ``.`` steps and doubled slashes, or ``InvalidRequest`` with what is wrong with it."""
    path = PurePosixPath(sent)
    if not path.parts:
        raise InvalidRequest("files: a file has no name")
    if path.is_absolute() or "\\" in sent or path.parts[0].endswith(":"):
        raise refused(sent, "must be a relative path with / between its steps")
    if ".." in path.parts:
        raise refused(sent, "must not leave its directory by ..")
    if CONTROL.search(sent):
        raise refused(sent, "must not contain control characters")
    if len(str(path).encode()) > MAX_BYTES or len(path.parts) > MAX_DEPTH:
        raise refused(sent, f"must be at most {MAX_BYTES} bytes long and {MAX_DEPTH} directories deep")
    if any(len(step.encode()) > MAX_STEP_BYTES for step in path.parts):
        raise refused(sent, f"has a step longer than {MAX_STEP_BYTES} bytes")
    return str(path)


def refused(path: str, what: str) -> InvalidRequest:
    """The error that names one file of the upload."""
    return InvalidRequest(f"files: {path[:SHOWN]!r} {what}")


def is_litter(path: str) -> bool:
    """What operating systems put into archives for themselves."""
    steps = path.split("/")
    return steps[0] == LITTER_DIRECTORY or steps[-1] in LITTER_FILES


def check_apart(paths: Iterable[str]) -> None:
    """No two files may share a path, and none may lie inside another. Spellings that some file systems
    take for the same name (case, Unicode forms) count as the same.
    """
    seen: dict[str, str] = {}
    for path in paths:
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in seen:
            raise refused(path, "is there twice" if seen[folded] == path else f"is too much like {seen[folded]!r}")
        seen[folded] = path
    for folded, path in seen.items():
        for parent in PurePosixPath(folded).parents:
            if str(parent) in seen:
                raise refused(path, f"lies inside {seen[str(parent)]!r}, which is a file")


def root_of(paths: Sequence[str], wanted: str) -> str:
    """The directory that holds ``wanted`` at its root and everything else below: "" or one top-level directory."""
    if wanted in paths:
        return ""
    tops = sorted({path.partition("/")[0] for path in paths})
    if len(tops) == 1 and f"{tops[0]}/{wanted}" in paths:
        return tops[0]
    holding = [top for top in tops if f"{top}/{wanted}" in paths]
    if holding:
        raise InvalidRequest(f"files: all must lie in one top-level directory; there are {', '.join(tops[:3])}")
    raise InvalidRequest(f"files: must hold a {wanted}, directly in the one top-level directory")
