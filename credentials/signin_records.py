"""Sign-ins of people on record: who came, who left, whose password was wrong, whose second factors changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allauth.mfa import signals as factors
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

from contract import audit
from contract.acting import Acting
from contract.roles import Role
from contract.ways import ways

if TYPE_CHECKING:
    from django.http import HttpRequest


KIND = "auth.User"


def connect() -> None:
    """Note every sign-in, sign-out and failure. Called once, when the app is ready."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_failed, dispatch_uid="audit")
    factors.authentication_failed.connect(_failed_again, dispatch_uid="audit")
    factors.authenticator_added.connect(_added, dispatch_uid="audit")
    factors.authenticator_removed.connect(_taken, dispatch_uid="audit")
    factors.authenticator_reset.connect(_renewed, dispatch_uid="audit")


def _signed_in(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    _note("person.signed_in", user, {"by": ways(request, user)})


def _signed_out(sender: Any, user: Any, **_: Any) -> None:
    if user is not None:
        _note("person.signed_out", user, {})


def _failed(sender: Any, credentials: dict[str, Any], **_: Any) -> None:
    """A name is kept only if it is somebody's: what was typed may as well be a password."""
    typed = str(credentials.get("username") or "")[:150]
    user = get_user_model().objects.filter(username=typed).first()
    if user is not None:
        _note("person.sign_in_failed", user, {})
    else:
        acting = Acting("", Role.VIEWER, "somebody unknown")
        audit.record(acting, "person.sign_in_failed", KIND, "")


def _failed_again(sender: Any, user: Any, authenticator: Any, **_: Any) -> None:
    _note("person.second_factor_failed", user, {"type": str(authenticator.type)})


def _added(sender: Any, user: Any, authenticator: Any, **_: Any) -> None:
    _note("person.second_factor_added", user, {"type": str(authenticator.type)})


def _taken(sender: Any, user: Any, authenticator: Any, **_: Any) -> None:
    _note("person.second_factor_removed", user, {"type": str(authenticator.type)})


def _renewed(sender: Any, user: Any, authenticator: Any, **_: Any) -> None:
    _note("person.recovery_codes_made", user, {"type": str(authenticator.type)})


def _note(action: str, user: Any, after: dict[str, Any]) -> None:
    acting = Acting("", Role.VIEWER, user.get_username(), user_id=user.pk)
    audit.record(acting, action, KIND, str(user.pk), after=after or None)
