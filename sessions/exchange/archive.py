"""The archive: a zip of JSON lines and blobs with a manifest that is signed by a passphrase.

``manifest.json`` names every other entry with its size and SHA-256, and ``signature`` is the HMAC-SHA256 of the
manifest's bytes under a key made of the passphrase by scrypt. Nothing of an archive is used before it was checked.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from agents.models import Environment, Workspace
from contract import audit, blobs
from contract.errors import Conflict, InvalidRequest
from contract.roles import Permission
from contract.times import timestamp
from sessions import events as ev
from sessions import log, snapshots
from sessions.exchange import rows
from sessions.models import Event, Session
from sessions.outputs import Chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.acting import Acting
    from contract.secret import Secret

FORMAT = 1
MANIFEST, SIGNATURE = "manifest.json", "signature"
MAX_ENTRIES = 200_000
MAX_TOTAL = 64 * 1024**3
MAX_BLOB = 8 * 1024**3
MAX_LINE = 64 * 1024**2
MAX_MANIFEST = 64 * 1024**2
MIN_PASSPHRASE = 12
BATCH = 500
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
BROKEN = "The archive is broken or no archive of a workspace"

Say = Callable[[str, int], object]  # hears of what is being done, and how much of it so far
Then = Callable[[dict[str, int]], object]  # is told the rows by kind while the import can still be undone


def _nothing(what: str, count: int) -> None:
    """For callers that need not hear of it."""


# What reading something that is no zip, or a damaged one, may raise.
READING = (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError, UnicodeDecodeError, zlib.error)


def _key(passphrase: Secret, salt: bytes) -> bytes:
    return hashlib.scrypt(passphrase.reveal().encode(), salt=salt, **SCRYPT)


def check_passphrase(passphrase: Secret) -> None:
    """Raise ``InvalidRequest`` for one too short to sign with."""
    if len(passphrase.reveal()) < MIN_PASSPHRASE:
        raise InvalidRequest(f"passphrase: must be at least {MIN_PASSPHRASE} characters long; it signs the archive")


def export(workspace: Workspace, target: IO[bytes], passphrase: Secret, say: Say = _nothing) -> dict[str, int]:
    """Write a workspace into ``target``; how many rows of each kind. One moment of the database, whatever goes on."""
    check_passphrase(passphrase)
    counts: dict[str, int] = {}
    entries: dict[str, dict[str, Any]] = {}
    digests: set[str] = set()
    kept = set(Session.objects.filter(workspace=workspace).exclude(snapshot="").values_list("snapshot", flat=True))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive, transaction.atomic():
        if not connection.savepoint_ids:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for part in rows.PARTS:
            name = f"rows/{part.name}.jsonl"
            counts[part.name], entries[name] = _write_rows(archive, name, part, workspace, digests, say)
        for number, digest in enumerate(sorted(digests)):
            say("files", number)
            if blobs.exists(digest):
                entries[f"blobs/{digest}"] = _write_blob(archive, digest, snapshot=digest in kept)
        _sign(archive, workspace, entries, passphrase)
    return counts


def export_file(passphrase: Secret, acting: Acting) -> BinaryIO:
    """The caller's workspace as a file without a name, at its start; on record, for it holds everything ever said."""
    acting.require(Permission.ADMINISTER)
    target = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115  whoever asked closes it
    try:
        counts = export(Workspace.objects.get(pk=acting.workspace_id), target, passphrase)
        audit.record(acting, "workspace.exported", "agents.Workspace", acting.workspace_id, after=counts)
    except BaseException:
        target.close()
        raise
    target.seek(0)
    return target


