"""What a model gets to see of a web page or file."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

from agents.apart import reading
from agents.sandboxes.results import clean

READER = Path(__file__).parent / "reader.py"
LARGEST_PAGE = 2_000_000  # characters of HTML that are looked at
LARGEST_IMAGE = 3_750_000  # bytes; their base64 is 5 MB, the most that models take
LARGEST_DOCUMENT = 15_000_000
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
PAGES = frozenset({"text/html", "application/xhtml+xml"})
TEXTS = frozenset(
    {"application/json", "application/xml", "application/javascript", "application/yaml", "application/x-yaml"}
)
CHARACTERS_PER_TOKEN = 4


class NotShown(Exception):
    """A file that can't be given to a model; the text says why."""


def decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before the server compressed it, up to ``limit`` bytes. Raises ``NotShown``."""
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise NotShown(f"the server compressed it as {clean(encoding)[:40]}, which is not understood")
    try:
        # 32: whichever of the two formats its header says
        unpacked = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, limit)
    except zlib.error:
        unpacked = b""
    if body and not unpacked:
        raise NotShown("its compression is broken")
    return unpacked


def blocks(url: str, content_type: str, body: bytes, *, cut: bool, most_tokens: int | None) -> list[dict[str, Any]]:
    """Content blocks for a fetched file; ``cut``: the body is longer than what was read. Raises ``NotShown``."""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower() or "text/plain"
    if kind == "application/pdf":
        return _binary("document", kind, body, LARGEST_DOCUMENT, cut=cut)
    if kind in IMAGES:
        return _binary("image", kind, body, LARGEST_IMAGE, cut=cut)
    if not (kind.startswith("text/") or kind in PAGES or kind in TEXTS or kind.endswith(("+json", "+xml"))):
        raise NotShown(f"it is of the type {clean(kind)[:80]}, which can't be shown to a model")
    text = _decoded(body, parameters)
    text = page(text, url) if kind in PAGES else text
    return [{"type": "text", "text": _bounded(f"{url}\n\n{clean(text)}", most_tokens, cut=cut)}]


def page(html: str, url: str) -> str:
    """The title and main text of a page as Markdown; all of its text where no main part is found.

    Taken out by a process of its own: what a page can make of an extractor's time is the page's to choose. Raises
    ``NotShown``.
    """
    address = url.replace("\n", "")
    try:
        return str(reading.read(READER, f"{address}\n{html[:LARGEST_PAGE]}".encode(errors="replace"))["text"])
    except reading.Unread as error:
        raise NotShown(str(error)) from error


def _decoded(body: bytes, parameters: str) -> str:
    named = [part.partition("=")[2].strip("\"' ") for part in parameters.split(";") if "charset=" in part.lower()]
    for encoding in (*named, "utf-8"):
        try:
            return body.decode(encoding, errors="strict" if not named else "replace")
        except (LookupError, ValueError):  # no such encoding, one that is not for this, or broken text
            continue
    return body.decode("utf-8", errors="replace")


def _bounded(text: str, most_tokens: int | None, *, cut: bool) -> str:
    limit = most_tokens * CHARACTERS_PER_TOKEN if most_tokens else len(text)
    note = "\n\n[The rest is left out.]" if cut or len(text) > limit else ""
    return text[:limit] + note


def _binary(shape: str, kind: str, body: bytes, limit: int, *, cut: bool) -> list[dict[str, Any]]:
    if cut or len(body) > limit:
        raise NotShown(f"it is larger than {limit // 1_000_000} MB")
    data = base64.b64encode(body).decode()
    return [{"type": shape, "source": {"type": "base64", "media_type": kind, "data": data}}]
