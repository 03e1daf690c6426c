"""The form of a dream: what a person picks, as the body the API would get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from agents.models import MemoryStore
from sessions.dreams.actions import MAX_INSTRUCTIONS, MAX_SESSIONS
from sessions.models import Session

if TYPE_CHECKING:
    from contract.acting import Acting

LISTED = 200
BEHAVIORS = (
    ("create_new", _("Write a new store and leave this one as it is")),
    ("update_existing", _("Write into this store")),
)


class DreamForm(forms.Form):
    """A new dream."""

    store = forms.ChoiceField(label=_("Memory store"))
    sessions = forms.MultipleChoiceField(
        label=_("Sessions"),
        widget=forms.SelectMultiple(attrs={"size": 10}),
        help_text=_("Up to 100 whose transcripts are read. Hold Ctrl to choose several; the newest come first."),
    )
    behavior = forms.ChoiceField(label=_("Result"), choices=BEHAVIORS)
    model = forms.CharField(label=_("Model"), max_length=256)
    instructions = forms.CharField(
        label=_("Instructions"),
        max_length=MAX_INSTRUCTIONS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=_("What the dream should look for and how it should order it, in plain words."),
    )

    def __init__(self, *args: Any, acting: Acting, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stores = MemoryStore.objects.filter(workspace_id=acting.workspace_id, archived_at=None)
        sessions = Session.objects.filter(workspace_id=acting.workspace_id, dreams=None)
        self.has_stores = self._choices("store", list(stores.values_list("pk", "name")[:LISTED]))
        rows = sessions.values_list("pk", "title", "created_at")[:LISTED]
        found = [(pk, f"{title or pk} – {created:%Y-%m-%d %H:%M}") for pk, title, created in rows]
        self.has_sessions = self._choices("sessions", found)
        self.fields["model"].initial = settings.HOLDFAST_MODEL_DEFAULT

    def _choices(self, name: str, rows: list[tuple[str, str]]) -> bool:
        field = self.fields[name]
        if isinstance(field, forms.ChoiceField):
            field.choices = rows
        return bool(rows)

    def clean_sessions(self) -> list[str]:
        chosen: list[str] = self.cleaned_data["sessions"]
        if len(chosen) > MAX_SESSIONS:
            raise forms.ValidationError(_("Choose at most %(most)s sessions.") % {"most": MAX_SESSIONS})
        return chosen

    def body(self) -> dict[str, Any]:
        """The API's body of this form."""
        data = self.cleaned_data
        behavior = {"type": data["behavior"]}
        if data["behavior"] == "update_existing":
            behavior["memory_store_id"] = data["store"]
        return {
            "inputs": [
                {"type": "memory_store", "memory_store_id": data["store"]},
                {"type": "sessions", "session_ids": data["sessions"]},
            ],
            "model": data["model"],
            "instructions": data["instructions"].replace("\r\n", "\n") or None,
            "output_behavior": behavior,
        }
