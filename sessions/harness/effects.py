"""Perform what ``decide`` asked for. Each effect ends in one append under the lease's fence."""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection

from agents import policies, pricing
from agents.providers.base import ModelReply, ModelRequest, ProviderError, TurnInterrupted, Usage
from agents.tools import registry as tools
from contract import ids
from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.harness import compaction
from sessions.harness import decide as do
from sessions.harness.hands.base import CannotCarryOut, Turn
from sessions.harness.hands.registry import Hands
from sessions.harness.permissions import Permissions
from sessions.harness.preview import Preview
from sessions.harness.reply import Ids, Reply, failed_request, request_end, spent
from sessions.inbox import interrupted_result
from sessions.models import Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.sandboxes.base import CallResult
    from sessions.harness.lease import Lease
    from sessions.harness.prompt import Prompt
    from sessions.harness.spec import TurnSpec
    from sessions.harness.state import Call, Failure, ThreadState

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0  # how often a wait looks into the log for an interrupt whose nudge got lost


@cache
def tool_pool() -> ThreadPoolExecutor:
    """Where the calls of all turns of this process wait for their sandboxes."""
    workers = int(settings.HOLDFAST_WORKER_THREADS) * 2
    return ThreadPoolExecutor(max_workers=workers, thread_name_prefix="tool")


