"""``web_fetch``: one address, its redirects followed and checked, as content for the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urljoin

from agents.tools.web import domains, extract
from agents.tools.web.extract import NotShown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from agents.tools.web.seen import Known

SECONDS = 30.0  # for everything, redirects too
LARGEST = 16 * 1024 * 1024
MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HEADERS = {
    "accept": "text/html,application/xhtml+xml,application/pdf,text/*;q=0.9,*/*;q=0.5",
    "accept-encoding": "identity",
    "user-agent": "Holdfast web_fetch",
}


class Answer(Protocol):
    """An HTTP answer."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> dict[str, str]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def cut(self) -> bool: ...


class Way(Protocol):
    """The way out. What it dials is checked; it raises one of ``Outside.failures``."""

    def send(self, method: str, url: str, headers: Mapping[str, str], *, most: int) -> Answer:
        """Send a request and read its answer, up to ``most`` bytes; redirects are not followed."""


@dataclass(frozen=True, slots=True)
class Outside:
    """How the world is reached: ``open(seconds)`` gives a way out for so long."""

    open: Callable[[float], AbstractContextManager[Way, None]]
    refused: type[Exception]  # the address is not to be dialled
    unreachable: type[Exception]


class Failed(Exception):
    """Nothing was fetched; the text is for the model."""


def fetch(url: str, config: Mapping[str, Any], outside: Outside, known: Known) -> list[dict[str, Any]]:
    """The content at ``url`` under the tool's settings. Raises ``Failed``."""
    if not known.permits(url):
        raise Failed(f"url_not_allowed: {url} did not come from a source that this agent may fetch from.")
    with outside.open(SECONDS) as way:
        for _ in range(MOST_REDIRECTS + 1):
            url = _checked(url, config)
            answer = _sent(way, url, outside)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                return _content(url, answer, config)
            url = _next(url, answer.headers["location"])
    raise Failed(f"url_not_accessible: more than {MOST_REDIRECTS} redirects.")


def _next(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:  # half an IPv6 address
        raise Failed(f"url_not_accessible: {url} redirects to what is no address.") from None


def _checked(url: str, config: Mapping[str, Any]) -> str:
    parts = domains.split(url)
    if parts is None:
        raise Failed(f"invalid_input: {url[:200]!r} is not an http or https address.")
    if not domains.permitted(parts, config):
        raise Failed(f"url_not_allowed: {parts.hostname} is not among the domains that this agent may fetch from.")
    return parts._replace(fragment="").geturl()


def _sent(way: Way, url: str, outside: Outside) -> Answer:
    try:
        return way.send("GET", url, HEADERS, most=LARGEST)
    except outside.refused:
        raise Failed(f"url_not_allowed: the host of {url} stands for an address that is not public.") from None
    except outside.unreachable as error:
        raise Failed(f"url_not_accessible: {url} could not be reached ({error}).") from None


def _content(url: str, answer: Answer, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    if answer.status >= 400:
        raise Failed(f"url_not_accessible: {url} answered with HTTP {answer.status}.")
    try:
        body = extract.decompressed(answer.body, answer.headers.get("content-encoding", "").lower(), LARGEST)
        kind = answer.headers.get("content-type", "")
        return extract.blocks(url, kind, body, cut=answer.cut, most_tokens=config.get("max_content_tokens"))
    except NotShown as error:
        raise Failed(f"unsupported_content_type: {url} can't be shown: {error}.") from None
