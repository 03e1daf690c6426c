"""A session as one file, and a file as a session.

The file is JSON lines: a head, the session's events in order with the times that the trace needs, and a foot that says
how many values were masked. What is masked: every secret of the session's vaults in any of its usual forms, and
whatever looks like a key or a token. ``private`` parts of events never leave the server. What an agent said comes as
pages show it besides (``shown``), for the replay, which draws it in a browser without asking a server.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import DataError, transaction
from django.utils import timezone

from agents.templatetags.holdfast import markdown
from contract import audit
from contract.errors import InvalidRequest, TooLarge
from contract.roles import Permission
from credentials.crypto import CannotOpen
from credentials.masking import MASK, counted
from credentials.models import Credential
from credentials.vaults import secrets_of
from sessions import actions, log
from sessions import events as ev
from sessions.copies import copies
from sessions.events import Draft
from sessions.finding import bare_session, find_session
from sessions.models import Event, Session, Thread
from sessions.projections import transcript

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from contract.acting import Acting
    from contract.secret import Secret

FORMAT = "holdfast.session"
VERSION = 1
BATCH = 500
MAX_BYTES = 64 * 1024 * 1024
MAX_EVENTS = 50_000
GZIP = b"\x1f\x8b"
NAMED = 10  # types that an import left out and names
TIMES = ("duration_ms", "first_token_ms", "cost", "model")
TOKENS = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|AKIA[0-9A-Z]{16}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,})"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----",
    re.DOTALL,
)


def lines(session: Session, *, shown: bool = False) -> Iterator[str]:
    """The file, line by line, with at most ``BATCH`` events in hand. Raises ``InvalidRequest`` before the first one.

    ``shown``: what agents said comes as pages show it besides.
    """
    return _lines(session, secrets_in(session), shown)


def _lines(session: Session, secrets: list[Secret], shown: bool) -> Iterator[str]:
    masked = 0
    head = {
        "type": FORMAT,
        "version": VERSION,
        "id": session.pk,
        "title": session.title,
        "agent": {"name": session.agent_snapshot.get("name"), "model": session.agent_snapshot.get("model")},
        "created_at": ev.timestamp(session.created_at),
        "exported_at": ev.timestamp(timezone.now()),
        "status": session.status,
        "usage": session.usage,
        "cost": str(session.cost) if session.cost_known else None,
        "events": session.last_seq,
    }
    for entry in _with_head(head, session):
        clean, count = _masked_entry(entry, secrets)
        masked += count
        if shown and (said := _said(clean)):
            prose = markdown(said)
            if not mask(prose, secrets)[1]:  # a secret is whole again without Markdown's escapes
                clean["shown"] = prose
        yield json.dumps(clean, ensure_ascii=False, separators=(",", ":"), default=str) + "\n"
    yield json.dumps({"type": "end", "events": session.last_seq, "masked": masked}) + "\n"


def _with_head(head: dict[str, Any], session: Session) -> Iterator[dict[str, Any]]:
    yield head
    seq = 0
    while seq < session.last_seq:
        entries = log.read(session.pk, after=seq, limit=min(BATCH, session.last_seq - seq))
        if not entries:
            return
        seq = entries[-1].seq
        yield from (line_of(entry) for entry in entries)


def line_of(entry: Event) -> dict[str, Any]:
    """An event as a line: its wire shape, its number, thread and moment, and the times measured beside it."""
    times = {name: value for name in TIMES if (value := (entry.private or {}).get(name)) is not None}
    about = {"seq": entry.seq, "thread_id": entry.thread_id, "created_at": ev.timestamp(entry.created_at)}
    return {**about, "on_session": entry.on_session, "event": ev.wire(entry), **({"times": times} if times else {})}


def _said(line: Mapping[str, Any]) -> str:
    """What an agent said in a line's event, masked as it is; "" for any other line, and for what pages would cut."""
    event = line.get("event") or {}
    if event.get("type") != ev.AGENT_MESSAGE:
        return ""
    try:
        text = transcript.cut(transcript.content(event.get("content") or ())[0])
    except ev.UNREADABLE:
        return ""
    return "" if text.dropped else text.body


def mask(text: str, secrets: Iterable[Secret]) -> tuple[str, int]:
    """A text without what is secret, and how many values were taken out of it."""
    clean, count = counted(text, secrets)
    clean, more = TOKENS.subn(MASK, clean)
    return clean, count + more


OWN = frozenset({"id", "type", "processed_at"})  # of an event: made here, so no secret, but one may look like them


