"""Sign-ins of people on record: who came, who left, whose attempts failed, whose second factors changed.

Each is on the audit log of every workspace that the person belongs to. What was typed is on none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from allauth.mfa import signals as factors
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.utils import timezone

from contract import audit
from contract.acting import Acting
from contract.roles import Role
from contract.ways import ways
from credentials.models import AuditRecord

if TYPE_CHECKING:
    from django.http import HttpRequest

FAILED = "person.sign_in_failed"
FAILED_AGAIN = "person.second_factor_failed"
FAILURES_A_MINUTE = 20  # of one person, or of all unknown ones: many addresses together must not fill the log


def connect() -> None:
    """Note every sign-in, sign-out and failure. Called once, when the app is ready."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_failed, dispatch_uid="audit")
    factors.authentication_failed.connect(_failed_again, dispatch_uid="audit")
    factors.authenticator_added.connect(_added, dispatch_uid="audit")
    factors.authenticator_removed.connect(_taken, dispatch_uid="audit")
    factors.authenticator_reset.connect(_renewed, dispatch_uid="audit")


def failed(request: HttpRequest | None, by: str, user: Any = None) -> None:
    """Note that somebody did not get in by the way ``by``; ``user`` is who it would have been, if that is known."""
    about = {"by": by, **_place(request)}
    if user is not None:
        _note_failure(FAILED, user, about)
    elif not _too_many(FAILED, ""):
        audit.record(Acting("", Role.VIEWER, "somebody unknown"), FAILED, audit.PERSON, "", after=about)


def _signed_in(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    audit.of_person(user, "person.signed_in", {"by": ways(request, user), **_place(request)})


def _signed_out(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    if user is not None:
        audit.of_person(user, "person.signed_out", _place(request))


def _failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """A name is kept only if it is somebody's: what was typed may as well be a password."""
    typed = str(credentials.get("username") or "")[:150]
    failed(request, "password", get_user_model().objects.filter(username=typed).first())


def _failed_again(sender: Any, request: HttpRequest, user: Any, authenticator: Any, **_: Any) -> None:
    _note_failure(FAILED_AGAIN, user, {"type": str(authenticator.type), **_place(request)})


def _added(sender: Any, user: Any, authenticator: Any, **_: Any) -> None:
    audit.of_person(user, "person.second_factor_added", {"type": str(authenticator.type)})


def _taken(sender: Any, user: Any, authenticator: Any, **_: Any) -> None:
    audit.of_person(user, "person.second_factor_removed", {"type": str(authenticator.type)})


def _renewed(sender: Any, user: Any, authenticator: Any, **_: Any) -> None:
    audit.of_person(user, "person.recovery_codes_made", {"type": str(authenticator.type)})


def _note_failure(action: str, user: Any, about: dict[str, Any]) -> None:
    if not _too_many(action, str(user.pk)):
        audit.of_person(user, action, about)


def _too_many(action: str, object_id: str) -> bool:
    rows = AuditRecord.objects.filter(object_id=object_id, action=action).order_by("-id")
    latest = rows.values_list("at", flat=True)[FAILURES_A_MINUTE - 1 : FAILURES_A_MINUTE]
    return any(at > timezone.now() - timedelta(minutes=1) for at in latest)


def _place(request: HttpRequest | None) -> dict[str, str]:
    """From where, as far as the web server knows."""
    address = request.META.get("REMOTE_ADDR", "") if request is not None else ""
    return {"from": address} if address else {}
