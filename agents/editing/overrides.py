"""What a session may be told otherwise than its agent says besides model and instructions: tools, servers, skills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from agents.editing import written
from agents.editing.skills import SkillsForm
from agents.editing.tooling import Tooling, built_in_fields, with_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from agents.editing.web import WebForm
    from contract.acting import Acting

TOOLS, SKILLS = ("tools", "mcp_servers"), ("skills",)


class OverridesForm(forms.Form):
    """Of the fields and rows only those count whose box is ticked.

    ``shown``: the definition that the form begins with, found by ``of`` again when it is sent; None shows what a new
    agent has. ``otherwise``: the API's fields that the boxes are ticked for.
    """

    own_tools = forms.BooleanField(label=_("Other tools and servers than the agent's"), required=False)
    own_skills = forms.BooleanField(label=_("Other skills than the agent's"), required=False)
    overrides_of = forms.CharField(required=False, max_length=100, widget=forms.HiddenInput)

    def __init__(
        self, data: Any, *, shown: Mapping[str, Any] | None, of: str, otherwise: Collection[str], acting: Acting
    ) -> None:
        ticked = {"own_tools": any(name in otherwise for name in TOOLS), "own_skills": "skills" in otherwise}
        super().__init__(data, initial={**ticked, "overrides_of": of})
        self.shown = shown
        for name, field in built_in_fields(shown).items():
            field.required = False  # they only count with the box
            self.fields[name] = field
        self.tooling = Tooling(data, shown or {})
        self.skills = SkillsForm(data, (shown or {}).get("skills", ()), acting)

    @property
    def used(self) -> bool:
        return any(self[name].value() for name in ("own_tools", "own_skills"))

    def tool_fields(self) -> list[tuple[forms.BoundField, WebForm | None]]:
        """The built-in tools for the table."""
        return with_settings(self, self.tooling)

    def _counting(self) -> list[Any]:
        parts = self.tooling.parts() if self["own_tools"].value() else []
        return [*parts, self.skills] if self["own_skills"].value() else parts

    def is_valid(self) -> bool:
        found = [super().is_valid(), *(part.is_valid() for part in self._counting())]
        return all(found)

    def value(self) -> dict[str, Any]:
        """The API's fields that are overridden; an empty list clears one."""
        made: dict[str, Any] = {}
        if self.cleaned_data["own_tools"]:
            tools = {name: self.cleaned_data[name] or self[name].initial for name in self.cleaned_data}
            data = tools | self.tooling.values()
            made |= {"tools": written.tools(data, self.shown), "mcp_servers": data["mcp_servers"]}
        if self.cleaned_data["own_skills"]:
            made["skills"] = self.skills.value()
        return made

    def complain(self, path: str, text: str) -> None:
        """``path`` is the API's below ``agent``: ``tools…``, ``mcp_servers…`` or ``skills…``."""
        head, _dot, rest = path.partition(".")
        number, _dot, below = rest.partition(".")
        if head == "skills" and self.cleaned_data["own_skills"]:
            self.skills.complain(rest, text)
        elif head == "mcp_servers" and self.cleaned_data["own_tools"]:
            self.tooling.servers.complain(rest, text)
        elif head == "tools" and number.isdigit() and self.cleaned_data["own_tools"]:
            own = self.tooling.complain_of_tool(self.value()["tools"], int(number), below, text)
            if own:
                self.add_error(own, text)
        else:
            self.add_error("own_skills" if head == "skills" else "own_tools", text)

    def complaints(self) -> Iterator[tuple[str, str]]:
        """The id of each field that is wrong, and what is wrong with it."""
        for name, errors in self.errors.items():
            yield self[name].auto_id if name in self.fields else "id_own_tools", " ".join(map(str, errors))
        for part in self._counting():
            yield from part.complaints()
