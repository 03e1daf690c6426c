"""Sign-ins of people on record: who came, who left, whose password was wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import BACKEND_SESSION_KEY, get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

from contract import audit
from contract.acting import Acting
from contract.roles import Role

if TYPE_CHECKING:
    from django.http import HttpRequest


KIND = "auth.User"


def connect() -> None:
    """Note every sign-in, sign-out and failure. Called once, when the app is ready."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_failed, dispatch_uid="audit")


def _signed_in(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    how = request.session.get(BACKEND_SESSION_KEY, "").rsplit(".", 1)[-1] if hasattr(request, "session") else ""
    _note("person.signed_in", user, {"by": how})


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


def _note(action: str, user: Any, after: dict[str, Any]) -> None:
    acting = Acting("", Role.VIEWER, user.get_username(), user_id=user.pk)
    audit.record(acting, action, KIND, str(user.pk), after=after or None)
