"""The form of a target of notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from sessions.models.approvals import NoticeTarget

KINDS = [("mail", _("Mail")), ("webhook", _("Webhook"))]


class TargetForm(forms.Form):
    """A new target, or another address of one; the kind of one that is there stays."""

    kind = forms.ChoiceField(label=_("How"), choices=KINDS, widget=forms.RadioSelect, initial="mail")
    address = forms.CharField(
        label=_("Address"),
        max_length=2048,
        help_text=_("A mail address, or the https:// address of a server that answers with 2xx."),
    )

    def __init__(self, data: Any = None, *, target: NoticeTarget | None = None) -> None:
        super().__init__(data, initial={"address": target.address} if target else {})
        if target is not None:
            del self.fields["kind"]
