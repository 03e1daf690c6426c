"""How much a workspace keeps as files, and the cap on it (``storage_bytes``).

Uploads and outputs count, each content once; a session's own copies of uploads don't (spec core 9.3), nor do the
snapshots of workspaces, which are the server's.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models import Max, Q, QuerySet, Sum
from django.utils import timezone

from agents.models import Workspace
from contract.errors import InvalidRequest
from sessions.harness.limits import Caps
from sessions.models import File

KIND = "storage_bytes"
LOCK_CLASS = 0x4853  # "HS": one file at a time gets its row in a workspace that has a cap


@dataclass(frozen=True, slots=True)
class Quota:
    """A workspace's cap in bytes, the level that set it, and how much of it is used."""

    level: str
    limit: int
    used: int

    @property
    def room(self) -> int:
        return max(0, self.limit - self.used)

    def refusal(self, what: str) -> InvalidRequest:
        """The error for what has no room."""
        return InvalidRequest(
            f"{what}: The {self.level}'s limit of {self.limit:,} bytes of files (storage_bytes) leaves "
            f"{self.room:,} bytes. Delete files, or have an administrator raise or lift the limit.",
            error_code="storage_quota_exceeded",
        )


def used(workspace_id: str) -> int:
    """Bytes of a workspace's files that have not expired."""
    contents = _counted(workspace_id).order_by().values("digest").annotate(size=Max("size_bytes"))
    return contents.aggregate(sum=Sum("size"))["sum"] or 0


def _counted(workspace_id: str) -> QuerySet[File]:
    alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return File.objects.filter(alive, Q(session=None) | Q(downloadable=True), workspace_id=workspace_id)


def quota(workspace_id: str) -> Quota | None:
    """None for a workspace that may keep as much as there is room for."""
    cap = _cap(workspace_id)
    return None if cap is None else Quota(*cap, used(workspace_id))


def _cap(workspace_id: str) -> tuple[str, int] | None:
    own = Workspace.objects.values_list("limits", flat=True).get(pk=workspace_id)
    return Caps((("installation", settings.HOLDFAST_LIMITS), ("workspace", own))).tightest(KIND)


def check(workspace_id: str, digest: str, size: int, what: str) -> None:
    """Refuse a file that is about to get its row, in the same transaction, where there is no room for it.

    Raises ``InvalidRequest``; two that come at once are weighed one after the other.
    """
    if _cap(workspace_id) is None:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCK_CLASS, workspace_id])
    found = quota(workspace_id)
    if found is not None and size > found.room and not _counted(workspace_id).filter(digest=digest).exists():
        raise found.refusal(what)
