"""The stream itself (spec core 14): headers, resume, bad queries, its end, many readers."""

from __future__ import annotations

import threading
from itertools import islice
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest

from tests.sdk.talk import PATIENCE_SECONDS, Talk, all_of, text, types, until, until_idle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.live import Installation


class Raw:
    """Records of a stream as any HTTP client sees them."""

    def __init__(self, installation: Installation, talk: Talk) -> None:
        self.url = f"{installation.url}/v1/sessions/{talk.id}/events/stream"
        self.headers = {"x-api-key": installation.api_key, "accept": "application/json"}

    def records(self, count: int, query: str = "", **headers: str) -> list[dict[str, str]]:
        with httpx2.stream(
            "GET", self.url + query, headers={**self.headers, **headers}, timeout=PATIENCE_SECONDS
        ) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream"
            return list(islice(_records(response.iter_lines()), count))

    def get(self, query: str = "", **headers: str) -> httpx2.Response:
        return httpx2.get(self.url + query, headers={**self.headers, **headers}, timeout=PATIENCE_SECONDS)


def _records(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    record: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            assert name not in record, "one line each"
            record[name] = value
        elif record:
            if record["event"] != "ping":
                yield record
            record = {}


@pytest.fixture
def finished(begin: Callable[..., Talk]) -> Talk:
    talk = begin(tools=[])
    talk.says("hello")
    return talk


def test_a_stream_goes_on_after_the_last_event_seen(installation: Installation, finished: Talk) -> None:
    log = finished.log()
    raw = Raw(installation, finished)
    everything = raw.records(len(log), "?after=0")
    assert [record["event"] for record in everything] == types(log)
    places = [int(record["id"]) for record in everything]
    assert places == sorted(set(places))
    by_header = raw.records(2, **{"last-event-id": everything[-3]["id"]})
    by_query = raw.records(2, f"?after={everything[-3]['id']}")
    assert by_header == by_query == everything[-2:]


def test_the_sdk_goes_on_after_the_id_of_the_last_event_it_saw(
    client: anthropic.Anthropic, installation: Installation, finished: Talk
) -> None:
    log = finished.log()
    seen = log[-3].id
    with client.beta.sessions.events.stream(finished.id, extra_headers={"Last-Event-ID": seen}) as stream:
        events = iter(stream)
        assert [getattr(next(events), "id", None) for _ in range(2)] == [event.id for event in log[-2:]]
    assert Raw(installation, finished).get("?after=sevt_of_another_session").status_code == 400


def test_what_happened_before_is_not_shown_without_asking(installation: Installation, finished: Talk) -> None:
    with finished.watching() as stream:
        finished.send(text("again"))
        assert next(iter(stream)).type == "user.message"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("?event_deltas[]=agent.tool_use", "event_deltas"),
        ("?" + "&".join(["event_deltas[]=agent.message"] * 101), "event_deltas"),
        ("?after=soon", "after"),
        ("?types[]=", "types"),
    ],
)
def test_a_bad_query_is_refused_by_name_as_json(
    installation: Installation, finished: Talk, query: str, named: str
) -> None:
    response = Raw(installation, finished).get(query)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert named in response.json()["error"]["message"]
    assert response.headers["request-id"]


def test_an_unknown_session_is_not_found_as_json(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.beta.sessions.events.stream("sesn_nowhere")
    assert caught.value.response.headers["content-type"].startswith("application/json")


def test_a_stream_needs_a_key(installation: Installation, finished: Talk) -> None:
    assert Raw(installation, finished).get(**{"x-api-key": "sk-wrong"}).status_code == 401


@pytest.mark.proves("beta.sessions.archive", "session.status_terminated", "session.thread_status_terminated")
def test_archiving_ends_open_streams_with_terminated(client: anthropic.Anthropic, finished: Talk) -> None:
    with finished.watching() as stream:
        client.beta.sessions.archive(finished.id)
        assert {"session.thread_status_terminated", "session.status_terminated"} == set(types(stream)[-2:])


@pytest.mark.proves("beta.sessions.delete", "session.deleted")
def test_deleting_ends_open_streams_with_deleted(client: anthropic.Anthropic, finished: Talk) -> None:
    with finished.watching() as stream:
        assert client.beta.sessions.delete(finished.id).type == "session_deleted"
        assert types(stream)[-1] == "session.deleted"
    with pytest.raises(anthropic.NotFoundError):
        finished.retrieve()


def test_events_are_listed_before_they_are_seen(begin: Callable[..., Talk]) -> None:
    talk = begin()
    seen: list[Any] = []

    def check(event: Any) -> None:
        if event.type in {"agent.tool_use", "session.status_idle"}:
            seen.append(event.id)
            assert event.id in {listed.id for listed in talk.log()}

    talk.says("run `true`", on=check)
    assert len(seen) == 2


def test_many_readers_see_the_same_events(begin: Callable[..., Talk]) -> None:
    talk = begin()
    opened = threading.Barrier(9, timeout=PATIENCE_SECONDS)
    seen: list[list[str]] = []

    def read() -> None:
        with talk.watching() as stream:
            opened.wait()
            seen.append([event.id for event in until_idle(stream)])

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    opened.wait()
    talk.send(text("run `echo for all`"))
    for reader in readers:
        reader.join(PATIENCE_SECONDS)
    assert seen == [[event.id for event in talk.log()]] * 8


def test_there_may_be_more_streams_than_database_connections(
    installation: Installation, begin: Callable[..., Talk]
) -> None:
    talk = begin(tools=[])
    raw, count = Raw(installation, talk), 60
    opened = threading.Barrier(count + 1, timeout=PATIENCE_SECONDS)
    first: list[str] = []

    def read() -> None:
        with httpx2.stream("GET", raw.url, headers=raw.headers, timeout=PATIENCE_SECONDS) as response:
            assert response.status_code == 200
            opened.wait()
            first.extend(record["event"] for record in islice(_records(response.iter_lines()), 1))

    readers = [threading.Thread(target=read) for _ in range(count)]
    for reader in readers:
        reader.start()
    opened.wait()
    talk.send(text("hello"))
    for reader in readers:
        reader.join(PATIENCE_SECONDS)
    assert first == ["user.message"] * count


@pytest.mark.proves("beta.sessions.threads.events.stream")
def test_a_thread_stream_shows_the_primary_threads_turn(
    begin: Callable[..., Talk], client: anthropic.Anthropic
) -> None:
    talk = begin(tools=[])
    (thread,) = client.beta.sessions.threads.list(talk.id)
    with client.beta.sessions.threads.events.stream(
        thread.id, session_id=talk.id, event_deltas=["agent.message"]
    ) as stream:
        talk.send(text("hello"))
        events = until(stream, lambda event: event.type == "session.thread_status_idle")
    kinds = types(events)
    assert kinds.index("event_start") < kinds.index("event_delta") < kinds.index("agent.message")
    assert all_of(events, "span.model_request_end")


def test_operator_events_are_on_the_stream_only_by_name(installation: Installation, begin: Callable[..., Talk]) -> None:
    talk = begin()
    events = talk.says("run `true`")
    assert not [kind for kind in types(events) if kind.startswith("ops.")]
    (record,) = Raw(installation, talk).records(1, "?after=0&types[]=ops.sandbox_opened")
    assert record["event"] == "ops.sandbox_opened"
