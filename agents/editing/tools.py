"""MCP servers with what their tools may do, and custom tools, as rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from agents.permitted import PERMISSIONS
from agents.policies import CUSTOM_TYPE
from agents.toolsets import MAX_CUSTOM_DESCRIPTION, MAX_MCP_TOOL, MAX_SERVER_NAME, MAX_URL, MCP_TOOLSET
from contract import storable
from contract.rows import AlikeField, Row, Words, of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PLACES = {"enabled": "permission", "permission_policy": "permission", "default_config": "permission"}
OFF = "off"
ASKED = "always_ask"  # what an MCP server's tools are when nothing is said
EMPTY_SCHEMA = '{"type": "object", "properties": {}}'


class PermissionField(AlikeField):
    """What may become of a call. ``off always_ask`` is off with a policy that is kept for when it is on again."""

    def __init__(self, **kwargs: Any) -> None:
        alike = {f"{OFF} {name}": OFF for name, _label in PERMISSIONS if name != OFF}
        super().__init__(choices=PERMISSIONS, initial=ASKED, alike=alike, **kwargs)


def permission(config: Mapping[str, Any]) -> str:
    """A stored entry in one word of the field."""
    policy = str(config["permission_policy"]["type"])
    return policy if config["enabled"] else f"{OFF} {policy}"


def config(value: str) -> dict[str, Any]:
    """The entry that the field's word means."""
    policy = value.removeprefix(OFF).strip()
    return {"enabled": not value.startswith(OFF)} | ({"permission_policy": {"type": policy}} if policy else {})


class ServedRow(Row):
    """One tool of an MCP server that differs from the others."""

    name = Words(label=_("Tool"), required=True, max_length=MAX_MCP_TOOL)
    permission = PermissionField(label=_("May it run?"))
    fields_of = PLACES

    @classmethod
    def shown(cls, value: Any) -> dict[str, Any]:
        return {"name": value["name"], "permission": permission(value)}

    def value(self) -> dict[str, Any]:
        return {"name": self.cleaned_data["name"], **config(self.cleaned_data["permission"])}


served_rows = of(ServedRow, label=_("Tools that differ"), act=_("Add a tool"))


class ServerRow(Row):
    """An MCP server and its toolset, of which the API keeps two lists; each server has just one."""

    name = Words(label=_("Name"), required=True, max_length=MAX_SERVER_NAME)
    url = Words(label=_("Address"), required=True, max_length=MAX_URL)
    permission = PermissionField(label=_("May its tools run?"))
    fields_of = PLACES

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(data, *args, **kwargs)
        self.tools = served_rows(data, prefix=f"{self.prefix}-tools", stored=self.initial.get("tools", ()))

    @classmethod
    def shown(cls, value: Any) -> dict[str, Any]:
        server, toolset = value
        return {
            "name": server["name"],
            "url": server["url"],
            "permission": permission(toolset["default_config"]),
            "tools": toolset["configs"],
        }

    def has_changed(self) -> bool:
        return super().has_changed() or (self.is_bound and bool(self.tools.kept()))

    def is_valid(self) -> bool:
        return super().is_valid() and (not self.is_bound or self.tools.is_valid())

    def complain(self, path: str, text: str) -> None:
        head, _dot, rest = path.partition(".")
        if head == "configs":
            self.tools.complain(rest, text)
        else:
            super().complain(path, text)

    def complaints(self) -> Iterator[tuple[str, str]]:
        yield from super().complaints()
        yield from self.tools.complaints()

    def value(self) -> tuple[dict[str, Any], dict[str, Any]]:
        data = self.cleaned_data
        server = {"type": "url", "name": data["name"], "url": data["url"]}
        toolset = {
            "type": MCP_TOOLSET,
            "mcp_server_name": data["name"],
            "default_config": config(data["permission"]),
            "configs": self.tools.value(),
        }
        return server, toolset


server_rows = of(
    ServerRow,
    template="agents/rows/server.html",
    ordered=True,
    label=_("MCP servers"),
    act=_("Add a server"),
    hint=_("Never a secret in the address: those come from the vaults of a session."),
)


class SchemaField(Words):
    """A JSON object as text. A complaint says where it stops making sense."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            found = storable.read(text) if text.strip() else {}
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(_now("This is not valid JSON: %(error)s.") % {"error": error}) from error
        if not isinstance(found, dict):
            raise forms.ValidationError(_now("This must be a JSON object."))
        if not storable.is_storable(found):
            raise forms.ValidationError(_now("This holds a null character or half a surrogate pair."))
        return found


class CustomRow(Row):
    """A tool that the agent's client, or a person on the session page, answers."""

    name = Words(label=_("Name"), required=True, max_length=128)
    description = Words(label=_("What it does"), required=True, max_length=MAX_CUSTOM_DESCRIPTION, rows=2, source=False)
    input_schema = SchemaField(label=_("Its input, as a JSON schema"), rows=3, initial=EMPTY_SCHEMA)

    @classmethod
    def shown(cls, value: Any) -> dict[str, Any]:
        return {**value, "input_schema": json.dumps(value["input_schema"], indent=2, ensure_ascii=False)}

    def value(self) -> dict[str, Any]:
        return {"type": CUSTOM_TYPE, **self.cleaned_data}


custom_rows = of(
    CustomRow,
    template="agents/rows/custom.html",
    ordered=True,
    label=_("Custom tools"),
    act=_("Add a custom tool"),
    hint=_("Your own program answers their calls, or a person on the session page."),
)
