"""Members of workspaces: whoever is removed, demoted or switched off is signed out everywhere, at once.

By signals, on purpose: whichever way a membership changes (admin, command, a user deleted with all that is theirs),
nobody stays signed in with rights they no longer have.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save
from django.utils import timezone

from agents.models import Membership
from contract import happenings
from contract.roles import GRANTS, Role
from contract.ways import ways

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

BATCH = 500
SIGNED_OUT = "person.signed_out"  # a happening; its id is the user's
NOTE = "signed_in"  # in the cookie session: when, how and from where
LONGEST_AGENT = 200


@dataclass(frozen=True, slots=True)
class SignIn:
    """A browser that a person is signed in with. ``ref`` names it without being its key."""

    ref: str
    at: str
    how: str
    agent: str
    address: str
    here: bool


def connect() -> None:
    """Called once, when the app is ready."""
    pre_save.connect(_remember_role, sender=Membership, dispatch_uid="people")
    post_save.connect(_saved, sender=Membership, dispatch_uid="people")
    post_delete.connect(_removed, sender=Membership, dispatch_uid="people")
    user_logged_in.connect(_note_place, dispatch_uid="people")
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


def _note_place(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    """Keep when, how and from where somebody signed in, for the list on their account page."""
    request.session[NOTE] = {
        "at": timezone.now().isoformat(),
        "how": ways(request, user),
        "agent": request.META.get("HTTP_USER_AGENT", "")[:LONGEST_AGENT],
        "address": request.META.get("REMOTE_ADDR", ""),
    }


def sign_ins(user_id: int, current: str | None) -> list[SignIn]:
    """Where a person is signed in, the latest first; ``current`` is the key of the session that asks."""
    found = []
    for row in _sessions(user_id):
        note = row.get_decoded().get(NOTE) or {}
        kept = {name: str(note.get(name, "")) for name in ("at", "how", "agent", "address")}
        found.append(SignIn(ref=_ref(row.pk), here=row.pk == current, **kept))
    return sorted(found, key=lambda one: (one.here, one.at), reverse=True)


def sign_out(user_id: int, *, keep: str | None = None, ref: str = "") -> int:
    """End a person's sign-ins together with the change, and tell the open sockets once both are committed.

    All of them, or all but the one whose key is ``keep``, or the one named ``ref``. How many ended.
    """
    ended = [row.pk for row in _sessions(user_id) if row.pk != keep and ref in ("", _ref(row.pk))]
    Session.objects.filter(pk__in=ended).delete()
    transaction.on_commit(partial(happenings.tell, SIGNED_OUT, str(user_id), workspace_id=""))
    return len(ended)


def _sessions(user_id: int) -> Iterator[Session]:
    for row in Session.objects.filter(expire_date__gt=timezone.now()).iterator(BATCH):
        if row.get_decoded().get(SESSION_KEY) == str(user_id):
            yield row


def _ref(session_key: str) -> str:
    return hashlib.sha256(session_key.encode()).hexdigest()[:16]
