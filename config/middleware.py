"""Around every view: the API's envelope and request id, and in whose workspace a signed-in person acts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import is_valid_path
from django.utils.encoding import escape_uri_path
from django.utils.http import escape_leading_slashes

from agents.models import Membership
from config import bodies
from config.errors import by_status, request_id, respond
from contract.acting import Acting
from contract.errors import ApiError, InvalidRequest, NotFound
from contract.roles import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import AnonymousUser, User
    from django.http.response import HttpResponseBase

API = "/v1/"
CHOSEN_WORKSPACE = "workspace_id"  # key in the cookie session; pages set it to switch workspaces
JSON = "application/json"
OWN = ("/account/", "/login", "/logout", "/static/", "/healthz", "/readyz")  # open to people who lack a second factor


class ApiAnswers:
    """Every answer under ``/v1`` carries its request id; errors made outside our views get the envelope too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not f"{request.path}/".startswith(API):
            return self.get_response(request)
        refused = _refusal(request)
        response = self.get_response(request) if refused is None else respond(request, refused)
        if response.status_code >= 300 and not _is_json(response):
            response = self._enveloped(request, response)
        response["request-id"] = request_id(request)
        acting: Acting | None = getattr(request, "acting", None)
        if acting is not None:
            response["anthropic-workspace-id"] = acting.workspace_id
        return response

    def _enveloped(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        error: ApiError | None = by_status(response.status_code)
        if error is None or isinstance(response, HttpResponseRedirect):
            return response
        answer = respond(request, error)
        if "Allow" in response:
            answer["Allow"] = response["Allow"]
        return answer


def _refusal(request: HttpRequest) -> ApiError | None:
    if "\x00" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
        return InvalidRequest("The address holds a null character.")
    if request.path == API:
        return NotFound("There is no /v1/ here; its resources, such as /v1/agents, are.")
    return bodies.refusal(request)


def _is_json(response: HttpResponseBase) -> bool:
    return isinstance(response, HttpResponse) and response.get("content-type", "").startswith(JSON)


class OtherSlash:
    """A page that was typed with a slash too many or too few, such as `/login/` or `/sessions`, is found.

    Only where the address leads nowhere as it is, only for reading, and never under ``/v1``: an SDK that is wrong about
    a path should hear so.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        path = request.path_info
        if response.status_code != 404 or request.method not in ("GET", "HEAD") or f"{path}/".startswith(API):
            return response
        other = path.rstrip("/") if path.endswith("/") else f"{path}/"
        if is_valid_path(path) or not is_valid_path(other):
            return response
        query = request.META.get("QUERY_STRING", "")
        found = escape_leading_slashes(escape_uri_path(other))
        return HttpResponseRedirect(f"{found}?{query}" if query else found)


class ActingPerson:
    """Sets ``request.acting`` for a signed-in person: the chosen workspace, or the first one they belong to.

    None for strangers, for people without a workspace, and for those who lack the second factor that everyone here
    needs: they are shown to their account page. The API never reads it: keys set their own.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(API):
            user = getattr(request, "user", None)
            chosen = request.session.get(CHOSEN_WORKSPACE) if user and user.is_authenticated else None
            request.acting = acting_for(user, chosen)  # type: ignore[attr-defined]  # contract.http.Request has it
            if lacks_factor(user) and not request.path.startswith(OWN):
                return redirect("account:account")
        return self.get_response(request)


def lacks_factor(user: User | AnonymousUser | None) -> bool:
    """Whether everyone here needs a second factor and ``user`` has none yet. One query where they do."""
    if user is None or user.is_anonymous or not settings.HOLDFAST_SIGNING_IN.second_factor:
        return False
    return not is_mfa_enabled(user, [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN])


def acting_for(user: User | AnonymousUser | None, chosen: str | None) -> Acting | None:
    """Who ``user`` is in the ``chosen`` workspace, else in the one they joined first. One query.

    The websocket side uses it too, with the user and session of its scope.
    """
    if user is None or user.is_anonymous or not user.is_active or lacks_factor(user):
        return None
    memberships = list(Membership.objects.filter(user=user).order_by("created_at", "pk"))
    if not memberships:
        return None
    mine = next((one for one in memberships if one.workspace_id == chosen), memberships[0])
    return Acting(workspace_id=mine.workspace_id, role=Role(mine.role), label=user.get_username(), user_id=user.pk)
