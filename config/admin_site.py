"""The admin's door: only those who look after the installation, for what is in there belongs to every workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse


class Site(AdminSite):
    """Being staff is not enough: Django's own permissions know no workspaces."""

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The pages' own sign-in. It would send somebody who is signed in straight back, for ever: they are told no."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied(gettext("Only who looks after this installation can open the admin."))
        return redirect(f"{reverse('account_login')}?{request.GET.urlencode()}")
