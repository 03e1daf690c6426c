"""Past sessions as texts for a dream to read: what was said and done, shortened and without secrets."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract import blobs
from sessions import events as ev
from sessions import exports, log
from sessions.dreams import kit
from sessions.models import Session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sessions.models import Event

BATCH = 500
MAX_CALL = 2_000  # characters of a call's input, and of its result
MAX_SAID = 20_000  # characters of one message
MAX_TRANSCRIPT = 2_000_000  # characters; what comes after is left out
LEFT_OUT = "\n\n(The rest of this session is left out.)\n"


@dataclass(frozen=True, slots=True)
class Transcript:
    """A session's text, stored as the blob ``digest``."""

    session_id: str
    title: str
    begun: datetime
    digest: str
    size: int

    @property
    def mount_path(self) -> str:
        return str(kit.TRANSCRIPTS / f"{self.session_id}.md")


def write(session_ids: Sequence[str], workspace_id: str) -> list[Transcript]:
    """Store the transcripts of a workspace's sessions that are still there, oldest first.

    Raises ``InvalidRequest`` for a session whose secrets can't be opened, and so not be masked.
    """
    rows = Session.objects.filter(pk__in=session_ids, workspace_id=workspace_id).order_by("created_at", "id")
    return [_write(session) for session in rows]


def _write(session: Session) -> Transcript:
    data = text(session).encode()
    digest, size = blobs.put(io.BytesIO(data), len(data))
    title = " ".join((session.title or "without a title").split())[:200]
    return Transcript(session.pk, title, session.created_at, digest, size)


def text(session: Session) -> str:
    """The transcript, as Markdown."""
    secrets = exports.secrets_in(session)
    title = " ".join((session.title or session.pk).split())
    parts = [
        f"# {title}\n\nSession {session.pk}, agent {session.agent_snapshot['name']}, {session.created_at:%Y-%m-%d}"
    ]
    size = 0
    for heading, body in _sections(session):
        section, _ = exports.mask(f"\n\n## {heading}\n\n{body}", secrets)
        size += len(section)
        if size > MAX_TRANSCRIPT:
            return "".join([*parts, LEFT_OUT])
        parts.append(section)
    return "".join([*parts, "\n"])


def _sections(session: Session) -> Iterator[tuple[str, str]]:
    names = dict(session.threads.values_list("id", "agent_name"))
    main = session.threads.get(parent=None).pk
    seq = 0
    while entries := log.read(session.pk, after=seq, limit=BATCH):
        seq = entries[-1].seq
        for entry in entries:
            if (found := section(entry)) is not None:
                heading, body = found
                who = names.get(entry.thread_id, "a thread opened meanwhile")
                yield (heading if entry.thread_id == main else f"{heading} ({who})"), body


def section(entry: Event) -> tuple[str, str] | None:
    """Heading and words of an event, or None if it says nothing worth reading."""
    payload = entry.payload
    if entry.type in (ev.USER_MESSAGE, ev.SYSTEM_MESSAGE, ev.AGENT_MESSAGE):
        return SPEAKERS[entry.type], _words(payload)
    if entry.type == ev.USER_DEFINE_OUTCOME:
        return "User asks for an outcome", _short(str(payload.get("description", "")), MAX_SAID)
    if entry.type in (ev.TOOL_USE, ev.CUSTOM_TOOL_USE, ev.MCP_TOOL_USE):
        given = json.dumps(payload.get("input") or {}, ensure_ascii=False)
        return f"Agent calls {payload.get('name', 'a tool')}", _short(given, MAX_CALL)
    if entry.type in (ev.TOOL_RESULT, ev.MCP_TOOL_RESULT, ev.USER_TOOL_RESULT, ev.USER_CUSTOM_TOOL_RESULT):
        heading = "The call failed" if payload.get("is_error") else "Result"
        return heading, _short(_words(payload), MAX_CALL)
    if entry.type == ev.MESSAGE_SENT:
        return f"Message to {payload.get('to_agent_name') or 'another agent'}", _words(payload)
    if entry.type == ev.SESSION_ERROR:
        return "Error", str(payload["error"].get("message", ""))
    if entry.type == ev.OUTCOME_END:
        return f"Evaluation: {payload.get('result')}", _short(str(payload.get("explanation") or ""), MAX_SAID)
    return None


SPEAKERS = {ev.USER_MESSAGE: "User", ev.SYSTEM_MESSAGE: "System", ev.AGENT_MESSAGE: "Agent"}


def _words(payload: Mapping[str, Any]) -> str:
    blocks = payload.get("content") or []
    said = [block.get("text", "") if block.get("type") == "text" else f"[{block.get('type')}]" for block in blocks]
    return _short("\n".join(said), MAX_SAID)


def _short(words: str, limit: int) -> str:
    return words if len(words) <= limit else f"{words[:limit]} … ({len(words) - limit:,} characters more)"
