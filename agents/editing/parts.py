"""What stands in the editor besides plain fields: the rows, the roster and the settings of the web tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.editing import written
from agents.editing.roster import RosterForm
from agents.editing.rules import rule_rows
from agents.editing.skills import SkillsForm
from agents.editing.tools import custom_rows, server_rows
from agents.editing.web import FORMS
from agents.policies import CUSTOM_TYPE, TOOLSET_TYPE
from agents.toolsets import MCP_TOOLSET
from contract.rows import pairs
from contract.schema import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from contract.acting import Acting


class Parts:
    """``shown`` is the stored agent that the unsent form shows, {} for none; ``own`` the id of the edited one."""

    def __init__(self, data: Any, shown: Mapping[str, Any], own: str, acting: Acting) -> None:
        tools = shown.get("tools", ())
        rules = (shown.get(OURS) or {}).get("permission_rules") or ()
        settings = written.settings_of(shown)
        self.rules = rule_rows(data, prefix="rules", stored=rules)
        self.servers = server_rows(data, prefix="servers", stored=written.served(shown))
        self.customs = custom_rows(data, prefix="customs", stored=written.of_type(tools, CUSTOM_TYPE))
        self.metadata = pairs(data, shown.get("metadata"))
        self.skills = SkillsForm(data, shown.get("skills", ()), acting)
        self.roster = RosterForm(data, shown.get("multiagent"), own, acting)
        self.web = {name: form(data, name, settings.get(name) or {}) for name, form in FORMS.items()}

    def _all(self) -> list[Any]:
        return [self.rules, self.servers, self.customs, self.metadata, self.skills, self.roster, *self.web.values()]

    def is_valid(self) -> bool:
        found = [part.is_valid() for part in self._all()]  # each of them, so that all complaints are told
        return all(found)

    def values(self) -> dict[str, Any]:
        """What they say, by the names ``written.body`` reads."""
        served = self.servers.value()
        return {
            "permission_rules": self.rules.value(),
            "mcp_servers": [server for server, _toolset in served],
            "mcp_toolsets": [toolset for _server, toolset in served],
            "custom_tools": self.customs.value(),
            "skills": self.skills.value(),
            "metadata": dict(self.metadata.value()),
            "multiagent": self.roster.value(),
            "tool_settings": {name: value for name, form in self.web.items() if (value := form.value())},
        }

    def complain(self, path: str, text: str) -> bool:
        """Put a complaint about the API's field at ``path`` in its place, if it is one of these."""
        for prefix, part in (
            ("holdfast.permission_rules", self.rules),
            ("mcp_servers", self.servers),
            ("metadata", self.metadata),
            ("skills", self.skills),
            ("multiagent", self.roster),
            ("tools", self.customs),
        ):
            if path == prefix or path.startswith(f"{prefix}."):
                part.complain(path[len(prefix) + 1 :], text)
                return True
        return False

    def complain_of_tool(self, tools: Sequence[Mapping[str, Any]], index: int, rest: str, text: str) -> str:
        """The same for ``tools.<index>.<rest>`` of what was sent; or the field of the main form that it is about."""
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

    def complaints(self) -> Iterator[tuple[str, str]]:
        for part in self._all():
            yield from part.complaints()
