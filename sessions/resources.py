"""What is mounted into a session's sandbox (spec core 9.1): for now, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from agents.notyet import refuse
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission
from sessions import files, mounts
from sessions.finding import lock_session
from sessions.models import File, Resource, Session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from contract.acting import Acting

MAX_FILES = 500


def mount(session: Session, wanted: Sequence[Mapping[str, Any]], where: str = "resources") -> list[Resource]:
    """Mount each of ``wanted`` (create fields of the API) into a session that is being written."""
    if not wanted:
        return []
    sources = _sources(session, wanted, where)
    taken = list(session.resources.values_list("mount_path", flat=True))
    if len(taken) + len(wanted) > MAX_FILES:
        raise InvalidRequest(f"{where}: a session holds at most {MAX_FILES} files")
    mounted = []
    for index, one in enumerate(wanted):
        at = f"{where}.{index}" if where else ""
        field = f"{at}.mount_path" if at else "mount_path"
        path = mounts.checked(field, one.get("mount_path"), one["file_id"])
        mounts.check_apart(field, path, taken)
        taken.append(path)
        mounted.append(_mount_file(session, sources[one["file_id"]], path))
    return mounted


def _sources(session: Session, wanted: Sequence[Mapping[str, Any]], where: str) -> dict[str, File]:
    """The files named, in one query; each must be there."""
    for index, one in enumerate(wanted):
        if one["type"] != "file":
            raise refuse(f"{where}.{index}", f"{one['type']} resources are")
    named = {one["file_id"] for one in wanted}
    rows = File.objects.filter(pk__in=named, workspace_id=session.workspace_id)
    found = {file.pk: file for file in rows if file.expires_at is None or file.expires_at > timezone.now()}
    missing = named - found.keys()
    if missing:
        raise NotFound(f"There is no file {min(missing)} in this workspace.")
    return found


def _mount_file(session: Session, file: File, mount_path: str) -> Resource:
    now = timezone.now()
    return Resource.objects.create(
        session=session,
        kind="file",
        file=files.copy_for_session(file, session),
        mount_path=mount_path,
        created_at=now,
        updated_at=now,
    )


def add_resource(session_id: str, body: Mapping[str, Any], acting: Acting) -> Resource:
    """Mount one more file. A running sandbox shows it from its next turn on."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = _open_session(session_id, acting)
        (resource,) = mount(session, [body], where="")
        _touch(session)
    return resource


def remove_resource(session_id: str, resource_id: str, acting: Acting) -> None:
    """Unmount a file and drop the session's copy of it; a sandbox that is open keeps it until it is made anew."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = _open_session(session_id, acting)
        resource = find_resource(session, resource_id)
        copy = resource.file
        resource.delete()
        if copy is not None:
            copy.delete()
        _touch(session)


def find_resource(session: Session, resource_id: str) -> Resource:
    resource = Resource.objects.filter(session=session, pk=resource_id).select_related("file").first()
    if resource is None:
        raise NotFound(f"There is no resource {resource_id} in session {session.pk}.")
    return resource


def _open_session(session_id: str, acting: Acting) -> Session:
    session = lock_session(session_id, acting)
    if session.archived_at is not None or session.status == "terminated":
        raise InvalidRequest(f"Session {session_id} has ended and can't be changed.")
    return session


def _touch(session: Session) -> None:
    Session.objects.filter(pk=session.pk).update(updated_at=timezone.now())
