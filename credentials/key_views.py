"""Pages of API keys: list, make (shown once), revoke."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contract.door import attempt, page
from contract.roles import Permission, Role
from credentials import actions
from credentials.key_scopes import FAMILIES, READ
from credentials.models import ROLE_CHOICES, ApiKey

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request

PAGE_SIZE = 50


class KeyForm(forms.Form):
    """A new key."""

    name = forms.CharField(label=_("Name"), max_length=256, help_text=_("What or who will use it."))
    role = forms.ChoiceField(
        label=_("Role"),
        choices=[(value, _(label)) for value, label in ROLE_CHOICES],
        initial=Role.DEVELOPER.value,
        help_text=_("Viewer reads; operator runs sessions; developer changes agents; admin does everything."),
    )
    expires = forms.DateField(
        label=_("Expires at the end of"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("In UTC. Empty means it never expires."),
    )

    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        required=False,
        choices=[(name, name) for family in FAMILIES for name in (family, family + READ)],
        widget=forms.SelectMultiple(attrs={"size": 6}),
        help_text=_("Limits the key to these parts of the API, within its role. None chosen means all."),
    )

    def wanted(self) -> dict[str, Any]:
        """The key's fields; it expires at the end of the chosen day."""
        day = self.cleaned_data["expires"]
        until = datetime.combine(day + timedelta(days=1), time(), UTC) if day else None
        return {name: self.cleaned_data[name] for name in ("name", "role", "scopes")} | {"expires_at": until}

    def clean_expires(self) -> Any:
        day = self.cleaned_data["expires"]
        if day and day < timezone.now().date():
            raise forms.ValidationError(_("This day is over. Choose a later one, or none."))
        return day


@page(Permission.ADMINISTER)
def key_list(request: Request) -> HttpResponse:
    rows = ApiKey.objects.filter(workspace_id=request.acting.workspace_id)
    shown = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "keys/list.html", {"page": shown, "now": timezone.now()})


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def key_new(request: Request) -> HttpResponse:
    form = KeyForm(request.POST or None)
    made = attempt(form, lambda: actions.create_api_key(request.acting, **form.wanted()))
    if made:
        key, plain = made
        context = {"key": key, "plain": plain, "base_url": settings.HOLDFAST_PUBLIC_URL}
        return render(request, "keys/issued.html", context)
    return render(request, "keys/new.html", {"form": form}, status=422 if request.method == "POST" else 200)


@page(Permission.ADMINISTER, "POST")
def key_revoke(request: Request, key_id: str) -> HttpResponse:
    key = actions.revoke_api_key(key_id, acting=request.acting)
    messages.success(request, _("%(name)s is revoked.") % {"name": key.name}, "done")
    return redirect("credentials:keys")
