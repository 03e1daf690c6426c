"""Machines that run workers: taken out of use before they are switched off, and back into it.

A machine serves every workspace, so that this is the installation's administrators' alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from contract import audit
from contract.errors import NotFound, PermissionDenied
from contract.roles import Permission
from sessions.models import Machine, Session

if TYPE_CHECKING:
    from contract.acting import Acting


def listed() -> QuerySet[Machine]:
    """All of them by name; ``busy`` is how many sessions run on each."""
    running = Session.objects.filter(machine=OuterRef("name"), status="running").order_by().values("machine")
    count = running.annotate(count=Count("pk")).values("count")
    return Machine.objects.annotate(busy=Coalesce(Subquery(count), 0)).order_by("name")


def may_drain(acting: Acting) -> bool:
    """Whether the caller administers the installation."""
    if acting.user_id is None:
        return False
    return get_user_model().objects.filter(pk=acting.user_id, is_active=True, is_superuser=True).exists()


def get(name: str, acting: Acting) -> Machine:
    """One of them as ``listed``. Raises ``NotFound`` where it never ran a worker, and ``PermissionDenied``."""
    acting.require(Permission.ADMINISTER)
    machine = listed().filter(name=name).first()
    if machine is None:
        raise NotFound(f"There is no machine {name!r}.")
    if not may_drain(acting):
        raise PermissionDenied("Only an administrator of the installation drains machines: they serve every workspace.")
    return machine


def set_draining(name: str, acting: Acting, *, draining: bool) -> None:
    """Have a machine take no other sessions than it has, or take them again. Twice is once.

    Raises ``PermissionDenied``, and ``NotFound`` where it never ran a worker.
    """
    get(name, acting)
    with transaction.atomic():
        if Machine.objects.filter(name=name, draining=not draining).update(draining=draining):
            action = "machine.drained" if draining else "machine.taken_back"
            audit.record(acting, action, "agent_sessions.Machine", name)
