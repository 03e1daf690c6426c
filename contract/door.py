"""The one door of every page: who may enter, and what a failure looks like."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from contract.errors import ApiError, NotFound, PermissionDenied
from contract.sentences import sentence

if TYPE_CHECKING:
    from django.forms import BaseForm
    from pydantic import ValidationError

    from contract.acting import Acting
    from contract.roles import Permission

PageView = Callable[..., HttpResponseBase]


def page(permission: Permission, *methods: str) -> Callable[[PageView], PageView]:
    """Make a page: ``@page(Permission.READ)`` or ``@page(Permission.OPERATE, "POST")``.

    1. strangers go to sign-in; 2. people without a workspace, and those whose role lacks
    ``permission``, get the 403 page; 3. failures of actions become the page of their status.
    ``methods`` default to GET and HEAD. Views read ``request.acting``.
    """

    def decorate(view: PageView) -> PageView:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if any("\x00" in str(part) for part in kwargs.values()):  # no id holds one, and the database takes none
                raise Http404
            acting: Acting | None = getattr(request, "acting", None)
            try:
                if acting is None:
                    raise PermissionDenied("You belong to no workspace yet. Ask an administrator to add you to one.")
                acting.require(permission)
                return view(request, *args, **kwargs)
            except NotFound as error:
                raise Http404(error.message) from error
            except PermissionDenied as error:
                raise DjangoPermissionDenied(error.message) from error
            except ApiError as error:
                return problem(request, error)

        return never_cache(login_required(require_http_methods(methods or ("GET", "HEAD"))(guarded)))

    return decorate


def problem(request: HttpRequest, error: ApiError) -> HttpResponse:
    """The page that says what went wrong: 413 has its own, the others share one."""
    template = "413.html" if error.status == 413 else "problem.html"
    return render(request, template, {"error": error}, status=error.status)


def explain(form: BaseForm, error: ApiError | ValidationError, place: Callable[[str], str] | None = None) -> None:
    """Show a refusal on the form: at the field its text names ("name: …"), else above all of them.

    ``place`` tells the form's field of the path that is complained about, where they differ.
    """
    text = error.message if isinstance(error, ApiError) else sentence([dict(one) for one in error.errors()])
    path, separator, rest = text.partition(": ")
    field = place(path) if place is not None and separator else path.partition(".")[0]
    if separator and field in form.fields:
        form.add_error(field, rest[:1].upper() + rest[1:] if path == field else text)
    else:
        form.add_error(None, text)
