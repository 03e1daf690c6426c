"""Grading an outcome: a request to the model in a context of its own, with heartbeats on the log meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import connection

from agents.providers.base import ModelReply, ModelRequest, ProviderError, TurnInterrupted, Usage
from contract import blobs, ids
from sessions import events as ev
from sessions import outcomes
from sessions.events import Draft
from sessions.harness import patience
from sessions.harness.attachments import TEXT_TYPES
from sessions.harness.reply import spent
from sessions.models import File
from sessions.projections.columns import Usage as Used

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sessions.harness.effects import Effects
    from sessions.models import Event
    from sessions.outcomes import Outcome, Verdict

HEARTBEAT_SECONDS = 20.0
ATTEMPTS = 3  # answers, until one holds a verdict
MAX_FILES = 100
MAX_TEXT = 60_000  # bytes of one file that the grader reads
MAX_ALL_TEXT = 400_000
MAX_SEEN = 5  # images and PDFs
MAX_SEEN_BYTES = 5 * 1024 * 1024
SEEN = {"image/png": "image", "image/jpeg": "image", "image/gif": "image", "image/webp": "image"}
SEEN_TYPES = {**SEEN, "application/pdf": "document"}
NONSENSE = "The grader gave no verdict that could be read, several times in a row."


@dataclass(slots=True)
class Bill:
    """What the grader's requests used and cost."""

    usage: Usage = field(default_factory=Usage)
    stored: Used = field(default_factory=Used)
    cost: Decimal | None = Decimal(0)

    def add(self, reply: ModelReply, cost: str | None) -> None:
        self.usage += reply.usage
        self.stored = self.stored.plus(Used.load(spent(reply.usage)))
        self.cost = None if cost is None or self.cost is None else self.cost + Decimal(cost)

    def private(self) -> dict[str, Any]:
        return {"usage": self.stored.dump(), "cost": None if self.cost is None else str(self.cost)}


class Grader:
    """One evaluation of the turn's outcome."""

    def __init__(self, effects: Effects, wanted: Outcome) -> None:
        self._effects = effects
        self._wanted = wanted
        self._bill = Bill()
        self._beat_at = time.monotonic() + HEARTBEAT_SECONDS
        self._beats: list[Event] = []

    def run(self) -> list[Event]:
        """Evaluate and log the verdict. An interrupt leaves the evaluation open: the loop ends it."""
        stored: list[Event] = []
        if not self._wanted.start:
            start = Draft(ev.OUTCOME_START, self._about(), id=ids.event_id())
            stored = self._effects.append([start])
            self._wanted = replace(self._wanted, start=start.id or "")
        question = outcomes.question(self._wanted, list(delivered(self._effects)), self._effects.prompt.last_reply())
        connection.close()
        try:
            given = self._ask(question)
        except TurnInterrupted:
            return stored + self._beats
        result = outcomes.ended(self._wanted, given)
        end = evaluation_end(self._wanted, result, given.explanation, self._bill)
        return stored + self._beats + self._effects.append([end])

    def _about(self) -> dict[str, Any]:
        return {"outcome_id": self._wanted.id, "iteration": self._wanted.iteration}

    def _ask(self, question: list[dict[str, Any]]) -> Verdict:
        request = self._request(question)
        for _ in range(ATTEMPTS):
            try:
                reply = patience.ask(self._effects, self._effects.provider(), request, self._beats, self._should_stop)
            except ProviderError as error:
                return outcomes.Verdict("failed", f"The grader could not be asked: {error.message}")
            self._bill.add(reply, self._effects.cost(reply))
            if given := outcomes.verdict(reply.content):
                return given
        return outcomes.Verdict("failed", NONSENSE)

    def _request(self, question: list[dict[str, Any]]) -> ModelRequest:
        model = self._effects.model
        return ModelRequest(
            model=model["id"],
            messages=question,
            system=outcomes.GRADER_SYSTEM,
            tools=[outcomes.VERDICT_TOOL],
            effort=self._effects.spec.effort,
            speed=self._effects.speed,
            inference_geo=model.get("inference_geo"),
        )

    def _should_stop(self) -> bool:
        if self._effects.should_stop():
            return True
        if time.monotonic() >= self._beat_at:
            self._beat_at = time.monotonic() + HEARTBEAT_SECONDS
            self._beats += self._effects.append([Draft(ev.OUTCOME_ONGOING, self._about())])
            connection.close()
        return False


def evaluation_end(wanted: Outcome, result: str, explanation: str, bill: Bill | None = None) -> Draft:
    """The end of an evaluation, or of an outcome that was never evaluated (advanced 11.2)."""
    bill = bill or Bill()
    usage = bill.usage
    payload = {
        "outcome_id": wanted.id,
        "iteration": wanted.iteration,
        "outcome_evaluation_start_id": wanted.start,
        "result": result,
        "explanation": explanation,
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cache_creation_input_tokens": usage.cache_creation_input_tokens,
            "cache_read_input_tokens": usage.cache_read_input_tokens,
        },
    }
    return Draft(ev.OUTCOME_END, payload, private=bill.private())


def interrupted_outcome(entry: Mapping[str, Any]) -> Draft:
    """The end of an outcome (its entry of ``outcome_evaluations``) that an interrupt ended while nobody worked."""
    wanted = outcomes.Outcome(entry["outcome_id"], entry["description"], "", 0, entry["iteration"])
    return evaluation_end(wanted, "interrupted", "The work was interrupted.")


def delivered(effects: Effects) -> Sequence[outcomes.Deliverable]:
    """The session's outputs as the grader sees them: texts as they are, a few images and PDFs, the rest by name."""
    rows = File.objects.filter(session_id=effects.spec.session_id).exclude(path="").order_by("path")[:MAX_FILES]
    left, seen = MAX_ALL_TEXT, 0
    found: list[outcomes.Deliverable] = []
    for row in rows:
        text = block = None
        if row.mime_type.startswith(TEXT_TYPES) and left > 0:
            text = _text(row, min(MAX_TEXT, left))
            left -= len(text or "")
        elif row.mime_type in SEEN_TYPES and row.size_bytes <= MAX_SEEN_BYTES and seen < MAX_SEEN:
            seen += 1
            block = _seen(row, effects.prompt.resolve)
        found.append(outcomes.Deliverable(row.path, row.size_bytes, text, block))
    return found


def _text(row: File, limit: int) -> str | None:
    if not blobs.exists(row.digest):
        return None
    with blobs.open(row.digest) as stream:
        data = stream.read(limit + 1)
    cut = f"\n[cut: the file has {row.size_bytes:,} bytes]" if len(data) > limit else ""
    return data[:limit].decode("utf-8", errors="replace") + cut


def _seen(row: File, resolve: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    return resolve({"type": SEEN_TYPES[row.mime_type], "source": {"type": "file", "file_id": row.pk}})
