"""Compaction as the loop carries it out: by the model's server where it can, else by a request of our own.

Either way it is one request on the log and one ``agent.thread_context_compacted``; the log itself stays whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from agents.providers.base import ModelReply, ModelRequest, ProviderError, TurnInterrupted, Usage
from contract import ids
from sessions import events as ev
from sessions.events import Draft
from sessions.harness import compaction, spans
from sessions.harness.pace import Telling
from sessions.harness.reply import failed_request, request_end, spent

if TYPE_CHECKING:
    from sessions.harness.effects import Effects
    from sessions.models import Event

ASKED = 2  # times for a summary in words, for some replies are empty


def compact(effects: Effects, *, resume: bool) -> list[Event]:
    """Have the conversation summarised, and log that the prompt now starts from the summary."""
    start_id = ids.event_id()
    stored = effects.begin_request(start_id, resume=resume)
    connection.close()  # back to the pool: the model may take minutes
    try:
        drafts = _drafts(effects, start_id, Telling(effects, stored))
    except ProviderError as error:
        drafts = [failed_request(start_id, error, effects.speed, compacting=True)]
    except TurnInterrupted:
        drafts = [request_end(start_id, Usage(), effects.speed, {}, is_error=True)]
    return stored + effects.append(drafts)


def _drafts(effects: Effects, start_id: str, telling: Telling) -> list[Draft]:
    theirs = _by_the_server(effects, telling)
    block = next((one for one in theirs.content if one["type"] == "compaction"), None) if theirs else None
    if theirs is not None and block is not None and block.get("content"):
        return [_end(effects, start_id, theirs, theirs.usage), Draft(ev.COMPACTED, private={"block": block})]
    return _in_words(effects, start_id, theirs.usage if theirs is not None else Usage(), telling)


def _in_words(effects: Effects, start_id: str, used: Usage, telling: Telling) -> list[Draft]:
    """A summary by a request of our own; a model that gives none, asked twice, keeps the conversation cut short."""
    messages, window, tried = effects.prompt.messages, settings.HOLDFAST_COMPACT_AT_TOKENS, effects.state.compactions
    asking = compaction.request(messages, window, tried)
    for _ in range(ASKED):
        reply = _by_a_request(effects, asking, telling)
        used = used + reply.usage
        if text := "\n".join(block["text"] for block in reply.content if block["type"] == "text").strip():
            break
    else:
        text = compaction.instead(messages, window, tried)
    return [_end(effects, start_id, reply, used), Draft(ev.COMPACTED, private={"summary": text})]


def _by_the_server(effects: Effects, telling: Telling) -> ModelReply | None:
    """The server's own summary, of the very prompt that its cache holds; None where it makes none.

    A prompt that is too long for the model is too long for this as well: ours is then cut to fit.
    """
    request = effects.request()
    try:
        with spans.model(effects.spec, effects.model["id"], request.messages) as told:
            reply = effects.provider().compact(request, telling.part, effects.attention)
            return told(reply) if reply is not None else None
    except ProviderError as error:
        if error.kind == "context_exceeded":
            return None
        raise


def _by_a_request(effects: Effects, messages: list[dict[str, Any]], telling: Telling) -> ModelReply:
    request = ModelRequest(model=effects.model["id"], messages=messages, speed=effects.speed)
    with spans.model(effects.spec, effects.model["id"], messages) as told:
        return told(effects.provider().stream(request, telling.part, effects.attention))


def _end(effects: Effects, start_id: str, reply: ModelReply, used: Usage) -> Draft:
    private: dict[str, Any] = {"usage": spent(used), "cost": effects.cost(replace(reply, usage=used))}
    return request_end(start_id, used, reply.speed, private)
