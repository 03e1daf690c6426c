"""Archives made and brought in from the page, by a worker: begun here, carried out by a task, looked at meanwhile.

How far one is stands in a file beside it, not in the database: an import is one transaction that nobody sees into. Its
worker touches the file now and then, also while it says nothing; a file that is old tells that the worker is gone. That
an import is done is written in its own transaction: one that was given up brings nothing in, whatever its worker does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents.models import Workspace
from contract import audit, blobs
from contract.acting import Acting
from contract.errors import ApiError, Conflict, InvalidRequest, NotFound
from contract.roles import Permission, Role
from credentials import crypto
from sessions.exchange import archive
from sessions.models import Transfer
from sessions.models.transfers import CHECKED, COMPLETED, EXPORT, FAILED, IMPORT, RUNNING, WAITING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from contract.secret import Secret

log = logging.getLogger(__name__)

KEPT = timedelta(days=1)
SILENT_SECONDS = 120.0
BEAT_SECONDS = 10.0
TOLD_SECONDS = 0.5
MAX_OPEN = 2
GONE = "The worker that did this is gone. Nothing was imported; start again."


def export(passphrase: Secret, acting: Acting) -> Transfer:
    """Begin an export of the caller's workspace."""
    acting.require(Permission.ADMINISTER)
    archive.check_passphrase(passphrase)
    workspace = Workspace.objects.get(pk=acting.workspace_id)
    transfer = _new(EXPORT, f"{workspace.name}-{timezone.now():%Y-%m-%d}.zip", passphrase, acting)
    return _begin(transfer, acting)


def take_in(upload: Any, passphrase: Secret, acting: Acting) -> Transfer:
    """Keep an uploaded archive, and begin to check it. Nothing is brought in before ``confirm``."""
    acting.require(Permission.ADMINISTER)
    archive.check_passphrase(passphrase)
    transfer = _new(IMPORT, upload.name or "archive.zip", passphrase, acting, size=upload.size)
    try:
        with place(transfer).open("wb") as kept:
            for piece in upload.chunks():
                kept.write(piece)
        return _begin(transfer, acting)  # only now: the sweep hands to a worker whatever it finds waiting
    except BaseException:
        _forget(transfer)
        raise


def confirm(transfer_id: str, acting: Acting) -> Transfer:
    """Bring a checked archive in."""
    transfer = find(transfer_id, acting)
    begun = Transfer.objects.filter(pk=transfer.pk, kind=IMPORT, state=CHECKED).update(state=WAITING, confirmed=True)
    if not begun:
        raise Conflict("Only an archive that was checked, and was not imported yet, can be imported.")
    return find(transfer_id, acting)


def discard(transfer_id: str, acting: Acting) -> None:
    """Forget an archive and its file."""
    transfer = find(transfer_id, acting)
    if transfer.state == RUNNING:
        raise Conflict("It is being worked on; wait for its end.")
    _forget(transfer)
    transfer.delete()


def open_export(transfer_id: str, acting: Acting) -> tuple[Transfer, BinaryIO]:
    """A finished export to be read; on record, for it holds everything that was ever said."""
    transfer = find(transfer_id, acting)
    if transfer.kind != EXPORT or transfer.state != COMPLETED:
        raise NotFound(f"The archive {transfer_id} is not ready.")
    try:
        source = place(transfer).open("rb")
    except OSError:
        raise NotFound(f"The archive {transfer_id} is no longer kept; export again.") from None
    audit.record(acting, "workspace.archive_downloaded", "agent_sessions.Transfer", transfer.pk)
    return transfer, source


def find(transfer_id: str, acting: Acting) -> Transfer:
    acting.require(Permission.ADMINISTER)
    transfer = Transfer.objects.filter(pk=transfer_id, workspace_id=acting.workspace_id).first()
    if transfer is None:
        raise NotFound(f"There is no archive {transfer_id} in this workspace.")
    return transfer


def carry_out(transfer_id: str) -> None:
    """What the task does. A second one finds nothing to do."""
    if not Transfer.objects.filter(pk=transfer_id, state=WAITING).update(state=RUNNING):
        return
    transfer = Transfer.objects.get(pk=transfer_id)
    try:
        with blobs.room("DATA_DIR"):
            done = _carry_out(transfer)
    except ApiError as error:
        done = {"state": FAILED, "message": error.message}
    except Exception:
        log.exception("The archive %s failed", transfer_id)
        done = {"state": FAILED, "message": "Something failed inside the server; its log has the details."}
    if done["state"] != CHECKED:
        _forget(transfer, file=done["state"] == FAILED or transfer.kind == IMPORT)
    _note(transfer, done)


def progress(transfer: Transfer) -> tuple[str, int] | None:
    """What a running one is at, and how much of it it has done; None before its first word."""
    try:
        found = json.loads(_progress(transfer).read_text())
    except (OSError, ValueError):
        return None
    return str(found[0]), int(found[1])


