"""Files (spec core 9.2): uploads, session copies and captured outputs, over content-addressed blobs."""

from __future__ import annotations

import mimetypes
import re
from datetime import timedelta
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agents.models import SkillVersion
from contract import audit, blobs
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission
from sessions import events as ev
from sessions import storage
from sessions.models import Event, File, Session

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from contract.acting import Acting

MAX_UPLOAD = 500 * 1024 * 1024
SHOWN = '< > : " | ? * or control characters'
FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
MAX_FILENAME = 255
MIN_EXPIRY, MAX_EXPIRY = 3_600, 7_776_000
UNKNOWN_TYPE = "application/octet-stream"
MIME_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,150}")
GARBAGE_AGE = timedelta(hours=1)
LOOKED_UP = 5_000  # digests a question
EXPIRED_ROWS_STAY = timedelta(days=90)


@audit.logged("file.uploaded", "agent_sessions.File")
def upload(
    stream: blobs.Readable,
    *,
    filename: str,
    mime_type: str | None,
    acting: Acting,
    expires_in_seconds: int | None = None,
) -> File:
    """Store an upload. It can be mounted and sent to the model, but not downloaded again."""
    acting.require(Permission.OPERATE)
    if expires_in_seconds is not None and not MIN_EXPIRY <= expires_in_seconds <= MAX_EXPIRY:
        raise InvalidRequest(f"expires_in_seconds: must be from {MIN_EXPIRY} to {MAX_EXPIRY}")
    digest, size = blobs.put(_within_quota(stream, acting.workspace_id), MAX_UPLOAD)
    storage.check(acting.workspace_id, digest, size, "file")
    now = timezone.now()
    kind = _mime_type(mime_type, filename)
    return File.objects.create(
        workspace_id=acting.workspace_id,
        filename=_filename(filename, kind),
        mime_type=kind,
        size_bytes=size,
        digest=digest,
        created_at=now,
        expires_at=now + timedelta(seconds=expires_in_seconds) if expires_in_seconds else None,
    )


class Bounded:
    """A stream that ends with an error where its workspace has no room for more of it."""

    def __init__(self, stream: blobs.Readable, quota: storage.Quota) -> None:
        self._stream, self._quota, self._read = stream, quota, 0

    def read(self, size: int, /) -> bytes | None:
        chunk = self._stream.read(size)
        self._read += len(chunk or b"")
        if self._read > self._quota.limit:
            raise self._quota.refusal("file")
        return chunk


def _within_quota(stream: blobs.Readable, workspace_id: str) -> blobs.Readable:
    quota = storage.quota(workspace_id)
    return stream if quota is None else Bounded(stream, quota)


def capture(session: Session, *, path: str, digest: str, size: int, mtime_ns: int) -> File:
    """Record an output the sandbox wrote at ``path`` (relative to its outputs directory).

    The bytes are already stored under ``digest``. Writing the same path again replaces the entry's
    content and keeps its id; an entry that is newer already stays.
    """
    newer = File.objects.filter(session=session, path=path, mtime_ns__gt=mtime_ns).first()
    if newer is not None:
        return newer  # another thread of the session has stored what came after this
    name = PurePosixPath(path).name
    kind = _mime_type(None, name)
    file, _ = File.objects.update_or_create(
        session=session,
        path=path,
        defaults={
            "workspace_id": session.workspace_id,
            "filename": _filename(name, kind),
            "mime_type": kind,
            "size_bytes": size,
            "digest": digest,
            "mtime_ns": mtime_ns,
            "downloadable": True,
        },
        create_defaults={
            "workspace_id": session.workspace_id,
            "filename": _filename(name, kind),
            "mime_type": kind,
            "size_bytes": size,
            "digest": digest,
            "mtime_ns": mtime_ns,
            "downloadable": True,
            "created_at": timezone.now(),
        },
    )
    return file


def copy_for_session(file: File, session: Session) -> File:
    """A row of the session's own that shares the upload's bytes; it goes with the session."""
    blobs.touch(file.digest)
    return File.objects.create(
        workspace_id=session.workspace_id,
        session=session,
        filename=file.filename,
        mime_type=file.mime_type,
        size_bytes=file.size_bytes,
        digest=file.digest,
        created_at=timezone.now(),
    )


def find_file(file_id: str, acting: Acting) -> File:
    """A file of the caller's workspace. Expired ones are gone, with the code ``file_expired``."""
    file = File.objects.filter(pk=file_id, workspace_id=acting.workspace_id).first()
    if file is None:
        raise NotFound(f"There is no file {file_id} in this workspace.")
    if file.expires_at is not None and file.expires_at <= timezone.now():
        raise NotFound(f"File {file_id} has expired.", error_code="file_expired")
    return file


