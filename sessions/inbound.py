"""What one request may send to a session, before its state matters (spec core 10.1, 10.2, 10.6, 10.8).

The SDK's types have checked the shapes; these are the rules that types don't tell. ``where`` names the list in
errors: ``events``, or ``initial_events`` of a new session.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contract.errors import InvalidRequest
from sessions import events as ev
from sessions.models import File

if TYPE_CHECKING:
    from sessions.models import Session

MAX_EVENTS = 100
MAX_FILE_DOCUMENTS = 100
MAX_SYSTEM_BLOCKS = 1_000
MAX_RUBRIC = 262_144
MAX_DESCRIPTION = 100_000
MAX_ITERATIONS = 20
MAX_DENY_MESSAGE = 10_000
MESSAGES = (ev.USER_MESSAGE, ev.SYSTEM_MESSAGE)
ACCOMPANIED = (ev.USER_MESSAGE, ev.USER_TOOL_RESULT, ev.USER_CUSTOM_TOOL_RESULT)

Events = Sequence[Mapping[str, Any]]


def check(session: Session, events: Events, where: str) -> None:
    """Raise ``InvalidRequest`` naming the event's place in the list; one query if files are named."""
    if not events:
        raise InvalidRequest(f"{where}: Send at least one event.")
    if len(events) > MAX_EVENTS:
        raise InvalidRequest(f"{where}: At most {MAX_EVENTS} events can be sent at once, got {len(events)}.")
    check_alone(events, where)
    _check_order(events, where)
    _check_files(session, events, where)


def check_alone(events: Events, where: str) -> None:
    """The rules that need nothing but the events themselves."""
    for index, event in enumerate(events):
        _check_event(f"{where}.{index}", event)
    _check_list(events, where)


def _check_event(where: str, event: Mapping[str, Any]) -> None:
    content = event.get("content") or ()
    if event["type"] in MESSAGES and not content:
        raise InvalidRequest(f"{where}.content: must hold at least one block")
    if event["type"] == ev.SYSTEM_MESSAGE and len(content) > MAX_SYSTEM_BLOCKS:
        raise InvalidRequest(f"{where}.content: at most {MAX_SYSTEM_BLOCKS} blocks are allowed")
    for place, block in enumerate(content):
        if block["type"] == "redacted":
            raise InvalidRequest(f"{where}.content.{place}: redacted blocks can't be sent")
        _check_source(f"{where}.content.{place}.source", block.get("source"))
    if event["type"] == ev.USER_TOOL_CONFIRMATION:
        _check_deny_message(f"{where}.deny_message", event)
    if event["type"] == ev.USER_DEFINE_OUTCOME:
        _check_outcome(where, event)


def _check_source(where: str, source: Any) -> None:
    """A picture's or a document's bytes, or the address that the model's server fetches it from."""
    kind = source.get("type") if isinstance(source, Mapping) else None
    if kind == "base64":
        try:
            base64.b64decode(source["data"], validate=True)
        except ValueError:
            raise InvalidRequest(f"{where}.data: is not base64") from None
    if kind == "url" and not _is_web_address(source["url"]):
        raise InvalidRequest(f"{where}.url: must be a URL that starts with https:// or http:// and names a host")


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and url.isprintable() and " " not in url
    except ValueError:  # brackets that hold no address
        return False


def _check_deny_message(where: str, event: Mapping[str, Any]) -> None:
    message = event.get("deny_message")
    if message is None:
        return
    if event["result"] != "deny":
        raise InvalidRequest(f"{where}: Only a confirmation with result deny takes a message.")
    if len(message) > MAX_DENY_MESSAGE:
        raise InvalidRequest(f"{where}: must be at most {MAX_DENY_MESSAGE} characters long")


def _check_outcome(where: str, event: Mapping[str, Any]) -> None:
    if not event["description"].strip() or len(event["description"]) > MAX_DESCRIPTION:
        raise InvalidRequest(f"{where}.description: must be 1 to {MAX_DESCRIPTION} characters long")
    rubric = event["rubric"]
    if rubric["type"] == "text" and not 1 <= len(rubric["content"]) <= MAX_RUBRIC:
        raise InvalidRequest(f"{where}.rubric.content: must be 1 to {MAX_RUBRIC} characters long")
    iterations = event.get("max_iterations")
    if iterations is not None and not 1 <= iterations <= MAX_ITERATIONS:
        raise InvalidRequest(f"{where}.max_iterations: must be 1 to {MAX_ITERATIONS}")


def _check_list(events: Events, where: str) -> None:
    """The rules between events of one request."""
    if sum(event["type"] == ev.USER_DEFINE_OUTCOME for event in events) > 1:
        raise InvalidRequest(f"{where}: at most one {ev.USER_DEFINE_OUTCOME} is allowed")
    blocks = [block for event in events for block in event.get("content") or ()]
    if sum(block["type"] == "document" and block["source"]["type"] == "file" for block in blocks) > MAX_FILE_DOCUMENTS:
        raise InvalidRequest(f"{where}: at most {MAX_FILE_DOCUMENTS} document blocks may name files")


def _check_order(events: Events, where: str) -> None:
    for index, event in enumerate(events):
        if event["type"] != ev.SYSTEM_MESSAGE:
            continue
        if index != len(events) - 1:
            raise InvalidRequest(f"{where}.{index}: system.message must be the last event of the request.")
        if index and events[index - 1]["type"] not in ACCOMPANIED:
            raise InvalidRequest(
                f"{where}.{index}: system.message must stand alone or directly follow {', '.join(ACCOMPANIED)}."
            )


def _check_files(session: Session, events: Events, where: str) -> None:
    """Every file that a block or a rubric names must be in the session's workspace."""
    named = {file_id: place for place, file_id in _file_ids(events, where)}
    if not named:
        return
    known = File.objects.filter(pk__in=named, workspace_id=session.workspace_id).values_list("pk", flat=True)
    missing = named.keys() - set(known)
    if missing:
        file_id = min(missing)
        raise InvalidRequest(f"{named[file_id]}: There is no file {file_id} in this workspace.")


def _file_ids(events: Events, where: str) -> Iterable[tuple[str, str]]:
    for index, event in enumerate(events):
        rubric = event.get("rubric")
        if rubric is not None and rubric["type"] == "file":
            yield f"{where}.{index}.rubric.file_id", rubric["file_id"]
        for place, block in enumerate(event.get("content") or ()):
            source = block.get("source")
            if isinstance(source, Mapping) and source.get("type") == "file":
                yield f"{where}.{index}.content.{place}.source.file_id", source["file_id"]
