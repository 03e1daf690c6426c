"""Where a thread stands, folded from its events. Pure; ``decide`` reads it, nothing stores it.

``ThreadState.advance`` takes one entry at a time, so that a long session costs the same at its
five-hundredth step as at its first.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from sessions import events as ev
from sessions.harness.stuck import Watch
from sessions.outcomes import Outcome, outcome
from sessions.projections.columns import THREAD_STATUS, Clock, SessionColumns, Spent

if TYPE_CHECKING:
    from collections.abc import Callable

    from sessions.events import Entry

CONTEXT_TOKENS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
Verdict = Literal["allow", "deny", "ask"]


@dataclass(slots=True)
class Call:
    """A tool call without a result yet.

    ``type`` is that of its event; ``server`` names the MCP server of an MCP call, whose ``name`` is the server's own.
    ``seq`` is where the log says that it may run. ``verdict``: may run, must be refused, or waits for
    a person or for its client's answer (custom tools always wait). ``refusal`` is the text of the
    error result.
    """

    id: str
    type: str
    name: str
    input: dict[str, Any]
    seq: int
    verdict: Verdict
    refusal: str = ""
    server: str = ""
    outside: bool = False  # once it may run, an outside worker runs it and answers


@dataclass(frozen=True, slots=True)
class Failure:
    """The last model request failed. ``attempt`` counts from 1 within the turn."""

    kind: str
    message: str
    retryable: bool
    retry_after: float | None
    attempt: int
    at: datetime


@dataclass(slots=True)
class ThreadState:
    """A thread after the entry numbered ``seq``.

    ``session`` holds what no thread's own log tells: what the whole session has spent, and its budget.
    """

    thread_id: str
    session: SessionColumns = field(default_factory=SessionColumns)
    seq: int = 0
    status: str = "idle"
    queue: list[str] = field(default_factory=list)  # messages not yet taken into a turn
    mail: list[str] = field(default_factory=list)  # messages of other agents not yet taken in
    interrupts: list[str] = field(default_factory=list)  # interrupts not yet applied
    only_talks_with: str = ""  # the agent that this one does nothing but write to, once that was too much
    open_request: str | None = None  # a model request without its end
    calls: dict[str, Call] = field(default_factory=dict)
    asked: bool = False  # the model owes a reply
    stop_reason: str = "end_turn"  # of the last reply
    stop_details: dict[str, Any] | None = None
    failure: Failure | None = None  # not yet acted upon
    attempts: int = 0  # failed requests since the last reply
    fallback: int = 0  # how many models of this turn have failed for good
    wake_at: datetime | None = None
    trace: str | None = None  # of what started the thread to run
    rounds: int = 0  # replies with tool calls in this turn
    context_tokens: int = 0  # size of the last prompt and its reply
    compactions: int = 0  # since the last reply, with those whose own request was too long
    compacting: bool = False  # the last request was for a summary, and failed
    results: int = 0  # of calls, still whole in the prompt
    sandbox_opened: bool = False
    mcp_failed: set[str] = field(default_factory=set)  # MCP servers, since the thread last started to run
    tools_left_out: dict[str, int] = field(default_factory=dict)  # by MCP server
    spent: Spent = field(default_factory=Spent)
    clock: Clock = field(default_factory=Clock)  # how long it has worked
    outcome: Outcome | None = None  # what the thread works for, until its last evaluation
    others_work: bool = False  # other threads or workflow runs of the session are under way
    watch: Watch = field(default_factory=Watch)
    takeovers: int = 0  # since something was last done
    taken_over_seq: int = 0  # when a worker last took this thread from one that had not let go

    def copied(self) -> ThreadState:
        """A state of its own, to see what entries that are not on the log yet would lead to."""
        own: dict[str, Any] = {
            name: copy(getattr(self, name)) for name in ("queue", "mail", "interrupts", "mcp_failed")
        }
        calls = {call_id: replace(call) for call_id, call in self.calls.items()}
        own |= {"calls": calls, "watch": self.watch.copied(), "tools_left_out": dict(self.tools_left_out)}
        return replace(self, **own)

    def advance(self, entry: Entry) -> None:
        """Take the next entry of this thread into account."""
        self.seq = entry.seq
        if entry.type in PROGRESS:
            self.takeovers = 0
        if status := THREAD_STATUS.get(entry.type):
            self._enter(status, entry)
        elif handler := HANDLERS.get(entry.type):
            handler(self, entry)

    def _enter(self, status: str, entry: Entry) -> None:
        self.trace = (entry.private or {}).get("traceparent", self.trace)
        if status == "running" and self.status == "idle":
            self.mcp_failed = set()
        self.status = status
        self.clock = self.clock.enter(status, entry.created_at)
        wake_at = (entry.private or {}).get("wake_at")
        self.wake_at = datetime.fromisoformat(wake_at) if wake_at else None
        if status == "rescheduling":
            self.failure = None
        elif status == "idle" and entry.payload["stop_reason"]["type"] not in ev.PAUSES:
            self.asked, self.failure, self.attempts, self.rounds = False, None, 0, 0

    def _unattended(self, entry: Entry) -> None:
        self.clock = self.clock.without(entry.payload["since"], entry.created_at)

    def _message(self, entry: Entry) -> None:
        if entry.processed_at is None:
            self.queue.append(entry.id)
        else:
            self._taken()

    def _taken(self) -> None:
        self.asked, self.attempts, self.rounds, self.fallback, self.watch = True, 0, 0, 0, Watch()
        self.compactions, self.compacting = 0, False
        self.only_talks_with = ""

    def _only_talked(self, entry: Entry) -> None:
        self.only_talks_with = entry.payload["with"]

    def _retried(self, entry: Entry) -> None:
        self._taken()

    def _fell_back(self, entry: Entry) -> None:
        self.fallback, self.attempts, self.failure = self.fallback + 1, 0, None

    def _received(self, entry: Entry) -> None:
        if not (entry.private or {}).get("given"):  # advice is in its call's result already
            self.mail.append(entry.id)

    def _define(self, entry: Entry) -> None:
        self.mail.append(entry.id)
        self.outcome = outcome(entry.payload)

    def _evaluation(self, entry: Entry) -> None:
        if self.outcome is not None:
            self.outcome = replace(self.outcome, start=entry.id)

    def _evaluated(self, entry: Entry) -> None:
        self.spent = self.spent.after(entry.private)
        again = entry.payload["result"] == "needs_revision"
        if self.outcome is not None:
            following = replace(self.outcome, iteration=self.outcome.iteration + 1, start="")
            self.outcome = following if again else None
        if again or entry.payload["result"] == "max_iterations_reached":
            self._taken()

    def _interrupt(self, entry: Entry) -> None:
        if entry.processed_at is None:
            self.interrupts.append(entry.id)

    def _processed(self, entry: Entry) -> None:
        done = set(entry.payload["event_ids"])
        taken = [event_id for event_id in (*self.queue, *self.mail) if event_id in done]
        self.mail = [event_id for event_id in self.mail if event_id not in done]
        self.queue = [event_id for event_id in self.queue if event_id not in done]
        self.interrupts = [event_id for event_id in self.interrupts if event_id not in done]
        if taken and not entry.payload.get("dropped") and not self.asked:
            self._taken()  # messages of other agents also come in the middle of a turn, which goes on

    def _tool_use(self, entry: Entry) -> None:
        permission = entry.payload.get("evaluated_permission", "ask")
        refusal = (entry.private or {}).get("refusal", "")
        self.watch.called(entry.id, entry.payload["name"], entry.payload["input"])
        self.calls[entry.id] = Call(
            entry.id,
            entry.type,
            entry.payload["name"],
            entry.payload["input"],
            entry.seq,
            verdict=permission,
            refusal=refusal,
            server=entry.payload.get("mcp_server_name", ""),
            outside=bool((entry.private or {}).get("outside")),
        )

    def _confirmation(self, entry: Entry) -> None:
        call = self.calls.get(entry.payload["tool_use_id"])
        if call is None:
            return
        call.verdict, call.seq = entry.payload["result"], entry.seq
        if call.verdict == "deny":
            nobody = (entry.private or {}).get("via") == "expiry"
            call.refusal = denied(call.name, entry.payload.get("deny_message"), nobody=nobody)

    def _result(self, entry: Entry) -> None:
        self.spent = self.spent.after(entry.private)
        call_id = entry.payload[ev.CALL_ID_FIELD[entry.type]]
        self.calls.pop(call_id, None)
        self.watch.answered(call_id, entry.payload.get("content") or (), is_error=bool(entry.payload.get("is_error")))
        self.results += 1
        if not self.calls:
            self.asked = True

    def _model_start(self, entry: Entry) -> None:
        self.open_request = entry.id

    def _model_end(self, entry: Entry) -> None:
        self.open_request = None
        private = entry.private or {}
        self.spent = self.spent.after(private)
        if failure := private.get("failure"):
            self.attempts += 1
            self.failure = Failure(**failure, attempt=self.attempts, at=entry.created_at)
            self.compacting = bool(private.get("compacting"))
            self.compactions += self.compacting and self.failure.kind == "context_exceeded"
        elif "blocks" in private:
            self.attempts, self.failure, self.compactions, self.compacting = 0, None, 0, False
            used = entry.payload.get("model_usage", {})
            self.context_tokens = private.get("context_tokens") or sum(used.get(kind, 0) for kind in CONTEXT_TOKENS)
            self.stop_reason = private["stop_reason"]
            self.stop_details = private.get("stop_details")
            self.rounds += bool(self.calls)
            self.asked = self.stop_reason == "pause_turn" and not self.calls

    def _judged(self, entry: Entry) -> None:
        self.spent = self.spent.after(entry.private)

    def _edited(self, entry: Entry) -> None:
        """A person changed the call's input; that is what runs."""
        call = self.calls.get(entry.payload["tool_use_id"])
        if call is not None:
            call.input = entry.payload["input"]

    def _compacted(self, entry: Entry) -> None:
        self.compactions += 1
        self.compacting, self.results = False, 0
        self.context_tokens, self.failure = 0, None

    def _cleared(self, entry: Entry) -> None:
        self.results, self.context_tokens = 0, 0

    def _reminded(self, entry: Entry) -> None:
        self.watch.remind()

    def _error(self, entry: Entry) -> None:
        if server := entry.payload["error"].get("mcp_server_name"):
            self.mcp_failed.add(server)

    def _left_out(self, entry: Entry) -> None:
        self.tools_left_out[entry.payload["mcp_server_name"]] = entry.payload["count"]

    def _sandbox_opened(self, entry: Entry) -> None:
        self.sandbox_opened = True

    def _taken_over(self, entry: Entry) -> None:
        self.taken_over_seq = entry.seq
        self.takeovers += 1

    def may_have_started(self, call: Call) -> bool:
        """True if an earlier worker may have handed this call to a sandbox before it died."""
        return self.taken_over_seq > call.seq


