"""Who may open a page of their account, and when they must first prove again who they are."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from config.signin.adapters import is_fresh

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    View = Callable[..., HttpResponseBase]


def own(*methods: str, fresh: bool = True) -> Callable[[View], View]:
    """Make a page of one's own account. ``fresh`` ones ask who one is if that was proved long ago."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if fresh and not is_fresh(request):
                back = request.path if request.method in ("GET", "HEAD") else reverse("account:account")
                return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': back})}")
            return view(request, *args, **kwargs)

        return never_cache(login_required(require_http_methods(methods)(guarded)))

    return decorate
