"""``/v1/files`` (spec core 9.2)."""

import contextlib
import io
from typing import Annotated, Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.http.multipartparser import MultiPartParser
from django.utils import timezone
from ninja import Query, Router
from pydantic import Field

from contract import pieces
from contract.acting import Acting
from contract.blobs import Readable
from contract.errors import InvalidRequest
from contract.http import Request
from contract.pages import paginate
from contract.query import Query as QueryModel
from contract.schema import Answer
from sessions import files
from sessions.api.shapes import file_shape
from sessions.models import File

router = Router(tags=["Files"])

METADATA = "beta_file_metadata.BetaFileMetadata"
FileAnswer = Annotated[dict[str, Any], Answer(METADATA)]
FilePage = Annotated[dict[str, Any], Answer(METADATA, page=True)]
DeleteAnswer = Annotated[dict[str, Any], Answer("beta_deleted_file.BetaDeletedFile")]
DEFAULT_LIMIT = 20
MAX_IDS = 100
SESSION_PREFIX = "sesn_"
MAX_DIGITS = 10
UPLOAD_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "expires_in_seconds": {"type": "integer", "minimum": 3600, "maximum": 7776000},
                },
            }
        }
    },
}


class ListQuery(QueryModel):
    limit: int | None = Field(None, ge=1, le=1000)
    page: str | None = None
    scope_id: str | None = None
    ids: list[str] | None = Field(None, alias="ids[]")
    after_id: str | None = None
    before_id: str | None = None


@router.post("", response=FileAnswer, operation_id="files.upload", openapi_extra={"requestBody": UPLOAD_BODY})
def upload(request: Request) -> dict[str, Any]:
    stream, filename, mime_type = _file_part(request)
    stored = files.upload(
        stream,
        filename=filename,
        mime_type=mime_type,
        acting=request.acting,
        expires_in_seconds=_expiry(request.POST.get("expires_in_seconds")),
    )
    return file_shape(stored)


def _file_part(request: Request) -> tuple[Readable, str, str | None]:
    """The part ``file``: its bytes, name and type. The SDK sends bare bytes as a part without a name,
    which Django reads as text; in Latin-1 every byte survives that.
    """
    request.encoding = "latin-1"
    # Without a length (a chunked body) Django's reader would take the body for empty.
    length = {"CONTENT_LENGTH": request.META.get("CONTENT_LENGTH") or str(files.MAX_UPLOAD)}
    parse = lambda meta, data: _Parts({**meta, **length}, data, request.upload_handlers, "latin-1").parse()  # noqa: E731
    request.parse_file_upload = parse  # type: ignore[method-assign]
    _check_parts(request)
    part = request.FILES.get("file")
    if isinstance(part, UploadedFile):
        return part, part.name or "", part.content_type
    text = request.POST.get("file")
    if text is None:
        raise InvalidRequest("file: Field required, as a part of a multipart/form-data body")
    return io.BytesIO(text.encode("latin-1")), "", None


def _check_parts(request: Request) -> None:
    """Refuse parts that nobody reads."""
    unknown = sorted((set(request.FILES) - {"file"}) | (set(request.POST) - {"file", "expires_in_seconds"}))
    if unknown:
        raise InvalidRequest(f"{unknown[0]}: Extra inputs are not permitted")
    for name in ("file", "expires_in_seconds"):
        if len(request.FILES.getlist(name)) + len(request.POST.getlist(name)) > 1:
            raise InvalidRequest(f"{name}: must be one part, not several")


class _Parts(MultiPartParser):
    """Parts read as Latin-1, but names of files as their clients write them, in UTF-8 where they can be."""

    def sanitize_file_name(self, file_name: str) -> str | None:
        with contextlib.suppress(UnicodeError):
            file_name = file_name.encode("latin-1").decode()
        files.check_name(file_name)  # before Django cuts it
        return super().sanitize_file_name(file_name)