def _write_rows(
    archive: zipfile.ZipFile, name: str, part: rows.Part, workspace: Workspace, digests: set[str], say: Say
) -> tuple[int, dict[str, Any]]:
    hasher, size, count = hashlib.sha256(), 0, 0
    with archive.open(name, "w", force_zip64=True) as entry:
        for row in rows.read(part, workspace):
            if count % BATCH == 0:
                say(part.name, count)
            line = json.dumps(rows.dump(part, row), separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
            entry.write(line)
            hasher.update(line)
            size, count = size + len(line), count + 1
            digests.update(filter(None, (getattr(row, column) for column in part.blobs)))
    return count, {"size": size, "sha256": hasher.hexdigest()}


def _write_blob(archive: zipfile.ZipFile, digest: str, *, snapshot: bool) -> dict[str, Any]:
    """Sealed workspaces leave in the clear: another installation has other keys."""
    info = zipfile.ZipInfo(f"blobs/{digest}")
    hasher, size = hashlib.sha256(), 0
    opened = snapshots.open_plain(digest) if snapshot else blobs.open(digest)
    with opened as source, archive.open(info, "w", force_zip64=True) as entry:
        while chunk := source.read(1024 * 1024):
            entry.write(chunk)
            hasher.update(chunk)
            size += len(chunk)
    return {"size": size, "sha256": hasher.hexdigest(), **({"snapshot": True} if snapshot else {})}


def _sign(
    archive: zipfile.ZipFile, workspace: Workspace, entries: dict[str, dict[str, Any]], passphrase: Secret
) -> None:
    salt = os.urandom(16)
    manifest = json.dumps(
        {
            "format": FORMAT,
            "workspace": workspace.name,
            "created_at": timestamp(timezone.now()),
            "salt": salt.hex(),
            "entries": entries,
        }
    ).encode()
    archive.writestr(MANIFEST, manifest)
    archive.writestr(SIGNATURE, hmac.new(_key(passphrase, salt), manifest, hashlib.sha256).hexdigest())


def check(source: IO[bytes], passphrase: Secret, say: Say = _nothing) -> dict[str, Any]:
    """Read an archive through without bringing anything in: ``from``, ``made_at``, and ``rows``, for each kind how many
    there are and how many of them are here already. Raises ``InvalidRequest`` with what is wrong with the archive.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            entries = _checked(archive, passphrase)
            for number, (name, expected) in enumerate(entries.items()):
                if name.startswith("blobs/"):
                    say("files", number)
                    _check_blob(archive, name, expected)
            found = {part.name: _counted(archive, entries, part, say) for part in rows.PARTS}
            manifest = json.loads(archive.read(MANIFEST))
    except READING as error:
        raise InvalidRequest(f"{BROKEN} ({type(error).__name__}).") from None
    return {"from": manifest["workspace"], "made_at": manifest["created_at"], "rows": found}


def _check_blob(archive: zipfile.ZipFile, name: str, expected: dict[str, Any]) -> None:
    hasher = hashlib.sha256()
    with archive.open(name) as entry:
        for _ in _pieces(entry, hasher):
            continue
    if hasher.hexdigest() != expected["sha256"]:
        raise InvalidRequest(f"{BROKEN} (a file of it isn't what was signed).")


def _counted(
    archive: zipfile.ZipFile, entries: dict[str, dict[str, Any]], part: rows.Part, say: Say
) -> tuple[int, int]:
    """How many rows of a kind there are, and how many of them are in the database already."""
    name, count, here, key = f"rows/{part.name}.jsonl", 0, 0, part.model._meta.pk
    if name not in entries:
        raise InvalidRequest(f"{BROKEN} ({name} is missing).")
    for batch in _batches(_lines(archive, name, entries[name])):
        try:
            found = [json.loads(line) for line in batch]
            keys = [row[key.attname] for row in found] if key in rows.columns(part.model) else []
        except (ValueError, KeyError, TypeError):
            raise InvalidRequest(f"{BROKEN} (a row of {name} can't be read).") from None
        count += len(found)
        here += part.model._base_manager.filter(pk__in=keys).count()
        say(part.name, count)
    return count, here


def _batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    while batch := list(itertools.islice(lines, BATCH)):
        yield batch


def restore(
    source: IO[bytes], passphrase: Secret, acting: Acting, say: Say = _nothing, then: Then | None = None
) -> dict[str, int]:
    """Bring an archive's rows and blobs into the caller's workspace; all or nothing, and only after it was checked.

    ``then`` belongs to the same transaction: nothing is imported if it raises.
    Raises ``InvalidRequest`` with what is wrong with the archive, ``Conflict`` if something of it is here already.
    """
    acting.require(Permission.ADMINISTER)
    workspace = Workspace.objects.get(pk=acting.workspace_id)
    try:
        with zipfile.ZipFile(source) as archive:
            entries = _checked(archive, passphrase)
            names = _store_blobs(archive, entries, say)
            with transaction.atomic():
                counts = {
                    part.name: _restore_rows(archive, entries, part, workspace, names, say) for part in rows.PARTS
                }
                connection.check_constraints()
                audit.record(acting, "workspace.restored", "agents.Workspace", workspace.pk, after=counts)
                if then is not None:
                    then(counts)
            return counts
    except READING as error:
        raise InvalidRequest(f"{BROKEN} ({type(error).__name__}).") from None
    except IntegrityError:
        raise Conflict(
            "Something of this archive is here already, or a part of it is missing; nothing was imported."
        ) from None


def _checked(archive: zipfile.ZipFile, passphrase: Secret) -> dict[str, dict[str, Any]]:
    """The manifest's entries, once signature and sizes are found right."""
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES or sum(info.file_size for info in infos) > MAX_TOTAL:
        raise InvalidRequest("The archive is larger than an archive of a workspace may be.")
    names = [info.filename for info in infos]
    if len(set(names)) != len(names) or not {MANIFEST, SIGNATURE} <= set(names):
        raise InvalidRequest(f"{BROKEN} (its manifest or signature is missing).")
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST or archive.getinfo(SIGNATURE).file_size > 1024:
        raise InvalidRequest(f"{BROKEN} (its manifest is too large).")
    raw = archive.read(MANIFEST)
    try:
        manifest = json.loads(raw)
        salt, entries = bytes.fromhex(manifest["salt"]), dict(manifest["entries"])
        known = manifest["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(f"{BROKEN} (its manifest can't be read).") from None
    expected = hmac.new(_key(passphrase, salt), raw, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), archive.read(SIGNATURE)):
        raise InvalidRequest("The archive's signature is wrong: it was changed, or the passphrase is another one.")
    if not known:
        raise InvalidRequest(f"The archive has a format that this version doesn't know; it knows {FORMAT}.")
    if {MANIFEST, SIGNATURE, *entries} != set(names):
        raise InvalidRequest("The archive holds something that its manifest doesn't name, or lacks something it names.")
    return entries


def _lines(archive: zipfile.ZipFile, name: str, expected: dict[str, Any]) -> Iterator[bytes]:
    """The lines of an entry; an error at its end if it isn't what was signed."""
    hasher = hashlib.sha256()
    with archive.open(name) as entry:
        while line := entry.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise InvalidRequest(f"{BROKEN} (a row of {name} is too long).")
            hasher.update(line)
            yield line
    if hasher.hexdigest() != expected["sha256"]:
        raise InvalidRequest(f"{BROKEN} ({name} isn't what was signed).")


def _store_blobs(archive: zipfile.ZipFile, entries: dict[str, dict[str, Any]], say: Say) -> dict[str, str]:
    """Store every blob by what it holds; the names of kept workspaces there, and what they are called here."""
    renamed: dict[str, str] = {}
    for number, (name, expected) in enumerate(entries.items()):
        if not name.startswith("blobs/"):
            continue
        say("files", number)
        hasher = hashlib.sha256()
        with archive.open(name) as entry:
            if expected.get("snapshot") is True:
                renamed[name.removeprefix("blobs/")], _ = snapshots.put(_pieces(entry, hasher))
                sound = True
            else:
                digest, _ = blobs.put(Chunks(_pieces(entry, hasher)), MAX_BLOB)
                sound = name == f"blobs/{digest}"
        if not sound or hasher.hexdigest() != expected["sha256"]:
            raise InvalidRequest(f"{BROKEN} (a file of it isn't what was signed).")
    return renamed


def _pieces(entry: IO[bytes], hasher: hashlib._Hash) -> Iterator[bytes]:
    while piece := entry.read(blobs.CHUNK):
        hasher.update(piece)
        yield piece


def _restore_rows(
    archive: zipfile.ZipFile,
    entries: dict[str, dict[str, Any]],
    part: rows.Part,
    workspace: Workspace,
    names: dict[str, str],
    say: Say,
) -> int:
    name = f"rows/{part.name}.jsonl"
    if name not in entries:
        raise InvalidRequest(f"{BROKEN} ({name} is missing).")
    made: list[Any] = []
    count = 0
    for line in _lines(archive, name, entries[name]):
        try:
            found = json.loads(line)
        except ValueError:
            raise InvalidRequest(f"{BROKEN} (a row of {name} can't be read).") from None
        row = rows.load(part, found, workspace)
        _check_files(part, row, entries)
        made.append(_renamed(row, names))
        if len(made) == BATCH:
            count += _insert(part, made, workspace)
            say(part.name, count)
            made = []
    return count + (_insert(part, made, workspace) if made else 0)


def _check_files(part: rows.Part, row: Any, entries: dict[str, dict[str, Any]]) -> None:
    """A digest alone must not open what others have stored here: the archive has to hold the file itself."""
    for digest in filter(None, (getattr(row, column) for column in part.blobs)):
        if f"blobs/{digest}" not in entries and blobs.exists(digest):
            raise InvalidRequest(f"The archive has a {part.name} whose file isn't in it.")


def _renamed(row: Any, names: dict[str, str]) -> Any:
    """A row that names kept workspaces as they are called here."""
    if isinstance(row, Session):
        row.snapshot = names.get(row.snapshot, row.snapshot)
    elif isinstance(row, Event) and row.type == ev.OPS_SNAPSHOT:
        row.payload["digest"] = names.get(row.payload["digest"], row.payload["digest"])
    return row


def _insert(part: rows.Part, made: list[Any], workspace: Workspace) -> int:
    rows.check_own(part, made, workspace)
    if part.model is Event:
        log.restore(made, workspace.pk)
        return len(made)
    if part.model is Environment:
        _give_way(made, workspace)
    part.model._base_manager.bulk_create(made)
    return len(made)


def _give_way(made: list[Environment], workspace: Workspace) -> None:
    """Rename environments whose names are taken here: every fresh workspace has its own "Default"."""
    here = set(Environment.objects.filter(workspace=workspace).values_list("name", flat=True))
    taken = here | {one.name for one in made}
    for one in made:
        if one.name in here:
            one.name = next(name for name in _other_names(one.name) if name not in taken)
            taken.add(one.name)


def _other_names(name: str) -> Iterator[str]:
    longest = Environment._meta.get_field("name").max_length or 0
    for number in itertools.count(1):
        ending = f" (imported {number})" if number > 1 else " (imported)"
        yield name[: longest - len(ending)] + ending
