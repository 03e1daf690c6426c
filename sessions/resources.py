"""What is mounted into a session's sandbox (spec core 9.1): files, repositories, memory stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from agents.models import MemoryStore
from contract import audit, ids
from contract.errors import InvalidRequest, NotFound
from contract.roles import Permission
from contract.secret import Secret
from credentials import crypto
from sessions import files, mounts, prepared
from sessions.finding import lock_session
from sessions.models import File, Resource, Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from contract.acting import Acting

FILE, REPOSITORY, MEMORY_STORE = "file", "github_repository", "memory_store"
KINDS = "SELECT array_agg(DISTINCT kind) FROM agent_sessions_resource WHERE session_id = %s"
MAX_OF = {FILE: 500, REPOSITORY: 50, MEMORY_STORE: 8}
MAX_TOKEN = 4_096
MAX_INSTRUCTIONS = 4_096


def kinds(session_id: str) -> frozenset[str]:
    """Of what kinds a session has anything mounted: asked at each turn's start, when most sessions have nothing."""
    found = prepared.row(KINDS, [session_id])
    return frozenset((found and found[0]) or ())


def mount(session: Session, wanted: Sequence[Mapping[str, Any]], where: str = "resources") -> list[Resource]:
    """Mount each of ``wanted`` (create fields of the API) into a session that is being written."""
    if not wanted:
        return []
    there = list(session.resources.values_list("kind", "mount_path"))
    for kind, most in MAX_OF.items():
        held = sum(one["type"] == kind for one in wanted) + sum(one == kind for one, _ in there)
        if held > most:
            raise InvalidRequest(f"{where or kind}: a session holds at most {most} {kind} resources")
    mounting = _Mounting(session, [path for _, path in there], wanted)
    return [mounting.mount(f"{where}.{index}" if where else "", one) for index, one in enumerate(wanted)]


class _Mounting:
    """The resources of one request on their way into a session; what they name is looked up once."""

    def __init__(self, session: Session, taken: list[str], wanted: Sequence[Mapping[str, Any]]) -> None:
        self.session = session
        self.taken = taken
        self.now = timezone.now()
        self.files = _files(session, {one["file_id"] for one in wanted if one["type"] == FILE})
        self.stores = _stores(session, [one["memory_store_id"] for one in wanted if one["type"] == MEMORY_STORE])

    def mount(self, where: str, one: Mapping[str, Any]) -> Resource:
        at = f"{where}." if where else ""
        if one["type"] == FILE:
            path = mounts.checked(f"{at}mount_path", one.get("mount_path"), one["file_id"])
            self._take(f"{at}mount_path", path)
            return self._create(FILE, path, file=files.copy_for_session(self.files[one["file_id"]], self.session))
        if one["type"] == REPOSITORY:
            return self._repository(at, one)
        return self._store(at, one)

    def _take(self, where: str, path: str) -> None:
        mounts.check_apart(where, path, self.taken)
        self.taken.append(path)

    def _create(self, kind: str, path: str, **fields: Any) -> Resource:
        return Resource.objects.create(
            session=self.session, kind=kind, mount_path=path, created_at=self.now, updated_at=self.now, **fields
        )

    def _repository(self, at: str, one: Mapping[str, Any]) -> Resource:
        name = mounts.repository_name(f"{at}url", one["url"], settings.HOLDFAST_GIT_HOSTS)
        path = mounts.repository_path(f"{at}mount_path", one.get("mount_path"), name)
        self._take(f"{at}mount_path", path)
        resource_id = ids.resource_id()
        token = one.get("authorization_token")
        return self._create(
            REPOSITORY,
            path,
            pk=resource_id,
            details={"url": one["url"], "checkout": mounts.checkout(f"{at}checkout", one.get("checkout"))},
            sealed=b"" if token is None else _sealed(f"{at}authorization_token", token, resource_id),
        )

    def _store(self, at: str, one: Mapping[str, Any]) -> Resource:
        """Name and description are kept as they are now: later changes of the store don't reach the session.

        Only ``again`` says where it is mounted: the fork's history speaks of that place.
        """
        store = self.stores[one["memory_store_id"]]
        instructions = one.get("instructions")
        if instructions is not None and len(instructions) > MAX_INSTRUCTIONS:
            raise InvalidRequest(f"{at}instructions: must be at most {MAX_INSTRUCTIONS} characters long")
        path = one.get("mount_path") or mounts.store_path(store.name, self.taken)
        self.taken.append(path)
        details = {
            "access": one.get("access") or "read_write",
            "instructions": instructions,
            "name": store.name,
            "description": store.description,
        }
        return self._create(MEMORY_STORE, path, store_id=store.pk, details=details)


def _files(session: Session, named: set[str]) -> dict[str, File]:
    """The files named, in one query; each must be there."""
    rows = File.objects.filter(pk__in=named, workspace_id=session.workspace_id) if named else ()
    found = {file.pk: file for file in rows if file.expires_at is None or file.expires_at > timezone.now()}
    missing = named - found.keys()
    if missing:
        raise NotFound(f"There is no file {min(missing)} in this workspace.")
    return found


