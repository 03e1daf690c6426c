"""The one-time link by which a new member sets a password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.views import PasswordResetConfirmView
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from agents import people
from contract import audit

if TYPE_CHECKING:
    from django.http import HttpResponse

READY = _("Your password is set. Sign in with it.")


class Join(PasswordResetConfirmView):
    """Works once: the token goes with the password it sets, and keeps out of the address while the form is shown."""

    template_name = "signin/join.html"
    reset_url_token = "set"  # noqa: S105 - a part of the address, not a secret
    success_url = reverse_lazy("account_login")

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.user
        answer: HttpResponse = super().form_valid(form)
        people.sign_out(user.pk)
        audit.of_person(user, "person.password_set")
        messages.success(self.request, READY, "done")
        return answer
