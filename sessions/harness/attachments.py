"""Files inside messages: a block that names a stored file becomes one that holds its bytes."""

from __future__ import annotations

import base64
from typing import Any

from contract import blobs
from sessions.models import File

MAX_INLINE_BYTES = 20 * 1024 * 1024
TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml")


def resolver(workspace_id: str) -> Any:
    """A function for ``Prompt.resolve`` that looks files up in one workspace."""

    def resolve(block: dict[str, Any]) -> dict[str, Any]:
        source = block.get("source")
        if not isinstance(source, dict) or source.get("type") != "file":
            return block
        return _inline(block, source["file_id"], workspace_id)

    return resolve


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
