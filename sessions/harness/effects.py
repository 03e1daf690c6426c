"""Perform what ``decide`` asked for. Each effect ends in one append under the lease's fence."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from django.db import connection

from agents import policies, pricing
from agents.providers.base import ModelReply, ModelRequest, ProviderError, TurnInterrupted, Usage
from agents.tools import coordination
from agents.tools import registry as tools
from contract import ids
from contract.errors import NoRoom
from sessions import events as ev
from sessions import log, threads
from sessions.events import Draft
from sessions.harness import advising, compacting, compaction, grading, patience, reports, spans
from sessions.harness import decide as do
from sessions.harness import spec as specs
from sessions.harness.bell import Attention
from sessions.harness.calls import Calls
from sessions.harness.hands.base import CannotCarryOut, Turn
from sessions.harness.hands.registry import Hands, opened
from sessions.harness.keeping import bounded
from sessions.harness.lease import keeper
from sessions.harness.pace import Telling
from sessions.harness.permissions import Permissions, Rules
from sessions.harness.preview import Preview
from sessions.harness.reply import Ids, Reply, failed_request, request_end
from sessions.harness.team import TeamWork
from sessions.intake import interrupted_result
from sessions.models import Event
from sessions.projections.faults import of_provider, session_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

    from agents.providers.base import Provider
    from agents.sandboxes.base import CallResult
    from sessions.harness.lease import Lease
    from sessions.harness.prompt import Prompt
    from sessions.harness.spec import TurnSpec
    from sessions.harness.state import Call, ThreadState
    from sessions.projections.columns import SessionColumns

logger = logging.getLogger(__name__)

COUNTED = {"web_search": "web_search_requests", "web_fetch": "web_fetch_requests"}  # in a session's usage
POLL_SECONDS = 0.1
ROOM_SECONDS = 2.0  # between two looks at a full disk


class Course(Protocol):
    """Where the turn goes: what ``Effects`` asks of the one that decides."""

    def asks_model(self, coming: Sequence[Event], seen: SessionColumns) -> bool:
        """Whether the model is asked next, once entries that are not in the state yet are on the log."""

    def fold(self, stored: list[Event]) -> None:
        """Bring the state and the prompt up to date with what was appended."""


class Effects:
    """The shell around ``decide``: one lease, one session, the state it was decided from."""

    def __init__(self, lease: Lease, spec: TurnSpec, state: ThreadState, prompt: Prompt, course: Course) -> None:
        self.lease, self.spec, self.state, self.prompt, self.course = lease, spec, state, prompt, course
        self.hands = Hands(Turn(spec, state, lease))
        self._rules = Rules(spec, lease)
        self.team = TeamWork(spec, lease)
        self.attention = Attention(self.should_stop, lease.changed)

    def perform(self, actions: Sequence[do.Action]) -> list[Event]:
        """Carry out one answer of ``decide``; returns what was appended and is not in ``state`` yet, in order.

        Raises ``sessions.log.LeaseLost`` or ``Stale``.
        """
        match actions[0]:
            case do.CallModel(resume):
                return self._call_model(resume=resume)
            case do.Compact(resume):
                return compacting.compact(self, resume=resume)
            case do.RunTool() | do.Refuse():
                return self._answer_calls(actions)
            case do.CloseRequest(request_id):
                return self.append([request_end(request_id, Usage(), self.speed, {"lost": True}, is_error=True)])
            case do.Interrupt() as interrupt:
                return self._interrupt(interrupt)
            case do.TakeMessages() | do.Remind() | do.ClearResults() as note:
                return self.append([_note(note)])
            case do.Grade(wanted):
                return grading.Grader(self, wanted).run()
            case do.Retry() | do.FallBack() as failed:
                return self._retry(failed) if isinstance(failed, do.Retry) else self._fall_back(failed)
            case do.Park(reason):
                return self.give_up(reason)
            case do.Finish() as finish:
                return self._finish(finish)
            case do.Wait(until):
                raise AssertionError(f"The runner waits by itself (until {until}).")

    def append(
        self,
        drafts: list[Draft],
        *,
        expect_seq: int | None = None,
        then: log.Then | None = None,
        untouched: bool = False,
    ) -> list[Event]:
        of = self.spec.session_id, self.spec.thread_id
        return log.append(*of, drafts, lease=self.lease, expect_seq=expect_seq, then=then, untouched=untouched)

    @property
    def speed(self) -> str:
        return str(self.model.get("speed") or "standard")

    @property
    def model(self) -> Mapping[str, Any]:
        """The model to ask: the agent's own, or the one it fell back to, without the former's speed and place."""
        if self.state.fallback == 0:
            return self.spec.model
        return {"id": self.spec.fallbacks[self.state.fallback - 1], "effort": self.spec.model.get("effort")}

    def provider(self) -> Provider:
        if self.state.fallback == 0:
            return self.spec.provider
        return specs.provider(self.model["id"], self.spec.workspace_id)

    def _about(self, **fields: Any) -> dict[str, Any]:
        return {"session_thread_id": self.spec.thread_id, "agent_name": self.spec.agent_name, **fields}

    # The model

    def _call_model(self, *, resume: bool) -> list[Event]:
        names = _new_ids()
        return self.begin_request(names.request, resume=resume) + self._ask(names)

    def begin_request(self, request_id: str, *, resume: bool) -> list[Event]:
        """Put the mark of a model request on the log; with ``resume`` the thread waited for it and runs again."""
        opening = [Draft(ev.THREAD_RUNNING, self._about())] if resume else []
        return self.append([*opening, Draft(ev.MODEL_START, id=request_id)])

    def _ask(self, names: Ids) -> list[Event]:
        """Ask the model; the mark of the request is on the log."""
        connection.close()  # back to the pool: the model may take minutes
        stored: list[Event] = []
        preview = Preview(self.spec.session_id, self.spec.thread_id, names)
        telling = Telling(self, stored, preview.part)
        try:
            with spans.model(self.spec, self.model["id"], self.prompt.messages) as told:
                reply = told(self.provider().stream(self.request(), telling.part, self.attention))
            preview.flush()
            return stored + self._take_in(names, reply, preview.first_token_ms)
        except ProviderError as error:
            drafts = [failed_request(names.request, error, self.speed)]
        except TurnInterrupted:
            drafts = [request_end(names.request, Usage(), self.speed, {}, is_error=True)]
        return stored + self.append(drafts)

    def _take_in(self, names: Ids, reply: ModelReply, first_token_ms: float | None) -> list[Event]:
        """Put a reply on the log, its calls judged by the rules as they are at that moment."""
        if self._rules.known:
            with suppress(log.Touched):
                return self.append(self._reply(names, reply, first_token_ms, anew=False), untouched=True)
        return self.append(self._reply(names, reply, first_token_ms, anew=True))

    def request(self) -> ModelRequest:
        """The next request: the whole prompt, and what may be done about it."""
        model = self.model
        return ModelRequest(
            model=model["id"],
            messages=list(self.prompt.messages),
            system=self.spec.system,
            tools=self.spec.tool_params,
            effort=self.spec.effort,
            speed=self.speed,
            inference_geo=model.get("inference_geo"),
            encoded=self.prompt.encoded,
        )

    def _reply(self, names: Ids, reply: ModelReply, first_token_ms: float | None, *, anew: bool) -> list[Draft]:
        judging = Permissions(self.spec, self.should_stop, self._rules, anew=anew)
        builder = Reply(names, ids.event_id, self.spec.grants, tools.check_input, judging.judge, self.spec.outside)
        guessed = compaction.tokens(self.prompt.messages, reply.usage, self.prompt.encoded.length)
        return [*builder.drafts(reply, self.cost(reply), first_token_ms, guessed), *judging.spent()]

    def cost(self, reply: ModelReply) -> str | None:
        """Exact dollars as text; None if the model that served has no known price."""
        geo = self.model.get("inference_geo")
        cost = pricing.price(reply.model, reply.usage, speed=reply.speed, geo=geo)
        return str(cost) if cost is not None else None

    def should_stop(self) -> bool:
        """True once the lease is lost or an interrupt is on the log."""
        if self.lease.suspected and not self.lease.should_stop():
            self.lease.suspected = False
            of = {"session_id": self.spec.session_id, "thread_id": self.spec.thread_id}
            waiting = Event.objects.filter(**of, type=ev.USER_INTERRUPT, processed_at=None).exists()
            self.lease.interrupted = self.lease.interrupted or waiting
            connection.close()
        return self.lease.should_stop()

    # The tools

    def _answer_calls(self, actions: Sequence[do.Action]) -> list[Event]:
        refused = [action.call for action in actions if isinstance(action, do.Refuse)]
        ready = [action.call for action in actions if isinstance(action, do.RunTool)]
        stored = self.append([self._refusal(call) for call in refused]) if refused else []
        stored += self._work_together([call for call in ready if call.type == ev.OPS_TEAM_USE])
        ready = [call for call in ready if call.type != ev.OPS_TEAM_USE]
        sendable: list[Call] = []
        for hand, calls in self.hands.sort(ready):
            try:
                stored += opened(hand, self.append)
                sendable += calls
            except CannotCarryOut as error:
                stored += self.append([_error_result(call, str(error)) for call in calls])
        self._run(sendable, stored)
        if not stored or stored[-1].type != ev.MODEL_START:
            return stored
        self.course.fold(stored)
        return self._ask(_new_ids(stored[-1].id))

    def _work_together(self, calls: Sequence[Call]) -> list[Event]:
        """Coordination calls, one after another; advice, which takes long, is one a step, when nothing else is left."""
        quick = [call for call in calls if call.name != coordination.ADVISE.name]
        stored = [event for call in quick for event in self.team.perform(call)]
        if calls and not quick:
            stored += advising.Advisor(self, calls[0]).advise()
        return stored

    def _run(self, calls: list[Call], stored: list[Event]) -> None:
        """Carry out calls side by side; what is appended is added to ``stored``."""
        connection.close()
        running = Calls()
        for call in calls:
            reattempt = self.state.may_have_started(call)
            running.start(call, spans.tool(self.spec, call, self.hands.of(call).call), reattempt=reattempt)
        told = False
        while running:
            if over := running.over(POLL_SECONDS):
                self._finished(*over, stored, None if running else partial(self._go_on, stored))
            if running and (drafts := self.hands.tend()):
                stored += self.append(drafts)
            if running and self.should_stop() and not told:
                told = True
                self._stop_hands()

    def _stop_hands(self) -> None:
        """An interrupt ends what runs; a lost lease leaves it to the worker that has it now."""
        if self.lease.lost:
            raise log.LeaseLost(self.lease.thread_id)
        self.hands.interrupt()

    def _go_on(self, stored: list[Event], coming: list[Event], seen: SessionColumns) -> list[Draft]:
        """If the model is asked next, the mark of its request goes with the last result: one commit less a step."""
        return [Draft(ev.MODEL_START)] if self.course.asks_model([*stored, *coming], seen) else []

    def _finished(self, call: Call, future: Future[CallResult], stored: list[Event], then: log.Then | None) -> None:
        try:
            result = future.result()
        except CannotCarryOut as error:
            stored += self.append([_error_result(call, str(error))], then=then)
            return
        private: dict[str, Any] = {"outcome": result.outcome, "duration_ms": round(result.duration_ms, 3)}
        if counter := COUNTED.get(call.name) if call.type == ev.TOOL_USE else None:
            private |= {"usage": {counter: 1}, "cost": "0"}
        drafts = self._once_there_is_room(partial(self.hands.of(call).finished, call, result), stored)
        content = bounded(result.content, call, self.spec, self.hands, partial(self._tell, stored))
        told = ev.result_draft(call.type, call.id, content, is_error=result.is_error, private=private)
        stored += self.append([*drafts, told], then=then)

    def _once_there_is_room(self, keep: Callable[[], list[Draft]], stored: list[Event]) -> list[Draft]:
        """What ``keep`` answers, asked again while the disk is full; the timeline says so once.

        Raises ``NoRoom`` when the turn must end meanwhile: the sandbox's journal has the result for whoever comes.
        """
        told = False
        while True:
            try:
                return keep()
            except NoRoom as error:
                if self.should_stop() or keeper().draining:
                    raise
                stored += [] if told else self.append([Draft(ev.OPS_NO_ROOM, {"message": error.message})])
                told = True
                connection.close()
                self.lease.changed.wait(ROOM_SECONDS)

    def _tell(self, stored: list[Event], drafts: list[Draft]) -> list[Event]:
        news = self.append(drafts)
        stored += news
        return news

    def _refusal(self, call: Call) -> Draft:
        return _error_result(call, call.refusal or policies.refusal(call.name))

    # The turn

    def _interrupt(self, interrupt: do.Interrupt) -> list[Event]:
        """Spec core 10.7: close the calls, tell of the interrupt, end the turn; then the next one."""
        drafts = [interrupted_result(call.type, call.id, outside=call.outside) for call in interrupt.calls]
        drafts.append(_processed(interrupt.interrupts))
        if self.state.outcome is not None:
            drafts.append(grading.evaluation_end(self.state.outcome, "interrupted", "The work was interrupted."))
        drafts.append(Draft(ev.THREAD_IDLE, self._about(stop_reason=ev.END_TURN, stop_details=None)))
        if interrupt.messages:
            drafts += [_processed(interrupt.messages), Draft(ev.THREAD_RUNNING, self._about())]
        return self.append(drafts)

    def _retry(self, retry: do.Retry) -> list[Event]:
        seconds = (retry.at - self.lease.now()).total_seconds()
        waits = Draft(ev.THREAD_RESCHEDULED, self._about(), private={"wake_at": retry.at.isoformat()})
        return self.append([*patience.told(retry.failure, seconds, retry.of), waits])

    def _fall_back(self, fall_back: do.FallBack) -> list[Event]:
        failure = fall_back.failure
        error_type = of_provider(failure.kind)
        error = session_error(error_type, failure.message, "retrying")
        told = {"from": self.model["id"], "to": fall_back.model, "reason": failure.message}
        return self.append([Draft(ev.SESSION_ERROR, {"error": error}), Draft(ev.OPS_FALLBACK, told)])

    def _finish(self, finish: do.Finish) -> list[Event]:
        """Go idle, unless something arrived since this was decided."""
        drafts = [Draft(ev.SESSION_ERROR, {"error": finish.error})] if finish.error else []
        if finish.dropped:
            drafts.append(_processed(finish.dropped, dropped=True))
        if finish.cap:
            drafts.append(Draft(ev.OPS_LIMIT_REACHED, {**finish.cap.note(), "message": finish.cap.sentence()}))
        about = self._about(stop_reason=finish.stop_reason, stop_details=finish.stop_details)
        drafts.append(Draft(ev.THREAD_IDLE, about))
        if self.spec.leads:
            return self.append(drafts, expect_seq=self.state.seq)
        return self._rest(drafts, finish, expect_seq=self.state.seq)

    def _rest(self, drafts: list[Draft], finish: do.Finish, *, expect_seq: int | None) -> list[Event]:
        """The end of a child's turn: it reports to the thread that started it; one that failed ends (advanced 8.7)."""
        report = reports.report(finish.stop_reason, finish.error, self.prompt.last_reply())
        if report is not None and (report.failed or self.spec.workflow):
            drafts.append(Draft(ev.THREAD_TERMINATED, self._about()))
        return threads.rest(self.lease, drafts, report, expect_seq=expect_seq)

    def give_up(self, message: str) -> list[Event]:
        """After a fault of our own: close what is open and go idle, so that a person can decide."""
        drafts: list[Draft] = []
        if self.state.open_request:
            drafts.append(request_end(self.state.open_request, Usage(), self.speed, {}, is_error=True))
        calls = self.state.calls.values()
        drafts += [interrupted_result(call.type, call.id, outside=call.outside) for call in calls]
        error = session_error("unknown_error", message, "exhausted")
        about = self._about(stop_reason=ev.RETRIES_EXHAUSTED, stop_details=None)
        drafts += [Draft(ev.OPS_PARKED, {"reason": message}), Draft(ev.SESSION_ERROR, {"error": error})]
        drafts.append(Draft(ev.THREAD_IDLE, about))
        if self.spec.leads:
            return self.append(drafts)
        return self._rest(drafts, do.Finish(ev.RETRIES_EXHAUSTED, error=error), expect_seq=None)


def _new_ids(request: str = "") -> Ids:
    return Ids(request=request or ids.event_id(), message=ids.event_id(), thinking=ids.event_id())


def _processed(event_ids: Sequence[str], *, dropped: bool = False) -> Draft:
    payload: dict[str, Any] = {"event_ids": list(event_ids)}
    return Draft(ev.OPS_PROCESSED, {**payload, "dropped": True} if dropped else payload)


def _note(action: do.TakeMessages | do.Remind | do.ClearResults) -> Draft:
    if isinstance(action, do.ClearResults):
        return Draft(ev.OPS_CLEARED, {"results": action.count})
    if isinstance(action, do.Remind):
        return Draft(ev.OPS_REMINDER, {"kind": action.kind, "text": action.text})
    return _processed(action.messages)


def _error_result(call: Call, text: str) -> Draft:
    return ev.error_draft(call.type, call.id, text)