class Effects:
    """The shell around ``decide``: one lease, one session, the state it was decided from."""

    def __init__(self, lease: Lease, spec: TurnSpec, state: ThreadState, prompt: Prompt) -> None:
        self.lease, self.spec, self.state, self.prompt = lease, spec, state, prompt
        self.hands = Hands(Turn(spec, state, lease))
        self._looked_at = time.monotonic()

    def perform(self, actions: Sequence[do.Action]) -> list[Event]:
        """Carry out one answer of ``decide``; returns what was appended, in order.

        Raises ``sessions.log.LeaseLost`` or ``Stale``.
        """
        match actions[0]:
            case do.CallModel(resume):
                return self._call_model(resume=resume)
            case do.Remind(kind, text):
                return self._append([Draft(ev.OPS_REMINDER, {"kind": kind, "text": text})])
            case do.Compact():
                return self._compact()
            case do.RunTool() | do.Refuse():
                return self._answer_calls(actions)
            case do.CloseRequest(request_id):
                return self._append([request_end(request_id, Usage(), self._speed, {"lost": True}, is_error=True)])
            case do.Interrupt() as interrupt:
                return self._interrupt(interrupt)
            case do.TakeMessages(messages):
                return self._append([_processed(messages)])
            case do.Retry(failure, at):
                return self._retry(failure, at.isoformat())
            case do.Finish() as finish:
                return self._finish(finish)
            case do.Wait(until):
                raise AssertionError(f"The runner waits by itself (until {until}).")

    def _append(self, drafts: list[Draft], *, expect_seq: int | None = None) -> list[Event]:
        return log.append(self.spec.session_id, self.spec.thread_id, drafts, lease=self.lease, expect_seq=expect_seq)

    @property
    def _speed(self) -> str:
        return str(self.spec.model.get("speed") or "standard")

    def _about(self, **fields: Any) -> dict[str, Any]:
        return {"session_thread_id": self.spec.thread_id, "agent_name": self.spec.agent_name, **fields}

    # The model

    def _call_model(self, *, resume: bool) -> list[Event]:
        names = Ids(request=ids.event_id(), message=ids.event_id(), thinking=ids.event_id())
        opening = [Draft(ev.THREAD_RUNNING, self._about())] if resume else []
        stored = self._append([*opening, Draft(ev.MODEL_START, id=names.request)])
        connection.close()  # back to the pool: the model may take minutes
        preview = Preview(self.spec.session_id, self.spec.thread_id, names)
        try:
            reply = self.spec.provider.stream(self._request(), preview.part, self._should_stop)
            preview.flush()
            drafts = self._reply(names, reply, preview.first_token_ms)
        except ProviderError as error:
            drafts = [failed_request(names.request, error, self._speed)]
        except TurnInterrupted:
            drafts = [request_end(names.request, Usage(), self._speed, {}, is_error=True)]
        return stored + self._append(drafts)

    def _compact(self) -> list[Event]:
        """Ask for a summary in a request of its own, and log that the prompt now starts from it."""
        start_id = ids.event_id()
        stored = self._append([Draft(ev.MODEL_START, id=start_id)])
        connection.close()
        messages = compaction.request(self.prompt.messages, settings.HOLDFAST_COMPACT_AT_TOKENS)
        request = ModelRequest(model=self.spec.model["id"], messages=messages, speed=self._speed)
        try:
            reply = self.spec.provider.stream(request, lambda part: None, self._should_stop)
            drafts = self._summary(start_id, reply)
        except ProviderError as error:
            drafts = [failed_request(start_id, error, self._speed)]
        except TurnInterrupted:
            drafts = [request_end(start_id, Usage(), self._speed, {}, is_error=True)]
        return stored + self._append(drafts)

    def _summary(self, start_id: str, reply: ModelReply) -> list[Draft]:
        text = "\n".join(block["text"] for block in reply.content if block["type"] == "text").strip()
        private = {"usage": spent(reply.usage), "cost": self._cost(reply)}
        end = request_end(start_id, reply.usage, reply.speed, private)
        return [end, Draft(ev.COMPACTED, private={"summary": text or "(The model gave no summary.)"})]

    def _request(self) -> ModelRequest:
        model = self.spec.model
        return ModelRequest(
            model=model["id"],
            messages=list(self.prompt.messages),
            system=self.spec.system,
            tools=self.spec.tool_params,
            effort=self.spec.effort,
            speed=self._speed,
            inference_geo=model.get("inference_geo"),
        )

    def _reply(self, names: Ids, reply: ModelReply, first_token_ms: float | None) -> list[Draft]:
        judging = Permissions(self.spec, self._should_stop)
        builder = Reply(names, ids.event_id, self.spec.grants, tools.check_input, judging.judge)
        return [*builder.drafts(reply, self._cost(reply), first_token_ms), *judging.spent()]

    def _cost(self, reply: ModelReply) -> str | None:
        """Exact dollars as text; None if the model that served has no known price."""
        geo = self.spec.model.get("inference_geo")
        cost = pricing.price(reply.model, reply.usage, speed=reply.speed, geo=geo)
        return str(cost) if cost is not None else None

    def _should_stop(self) -> bool:
        """True once the lease is lost or an interrupt is on the log."""
        if not self.lease.should_stop() and time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._looked_at = time.monotonic()
            waiting = Event.objects.filter(thread_id=self.spec.thread_id, type=ev.USER_INTERRUPT, processed_at=None)
            self.lease.interrupted = self.lease.interrupted or waiting.exists()
            connection.close()
        return self.lease.should_stop()

    # The tools

    def _answer_calls(self, actions: Sequence[do.Action]) -> list[Event]:
        refused = [action.call for action in actions if isinstance(action, do.Refuse)]
        ready = [action.call for action in actions if isinstance(action, do.RunTool)]
        stored = self._append([self._refusal(call) for call in refused]) if refused else []
        sendable: list[Call] = []
        for hand, calls in self.hands.sort(ready):
            try:
                if drafts := hand.open():
                    stored += self._append(drafts)
                sendable += calls
            except CannotCarryOut as error:
                stored += self._append([_error_result(call, str(error)) for call in calls])
        return stored + self._run(sendable)

    def _run(self, calls: list[Call]) -> list[Event]:
        connection.close()
        pool = tool_pool()
        running: dict[Future[CallResult], Call] = {}
        for call in calls:
            reattempt = self.state.may_have_started(call)
            running[pool.submit(self.hands.of(call).call, call, reattempt=reattempt)] = call
        stored: list[Event] = []
        told = False
        while running:
            done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                stored += self._finished(running.pop(future), future)
            if drafts := self.hands.tend():
                stored += self._append(drafts)
            if running and self._should_stop() and not told:
                told = True
                self._stop_hands()
        return stored

    def _stop_hands(self) -> None:
        """An interrupt ends what runs; a lost lease leaves it to the worker that has it now."""
        if self.lease.lost:
            raise log.LeaseLost(self.lease.thread_id)
        self.hands.interrupt()

    def _finished(self, call: Call, future: Future[CallResult]) -> list[Event]:
        try:
            result = future.result()
        except CannotCarryOut as error:
            return self._append([_error_result(call, str(error))])
        private = {"outcome": result.outcome, "duration_ms": round(result.duration_ms, 3)}
        drafts = self.hands.of(call).finished(call, result)
        told = ev.result_draft(call.type, call.id, result.content, is_error=result.is_error, private=private)
        return self._append([*drafts, told])

    def _refusal(self, call: Call) -> Draft:
        return _error_result(call, call.refusal or policies.refusal(call.name))

    # The turn

    def _interrupt(self, interrupt: do.Interrupt) -> list[Event]:
        """Spec core 10.7: close the calls, tell of the interrupt, end the turn; then the next one."""
        drafts = [interrupted_result(call.type, call.id) for call in interrupt.calls]
        drafts.append(_processed(interrupt.interrupts))
        drafts.append(Draft(ev.THREAD_IDLE, self._about(stop_reason=ev.END_TURN, stop_details=None)))
        if interrupt.messages:
            drafts += [_processed(interrupt.messages), Draft(ev.THREAD_RUNNING, self._about())]
        return self._append(drafts)

    def _retry(self, failure: Failure, wake_at: str) -> list[Event]:
        error_type = do.ERROR_TYPES.get(failure.kind, "model_request_failed_error")
        error = do.session_error(error_type, failure.message, "retrying")
        return self._append(
            [
                Draft(ev.SESSION_ERROR, {"error": error}),
                Draft(ev.THREAD_RESCHEDULED, self._about(), private={"wake_at": wake_at}),
            ]
        )

    def _finish(self, finish: do.Finish) -> list[Event]:
        """Go idle, unless something arrived since this was decided."""
        drafts = [Draft(ev.SESSION_ERROR, {"error": finish.error})] if finish.error else []
        if finish.dropped:
            drafts.append(_processed(finish.dropped, dropped=True))
        if finish.cap:
            drafts.append(Draft(ev.OPS_LIMIT_REACHED, {**finish.cap.note(), "message": finish.cap.sentence()}))
        about = self._about(stop_reason=finish.stop_reason, stop_details=finish.stop_details)
        private = {"wake_at": finish.until.isoformat()} if finish.until else None
        return self._append([*drafts, Draft(ev.THREAD_IDLE, about, private=private)], expect_seq=self.state.seq)

    def give_up(self, message: str) -> list[Event]:
        """After a fault of our own: close what is open and go idle, so that a person can decide."""
        drafts: list[Draft] = []
        if self.state.open_request:
            drafts.append(request_end(self.state.open_request, Usage(), self._speed, {}, is_error=True))
        drafts += [interrupted_result(call.type, call.id) for call in self.state.calls.values()]
        error = do.session_error("unknown_error", message, "exhausted")
        about = self._about(stop_reason=ev.RETRIES_EXHAUSTED, stop_details=None)
        return self._append([*drafts, Draft(ev.SESSION_ERROR, {"error": error}), Draft(ev.THREAD_IDLE, about)])


def _processed(event_ids: Sequence[str], *, dropped: bool = False) -> Draft:
    payload: dict[str, Any] = {"event_ids": list(event_ids)}
    return Draft(ev.OPS_PROCESSED, {**payload, "dropped": True} if dropped else payload)


def _error_result(call: Call, text: str) -> Draft:
    return ev.error_draft(call.type, call.id, text)
