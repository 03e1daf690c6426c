"""What one request says to one thread: checked against where the thread stands, and turned into entries of its log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contract import ids
from contract.errors import InvalidRequest
from sessions import caps, outcomes, rubrics, threads
from sessions import events as ev
from sessions.approvals import answers
from sessions.events import Draft
from sessions.harness.grading import interrupted_outcome
from sessions.models import Approval, Event, Session, Thread
from sessions.projections import evaluations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from contract.acting import Acting
    from sessions.approvals.answers import Aside

ACCEPTED_AT_CAP = frozenset(
    {ev.USER_INTERRUPT, ev.USER_TOOL_CONFIRMATION, ev.USER_CUSTOM_TOOL_RESULT, ev.USER_TOOL_RESULT}
)
INTERRUPTED = "Tool execution was interrupted before completion. Please retry."


@dataclass(slots=True)
class Intake:
    """What one request appends to one thread, built event by event over the locked row."""

    acting: Acting
    session: Session
    thread: Thread
    asides: Mapping[str, Aside]
    drafts: list[Draft] = field(default_factory=list)
    echo: list[str] = field(default_factory=list)
    wakes: bool = False
    interrupts: bool = False
    at_cap: bool = False
    _pending: dict[str, str] = field(init=False)
    _outside: set[str] = field(init=False)  # calls that wait for their worker once a person allowed them
    _status: str = field(init=False)
    _answered: bool = False
    _queues: bool = False
    _starts: bool = False

    def __post_init__(self) -> None:
        self._pending = {call["id"]: call["kind"] for call in self.thread.pending}
        self._outside = {call["id"] for call in self.thread.pending if "then" in call}
        self._status = self.thread.status

    def take(self, where: str, event: Mapping[str, Any]) -> None:
        """Check one event against the thread as the events before it leave it, and draft it."""
        if self.at_cap and event["type"] not in ACCEPTED_AT_CAP:
            raise caps.refuse_at_cap(self.session, where, ACCEPTED_AT_CAP)
        payload = {key: value for key, value in event.items() if key != "type"}
        if self.thread.parent_id is not None:
            payload["session_thread_id"] = self.thread.id
        private: dict[str, Any] | None = None
        if event["type"] == ev.USER_TOOL_CONFIRMATION:
            self._answer(where, "tool_use_id", "confirmation", payload)
            private = self._decide(payload)
        elif event["type"] == ev.USER_TOOL_RESULT:
            self._check_self_hosted(where)
            self._answer(where, "tool_use_id", "result", payload)
        elif event["type"] == ev.USER_CUSTOM_TOOL_RESULT:
            self._answer(where, "custom_tool_use_id", "custom", payload)
        if event["type"] == ev.USER_INTERRUPT:
            self.interrupt(payload)
        elif event["type"] == ev.USER_DEFINE_OUTCOME:
            self._define(where, payload)
        elif event["type"] in (ev.USER_MESSAGE, ev.SYSTEM_MESSAGE):
            self._message(event["type"], payload)
        else:
            self._draft(event["type"], payload, private=private)

    @property
    def rests(self) -> bool:
        """Whether the thread still rests after the events taken so far."""
        return self._status == "idle" and not (self._answered and not self._pending)

    @property
    def open_calls(self) -> list[str]:
        """The calls that wait for an answer still."""
        return list(self._pending)

    def finish(self) -> list[Draft]:
        """All drafts, with the thread's status after the answers (spec core 10.5)."""
        if self._answered and self._status == "idle":
            if self._pending:
                stop = ev.requires_action(list(self._pending))
                self.drafts.append(Draft(ev.THREAD_IDLE, self._about(stop_reason=stop, stop_details=None)))
            else:
                self._start()
        if self._starts:
            self.drafts.append(Draft(ev.THREAD_RUNNING, self._about()))
        return self.drafts

    def _about(self, **fields: Any) -> dict[str, Any]:
        return threads.about(self.thread, **fields)

    def _draft(
        self,
        event_type: str,
        payload: Mapping[str, Any],
        *,
        processed: bool = True,
        private: Mapping[str, Any] | None = None,
        told: bool = True,
    ) -> str:
        event_id = ids.event_id()
        self.drafts.append(Draft(event_type, payload, private=private, processed=processed, id=event_id))
        if told:
            self.echo.append(event_id)
        return event_id

    def _start(self) -> None:
        """A turn starts; ``finish`` says so after all that this request gives it to work on."""
        self._status = "running"
        self._starts = self.wakes = True

    def _message(self, event_type: str, payload: Mapping[str, Any]) -> None:
        """A message starts a turn if the thread rests; else it waits in the queue (spec core 10.4).

        Behind the last answer it waits for the turn that goes on with it, and what accompanies it waits too.
        """
        self._queues = self._queues or (event_type == ev.USER_MESSAGE and self._answered)
        rests = self._status == "idle" and not self._pending and not self._queues
        self._draft(event_type, payload, processed=rests or self._starts)
        if rests and (event_type == ev.USER_MESSAGE or self._has_context()):
            self._start()

    def _has_context(self) -> bool:
        """A system.message alone starts nothing in a session that was never asked anything."""
        return self.session.last_seq > 0

    def _answer(self, where: str, field_name: str, kind: str, payload: Mapping[str, Any]) -> None:
        call_id = payload[field_name]
        if self._pending.get(call_id) != kind:
            raise InvalidRequest(f"{where}.{field_name}: {self._why_not(call_id, kind)}")
        if kind == "confirmation" and payload["result"] == "allow" and call_id in self._outside:
            self._pending[call_id] = "result"
        else:
            del self._pending[call_id]
        self._answered = True

    def _check_self_hosted(self, where: str) -> None:
        if self.session.environment.config["type"] != "self_hosted":
            raise InvalidRequest(f"{where}.type: Only sessions of self_hosted environments take user.tool_result.")

    def _decide(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Check who decides; draft what they changed. Returns the private part of the confirmation."""
        call_id = payload["tool_use_id"]
        aside = self.asides.get(call_id, answers.PLAIN)
        approval = Approval.objects.filter(pk=call_id).first()
        if approval is not None:
            answers.check(approval, self.session, self.acting, payload["result"], aside)
        if aside.edited is not None:
            before = Event.objects.only("payload").get(pk=call_id).payload
            edited = {"tool_use_id": call_id, "name": before["name"], "before": before["input"], "input": aside.edited}
            self.drafts.append(Draft(ev.OPS_CALL_EDITED, {**edited, "by": self.acting.label}))
        who = {"by": self.acting.label, "user_id": self.acting.user_id, "api_key_id": self.acting.api_key_id}
        return {**who, "via": aside.via, "shown": aside.shown}

    def _why_not(self, call_id: str, kind: str) -> str:
        call = Event.objects.filter(pk=call_id, session_id=self.session.id).first()
        if call is None or call.type not in ev.CALLS:
            return f"There is no tool use {call_id} in this session."
        if call.type == ev.CUSTOM_TOOL_USE and kind == "confirmation":
            return f"{call_id} is a custom tool use; answer it with user.custom_tool_result."
        if call.type != ev.CUSTOM_TOOL_USE and kind == "custom":
            return f"{call_id} is not a custom tool use; answer it with user.tool_confirmation."
        if kind == "result":
            return f"{call_id} doesn't wait for a result."
        if call.type != ev.CUSTOM_TOOL_USE and call.payload.get("evaluated_permission") != "ask":
            return f"{call_id} doesn't wait for a confirmation: its evaluated_permission isn't ask."
        approval = Approval.objects.filter(pk=call_id).first()
        return (approval and answers.answered(approval)) or f"{call_id} has already been answered."

    def interrupt(self, payload: Mapping[str, Any], *, told: bool = True) -> None:
        """Apply an interrupt, or queue it for the worker; at the budget's cap there is nothing to stop.

        ``told`` false: the interrupt is on another thread's log and concerns this one too.
        """
        if self._status != "idle":
            self._draft(ev.USER_INTERRUPT, payload, processed=False, told=told)
            self.interrupts = self.wakes = True
            return
        if not self._pending and (self.at_cap or not told):
            return  # accepted, ignored, never persisted (spec core 10.7)
        self._draft(ev.USER_INTERRUPT, payload, told=told)
        self._end_outcome()
        if self._pending:
            self._close_pending()

    def _end_outcome(self) -> None:
        """An interrupt ends the outcome that the session works for (spec core 10.8)."""
        wanted = evaluations.active(tuple(self.session.outcomes)) if self.thread.parent_id is None else None
        if wanted is not None:
            self.drafts.append(interrupted_outcome(wanted))

    def _define(self, where: str, payload: dict[str, Any]) -> None:
        """An outcome starts work by itself, or waits for the turn under way (spec core 10.8)."""
        if evaluations.active(tuple(self.session.outcomes)) is not None:
            raise InvalidRequest(
                f"{where}: The session works for an outcome already; define another once that one has its last "
                "span.outcome_evaluation_end."
            )
        rests = self._status == "idle" and not self._pending and not self._answered
        payload["outcome_id"] = ids.outcome_id()
        payload["rubric"] = {
            "type": "text",
            "content": rubrics.text_of(f"{where}.rubric", payload["rubric"], self.session),
        }
        payload["max_iterations"] = payload.get("max_iterations") or outcomes.DEFAULT_ITERATIONS
        event_id = self._draft(ev.USER_DEFINE_OUTCOME, payload)
        if rests:
            self.drafts.append(Draft(ev.OPS_PROCESSED, {"event_ids": [event_id]}))
            self._start()

    def _close_pending(self) -> None:
        """Nobody will answer now: close the calls and end the turn, without asking the model."""
        types = dict(Event.objects.filter(pk__in=self._pending).values_list("pk", "type"))
        for call_id, kind in self._pending.items():
            outside = kind == "result" or call_id in self._outside
            self.drafts.append(interrupted_result(types[call_id], call_id, outside=outside))
        self._pending = {}
        self._answered = False
        stop = Draft(ev.THREAD_IDLE, self._about(stop_reason=ev.END_TURN, stop_details=None))
        self.drafts.append(stop)
        self._start_queued()

    def _start_queued(self) -> None:
        """Messages that waited behind the calls make the next turn."""
        queued = Event.objects.filter(
            thread_id=self.thread.id, processed_at=None, type__in=(ev.USER_MESSAGE, ev.SYSTEM_MESSAGE)
        ).order_by("seq")
        waiting = list(queued.values_list("pk", flat=True))
        if waiting:
            self._start()
            self.drafts.append(Draft(ev.OPS_PROCESSED, {"event_ids": waiting}))


def interrupted_result(call_type: str, call_id: str, *, outside: bool = False) -> Draft:
    """The error result that closes a call whose turn was interrupted (spec core 10.7).

    An outside worker counts a call as open until it sees the result that itself would have sent.
    """
    if outside:
        content = [{"type": "text", "text": INTERRUPTED}]
        return Draft(ev.USER_TOOL_RESULT, {"tool_use_id": call_id, "content": content, "is_error": True})
    return ev.error_draft(call_type, call_id, INTERRUPTED)
