"""The rules of memory paths, their listing, and the directory names of stores (spec advanced 6.1-6.3). Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_BYTES = 1_024
MAX_SEGMENTS = 20
MAX_NAME_BYTES = 255  # of one file or directory, where a store is mounted
ROOT = "/"
# Control, format, line separator, paragraph separator, half a surrogate pair.
FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})
NOT_SLUG = re.compile(r"[^a-z0-9]+")


class Entry(NamedTuple):
    """One item of a listing: a memory's own path, or the prefix (ending in ``/``) that stands for deeper ones."""

    path: str

    @property
    def is_prefix(self) -> bool:
        return self.path.endswith("/")


def check(field: str, path: str) -> str:
    """``path`` unchanged, or ``InvalidRequest`` that names ``field`` and the broken rule."""
    reason = _fault(path, path.removeprefix("/"))
    if reason:
        raise InvalidRequest(f"{field}: {reason}")
    return path


def check_prefix(field: str, prefix: str) -> str:
    """A directory to list: ``/`` or a path that ends with ``/``."""
    if prefix == ROOT:
        return prefix
    reason = None if prefix.endswith("/") else "must end with a slash, such as /notes/"
    reason = reason or _fault(prefix, prefix.removeprefix("/").removesuffix("/"))
    if reason:
        raise InvalidRequest(f"{field}: {reason}")
    return prefix


def _fault(path: str, inner: str) -> str | None:
    """Why ``path`` is refused; ``inner`` is the part whose segments count."""
    segments = inner.split("/")
    if not path.startswith("/"):
        return "must start with a slash, such as /notes/todo.md"
    if any(unicodedata.category(character) in FORBIDDEN_CATEGORIES for character in path):
        return "must not contain control or format characters or line separators"
    if len(path.encode()) > MAX_BYTES:
        return f"must be at most {MAX_BYTES} bytes long"
    if len(segments) > MAX_SEGMENTS:
        return f"has {len(segments)} segments; at most {MAX_SEGMENTS} are allowed"
    if any(not segment for segment in segments):
        return "must not have an empty segment"
    if any(segment in (".", "..") for segment in segments):
        return "must not have the segment . or .."
    if not unicodedata.is_normalized("NFC", path):
        return "must be in Unicode Normalization Form C"
    return None


def ancestors(path: str) -> list[str]:
    """The paths that would have to be directories: ``/a/b/c`` -> ``/a``, ``/a/b``."""
    segments = path.split("/")
    return ["/".join(segments[:end]) for end in range(2, len(segments))]


def children(paths: Iterable[str], prefix: str) -> Iterator[Entry]:
    """``paths`` below ``prefix``, sorted by their bytes, with everything deeper than one level rolled up."""
    last = None
    for path in paths:
        name, slash, _ = path.removeprefix(prefix).partition("/")
        entry = Entry(prefix + name + slash)
        if entry != last:
            yield entry
        last = entry


def is_mountable(path: str) -> bool:
    """Whether a file can have the path where a store is mounted; the API allows longer segments than a disk does."""
    return all(len(segment.encode()) <= MAX_NAME_BYTES for segment in path.split("/"))


def slug(name: str) -> str:
    """The directory name of a store: ``Demo Memory`` -> ``demo-memory``."""
    return NOT_SLUG.sub("-", name.lower())[:MAX_NAME_BYTES]


def mount_names(names: Sequence[str]) -> list[str]:
    """A directory name for each store of one session; the second of two equal ones gets ``-2``."""
    found: list[str] = []
    for name in names:
        base, number = slug(name), 1
        candidate = base
        while candidate in found:
            number += 1
            suffix = f"-{number}"
            candidate = base[: MAX_NAME_BYTES - len(suffix)] + suffix
        found.append(candidate)
    return found
