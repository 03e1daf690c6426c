"""``web_search`` against engines that answer in the shapes of SearXNG, Brave and Tavily."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from agents.tools.web import search
from agents.tools.web.engines import engine
from agents.tools.web.search import Engine, Failed
from contract.secret import Secret
from tests.agents.tools.web import site as sites

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.agents.tools.web.site import Site

HITS = [
    {"url": "https://ducks.example/a", "title": "Ducks", "content": "All of them", "description": "All of them"},
    {"url": "https://geese.example/b", "title": "Geese", "content": "Some", "description": "Some"},
    {"title": "no address"},
    "not an object",
]


@pytest.fixture
def site() -> Iterator[Site]:
    yield from sites.running()


def found(engine: Engine, **config: Any) -> str:
    (block,) = search.search("ducks", config, engine)
    return str(block["text"])


@pytest.mark.parametrize("kind", ["searxng", "brave", "tavily"])
def test_each_engine_is_asked_in_its_own_way_and_read(site: Site, kind: str) -> None:
    site.put_json("/search", {"web": {"results": HITS}} if kind == "brave" else {"results": HITS})
    url = site.url("") if kind == "searxng" else site.url("/search")
    shown = found(Engine(kind, url, Secret("the-key")))
    assert "Ducks\nhttps://ducks.example/a\nAll of them" in shown
    assert "https://geese.example/b" in shown
    path, headers, body = site.seen[0]
    asked = json.loads(body) if body else {key: value[0] for key, value in parse_qs(urlsplit(path).query).items()}
    assert asked.get("q", asked.get("query")) == "ducks"
    sent = {"searxng": None, "brave": headers.get("x-subscription-token"), "tavily": headers.get("authorization")}
    assert sent[kind] in (None, "the-key", "Bearer the-key")
    assert "the-key" not in path


def test_results_outside_of_the_agents_domains_are_dropped_silently(site: Site) -> None:
    site.put_json("/search", {"results": HITS})
    here = Engine("searxng", site.url(""), Secret(""))
    assert "ducks.example" not in found(here, blocked_domains=["ducks.example"])
    assert "geese.example" not in found(here, allowed_domains=["ducks.example"])
    assert found(here, allowed_domains=["nobody.example"]) == "No results."


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (429, b"{}", "too_many_requests"),
        (500, b"{}", "HTTP 500"),
        (200, b"<html>", "not JSON"),
        (200, b"x" * (search.LARGEST + 1), "too large"),
    ],
)
def test_an_engine_that_fails_is_told_of_in_one_sentence(site: Site, status: int, body: bytes, said: str) -> None:
    site.put("/search", body, "application/json", status)
    with pytest.raises(Failed, match=said):
        found(Engine("searxng", site.url(""), Secret("")))


def test_an_engine_that_is_down_is_told_of(site: Site) -> None:
    with pytest.raises(Failed, match="could not be reached"):
        found(Engine("searxng", "http://127.0.0.1:9", Secret("")))


def test_an_answer_of_another_shape_has_no_results(site: Site) -> None:
    site.put_json("/search", {"results": {"not": "a list"}})
    assert found(Engine("searxng", site.url(""), Secret(""))) == "No results."


def test_the_first_engine_that_is_set_up_counts(settings: Any) -> None:
    assert engine() is None
    settings.HOLDFAST_TAVILY_API_KEY = Secret("t")
    assert (engine() or pytest.fail()).kind == "tavily"
    settings.HOLDFAST_BRAVE_API_KEY = Secret("b")
    assert (engine() or pytest.fail()).kind == "brave"
    settings.HOLDFAST_SEARXNG_URL = "http://search.example"
    assert (engine() or pytest.fail()).kind == "searxng"
