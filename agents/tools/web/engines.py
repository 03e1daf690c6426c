"""The search engine of this installation, by its settings."""

from __future__ import annotations

from django.conf import settings

from agents.tools.web.search import BRAVE, TAVILY, Engine
from contract.secret import Secret

NONE = (
    "web_search is not offered: no search engine is set up in this installation. "
    "Its operator can set SEARXNG_URL, BRAVE_API_KEY or TAVILY_API_KEY."
)


def engine() -> Engine | None:
    """The engine that is set up; None without one. Of several SearXNG comes first, then Brave."""
    if settings.HOLDFAST_SEARXNG_URL:
        return Engine("searxng", settings.HOLDFAST_SEARXNG_URL, Secret(""))
    if settings.HOLDFAST_BRAVE_API_KEY:
        return Engine("brave", BRAVE, settings.HOLDFAST_BRAVE_API_KEY)
    if settings.HOLDFAST_TAVILY_API_KEY:
        return Engine("tavily", TAVILY, settings.HOLDFAST_TAVILY_API_KEY)
    return None


def no_engine() -> str | None:
    """Why there is no search; None if there is."""
    return NONE if engine() is None else None
