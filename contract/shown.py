"""What the admins of all apps share: rows that are shown and never written, and whoever looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.urls import reverse

from contract.acting import Acting
from contract.roles import Role

if TYPE_CHECKING:
    from django.http import HttpRequest

    ModelAdmin = admin.ModelAdmin[Any]
else:  # generic to the type checker only
    ModelAdmin = admin.ModelAdmin


class ReadOnly(ModelAdmin):
    """Shows rows; they are made and changed on their pages, where secrets go in and never come out.

    ``page`` is the URL name of the page that shows such a row, with its id as the one argument.
    """

    page = ""

    def get_view_on_site_url(self, obj: Any = None) -> str | None:
        return reverse(self.page, args=[obj.pk]) if obj is not None and self.page else None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def acting_for(request: HttpRequest, workspace_id: str) -> Acting:
    """Whoever looks after the installation, acting in the workspace of the row at hand."""
    return Acting(workspace_id, Role.ADMIN, request.user.get_username(), user_id=request.user.pk)
