"""The rubric of an outcome as a text: given as one, or in a file (spec core 10.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract import blobs
from contract.errors import InvalidRequest
from sessions.inbound import MAX_RUBRIC
from sessions.models import File

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sessions.models import Session


def text_of(where: str, rubric: Mapping[str, Any], session: Session) -> str:
    """The rubric's text. Raises ``InvalidRequest`` for a file that is gone, isn't UTF-8 text or is too long."""
    if rubric["type"] == "text":
        return str(rubric["content"])
    file = File.objects.filter(pk=rubric["file_id"], workspace_id=session.workspace_id).first()
    if file is None or not blobs.exists(file.digest):
        raise InvalidRequest(f"{where}.file_id: There is no file {rubric['file_id']} in this workspace.")
    with blobs.open(file.digest) as stream:
        data = stream.read(4 * MAX_RUBRIC + 1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{where}.file_id: {file.filename} is not UTF-8 text, so it can't be a rubric.") from None
    if not text.strip() or len(text) > MAX_RUBRIC:
        raise InvalidRequest(f"{where}.file_id: a rubric must be 1 to {MAX_RUBRIC} characters long.")
    return text
