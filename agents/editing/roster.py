"""Whom an agent may call on, as a form: both kinds of the API's ``multiagent``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from agents import rosters
from agents.models import Agent
from contract.rows import Row, Rows, of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from contract.acting import Acting

PARTED = "multiagent_20261001"
KINDS = (
    ("", _("Nobody: it works alone")),
    (rosters.COORDINATOR, _("The agents below")),
    (PARTED, _("Subagents and workflows, each set by itself")),
)
PARTS = ("subagents", "workflows")
ITSELF = "self"
LISTED = 500


class MemberRow(Row):
    """An agent that may be called on, at a version; the newest of now if none is named."""

    agent = forms.ChoiceField(label=_("Agent"))
    version = forms.IntegerField(
        label=_("Version"), required=False, widget=forms.NumberInput(attrs={"placeholder": _("newest")})
    )
    fields_of = {"id": "agent", "type": "agent", "": "agent"}

    def __init__(self, *args: Any, agents: Sequence[tuple[str, str]], own: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.own = own
        chosen = str(self["agent"].value() or "")
        if self.initial.get("agent") == own and own:
            self.initial["agent"] = chosen = ITSELF
        field = self.fields["agent"]
        choices = [("", _("Choose an agent")), (ITSELF, _("Itself")), *agents]
        if isinstance(field, forms.ChoiceField):
            known = any(chosen == value for value, _label in choices)
            field.choices = choices if known else [*choices, (chosen, chosen)]  # the API says what is wrong with it

    @classmethod
    def shown(cls, value: Any) -> dict[str, Any]:
        return {"agent": value.get("id", ITSELF), "version": value.get("version")}

    def clean(self) -> dict[str, Any]:
        chosen, version = self.cleaned_data.get("agent"), self.cleaned_data.get("version")
        if version is not None and chosen == ITSELF and not self.own:
            self.add_error("version", _now("A new agent has no version yet."))
        return self.cleaned_data

    def value(self) -> dict[str, Any]:
        chosen, version = self.cleaned_data["agent"], self.cleaned_data["version"]
        if chosen == ITSELF and version is None:
            return dict(rosters.SELF)
        named = {"type": "agent", "id": self.own if chosen == ITSELF else chosen}
        return named | ({"version": version} if version is not None else {})


_members = of(MemberRow, ordered=True, act=_("Add an agent"), label=_("Agents it may call on"))
_subagents = of(MemberRow, ordered=True, act=_("Add an agent"), label=_("Agents that are written down"))


class RosterForm(forms.Form):
    """``multiagent``. Of the three lists of rows only those of the chosen kind count."""

    kind = forms.ChoiceField(label=_("Whom it may call on"), choices=KINDS, required=False)
    subagents = forms.BooleanField(label=_("It may open threads of other agents"), required=False)
    subagents_inline = forms.BooleanField(label=_("Also of agents that it describes itself"), required=False)
    workflows = forms.BooleanField(label=_("It may start workflows"), required=False)
    workflows_inline = forms.BooleanField(label=_("Also with agents that it describes itself"), required=False)
    advisor = forms.CharField(
        label=_("Advisor"),
        max_length=rosters.MAX_MODEL,
        required=False,
        widget=forms.TextInput(attrs={"list": "models", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("A model it may ask for advice; none if empty."),
    )

    def __init__(self, data: Any, stored: Mapping[str, Any] | None, own: str, acting: Acting) -> None:
        super().__init__(data, prefix="roster", initial=_shown(stored))
        shared = {"agents": _agents(own, acting), "own": own}
        coordinator = rosters.entries(stored) if stored and stored["type"] == rosters.COORDINATOR else ()
        self.members = _members(data, prefix="members", stored=coordinator, **shared)
        self.listed = {
            name: _subagents(data, prefix=f"{name}_members", stored=_predefined(stored, name), **shared)
            for name in PARTS
        }

    @property
    def coordinates(self) -> bool:
        return bool(self["kind"].value() == rosters.COORDINATOR)

    @property
    def parted(self) -> bool:
        return bool(self["kind"].value() == PARTED)

    def parts(self) -> list[tuple[forms.BoundField, forms.BoundField, Rows]]:
        """Of each part whether there is one, whether agents may be described in it, and who is written down."""
        return [(self[name], self[f"{name}_inline"], self.listed[name]) for name in PARTS]

    def counting(self) -> list[Rows]:
        """The rows that count, in the kind that is chosen."""
        if self.coordinates:
            return [self.members]
        return [rows for name, rows in self.listed.items() if self[name].value()] if self.parted else []

    def is_valid(self) -> bool:
        return super().is_valid() and all(rows.is_valid() for rows in self.counting())

    def value(self) -> dict[str, Any] | None:
        data = self.cleaned_data
        advisor = data["advisor"].strip()
        if not data["kind"]:
            return None
        if data["kind"] == rosters.COORDINATOR:
            advisors = [{"type": "advisor", "model": advisor}] if advisor else []
            return {"type": rosters.COORDINATOR, "agents": [*self.members.value(), *advisors]}
        adviser = {"type": "enabled", "model": advisor} if advisor else dict(rosters.DISABLED)
        return {"type": PARTED, **{name: self._part(name) for name in PARTS}, "advisor": adviser}

    def _part(self, name: str) -> dict[str, Any]:
        if not self.cleaned_data[name]:
            return dict(rosters.DISABLED)
        inline = "enabled" if self.cleaned_data[f"{name}_inline"] else "disabled"
        members = self.listed[name].value()
        return {"type": "enabled", "inline_agents": {"type": inline}, "predefined_agents": members}

    def complain(self, path: str, text: str) -> None:
        """``path`` is the API's below ``multiagent``."""
        head, _dot, rest = path.partition(".")
        number = rest.partition(".")[0]
        if head == "agents" and (number == "advisor" or (number.isdigit() and int(number) >= len(self.members.kept()))):
            self.add_error("advisor", text)
        elif head == "agents":
            self.members.complain(rest, text)
        elif head in PARTS and rest.startswith("predefined_agents"):
            self.listed[head].complain(rest.partition(".")[2], text)
        else:
            self.add_error(head if head in self.fields else "kind", text)

    def complaints(self) -> Iterator[tuple[str, str]]:
        for name, errors in self.errors.items():
            yield self[name].auto_id, " ".join(map(str, errors))
        for rows in self.counting():
            yield from rows.complaints()


def _predefined(stored: Mapping[str, Any] | None, name: str) -> Sequence[Any]:
    part: Mapping[str, Any] = stored[name] if stored and stored["type"] == PARTED else {}
    members: Sequence[Any] = part.get("predefined_agents", ())
    return members


def _shown(stored: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": stored["type"] if stored else "", "advisor": rosters.advisor(stored) or ""}
    for name in PARTS:
        part: Mapping[str, Any] = stored[name] if stored and stored["type"] == PARTED else {"type": "enabled"}
        found[name] = part["type"] == "enabled"
        found[f"{name}_inline"] = part.get("inline_agents", {"type": "enabled"})["type"] == "enabled"
    return found


def _agents(own: str, acting: Acting) -> list[tuple[str, str]]:
    """The other agents of the workspace, each with its newest version."""
    rows = Agent.objects.filter(workspace_id=acting.workspace_id, archived_at=None).exclude(pk=own).order_by("name")
    text = _now("%(name)s (newest is version %(number)s)")
    return [(row.pk, text % {"name": row.name, "number": row.version}) for row in rows[:LISTED]]
