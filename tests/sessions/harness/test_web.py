"""The web tools in the loop, with the demo model and a real site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sessions import events as ev
from sessions import log
from tests.agents.tools.web import site as sites
from tests.sessions.harness.test_loop import ask
from tests.sessions.rows import make_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sessions.models import Event, Session
    from tests.agents.tools.web.site import Site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]


@pytest.fixture(autouse=True)
def here_is_permitted(settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)


@pytest.fixture
def site() -> Iterator[Site]:
    yield from sites.running()


def web(**configs: dict[str, Any]) -> dict[str, Any]:
    """A toolset of the web tools alone, with settings by tool."""
    allow = {"permission_policy": {"type": "always_allow"}}
    entries = [
        {"type": name, "name": name, "enabled": True, **allow, **configs.get(name, {})}
        for name in ("web_fetch", "web_search")
    ]
    return {"type": "agent_toolset_20260401", "default_config": {"enabled": False, **allow}, "configs": entries}


def results(session: Session) -> list[Event]:
    return [event for event in log.read(session.id) if event.type == ev.TOOL_RESULT]


def text_of(event: Event) -> str:
    return str(event.payload["content"][0]["text"])


def test_a_page_is_fetched_under_the_agents_domains(site: Site) -> None:
    url = site.put("/ducks", sites.PAGE)
    session, thread = make_session([web()])
    ask(session, thread, f"fetch {url}")
    (result,) = results(session)
    assert not result.payload["is_error"]
    assert "Ducks are birds that swim." in text_of(result)
    closed, closed_thread = make_session([web(web_fetch={"allowed_domains": ["example.com"]})])
    ask(closed, closed_thread, f"fetch {url}")
    (refused,) = results(closed)
    assert refused.payload["is_error"]
    assert text_of(refused).startswith("url_not_allowed")
    assert len(site.seen) == 1


def test_addresses_may_be_limited_to_those_that_a_source_named(site: Site, settings: Any) -> None:
    url = site.put("/ducks", b"quack", "text/plain")
    settings.HOLDFAST_SEARXNG_URL = site.url("")
    none = {"user_input": {"type": "none"}}
    session, thread = make_session([web(web_fetch={"url_sources": none})])
    ask(session, thread, f"fetch {url}")
    assert text_of(results(session)[0]).startswith("url_not_allowed")
    site.put_json("/search", {"results": [{"url": url, "title": "Ducks", "content": "swim"}]})
    ask(session, thread, "search the web for ducks")
    ask(session, thread, f"fetch {url}")
    assert text_of(results(session)[2]).endswith("quack")


def test_searches_are_counted_in_the_sessions_usage(site: Site, settings: Any) -> None:
    settings.HOLDFAST_SEARXNG_URL = site.url("")
    site.put_json("/search", {"results": [{"url": "https://ducks.example/", "title": "Ducks", "content": "swim"}]})
    session, thread = make_session([web()])
    ask(session, thread, "search the web for ducks")
    assert "https://ducks.example/" in text_of(results(session)[0])
    ask(session, thread, f"fetch {site.url('/search')}")
    session.refresh_from_db()
    assert (session.usage["web_search_requests"], session.usage["web_fetch_requests"]) == (1, 1)


def test_without_an_engine_there_is_no_search(site: Site) -> None:
    session, thread = make_session([web()])
    ask(session, thread, "search the web for ducks")
    assert results(session) == []


def test_a_long_page_without_a_sandbox_is_a_preview_that_says_so(site: Site) -> None:
    url = site.put("/long", b"z" * 200_000, "text/plain")
    session, thread = make_session([web()])
    ask(session, thread, f"fetch {url}")
    shown = text_of(results(session)[0])
    assert len(shown) < 20_000
    assert "no tools to read files with" in shown
