"""Which skills an agent has, each at a version: one choice for each of the workspace's skills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from agents.models import Skill, SkillVersion
from agents.skills.actions import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from contract.acting import Acting

LISTED = 200
LISTED_VERSIONS = 2_000  # of all skills together, the newest


class SkillsForm(forms.Form):
    """``skills``. ``stored`` is what the agent has, each with its version; what isn't touched stays as it is."""

    def __init__(self, data: Any, stored: Sequence[Mapping[str, Any]], acting: Acting, prefix: str = "skills") -> None:
        super().__init__(data, prefix=prefix)
        self.stored = {str(one["skill_id"]): dict(one) for one in stored}
        rows = Skill.objects.filter(workspace_id=acting.workspace_id).exclude(latest=None).order_by("display_name")
        skills = list(rows[:LISTED])
        versions = _versions(skills)
        names = {skill.pk: skill.display_name for skill in skills}
        names |= {name: name for name in self.stored if name not in names}
        for skill_id, name in names.items():
            pinned = self.stored.get(skill_id, {}).get("version")
            choices = [("", _("Not used")), (LATEST, _("The newest version")), *versions.get(skill_id, ())]
            if pinned and all(pinned != value for value, _label in choices):
                choices.append((pinned, _now("%(version)s, which is not there any more") % {"version": pinned}))
            initial = pinned or (LATEST if skill_id in self.stored else "")
            self.fields[skill_id] = forms.ChoiceField(label=name, choices=choices, initial=initial, required=False)

    @property
    def used(self) -> bool:
        """Whether a skill is chosen as the form stands."""
        return any(self[name].value() for name in self.fields)

    def value(self) -> list[dict[str, Any]]:
        """The chosen skills, those that there were in their order first. The newest has no version in a request."""
        chosen = {name: version for name, version in self.cleaned_data.items() if version}
        order = [*(name for name in self.stored if name in chosen), *(n for n in chosen if n not in self.stored)]
        return [self._entry(name, chosen[name]) for name in order]

    def _entry(self, name: str, version: str) -> dict[str, Any]:
        before = self.stored.get(name, {"type": "custom", "skill_id": name})
        if version == before.get("version"):
            return before
        named = {key: value for key, value in before.items() if key != "version"}
        return named if version == LATEST else named | {"version": version}

    def complain(self, path: str, text: str) -> None:
        """``path`` is the API's below ``skills``: the number of an entry, or "" for all of them."""
        number = path.partition(".")[0]
        entries = self.value()
        if number.isdigit() and int(number) < len(entries):
            self.add_error(entries[int(number)]["skill_id"], text)
        else:
            self.add_error(None, text)

    def complaints(self) -> Iterator[tuple[str, str]]:
        """The id of each field that is wrong, and what is wrong with it."""
        for name, errors in self.errors.items():
            place = self[name].auto_id if name in self.fields else f"id_{self.prefix}"
            yield str(place), " ".join(map(str, errors))


def _versions(skills: Sequence[Skill]) -> dict[str, list[tuple[str, str]]]:
    """Each skill's versions as choices, the newest first."""
    rows = SkillVersion.objects.filter(skill__in=skills).order_by("-number")
    newest = {skill.latest_id for skill in skills}
    found: dict[str, list[tuple[str, str]]] = {}
    for pk, skill_id, made in rows.values_list("pk", "skill_id", "created_at")[:LISTED_VERSIONS]:
        text = _now("Of %(moment)s, the newest now") if pk in newest else _now("Of %(moment)s")
        found.setdefault(skill_id, []).append((pk, text % {"moment": f"{made:%Y-%m-%d %H:%M:%S} UTC"}))
    return found