def _stores(session: Session, named: list[str]) -> dict[str, MemoryStore]:
    """The memory stores named, each once, none of them archived; they stay as they are until the session stands."""
    rows = MemoryStore.objects.filter(pk__in=named, workspace_id=session.workspace_id) if named else ()
    found = {store.pk: store for store in rows}
    for store_id in named:
        if store_id not in found:
            raise NotFound(f"There is no memory store {store_id} in this workspace.")
        if found[store_id].archived_at is not None:
            raise InvalidRequest(f"Memory store {store_id} is archived and can't be attached to new sessions.")
    if len(set(named)) < len(named):
        raise InvalidRequest("resources: a memory store is attached more than once")
    return found


def _sealed(where: str, token: str, resource_id: str) -> bytes:
    if not 1 <= len(token) <= MAX_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise InvalidRequest(f"{where}: must be 1 to {MAX_TOKEN} ASCII characters without spaces")
    return crypto.seal(Secret(token), resource_id)


def requested(mounted: Iterable[Resource]) -> list[dict[str, Any]]:
    """A session's resources as requests that would mount them in another one; tokens stay where they are."""
    return [_requested(one) for one in mounted]


def _requested(one: Resource) -> dict[str, Any]:
    if one.kind == FILE:
        return {"type": FILE, "file_id": one.file_id, "mount_path": one.mount_path}
    if one.kind == MEMORY_STORE:
        details = {name: one.details.get(name) for name in ("access", "instructions")}
        return {"type": MEMORY_STORE, "memory_store_id": one.store_id, **details}
    details = {name: one.details.get(name) for name in ("url", "checkout")}
    return {"type": REPOSITORY, "mount_path": one.mount_path, **details}


def again(mounted: Sequence[Resource]) -> list[dict[str, Any]]:
    """The requests for a fork, which has the same at the same places, and its own copies of the tokens, opened here.

    Raises ``InvalidRequest`` if a token can't be opened.
    """
    return [_requested(one) | {"mount_path": one.mount_path} | _opened(one) for one in mounted]


def _opened(one: Resource) -> dict[str, str]:
    try:
        token = token_of(one)
    except crypto.CannotOpen as error:
        raise InvalidRequest(
            f"The token of {one.details.get('url')} can't be opened, so no fork can use it. Restore the key it was "
            f"sealed with, give the repository another token, or leave {one.pk} out."
        ) from error
    return {} if token is None else {"authorization_token": token.reveal()}


def named(one: Resource) -> str:
    """What people call a resource by: a memory store's own id, since its place in a session has none on the wire."""
    return one.store_id if one.kind == MEMORY_STORE else one.pk


def token_of(resource: Resource) -> Secret | None:
    """The token of a repository, if it has one. Raises ``crypto.CannotOpen``."""
    return crypto.unseal(bytes(resource.sealed), resource.pk) if resource.sealed else None


@audit.logged("session.resource_added", "agent_sessions.Resource")
def add_resource(session_id: str, body: Mapping[str, Any], acting: Acting) -> Resource:
    """Mount one more file. A running sandbox shows it from its next turn on."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = _open_session(session_id, acting)
        check_mountable(session, [body])
        (resource,) = mount(session, [body], where="")
        _touch(session)
    return resource


def check_mountable(session: Session, wanted: Sequence[Mapping[str, Any]]) -> None:
    """Customers' own sandboxes get memory stores only (spec advanced 16.1)."""
    if session.environment.config["type"] == "self_hosted" and any(one["type"] != MEMORY_STORE for one in wanted):
        raise InvalidRequest(
            f"Environment {session.environment_id} is a self-hosted environment. `resources` are not supported with "
            "self-hosted environments."
        )


@audit.logged("session.token_rotated", "agent_sessions.Resource", "resource_id", within="session", always=True)
def rotate_token(session_id: str, resource_id: str, token: str, acting: Acting) -> Resource:
    """Replace the token of a repository; the next request that needs it takes the new one."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = _open_session(session_id, acting)
        resource = find_resource(session, resource_id)
        if resource.kind != REPOSITORY:
            raise InvalidRequest(f"Resource {resource_id} is a file; only github_repository resources have a token.")
        resource.sealed = _sealed("authorization_token", token, resource.pk)
        resource.updated_at = timezone.now()
        resource.save(update_fields=["sealed", "updated_at"])
        _touch(session)
    return resource


@audit.logged("session.resource_removed", "agent_sessions.Resource", "resource_id", within="session")
def remove_resource(session_id: str, resource_id: str, acting: Acting) -> None:
    """Unmount a file and drop the session's copy of it; a sandbox that is open keeps it until it is made anew."""
    acting.require(Permission.OPERATE)
    with transaction.atomic():
        session = _open_session(session_id, acting)
        resource = find_resource(session, resource_id)
        if resource.kind != FILE:
            raise InvalidRequest(
                f"Resource {resource_id} is a {resource.kind}, which stays for the session's lifetime."
            )
        copy = resource.file
        resource.delete()
        if copy is not None:
            copy.delete()
        _touch(session)


def find_resource(session: Session, resource_id: str) -> Resource:
    """A file or repository of a session. Memory stores are listed, but the API gives them no id."""
    rows = Resource.objects.filter(session=session, pk=resource_id).exclude(kind=MEMORY_STORE)
    resource = rows.select_related("file").first()
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
