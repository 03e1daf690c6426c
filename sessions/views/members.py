"""Pages of a workspace's members: who is here, inviting, promoting and removing them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from agents import members
from contract.door import attempt, page
from contract.errors import Conflict
from contract.roles import Permission, Role
from credentials.models import ROLE_CHOICES
from sessions.members import remove, row, rows

if TYPE_CHECKING:
    from django.http import HttpResponse

    from agents.models import Membership
    from contract.http import Request
    from contract.secret import Secret

PAGE_SIZE = 50


class InviteForm(forms.Form):
    """A new member."""

    username = forms.CharField(
        label=_("Username"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
        help_text=_("Of somebody who is known here, or a new one: then you get a link for them."),
    )
    role = forms.ChoiceField(
        label=_("Role"),
        choices=[(value, _(label)) for value, label in ROLE_CHOICES],
        initial=Role.OPERATOR.value,
        help_text=_("Viewer reads; operator runs sessions; developer changes agents; admin does everything."),
    )
    email = forms.EmailField(label=_("Mail address"), required=False, help_text=_("For notices; nothing is sent now."))


@page(Permission.ADMINISTER)
def member_list(request: Request) -> HttpResponse:
    shown = Paginator(members.members(request.acting), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {"page": shown, "rows": rows(list(shown.object_list), request.acting), "roles": ROLE_CHOICES}
    return render(request, "members/list.html", context)


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def member_new(request: Request) -> HttpResponse:
    form = InviteForm(request.POST or None)
    made = attempt(form, lambda: _added(form, request))
    if made:
        member, link = made
        if link is not None:
            return render(request, "members/link.html", {"member": member, "link": link.reveal()})
        messages.success(request, _("%(name)s is a member now.") % {"name": member.user.get_username()}, "done")
        return redirect("sessions:members")
    return render(request, "members/new.html", {"form": form}, status=422 if request.method == "POST" else 200)


@transaction.atomic
def _added(form: InviteForm, request: Request) -> tuple[Membership, Secret | None]:
    """The member, and the link by which somebody new joins."""
    member, is_new = members.add(form.cleaned_data, request.acting)
    return member, members.join_link(str(member.pk), request.acting) if is_new else None


@page(Permission.ADMINISTER, "POST")
def member_role(request: Request, member_id: str) -> HttpResponse:
    try:
        changed = members.change_role(member_id, request.POST.get("role", ""), request.acting)
    except Conflict as error:
        messages.error(request, error.message, "failed")
    else:
        role = gettext(changed.get_role_display()).lower()
        said = _("%(name)s is %(role)s now.") % {"name": changed.user.get_username(), "role": role}
        messages.success(request, said, "done")
    return redirect("sessions:members")


@page(Permission.ADMINISTER, "POST")
def member_link(request: Request, member_id: str) -> HttpResponse:
    """A new link for a first or a forgotten password, shown once."""
    try:
        link = members.join_link(member_id, request.acting)
    except Conflict as error:
        messages.error(request, error.message, "failed")
        return redirect("sessions:members")
    member = members.find(member_id, request.acting)
    return render(request, "members/link.html", {"member": member, "link": link.reveal()})


@page(Permission.ADMINISTER, "GET", "HEAD", "POST")
def member_remove(request: Request, member_id: str) -> HttpResponse:
    """What would go and what would stay; then the removal itself."""
    found = row(member_id, request.acting)
    problem = ""
    if request.method == "POST":
        try:
            gone = remove(member_id, request.POST.getlist("keys"), request.acting)
        except Conflict as error:
            problem = error.message
        else:
            messages.success(request, _said(gone.member, len(found.keys) - len(gone.keys)), "done")
            return redirect("sessions:members")
    context = {"row": found, "problem": problem}
    return render(request, "members/remove.html", context, status=409 if problem else 200)


def _said(member: Membership, revoked: int) -> str:
    said = gettext("%(name)s is no longer a member and is signed out everywhere.") % {
        "name": member.user.get_username()
    }
    if not revoked:
        return said
    keys = ngettext("%(count)s of their keys is revoked.", "%(count)s of their keys are revoked.", revoked)
    return f"{said} {keys % {'count': revoked}}"
