"""The settings of the web tools as forms: where they may go, and what they are told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from agents import webconfigs
from contract.rows import Words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HOSTS = (
    ("", _("Any public address")),
    ("allowed_domains", _("Only these and what is below them")),
    ("blocked_domains", _("All but these")),
)
ALL, NONE = ("all", _("All")), ("none", _("None"))
SOME = (ALL, NONE, ("only", _("Only those of")), ("except", _("All but those of")))
SOURCES = {
    "user_input": (_("Addresses in messages of people"), (ALL, NONE)),
    "server_tool_results": (_("Addresses in results of web tools"), SOME),
    "client_tool_results": (_("Addresses in results of custom tools"), SOME),
}
PLACES = ("city", "region", "country", "timezone")


class WebForm(forms.Form):
    """What both tools have. ``value`` is what a tool's entry holds besides its permission."""

    hosts = forms.ChoiceField(label=_("Where it may go"), choices=HOSTS, required=False)
    domains = Words(label=_("Hosts"), rows=2, help_text=_("One a line, like docs.example.com."))

    def __init__(self, data: Any, name: str, stored: Mapping[str, Any]) -> None:
        listed = next((field for field, _label in HOSTS if stored.get(field)), "")
        domains = "\n".join(stored.get(listed) or ())
        super().__init__(data, prefix=name, initial={"hosts": listed, "domains": domains, **self.shown(stored)})

    @classmethod
    def shown(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """What one tool's own fields show of its entry; this one has the hosts alone."""
        return {}

    @property
    def opened(self) -> bool:
        """Whether it says anything."""
        return bool(self["hosts"].value()) or bool(self.is_bound and self.errors)

    def value(self) -> dict[str, Any]:
        listed = self.cleaned_data["hosts"]
        return {listed: re.split(r"[\s,]+", self.cleaned_data["domains"].strip(" \n,"))} if listed else {}

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("hosts") and not self.cleaned_data.get("domains", "").strip(" \n,"):
            self.add_error("domains", _now("Name at least one host."))
        return self.cleaned_data

    def complain(self, path: str, text: str) -> None:
        """``path`` is the API's below the tool's entry."""
        head, _dot, rest = path.partition(".")
        name = "domains" if head in ("allowed_domains", "blocked_domains") else rest.partition(".")[0] or head
        self.add_error(name if name in self.fields else None, text)

    def complaints(self) -> Iterator[tuple[str, str]]:
        for name, errors in self.errors.items():
            yield self[name].auto_id if name in self.fields else f"id_{self.prefix}", " ".join(map(str, errors))


class FetchForm(WebForm):
    """``web_fetch``."""

    max_content_tokens = forms.IntegerField(label=_("Tokens of a page at most"), required=False)
    url_sources = forms.BooleanField(label=_("Say which addresses it may take from where"), required=False)
    user_input, server_tool_results, client_tool_results = (
        forms.ChoiceField(label=label, choices=choices, required=False, initial="all")
        for label, choices in SOURCES.values()
    )
    server_tool_results_tools = Words(label=_("Web tools"))
    client_tool_results_tools = Words(label=_("Custom tools"))

    @classmethod
    def shown(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        sources = stored.get("url_sources") or {}
        found = {"max_content_tokens": stored.get("max_content_tokens"), "url_sources": bool(sources)}
        for name, source in sources.items():
            found[name] = source["type"]
            found[f"{name}_tools"] = ", ".join(one["name"] for one in source.get("tools", ()))
        return found

    @property
    def opened(self) -> bool:
        return super().opened or bool(self["max_content_tokens"].value() or self["url_sources"].value())

    def value(self) -> dict[str, Any]:
        made, data = super().value(), self.cleaned_data
        if data["max_content_tokens"] is not None:
            made["max_content_tokens"] = data["max_content_tokens"]
        if data["url_sources"]:
            made["url_sources"] = {name: self._source(name) for name in SOURCES}
        return made

    def _source(self, name: str) -> dict[str, Any]:
        kind = self.cleaned_data[name] or "all"
        if kind in ("all", "none"):
            return {"type": kind}
        names = re.split(r"[\s,]+", self.cleaned_data[f"{name}_tools"].strip(" \n,"))
        return {"type": kind, "tools": [{"type": "tool_reference", "name": one} for one in names if one]}


class SearchForm(WebForm):
    """``web_search``."""

    user_location = forms.BooleanField(label=_("Say where it asks from"), required=False)
    city = Words(label=_("City"), source=False)
    region = Words(label=_("Region"), source=False)
    country = Words(label=_("Country"), help_text=_("Two letters, such as US."))
    timezone = Words(label=_("Time zone"), help_text=_("Such as Europe/Berlin."))

    @classmethod
    def shown(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        location = stored.get("user_location")
        return {"user_location": location is not None, **{name: (location or {}).get(name) for name in PLACES}}

    @property
    def opened(self) -> bool:
        return super().opened or bool(self["user_location"].value())

    def value(self) -> dict[str, Any]:
        made, data = super().value(), self.cleaned_data
        if data["user_location"]:
            made["user_location"] = {"type": "approximate", **{name: data[name] or None for name in PLACES}}
        return made


FORMS: dict[str, type[WebForm]] = dict(zip(webconfigs.WEB_TOOLS, (FetchForm, SearchForm), strict=True))
