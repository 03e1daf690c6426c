"""Multipart bodies of skill uploads. File parts keep their directories, which Django's own reader cuts off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.core.exceptions import TooManyFilesSent
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser

from agents.skills.archive import MAX_BYTES, TOO_LARGE, TOO_MANY
from agents.skills.bundle import Part
from agents.skills.paths import CONTROL
from contract.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Collection

    from django.http import HttpRequest

FILES = ("files[]", "files")
NOT_MULTIPART = "The request needs a multipart/form-data body with the files of the skill."


@dataclass(frozen=True, slots=True)
class Upload:
    """The file parts in their order, and the text parts by name."""

    parts: list[Part]
    texts: dict[str, str]


def read(request: HttpRequest, texts: Collection[str]) -> Upload:
    """The body of ``request``, held in memory, so at most 30 MB of files. ``texts`` are the text parts it may have."""
    if not request.META.get("CONTENT_TYPE", "").startswith("multipart/form-data"):
        raise InvalidRequest(NOT_MULTIPART)
    # Without a length (a chunked body) Django's reader would take the body for empty.
    meta = {**request.META, "CONTENT_LENGTH": request.META.get("CONTENT_LENGTH") or "1"}
    collector = Collector()
    # Bytes without a filename are read as text; in Latin-1 every byte survives that.
    parser = WholeNames(meta, request, [collector], "latin-1")
    try:
        fields, _ = parser.parse()
    except TooManyFilesSent:
        raise InvalidRequest(TOO_MANY) from None
    nameless = [Part("", text.encode("latin-1")) for name in FILES for text in fields.getlist(name)]
    unknown = sorted(set(fields) - set(FILES) - set(texts)) or sorted(collector.elsewhere)
    if unknown:
        raise InvalidRequest(f"{unknown[0]}: Extra inputs are not permitted")
    return Upload(collector.parts + nameless, {name: _text(name, fields[name]) for name in fields if name in texts})


def _text(name: str, value: Any) -> str:
    try:
        text = str(value).encode("latin-1").decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"{name}: must be UTF-8 text") from None
    if CONTROL.search(text):
        raise InvalidRequest(f"{name}: must be one line without control characters")
    return text


class WholeNames(MultiPartParser):
    """Leaves filenames as they were sent."""

    def sanitize_file_name(self, file_name: str) -> str:
        return file_name


class Collector(FileUploadHandler):
    """Keeps file parts in memory and stops at the limit."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Part] = []
        self.elsewhere: set[str] = set()
        self._gathered = bytearray()
        self._room = MAX_BYTES

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._gathered = bytearray()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._room -= len(raw_data)
        if self._room < 0:
            raise InvalidRequest(TOO_LARGE)
        self._gathered += raw_data

    def file_complete(self, file_size: int) -> None:
        if self.field_name in FILES:
            self.parts.append(Part(self.file_name or "", bytes(self._gathered)))
        else:
            self.elsewhere.add(str(self.field_name))