def _masked_entry(entry: dict[str, Any], secrets: list[Secret]) -> tuple[dict[str, Any], int]:
    """The head or a line of an event with what people and models said masked; what the server wrote stays."""
    said = entry.get("event", entry)
    own = OWN if "event" in entry else entry.keys() - {"title", "agent"}
    clean, count = masked({name: value for name, value in said.items() if name not in own}, secrets)
    whole = {name: said[name] if name in own else clean[name] for name in said if name in own or name in clean}
    whole |= {name: value for name, value in clean.items() if name not in whole}  # a name was masked
    return ({**entry, "event": whole} if "event" in entry else whole), count


def masked(value: Any, secrets: list[Secret]) -> tuple[Any, int]:
    """A JSON value with the texts, names and numbers in it masked, so that it stays one; and how many there were."""
    if isinstance(value, str):
        return mask(value, secrets)
    if isinstance(value, dict):
        pairs = [(masked(str(name), secrets), masked(one, secrets)) for name, one in value.items()]
        return {name: one for (name, _), (one, _) in pairs}, sum(a + b for (_, a), (_, b) in pairs)
    if isinstance(value, list | tuple):
        ones = [masked(one, secrets) for one in value]
        return [one for one, _ in ones], sum(count for _, count in ones)
    if isinstance(value, int | float) and not isinstance(value, bool):
        text, count = mask(json.dumps(value), secrets)
        return (text, count) if count else (value, 0)
    return value, 0


def secrets_in(session: Session) -> list[Secret]:
    """What must be masked in whatever is taken out of a session. ``InvalidRequest`` if a secret can't be opened."""
    found: list[Secret] = []
    for credential in Credential.objects.filter(vault_id__in=session.vault_ids or []):
        try:
            found += secrets_of(credential).values()
        except CannotOpen as error:
            raise InvalidRequest(
                f"The session can't be exported: credential {credential.pk} can't be opened, so its value could not "
                "be masked. Restore the key it was sealed with, or replace the credential."
            ) from error
    return found


def take_in(stream: Any, agent_id: str, environment_id: str, acting: Acting) -> Session:
    """A session with the events of a file, archived: history to read, replay, compare and fork.

    ``agent_id`` and ``environment_id`` say what a fork of it would run with. Raises ``InvalidRequest``, ``TooLarge``.
    """
    acting.require(Permission.OPERATE)
    head, entries = _read(stream)
    try:
        return _stored(head, entries, agent_id, environment_id, acting)
    except (DataError, UnicodeEncodeError):
        raise InvalidRequest("file: holds a text, a number or a time that can't be stored") from None


def _stored(
    head: dict[str, Any], entries: list[dict[str, Any]], agent_id: str, environment_id: str, acting: Acting
) -> Session:
    with transaction.atomic():
        title = f"Import of {head.get('title') or head.get('id')}"[:200]
        body = {"agent": agent_id, "environment_id": environment_id, "title": title}
        session = actions.create_session(body, acting)
        thread = Thread.objects.get(session=session, parent=None)
        rows = _with_blocks([_row(one, number) for number, one in enumerate(entries, start=2)])
        drafts = [*copies(row for row in rows if row.type in KEPT)]
        text = f"{len(drafts)} of {len(entries)} events of {head.get('id')}, exported {head.get('exported_at')}"
        text += unknown(row.type for row in rows)
        drafts.append(Draft(ev.OPS_IMPORTED, {"session_id": str(head.get("id")), "message": text, "by": acting.label}))
        for start in range(0, len(drafts), BATCH):
            log.append(session.pk, thread.pk, drafts[start : start + BATCH])
        audit.record(acting, "session.imported", "agent_sessions.Session", session.pk, after={"events": text})
        actions.archive_session(session.pk, acting)
    return find_session(session.pk, acting)


def unknown(types: Iterable[str]) -> str:
    """What is said of events of types that this version doesn't know: how many, which. Empty if there are none."""
    counts = Counter(one for one in types if one not in ev.KNOWN)
    if not counts:
        return ""
    named = ", ".join(f"{name} ({count})" for name, count in counts.most_common(NAMED))
    more = f" and {len(counts) - NAMED} more types" if len(counts) > NAMED else ""
    return f"; left out because this version doesn't know their type: {counts.total()}, namely {named}{more}"


KEPT = frozenset(
    {
        *(ev.USER_MESSAGE, ev.SYSTEM_MESSAGE, ev.USER_TOOL_CONFIRMATION, ev.AGENT_MESSAGE, ev.AGENT_THINKING),
        *(ev.MODEL_START, ev.MODEL_END, ev.COMPACTED, ev.SESSION_ERROR, *ev.CALLS, *ev.RESULTS),
    }
)


FORMS: dict[str, tuple[tuple[str, type], ...]] = {
    **dict.fromkeys(ev.CALLS, (("input", dict), ("name", str))),
    **dict.fromkeys((ev.USER_MESSAGE, ev.AGENT_MESSAGE), (("content", list),)),
    ev.MODEL_END: (("model_request_start_id", str), ("model_usage", dict)),
    ev.SESSION_ERROR: (("error", dict),),
}


