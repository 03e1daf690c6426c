"""``web_search`` by the engine that the installation is set up with."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2

from agents.sandboxes.results import clean
from agents.tools.web import domains

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from contract.secret import Secret

SECONDS = 20.0  # for every step of the request, and for the whole answer
LARGEST = 4 * 1024 * 1024
RESULTS = 10
ASKED_FOR = 20  # some fall to the domain rules
LONGEST_SNIPPET = 2_000
BRAVE = "https://api.search.brave.com/res/v1/web/search"
TAVILY = "https://api.tavily.com/search"


class Failed(Exception):
    """No results; the text is for the model and names no secret."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A search engine: ``kind`` is searxng, brave or tavily, ``url`` where it listens."""

    kind: str
    url: str
    key: Secret


@dataclass(frozen=True, slots=True)
class Hit:
    """One result."""

    url: str
    title: str
    text: str


def search(query: str, config: Mapping[str, Any], engine: Engine) -> list[dict[str, Any]]:
    """The results as one text block, those that the tool's domain rules leave out dropped. Raises ``Failed``."""
    found = READERS[engine.kind](_answer(query, config, engine))
    kept = []
    for hit in found:
        parts = domains.split(hit.url)
        if parts is not None and domains.permitted(parts, config):
            kept.append(hit)
    text = "\n\n".join(f"{hit.title}\n{hit.url}\n{hit.text}" for hit in kept[:RESULTS])
    return [{"type": "text", "text": clean(text or "No results.")}]


def _answer(query: str, config: Mapping[str, Any], engine: Engine) -> Any:
    try:
        with httpx2.Client(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
            request = BUILDERS[engine.kind](client, _narrowed(query, config), config, engine)
            response = client.send(request, stream=True)
            try:
                return _read(response)
            finally:
                response.close()
    except httpx2.HTTPError as error:
        raise Failed(f"unavailable: the search engine could not be reached ({type(error).__name__}).") from None


def _read(response: httpx2.Response) -> Any:
    body = bytearray()
    until = time.monotonic() + SECONDS
    for part in response.iter_bytes():
        body += part
        if time.monotonic() > until:
            raise Failed("unavailable: the search engine answers too slowly.")
        if len(body) > LARGEST:
            raise Failed("unavailable: the search engine's answer is too large.")
    if response.status_code == 429:
        raise Failed("too_many_requests: the search engine asks to slow down.")
    if response.status_code != 200:
        raise Failed(f"unavailable: the search engine answered with HTTP {response.status_code}.")
    try:
        return httpx2.Response(200, content=bytes(body)).json()
    except ValueError:
        raise Failed("unavailable: the search engine's answer is not JSON.") from None


def _narrowed(query: str, config: Mapping[str, Any]) -> str:
    """The query with an operator that most engines know; whatever they make of it, the results are checked."""
    allowed = list(config.get("allowed_domains") or ())
    return f"{query} site:{allowed[0]}" if len(allowed) == 1 else query


def _place(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("user_location") or {}


def _searxng(client: httpx2.Client, query: str, config: Mapping[str, Any], engine: Engine) -> httpx2.Request:
    return client.build_request("GET", engine.url.rstrip("/") + "/search", params={"q": query, "format": "json"})


def _brave(client: httpx2.Client, query: str, config: Mapping[str, Any], engine: Engine) -> httpx2.Request:
    params = {"q": query, "count": str(ASKED_FOR)}
    if country := _place(config).get("country"):
        params["country"] = country
    headers = {"x-subscription-token": engine.key.reveal(), "accept": "application/json"}
    return client.build_request("GET", engine.url, params=params, headers=headers)


def _tavily(client: httpx2.Client, query: str, config: Mapping[str, Any], engine: Engine) -> httpx2.Request:
    body = {"query": query, "max_results": ASKED_FOR}
    headers = {"authorization": f"Bearer {engine.key.reveal()}"}
    return client.build_request("POST", engine.url, json=body, headers=headers)


def _hits(entries: Any, text: str) -> list[Hit]:
    """Results as an engine lists them: ``url``, ``title`` and the key that holds the text."""
    if not isinstance(entries, list):
        return []
    return [
        Hit(str(entry["url"]), str(entry.get("title") or entry["url"]), str(entry.get(text) or "")[:LONGEST_SNIPPET])
        for entry in entries
        if isinstance(entry, dict) and entry.get("url")
    ]


def _inside(answer: Any, *path: str) -> Any:
    for name in path:
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer


BUILDERS: dict[str, Callable[[httpx2.Client, str, Mapping[str, Any], Engine], httpx2.Request]] = {
    "searxng": _searxng,
    "brave": _brave,
    "tavily": _tavily,
}
READERS: dict[str, Callable[[Any], Sequence[Hit]]] = {
    "searxng": lambda answer: _hits(_inside(answer, "results"), "content"),
    "brave": lambda answer: _hits(_inside(answer, "web", "results"), "description"),
    "tavily": lambda answer: _hits(_inside(answer, "results"), "content"),
}