def open_blob(file: File) -> BinaryIO:
    """The bytes of a file. Raises ``NotFound`` if they are no longer on disk."""
    try:
        return blobs.open(file.digest)
    except FileNotFoundError:
        raise NotFound(f"The bytes of file {file.pk} are gone.") from None


def open_download(file_id: str, acting: Acting) -> tuple[File, BinaryIO]:
    """A file and its bytes for the caller; uploads are refused (spec core 9.2)."""
    file = find_file(file_id, acting)
    if not file.downloadable:
        raise InvalidRequest(
            f"File {file_id} is an upload; only files made by a session can be downloaded.",
            error_code="file_not_downloadable",
        )
    return file, open_blob(file)


@audit.logged("file.deleted", "agent_sessions.File", "file_id")
def delete(file_id: str, acting: Acting) -> None:
    """Delete a file. Its bytes stay as long as another row names them."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        file = File.objects.select_for_update().filter(pk=file_id, workspace_id=acting.workspace_id).first()
        if file is None:
            raise NotFound(f"There is no file {file_id} in this workspace.")
        if file.resources.exists():
            raise InvalidRequest(f"File {file_id} is mounted in a session; delete the session's resource instead.")
        file.delete()


def collect_garbage(older_than: timedelta = GARBAGE_AGE) -> int:
    """Drop blobs that no living row names; returns how many went. An expired file keeps its row for a
    while, so that asking for it says that it has expired.

    A blob stored less than ``older_than`` ago stays: its row may be about to be written.
    """
    now = timezone.now()
    File.objects.filter(expires_at__lte=now - EXPIRED_ROWS_STAY, resources=None).delete()
    moment = (now - older_than).timestamp()
    blobs.drop_stale_incoming(moment)
    earlier = _earlier_snapshots(now)
    removed, untouched = 0, iter(blobs.untouched_since(moment))
    while some := set(islice(untouched, LOOKED_UP)):
        unnamed = some - earlier - named(some, now)
        removed += sum(blobs.delete_untouched(digest, moment) for digest in unnamed)
    return removed


def named(digests: Collection[str], now: datetime) -> set[str]:
    """Those of the digests that a row names. No index leads from a digest to its rows: many are asked for at once."""
    files = File.objects.filter(Q(expires_at=None) | Q(expires_at__gt=now), digest__in=digests)
    skills = SkillVersion.objects.filter(digest__in=digests)
    snapshots = Session.objects.filter(snapshot__in=digests)
    return {*files.values_list("digest", flat=True), *skills.values_list("digest", flat=True)} | set(
        snapshots.values_list("snapshot", flat=True)
    )


def _earlier_snapshots(now: datetime) -> frozenset[str]:
    """Digests of the snapshots on the logs at which a fork may still begin (``SNAPSHOT_DAYS``)."""
    rows = Event.objects.filter(type=ev.OPS_SNAPSHOT)
    if settings.HOLDFAST_SNAPSHOT_DAYS:
        rows = rows.filter(created_at__gte=now - timedelta(days=settings.HOLDFAST_SNAPSHOT_DAYS))
    return frozenset(rows.values_list("payload__digest", flat=True))


def _mime_type(sent: str | None, filename: str) -> str:
    """What the client says if it says something useful, else by the name's ending."""
    base = (sent or "").partition(";")[0].strip().lower()
    if MIME_TYPE.fullmatch(base) and base != UNKNOWN_TYPE:
        return base
    return mimetypes.guess_type(filename)[0] or UNKNOWN_TYPE


def check_name(sent: str) -> None:
    """The rules for the names of uploads by the API (spec advanced 17); folders before the name don't count."""
    last = re.split(r"[/\\]", sent)[-1]
    if len(last) > MAX_FILENAME:
        raise InvalidRequest(f"file: its name must be at most {MAX_FILENAME} characters long")
    if found := FORBIDDEN.search(last):
        raise InvalidRequest(f"file: its name must not hold {found.group()!r}, nor any other of {SHOWN}")


def _filename(sent: str, mime_type: str) -> str:
    """Only the last path component, without control characters; never empty."""
    last = re.split(r"[/\\]", sent)[-1]
    clean = "".join(letter for letter in last if letter.isprintable()).strip()
    if clean in ("", ".", ".."):
        clean = "unnamed" + (mimetypes.guess_extension(mime_type) or "")
    return clean[-MAX_FILENAME:]
