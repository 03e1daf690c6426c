"""Where an address came from: ``url_sources`` of ``web_fetch`` (spec core 5.4). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

USER = "user_input"
SERVER = "server_tool_results"
CLIENT = "client_tool_results"
# After a slash or none, not what an address goes on with; a point or comma ends a sentence unless more follows at once.
GOES_NOT_ON = r"/?(?![\w/?&=%~+@-]|[.,:;!]\w)"


@dataclass(frozen=True, slots=True)
class Known:
    """The texts that may name addresses to fetch; None: an address may come from anywhere."""

    texts: tuple[str, ...] | None = None

    def permits(self, url: str) -> bool:
        """True if one of the texts holds the address: as a whole, for the beginning of one is another address."""
        if self.texts is None:
            return True
        whole = re.compile(re.escape(url.rstrip("/")) + GOES_NOT_ON)
        return any(whole.search(text) for text in self.texts)


def limits(sources: Mapping[str, Any] | None) -> bool:
    """True if the setting leaves any source out."""
    return any(entry is not None and entry["type"] != "all" for entry in (sources or {}).values())


def counts(sources: Mapping[str, Any], source: str, tool: str = "") -> bool:
    """True if addresses in a text of this source, or in a result of ``tool``, may be fetched."""
    entry = sources.get(source)
    if entry is None or entry["type"] == "all":
        return True
    if entry["type"] == "none":
        return False
    named = tool in _names(entry["tools"])
    return named if entry["type"] == "only" else not named


def _names(tools: Iterable[Mapping[str, Any]]) -> set[str]:
    return {tool["name"] for tool in tools}
