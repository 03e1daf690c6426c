"""Advice of a more capable model (spec advanced 9): one request about the conversation so far, in a thread of its own.

The call's result carries what the request used and cost. An advisor never fails its agent's turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from agents import pricing
from agents.providers.base import ModelReply, ModelRequest, ProviderError, TurnInterrupted
from sessions import events as ev
from sessions import log, threads
from sessions.events import Draft
from sessions.harness import compaction, patience
from sessions.harness import spec as specs
from sessions.harness.reply import spent
from sessions.models import Thread
from sessions.teams import ADVISOR_NAME

if TYPE_CHECKING:
    from sessions.harness.effects import Effects
    from sessions.harness.state import Call
    from sessions.models import Event

ADVISOR_SYSTEM = (
    "You advise an agent that works by itself. You are shown its conversation so far. Say what it should do next and "
    "what it has overlooked; be short and concrete. You can't do anything yourself."
)
QUESTION = "The agent asks: {question}"
NO_QUESTION = "The agent asks for advice on how to go on."
UNAVAILABLE = "The advisor could not be reached. Go on without advice."
MAX_TOKENS = 120_000  # of the conversation that is shown


class Advisor:
    """One consultation of the turn's advisor."""

    def __init__(self, effects: Effects, call: Call) -> None:
        self._effects = effects
        self._call = call
        self._model = effects.spec.team.advisor or ""

    def advise(self) -> list[Event]:
        """Ask, and log the advice as the call's result. An interrupt ends the consultation without advice."""
        child, stored = self._open()
        connection.close()
        try:
            reply = patience.ask(self._effects, self._provider(), self._request(), stored, self._effects.attention)
        except ProviderError:
            return stored + self._close(child, UNAVAILABLE, None)
        except TurnInterrupted:
            self._abandon(child)
            return stored
        advice = "\n".join(block["text"] for block in reply.content if block["type"] == "text").strip()
        return stored + self._close(child, advice or UNAVAILABLE, reply)

    def _provider(self) -> Any:
        return specs.provider(self._model, self._effects.spec.workspace_id)

    def _request(self) -> ModelRequest:
        asked = str(self._call.input.get("question", "")).strip()
        question = QUESTION.format(question=asked) if asked else NO_QUESTION
        shown = compaction.shown(self._effects.prompt.messages, MAX_TOKENS)
        content = [{"type": "text", "text": f"<conversation>\n{shown}\n</conversation>\n{question}"}]
        return ModelRequest(self._model, [{"role": "user", "content": content}], system=ADVISOR_SYSTEM)

    def _open(self) -> tuple[Thread, list[Event]]:
        """A thread for the advisor; one that a dead worker left behind is ended first."""
        with transaction.atomic():
            held = threads.hold(self._effects.spec.session_id)
            for thread in held.threads.values():
                if thread.agent["type"] == "advisor":
                    self._end(thread)
            agent = {"type": "advisor", "model": self._model}
            child, created = threads.open_thread(held, agent, ADVISOR_NAME)
            stored = self._effects.append([created])
            log.append(child.session_id, child.pk, [Draft(ev.THREAD_RUNNING, threads.about(child))])
        return child, stored

    def _close(self, child: Thread, advice: str, reply: ModelReply | None) -> list[Event]:
        content = threads.text(advice)
        private = None if reply is None else {"usage": spent(reply.usage), "cost": _cost(reply)}
        with transaction.atomic():
            held = threads.hold(self._effects.spec.session_id)
            sent = [{"type": "text", "text": advice}]
            received = {"from_session_thread_id": child.pk, "from_agent_name": ADVISOR_NAME, "content": sent}
            told = Draft(ev.MESSAGE_RECEIVED, received, private={"kind": "advice", "name": ADVISOR_NAME, "given": True})
            result = ev.result_draft(self._call.type, self._call.id, content, is_error=reply is None, private=private)
            drafts = [told, result] if reply is not None else [result]
            stored = self._effects.append(drafts)
            if reply is not None:
                log.append(child.session_id, child.pk, [threads.sent(held.primary, sent)])
            self._end(child)
        return stored

    def _abandon(self, child: Thread) -> None:
        with transaction.atomic():
            threads.hold(self._effects.spec.session_id)
            self._end(child)

    def _end(self, thread: Thread) -> None:
        idle = Draft(ev.THREAD_IDLE, threads.about(thread, stop_reason=ev.END_TURN, stop_details=None))
        log.append(thread.session_id, thread.pk, [idle, Draft(ev.THREAD_TERMINATED, threads.about(thread))])
        Thread.objects.filter(pk=thread.pk).update(archived_at=timezone.now())


def _cost(reply: ModelReply) -> str | None:
    cost = pricing.price(reply.model, reply.usage, speed=reply.speed)
    return str(cost) if cost is not None else None
