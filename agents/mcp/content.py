"""What a server's tool returned, as content blocks of a tool result (spec core 10.2). Pure.

Servers are not trusted: media types are matched against what models take, and everything else becomes a sentence.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from agents.sandboxes.results import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Block = dict[str, Any]

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
LARGEST_IMAGE = 5 * 1024 * 1024  # of base64
LARGEST_DOCUMENT = 20 * 1024 * 1024
MOST_BLOCKS = 100


def blocks(result: Mapping[str, Any]) -> list[Block]:
    """The blocks of a ``tools/call`` result in its wire form; never empty."""
    content = result.get("content") or []
    found = [_block(item) for item in content[:MOST_BLOCKS]]
    if len(content) > MOST_BLOCKS:
        found.append(_text(f"[{len(content) - MOST_BLOCKS} more blocks are left out.]"))
    structured = result.get("structuredContent")
    if structured is not None and not found:
        found.append(_text(json.dumps(structured, ensure_ascii=False)))
    return found or [_text("(no output)")]


def _block(item: Mapping[str, Any]) -> Block:
    return KINDS.get(item.get("type", ""), _other)(item)


def _text(text: str) -> Block:
    return {"type": "text", "text": clean(text)}


def _said(item: Mapping[str, Any]) -> Block:
    return _text(item["text"])


def _image(item: Mapping[str, Any]) -> Block:
    return _binary(item["mimeType"], item["data"])


def _link(item: Mapping[str, Any]) -> Block:
    words = [item.get("title") or item.get("name"), item.get("uri"), item.get("description")]
    return _text("Resource: " + " · ".join(str(word) for word in words if word))


def _resource(item: Mapping[str, Any]) -> Block:
    resource = item["resource"]
    if "text" in resource:
        return _text(f"{resource.get('uri', 'Resource')}:\n{resource['text']}")
    return _binary(resource.get("mimeType") or "application/octet-stream", resource["blob"])


def _other(item: Mapping[str, Any]) -> Block:
    data = item.get("data")
    if isinstance(data, str):
        return _text(
            f"[{item.get('mimeType', item.get('type'))}, {len(data) * 3 // 4:,} bytes: can't be shown to you.]"
        )
    return _text(f"[A block of the type {item.get('type')} can't be shown to you.]")


def _binary(media_type: str, data: str) -> Block:
    """A picture or a PDF as what it is; anything else, or one that is too large, as a sentence."""
    kind = media_type.partition(";")[0].strip().lower()
    about = f"{clean(kind)}, {len(data) * 3 // 4:,} bytes"
    if kind in IMAGES:
        shape, largest = "image", LARGEST_IMAGE
    elif kind == "application/pdf":
        shape, largest = "document", LARGEST_DOCUMENT
    else:
        return _text(f"[{about}: can't be shown to you.]")
    if len(data) > largest:
        return _text(f"[{about}: too large to be shown to you.]")
    if not _is_base64(data):
        return _text(f"[{about}: broken; the server's base64 can't be read.]")
    return {"type": shape, "source": {"type": "base64", "media_type": kind, "data": data}}


def _is_base64(data: str) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return False


KINDS: dict[str, Callable[[Mapping[str, Any]], Block]] = {
    "text": _said,
    "image": _image,
    "resource_link": _link,
    "resource": _resource,
}
