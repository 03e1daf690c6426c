"""The one door of every page: who may enter, and what a failure looks like."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.forms import BaseForm
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from contract.errors import ApiError, NotFound, PermissionDenied
from contract.sentences import complaint, field_path

if TYPE_CHECKING:
    from pydantic import ValidationError

    from contract.acting import Acting
    from contract.roles import Permission

PageView = Callable[..., HttpResponseBase]
T = TypeVar("T")


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


class Placing(Protocol):
    """A form that knows itself where a complaint about the API's field at ``path`` belongs."""

    def complain(self, path: str, text: str) -> None: ...


def told(error: ApiError | ValidationError) -> list[tuple[str, str]]:
    """What is wrong, one by one: the path of the API's field ("" is the whole) and the complaint."""
    if not isinstance(error, ApiError):
        return [(field_path(one["loc"]), complaint(dict(one))) for one in error.errors()]
    path, separator, rest = error.message.partition(": ")
    return [(path, rest)] if separator and " " not in path else [("", error.message)]


def attempt(form: BaseForm, act: Callable[[], T]) -> T | None:
    """What ``act`` makes of a form that is right. None for one that isn't, or was refused: the form says why."""
    if not form.is_valid():
        return None
    try:
        return act()
    except ApiError as error:
        explain(form, error)
        return None


def explain(form: BaseForm | Placing, error: ApiError | ValidationError) -> None:
    """Show a refusal on the form: at the field it names ("name: …"), else above all of them.

    What may not be done stays a page of its own.
    """
    if isinstance(error, PermissionDenied):
        raise error
    for path, text in told(error):
        said = text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text
        if not isinstance(form, BaseForm) or hasattr(form, "complain"):
            cast("Placing", form).complain(path, said)
        else:
            head = path.partition(".")[0]
            field = head if head in form.fields else None
            form.add_error(field, said if path in ("", field) else f"{path}: {text}")
