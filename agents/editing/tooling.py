"""The tools of an agent as a form: whether the built-in ones may run, their settings, servers and custom tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms

from agents.editing import written
from agents.editing.tools import custom_rows, server_rows
from agents.editing.web import FORMS, WebForm
from agents.permitted import BUILT_IN, PERMISSIONS, permission_of
from agents.policies import CUSTOM_TYPE, TOOLSET_TYPE
from agents.tools.registry import TOOLSET as TOOLS
from agents.toolsets import MCP_TOOLSET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def built_in_fields(shown: Mapping[str, Any] | None) -> dict[str, forms.Field]:
    """A field ``tool_NAME`` for each built-in tool: whether it may run in the agent that is shown."""
    toolset = written.toolset(shown)
    return {
        f"tool_{name}": forms.ChoiceField(
            label=name,
            choices=PERMISSIONS,
            initial=permission_of(name, toolset),
            help_text=TOOLS[name].not_offered() or text,
        )
        for name, text in BUILT_IN.items()
    }


def with_settings(form: forms.BaseForm, tooling: Tooling) -> list[tuple[forms.BoundField, WebForm | None]]:
    """The fields of ``built_in_fields`` for the table, and the settings of those tools that have some."""
    return [(form[f"tool_{name}"], tooling.web.get(name)) for name in BUILT_IN]


class Tooling:
    """What stands beside those fields: rows and settings. ``shown`` is the agent that the unsent form shows."""

    def __init__(self, data: Any, shown: Mapping[str, Any]) -> None:
        settings = written.settings_of(shown)
        self.servers = server_rows(data, prefix="servers", stored=written.served(shown))
        self.customs = custom_rows(data, prefix="customs", stored=written.of_type(shown.get("tools", ()), CUSTOM_TYPE))
        self.web = {name: form(data, name, settings.get(name) or {}) for name, form in FORMS.items()}

    def parts(self) -> list[Any]:
        return [self.servers, self.customs, *self.web.values()]

    def values(self) -> dict[str, Any]:
        """What they say, by the names that ``written.tools`` and ``written.body`` read."""
        served = self.servers.value()
        return {
            "mcp_servers": [server for server, _toolset in served],
            "mcp_toolsets": [toolset for _server, toolset in served],
            "custom_tools": self.customs.value(),
            "tool_settings": {name: value for name, form in self.web.items() if (value := form.value())},
        }

    def complain_of_tool(self, tools: Sequence[Mapping[str, Any]], index: int, rest: str, text: str) -> str:
        """A complaint about ``tools.<index>.<rest>`` of what was sent goes to its place; or returns which of the
        fields ``tool_NAME`` it is about, "" for none.
        """
        tool = tools[index]
        if tool["type"] == CUSTOM_TYPE:
            self.customs.complain(f"{len(written.of_type(tools[:index], CUSTOM_TYPE))}.{rest}", text)
        elif tool["type"] == MCP_TOOLSET:
            names = [form.cleaned_data.get("name") for form in self.servers.kept()]
            self.servers.complain(f"{names.index(tool['mcp_server_name'])}.{rest}", text)
        elif tool["type"] == TOOLSET_TYPE and rest.startswith("configs."):
            number, _dot, below = rest.removeprefix("configs.").partition(".")
            name = tool["configs"][int(number)]["name"]
            if name not in self.web or below.startswith(("enabled", "permission_policy", "type")):
                return f"tool_{name}"
            self.web[name].complain(below, text)
        return ""