def denied(tool_name: str, message: str | None, *, nobody: bool) -> str:
    """What the model reads when a person said no (spec core 10.5), or ``nobody`` answered in time."""
    if nobody:
        return f"The call of {tool_name} was not carried out: a person has to allow it. {message or ''}".rstrip()
    text = f"The call of {tool_name} was denied by the user."
    return f"{text} They said: {message}" if message else text


PROGRESS = frozenset({ev.USER_MESSAGE, ev.AGENT_MESSAGE, ev.OPS_RETRIED}) | ev.CALLS | ev.RESULTS
HANDLERS: dict[str, Callable[[ThreadState, Entry], None]] = {
    ev.USER_MESSAGE: ThreadState._message,
    ev.SYSTEM_MESSAGE: ThreadState._message,
    ev.MESSAGE_RECEIVED: ThreadState._received,
    ev.OPS_WORKFLOW_REPORT: ThreadState._received,
    ev.USER_DEFINE_OUTCOME: ThreadState._define,
    ev.OUTCOME_START: ThreadState._evaluation,
    ev.OUTCOME_END: ThreadState._evaluated,
    ev.USER_INTERRUPT: ThreadState._interrupt,
    ev.OPS_PROCESSED: ThreadState._processed,
    ev.TOOL_USE: ThreadState._tool_use,
    ev.CUSTOM_TOOL_USE: ThreadState._tool_use,
    ev.MCP_TOOL_USE: ThreadState._tool_use,
    ev.OPS_TEAM_USE: ThreadState._tool_use,
    ev.OPS_TEAM_RESULT: ThreadState._result,
    ev.USER_TOOL_CONFIRMATION: ThreadState._confirmation,
    ev.TOOL_RESULT: ThreadState._result,
    ev.USER_CUSTOM_TOOL_RESULT: ThreadState._result,
    ev.USER_TOOL_RESULT: ThreadState._result,
    ev.MCP_TOOL_RESULT: ThreadState._result,
    ev.MODEL_START: ThreadState._model_start,
    ev.MODEL_END: ThreadState._model_end,
    ev.COMPACTED: ThreadState._compacted,
    ev.OPS_REMINDER: ThreadState._reminded,
    ev.OPS_CLEARED: ThreadState._cleared,
    ev.OPS_ONLY_TALK: ThreadState._only_talked,
    ev.OPS_RETRIED: ThreadState._retried,
    ev.OPS_FALLBACK: ThreadState._fell_back,
    ev.OPS_JUDGED: ThreadState._judged,
    ev.OPS_CALL_EDITED: ThreadState._edited,
    ev.SESSION_ERROR: ThreadState._error,
    ev.OPS_TOOLS_LEFT_OUT: ThreadState._left_out,
    ev.OPS_SANDBOX_OPENED: ThreadState._sandbox_opened,
    ev.OPS_TAKEN_OVER: ThreadState._taken_over,
    ev.OPS_UNATTENDED: ThreadState._unattended,
}