def _read(stream: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    data = _unpacked(stream.read(MAX_BYTES + 1))
    if len(data) > MAX_BYTES:
        raise TooLarge(f"The file is over the limit of {MAX_BYTES // 1024 // 1024} MB.")
    try:
        found = [json.loads(line) for line in data.decode("utf-8").split("\n") if line.strip()]
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise InvalidRequest("file: is not a file of JSON lines as the export makes them") from None
    head = found[0] if found and isinstance(found[0], dict) else {}
    if head.get("type") != FORMAT or head.get("version") != VERSION:
        raise InvalidRequest("file: doesn't begin with the head of a session exported by this version")
    entries = [one for one in found[1:] if isinstance(one, dict) and one.get("type") != "end"]
    if len(entries) > MAX_EVENTS:
        raise InvalidRequest(f"file: holds more than {MAX_EVENTS:,} events")
    return head, entries


def _unpacked(data: bytes) -> bytes:
    """What a compressed file of ``packing`` holds, at most a byte more than a file may; any other as it is."""
    if not data.startswith(GZIP):
        return data
    reader = zlib.decompressobj(wbits=31)
    try:
        found = reader.decompress(data, MAX_BYTES + 1)
    except zlib.error:
        raise InvalidRequest("file: is a damaged gzip file") from None
    if len(found) <= MAX_BYTES and not reader.eof:
        raise InvalidRequest("file: is a gzip file that was cut off")
    return found


def _row(line: dict[str, Any], number: int) -> Event:
    """A line as an event that is not stored. Raises ``InvalidRequest`` that names the line."""
    wire = line.get("event")
    try:
        if not isinstance(wire, dict):
            raise TypeError
        payload = {name: value for name, value in wire.items() if name not in ("id", "type", "processed_at")}
        times: dict[str, Any] = dict(line.get("times") or {})
        event = Event(
            id=str(wire["id"])[:40],
            seq=int(line["seq"]),
            type=str(wire["type"])[:64],
            payload=payload,
            private={name: times[name] for name in TIMES if name in times} or None,
            created_at=datetime.fromisoformat(str(line["created_at"])),
            on_session=bool(line.get("on_session", True)),
        )
        _check(event)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        raise InvalidRequest(f"file: line {number} is not an event as the export writes it") from None
    return event


def _with_blocks(rows: list[Event]) -> list[Event]:
    """Model requests with what the prompt needs of them: which text and calls each reply held, in order."""
    blocks: list[dict[str, Any]] = []
    for row in rows:
        if row.type == ev.MODEL_START:
            blocks = []
        elif row.type == ev.AGENT_MESSAGE:
            count = len(row.payload["content"])
            blocks += [{"type": "text", "event": row.id, "index": index} for index in range(count)]
        elif row.type in ev.CALLS:
            blocks.append({"type": "tool_use", "event": row.id, "id": f"toolu_{row.id}"})
        elif row.type == ev.MODEL_END:
            row.private = {**(row.private or {}), "blocks": blocks}
            used: dict[str, Any] = row.payload.get("model_usage") or {}  # without numbers that were masked
            row.payload["model_usage"] = {
                name: one for name, one in used.items() if name == "speed" or type(one) is int
            }
            blocks = []
    return rows


def _check(event: Event) -> None:
    """What the pages and the columns rely on."""
    if event.created_at.tzinfo is None:
        raise ValueError
    payload = event.payload
    for wanted, kind in FORMS.get(event.type, ()):
        _require(isinstance(payload[wanted], kind))
    _require(isinstance(payload.get("is_error") or False, bool))
    for block in payload.get("content") or ():
        _require(isinstance(block["type"], str) and (block["type"] != "text" or isinstance(block["text"], str)))
    answered = ev.CALL_ID_FIELD.get(event.type)
    _require(answered is None or isinstance(payload[answered], str))
    if event.type == ev.USER_TOOL_CONFIRMATION and event.payload["result"] not in ("allow", "deny"):
        raise ValueError
    times = event.private or {}
    _require(all(math.isfinite(times.get(name, 0)) for name in ("duration_ms", "first_token_ms")))
    _require(isinstance(times.get("model", ""), str) and Decimal(times.get("cost", 0)).is_finite())


def _require(holds: bool) -> None:
    if not holds:
        raise TypeError


def export(session_id: str, acting: Acting) -> tuple[Session, Iterator[str]]:
    """The session and its file. Raises ``NotFound``, ``InvalidRequest``."""
    acting.require(Permission.READ)
    session = bare_session(session_id, acting)
    return session, lines(session, shown=True)
