"""The admin's door: only those who look after the installation, for what is in there belongs to every workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.admin import AdminSite

if TYPE_CHECKING:
    from django.http import HttpRequest


class Site(AdminSite):
    """Being staff is not enough: Django's own permissions know no workspaces."""

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)
