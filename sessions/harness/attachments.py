"""Files inside messages: a block that names a stored file becomes one that holds its bytes."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING, Any

from agents.pdf.text import text_of
from contract import blobs
from sessions.models import File

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_INLINE_BYTES = 20 * 1024 * 1024
UNSEEN = {
    "image": "[A picture is here that {model} can't be shown: its server does not say that it takes pictures.]",
    "pdf": "[A PDF is here that {model} can't be shown: its server does not say that it takes PDFs. {instead}]",
}
TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml")


def resolver(workspace_id: str, media: Callable[[], frozenset[str]], model: str) -> Any:
    """A function for ``Prompt.resolve`` that looks files up in one workspace.

    ``media`` tells what ``model`` takes besides text; it is asked once, when the first picture or PDF comes. What the
    model doesn't take becomes a text that says so, a PDF with its own text: a server would refuse the whole
    conversation for it.
    """
    takes = cache(media)

    def resolve(block: dict[str, Any]) -> dict[str, Any]:
        source = block.get("source")
        if isinstance(source, dict) and source.get("type") == "file":
            block = _inline(block, source["file_id"], workspace_id)
        kind = _kind(block)
        if not kind or kind in takes():
            return block
        return _pdf(block, model) if kind == "pdf" else _note(UNSEEN[kind].format(model=model))

    return resolve


def _kind(block: dict[str, Any]) -> str:
    """What a model must take for this block, "image" or "pdf"; "" for what every model takes."""
    if block.get("type") == "image":
        return "image"
    source = block.get("source")
    textual = isinstance(source, dict) and source.get("type") in ("text", "content")
    return "pdf" if block.get("type") == "document" and not textual else ""


def _pdf(block: dict[str, Any], model: str) -> dict[str, Any]:
    """What a PDF says, for a model that can't be shown it."""
    source = block["source"]
    if source.get("type") != "base64":
        return _note(UNSEEN["pdf"].format(model=model, instead="It lies at an address elsewhere."))
    found = text_of(base64.b64decode(source["data"]))
    pages = "1 page" if found.pages == 1 else f"{found.pages} pages"
    if found.fault:
        instead = f"Nor can its text be taken out: {found.fault}."
    elif not found.text:
        instead = f"It holds no text on its {pages}, perhaps pictures."
    else:
        instead = f"Instead this is {'the first part of ' if found.cut else ''}the text of its {pages}:"
    note = UNSEEN["pdf"].format(model=model, instead=instead)
    title = f" {block['title']}" if block.get("title") and found.text else ""
    return _note(f"{note}{title}\n\n{found.text}".rstrip())


def _inline(block: dict[str, Any], file_id: str, workspace_id: str) -> dict[str, Any]:
    file = File.objects.filter(pk=file_id, workspace_id=workspace_id).first()
    if file is None or not blobs.exists(file.digest):
        return _note(f"[The attached file {file_id} no longer exists.]")
    if file.size_bytes > MAX_INLINE_BYTES:
        return _note(f"[The attached file {file.filename} is too large to be shown here.]")
    with blobs.open(file.digest) as stream:
        data = stream.read()
    if block["type"] == "document" and file.mime_type.startswith(TEXT_TYPES):
        text = data.decode("utf-8", errors="replace")
        source = {"type": "text", "media_type": "text/plain", "data": text}
    else:
        encoded = base64.b64encode(data).decode("ascii")
        source = {"type": "base64", "media_type": file.mime_type, "data": encoded}
    return {**block, "source": source}


def _note(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
