"""Members of workspaces: whoever is removed, demoted or switched off is signed out everywhere, at once.

By signals, on purpose: whichever way a membership changes (admin, command, a user deleted with all that is theirs),
nobody stays signed in with rights they no longer have.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save
from django.utils import timezone

from agents.models import Membership
from contract import happenings
from contract.roles import GRANTS, Role

BATCH = 500
SIGNED_OUT = "person.signed_out"  # a happening; its id is the user's


def connect() -> None:
    """Called once, when the app is ready."""
    pre_save.connect(_remember_role, sender=Membership, dispatch_uid="people")
    post_save.connect(_saved, sender=Membership, dispatch_uid="people")
    post_delete.connect(_removed, sender=Membership, dispatch_uid="people")
    post_save.connect(_switched, sender=get_user_model(), dispatch_uid="people")


def _remember_role(sender: Any, instance: Membership, **_: Any) -> None:
    before = Membership.objects.filter(pk=instance.pk).values_list("role", flat=True).first() if instance.pk else None
    instance._role_before = before  # type: ignore[attr-defined]


def _saved(sender: Any, instance: Membership, created: bool, **_: Any) -> None:
    before = getattr(instance, "_role_before", None)
    if not created and before and GRANTS[Role(before)] - GRANTS[Role(instance.role)]:
        sign_out(instance.user_id)


def _removed(sender: Any, instance: Membership, **_: Any) -> None:
    sign_out(instance.user_id)


def _switched(sender: Any, instance: Any, created: bool, **_: Any) -> None:
    if not created and not instance.is_active:
        sign_out(instance.pk)


def sign_out(user_id: int) -> None:
    """End every sign-in of a person together with the change, and tell the open sockets once both are committed."""
    ended = [
        row.pk
        for row in Session.objects.filter(expire_date__gt=timezone.now()).iterator(BATCH)
        if row.get_decoded().get(SESSION_KEY) == str(user_id)
    ]
    Session.objects.filter(pk__in=ended).delete()
    transaction.on_commit(partial(happenings.tell, SIGNED_OUT, str(user_id), workspace_id=""))
