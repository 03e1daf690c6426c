"""The web as a place of calls: ``web_fetch`` and ``web_search``, which the server itself carries out.

Both only read, so a call that an earlier worker may have begun is simply done.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import connection

from agents.sandboxes.base import CallResult
from agents.tools.web import fetch, search, seen
from agents.tools.web.engines import NONE, engine
from agents.tools.web.fetch import Outside
from agents.tools.web.seen import Known
from credentials.dialling import AddressRefused, Line, Unreachable
from sessions import events as ev
from sessions.intake import INTERRUPTED
from sessions.models import Event

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from sessions.events import Draft
    from sessions.harness.hands.base import Turn
    from sessions.harness.state import Call

Content = list[dict[str, Any]]

OUTSIDE = Outside(Line, AddressRefused, Unreachable)
AT_ONCE = 32  # requests of this process
LOOK_SECONDS = 0.1
EVENTS_LOOKED_AT = 2_000  # the latest, for the addresses they name


@cache
def threads() -> ThreadPoolExecutor:
    """Where requests run, so that an interrupt need not wait for a slow server."""
    return ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="web")


class WebHand:
    """Calls the web tools under the settings that the agent gives them."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._stopped = threading.Event()

    def open(self) -> list[Draft]:
        """Nothing to make ready."""
        self._stopped.clear()
        return []

    def call(self, call: Call, *, reattempt: bool) -> CallResult:
        """Fetch or search; what fails is an error result that says why."""
        started = time.monotonic()
        grant = self._turn.spec.grants.get(call.name)
        config = grant.config if grant is not None else {}
        given = call.input
        try:
            if call.name == "web_fetch":
                known = self._known(config.get("url_sources"))
                content = self._watched(threads().submit(fetch.fetch, given["url"], config, OUTSIDE, known))
            else:
                content = self._watched(threads().submit(_search, given["query"], config))
        except (fetch.Failed, search.Failed) as error:
            return CallResult([{"type": "text", "text": str(error)}], is_error=True)
        elapsed = (time.monotonic() - started) * 1000
        if content is None:
            return CallResult([{"type": "text", "text": INTERRUPTED}], is_error=True)
        return CallResult(content, is_error=False, duration_ms=elapsed)

    def _watched(self, future: Future[Content]) -> Content | None:
        """The request's outcome; None once it is to be stopped. Then it ends by itself, heard by nobody."""
        while not wait([future], timeout=LOOK_SECONDS).done:
            if self._stopped.is_set():
                future.cancel()
                return None
        return future.result()

    def _known(self, sources: Mapping[str, Any] | None) -> Known:
        """The texts of this thread that may name what is fetched, if the agent's settings limit them."""
        if sources is None or not seen.limits(sources):
            return Known()
        kinds = (ev.USER_MESSAGE, ev.TOOL_USE, ev.CUSTOM_TOOL_USE, ev.TOOL_RESULT, ev.USER_CUSTOM_TOOL_RESULT)
        rows = Event.objects.filter(thread_id=self._turn.spec.thread_id, type__in=kinds).order_by("-seq")
        found = [(row.id, row.type, row.payload) for row in rows.only("type", "payload")[:EVENTS_LOOKED_AT]]
        connection.close()
        names = {event_id: payload["name"] for event_id, kind, payload in found if kind in ev.CALLS}
        return Known(
            tuple(
                text
                for _, kind, payload in found
                if kind not in ev.CALLS and _counts(sources, kind, payload, names)
                for text in _texts(payload)
            )
        )

    def finished(self, call: Call, result: CallResult) -> list[Draft]:
        """Nothing is left behind."""
        return []

    def interrupt(self) -> None:
        """Wait for no answer any more."""
        self._stopped.set()


def _search(query: str, config: Mapping[str, Any]) -> Content:
    found = engine()
    if found is None:
        raise search.Failed(NONE)
    return search.search(query, config, found)


def _counts(sources: Mapping[str, Any], kind: str, payload: Mapping[str, Any], names: Mapping[str, str]) -> bool:
    if kind == ev.USER_MESSAGE:
        return seen.counts(sources, seen.USER)
    name = names.get(payload[ev.CALL_ID_FIELD[kind]], "")
    if kind == ev.USER_CUSTOM_TOOL_RESULT:
        return seen.counts(sources, seen.CLIENT, name)
    return name in ("web_fetch", "web_search") and seen.counts(sources, seen.SERVER, name)


def _texts(payload: Mapping[str, Any]) -> list[str]:
    return [block["text"] for block in payload.get("content") or () if block.get("type") == "text"]