def _expiry(sent: str | None) -> int | None:
    if sent is None:
        return None
    if not (sent.isascii() and sent.isdigit() and len(sent) < MAX_DIGITS):
        raise InvalidRequest(
            f"expires_in_seconds: must be a whole number of seconds from {files.MIN_EXPIRY} to {files.MAX_EXPIRY}"
        )
    return int(sent)


@router.get("", response=FilePage, operation_id="files.list")
def list_files(request: Request, query: Query[ListQuery]) -> dict[str, Any]:
    """Newest first. Carries the cursors of today's SDK and of older ones."""
    rows = _visible(request.acting)
    if query.scope_id is not None:
        if not query.scope_id.startswith(SESSION_PREFIX):
            raise InvalidRequest(f"scope_id: must be a session's id, which starts with {SESSION_PREFIX}")
        rows = rows.filter(session_id=query.scope_id)
    if query.ids is not None:
        return _named(rows, query)
    if query.after_id or query.before_id:
        return _legacy(rows, query)
    limit = query.limit or DEFAULT_LIMIT
    found = paginate(rows, kind="files", fields=("created_at", "id"), limit=limit, page=query.page)
    return _both_envelopes(found.rows, more=found.next_page is not None, next_page=found.next_page)


def _visible(acting: Acting) -> QuerySet[File]:
    alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return File.objects.filter(alive, workspace_id=acting.workspace_id)


def _named(rows: QuerySet[File], query: ListQuery) -> dict[str, Any]:
    if query.page is not None or query.limit is not None:
        raise InvalidRequest("ids: can't be combined with page or limit")
    ids = set(query.ids or ())
    if len(ids) > MAX_IDS:
        raise InvalidRequest(f"ids: at most {MAX_IDS} ids are allowed")
    found = list(rows.filter(pk__in=ids).order_by("-created_at", "-id"))
    return _both_envelopes(found, more=False, next_page=None)


def _legacy(rows: QuerySet[File], query: ListQuery) -> dict[str, Any]:
    """``after_id`` and ``before_id`` of older SDKs, in the same order."""
    if query.after_id and query.before_id:
        raise InvalidRequest("after_id: can't be combined with before_id")
    name = "after_id" if query.after_id else "before_id"
    at = rows.filter(pk=query.after_id or query.before_id).first()
    if at is None:
        raise InvalidRequest(f"{name}: names no file of this list")
    side, sort = ("lt", "-") if query.after_id else ("gt", "")
    beyond = Q(**{f"created_at__{side}": at.created_at}) | Q(**{"created_at": at.created_at, f"id__{side}": at.pk})
    limit = query.limit or DEFAULT_LIMIT
    found = list(rows.filter(beyond).order_by(f"{sort}created_at", f"{sort}id")[: limit + 1])
    more, found = len(found) > limit, found[:limit]
    return _both_envelopes(found if query.after_id else found[::-1], more=more, next_page=None)


def _both_envelopes(rows: list[File], *, more: bool, next_page: str | None) -> dict[str, Any]:
    return {
        "data": [file_shape(row) for row in rows],
        "next_page": next_page,
        "has_more": more,
        "first_id": rows[0].pk if rows else None,
        "last_id": rows[-1].pk if rows else None,
    }


@router.get("/{file_id}", response=FileAnswer, operation_id="files.retrieve_metadata")
def retrieve_metadata(request: Request, file_id: str) -> dict[str, Any]:
    return file_shape(files.find_file(file_id, request.acting))


@router.delete("/{file_id}", response=DeleteAnswer, operation_id="files.delete")
def delete(request: Request, file_id: str) -> dict[str, Any]:
    files.delete(file_id, request.acting)
    return {"id": file_id, "type": "file_deleted"}


@router.get("/{file_id}/content", operation_id="files.download")
def download(request: Request, file_id: str) -> StreamingHttpResponse:
    """The bytes, in pieces."""
    file, stream = files.open_download(file_id, request.acting)
    return pieces.download(stream, filename=file.filename, mime_type=file.mime_type)