def sweep() -> list[str]:
    """End what a killed worker left, and forget archives after a day; the ids of those to be carried out once more."""
    for transfer in Transfer.objects.filter(state=RUNNING):
        silent = time.time() - _touched(transfer) > SILENT_SECONDS
        if silent and _note(transfer, {"state": FAILED, "message": GONE}):
            _forget(transfer)
    for transfer in Transfer.objects.filter(created_at__lt=timezone.now() - KEPT).exclude(state=RUNNING):
        _forget(transfer)
        transfer.delete()
    return list(Transfer.objects.filter(state=WAITING).values_list("pk", flat=True))


def place(transfer: Transfer) -> Path:
    """Where its file is."""
    directory: Path = settings.HOLDFAST_DATA_DIR / "transfers"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory / f"{transfer.pk}.zip"


def _new(kind: str, filename: str, passphrase: Secret, acting: Acting, size: int = 0) -> Transfer:
    """One that is not begun. Raises ``InvalidRequest`` while too many are under way."""
    _check_room(acting)
    transfer = Transfer(
        workspace_id=acting.workspace_id,
        kind=kind,
        filename=filename[:255],
        size=size,
        created_by_id=acting.user_id,
        created_at=timezone.now(),
    )
    transfer.sealed_passphrase = crypto.seal(passphrase, transfer.pk)
    return transfer


def _check_room(acting: Acting) -> None:
    going = Transfer.objects.filter(workspace_id=acting.workspace_id, state__in=(WAITING, RUNNING))
    if going.count() >= MAX_OPEN:
        raise InvalidRequest(f"{MAX_OPEN} archives of this workspace are being worked on; wait for one to end.")


@transaction.atomic
def _begin(transfer: Transfer, acting: Acting) -> Transfer:
    Workspace.hold(acting.workspace_id)
    _check_room(acting)  # again: others may have begun while this one was uploaded
    transfer.save(force_insert=True)
    after = {"filename": transfer.filename, "size": transfer.size}
    audit.record(acting, f"workspace.{transfer.kind}_begun", "agent_sessions.Transfer", transfer.pk, after=after)
    return transfer


def _note(transfer: Transfer, done: Mapping[str, Any]) -> bool:
    """Write down how a running one ended, or that it was checked; False if it is not running any more."""
    ended = {} if done["state"] == CHECKED else {"ended_at": timezone.now(), "sealed_passphrase": b""}
    return bool(Transfer.objects.filter(pk=transfer.pk, state=RUNNING).update(**done, **ended))


def _carry_out(transfer: Transfer) -> dict[str, Any]:
    passphrase = crypto.unseal(bytes(transfer.sealed_passphrase), transfer.pk)
    with _Teller(transfer) as say:
        return _worked(transfer, passphrase, say)


def _worked(transfer: Transfer, passphrase: Secret, say: _Teller) -> dict[str, Any]:
    if transfer.kind == EXPORT:
        with place(transfer).open("wb") as target:
            counts = archive.export(transfer.workspace, target, passphrase, say)
        return {"state": COMPLETED, "report": _report(counts), "size": place(transfer).stat().st_size}
    with place(transfer).open("rb") as source:
        if not transfer.confirmed:
            return {"state": CHECKED, "report": archive.check(source, passphrase, say)}
        acting = Acting(transfer.workspace_id, Role.ADMIN, str(transfer.created_by or "import"), transfer.created_by_id)
        archive.restore(source, passphrase, acting, say, then=lambda counts: _finish(transfer, counts))
    return {"state": COMPLETED}


def _finish(transfer: Transfer, counts: dict[str, int]) -> None:
    """Say within the import's own transaction that it is done; undone is what was given up meanwhile."""
    if not _note(transfer, {"state": COMPLETED, "report": {**transfer.report, **_report(counts)}}):
        raise Conflict(GONE)


def _report(counts: dict[str, int]) -> dict[str, Any]:
    return {"rows": {name: [count, 0] for name, count in counts.items()}}


class _Teller:
    """Writes down how far it is, now and then, and between its words that it is alive."""

    def __init__(self, transfer: Transfer) -> None:
        self._path, self._next = _progress(transfer), 0.0
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="transfer", daemon=True)

    def __enter__(self) -> Self:
        self("the beginning", 0)
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._beating.join()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                os.utime(self._path)

    def __call__(self, what: str, count: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + TOLD_SECONDS
            self._path.write_text(json.dumps([what, count]))


def _progress(transfer: Transfer) -> Path:
    return place(transfer).with_suffix(".progress")


def _touched(transfer: Transfer) -> float:
    try:
        return _progress(transfer).stat().st_mtime
    except OSError:
        return transfer.created_at.timestamp()


def _forget(transfer: Transfer, *, file: bool = True) -> None:
    _progress(transfer).unlink(missing_ok=True)
    if file:
        place(transfer).unlink(missing_ok=True)
