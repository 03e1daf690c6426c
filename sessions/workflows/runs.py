"""Runs of plans: started by an agent, driven forward whenever an agent of theirs has returned something.

A step is one transaction under the session's lock, and says only what the log and the run's row say: whoever takes
it, however often, the run goes on from where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from contract import ids
from contract.errors import InvalidRequest
from sessions import bounds, budgets, log, threads
from sessions import events as ev
from sessions.events import Draft
from sessions.inline import inline_definition
from sessions.models import Event, Thread, WorkflowRun
from sessions.teams import team_of
from sessions.threads import Held, Refused
from sessions.wake import wake_on_commit
from sessions.workflows import plan as plans
from sessions.workflows.plan import Phase, PlanError, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sessions.models import Session

MAX_OPEN = 10
AT_ONCE = 64
BATCH = 16  # agents started in one transaction
STALE_SECONDS = 10.0  # a run that nobody has driven for so long is driven by the sweeper


def start(held: Held, own: Thread, given: Mapping[str, Any]) -> tuple[str, list[Draft]]:
    """Begin a run: what the agent is told, and what goes on its log. Raises ``Refused`` with the plan's fault."""
    part = team_of(held.session.agent_snapshot).workflows
    try:
        plan = plans.read(given, part.members, inline=part.inline)
    except PlanError as error:
        raise Refused(str(error)) from None
    now = timezone.now()
    run = WorkflowRun.objects.create(
        session=held.session,
        call=dict(given),
        phase_ids=[ids.workflow_phase_id() for _ in plan.phases],
        created_at=now,
        driven_at=now,
        deadline=now + timedelta(hours=plan.hours),
    )
    phases = [
        {"id": phase_id, "name": phase.name, "description": phase.description or None}
        for phase_id, phase in zip(run.phase_ids, plan.phases, strict=True)
    ]
    about = {"workflow_run_id": run.pk}
    named = {**about, "name": plan.name, "description": plan.description or None, "phases": phases}
    later(run.pk)
    said = f"The run {run.pk} has begun. Its results arrive as a message when it has ended; end your turn or go on."
    return said, [Draft(ev.RUN_CREATED, named), Draft(ev.RUN_RUNNING, about)]


def refuse_beyond_limit(held: Held) -> Draft | None:
    """The event that tells of a run that may not begin, because so many are open; None if there is room."""
    if WorkflowRun.objects.filter(session=held.session).exclude(status="ended").count() < MAX_OPEN:
        return None
    message = f"{MAX_OPEN} workflow runs are open already, which is the limit."
    return Draft(ev.RUN_ERROR, {"workflow_run_id": None, "error": _error("max_workflow_runs_error", message)})


def find(held: Held, run_id: str) -> WorkflowRun:
    """An open run of a held session."""
    rows = WorkflowRun.objects.select_for_update().filter(pk=run_id, session=held.session)
    run = rows.exclude(status="ended").first()
    if run is None:
        raise Refused(f"There is no open run {run_id}.")
    return run


def stop(held: Held, run: WorkflowRun) -> None:
    """End a run at its agent's wish."""
    _Step(held, run).end({"type": "stopped"}, tell=False)


def later(run_id: str) -> None:
    """Drive a run once the transaction under way is committed."""
    from sessions.wake import drive_workflow

    transaction.on_commit(lambda: drive_workflow(run_id))


def drive(run_id: str) -> None:
    """Take every step of a run that can be taken now."""
    while _step(run_id):
        pass


def due() -> list[str]:
    """Runs that nobody has driven for a while, and paused ones whose time is up: pauses count."""
    now = timezone.now()
    stale = Q(status="running", driven_at__lt=now - timedelta(seconds=STALE_SECONDS))
    rows = WorkflowRun.objects.filter(stale | Q(status="idle", deadline__lte=now))
    return list(rows.values_list("pk", flat=True)[:100])


def resume(session_id: str) -> None:
    """Let the runs of a locked session go on that had paused at its budget or at a cap."""
    paused = WorkflowRun.objects.select_for_update().filter(session_id=session_id, status="idle")
    drafts = []
    for run in paused:
        WorkflowRun.objects.filter(pk=run.pk).update(status="running")
        drafts.append(Draft(ev.RUN_RUNNING, {"workflow_run_id": run.pk}))
        later(run.pk)
    if drafts:
        primary = Thread.objects.only("id").get(session_id=session_id, parent=None)
        log.append(session_id, primary.pk, drafts)


def check_none_open(session: Session) -> None:
    """Refuse what may not be changed under a run (spec advanced 10.4)."""
    run = WorkflowRun.objects.filter(session=session).exclude(status="ended").first()
    if run is not None:
        raise InvalidRequest(
            f"agent: can't be updated while the workflow run {run.pk} is open", error_code="workflow_run_open"
        )


def stop_all(session_id: str) -> None:
    """End the open runs of a locked session that is being archived."""
    held = threads.hold(session_id)
    for run in WorkflowRun.objects.select_for_update().filter(session=held.session).exclude(status="ended"):
        stop(held, run)


def _step(run_id: str) -> bool:
    """Take one step; True if another may follow at once."""
    with transaction.atomic():
        session_id = WorkflowRun.objects.filter(pk=run_id).values_list("session_id", flat=True).first()
        if session_id is None:
            return False
        held = threads.hold(session_id)
        run = WorkflowRun.objects.select_for_update().get(pk=run_id)
        if run.status != "running" and not (run.status == "idle" and timezone.now() >= run.deadline):
            return False
        WorkflowRun.objects.filter(pk=run.pk).update(driven_at=timezone.now())
        return _Step(held, run).take()


def _error(kind: str, message: str) -> dict[str, str]:
    return {"type": kind, "message": message}


@dataclass(slots=True)
class _Step:
    """One step of a held run."""

    held: Held
    run: WorkflowRun

    def take(self) -> bool:
        part = team_of(self.held.session.agent_snapshot).workflows
        plan = plans.read(self.run.call, part.members, inline=part.inline)
        if timezone.now() >= self.run.deadline:
            return self.fail("timeout_error", f"The run did not end within {plan.hours:g} hours.")
        if self.run.phase >= len(plan.phases):
            return self.end({"type": "completed"})
        session = self.held.session
        if session.paused or budgets.is_used_up(session) or bounds.reached(session):
            return self._pause()
        phase = plan.phases[self.run.phase]
        if not self.run.phase_start:
            self._begin_phase()
        return self._advance(phase)

    def _begin_phase(self) -> None:
        payload = {**self._about(), "workflow_run_phase_id": self.run.phase_ids[self.run.phase]}
        draft = Draft(ev.PHASE_STARTED, payload, id=ids.event_id())
        self._tell([draft])
        self._save(phase_start=draft.id)

    def _advance(self, phase: Phase) -> bool:
        prefix = f"{self.run.phase}:"
        rows = Thread.objects.filter(workflow_run_id=self.run.pk)
        started = set(rows.filter(workflow_key__startswith=prefix).values_list("workflow_key", flat=True))
        finished = self._finished(prefix)
        if phase.stop_on_error and any(finished.values()):
            return self.fail("program_error", "An agent failed in a phase of the plan that stops on errors.")
        wanted = plans.prompts(phase, self._results(self.run.phase))
        todo = [index for index in range(len(wanted)) if f"{prefix}{index}" not in started]
        if not todo and len(finished) >= len(wanted):
            return self._end_phase()
        if rows.count() + len(todo) > plans.MAX_AGENTS:
            return self.fail("thread_limit_error", f"The run would start more than {plans.MAX_AGENTS:,} agents.")
        room = max(0, AT_ONCE - (len(started) - len(finished)))
        batch = todo[: min(room, BATCH)]
        if batch:
            self._start(phase, {f"{prefix}{index}": wanted[index] for index in batch})
        return len(batch) == BATCH and len(todo) > BATCH

    def _finished(self, prefix: str) -> dict[str, bool]:
        """Which agents of a phase have returned, and whether they failed."""
        rows = self._returned().filter(payload__key__startswith=prefix)
        return dict(rows.values_list("payload__key", "payload__failed"))

    def _returned(self) -> Any:
        return Event.objects.filter(
            session=self.held.session, thread__workflow_run_id=self.run.pk, type=ev.OPS_WORKFLOW_RESULT
        )

    def _results(self, before: int) -> dict[str, list[Result]]:
        """The results of the phases that have ended, by name."""
        names = [phase["name"] for phase in self.run.call["phases"]][:before]
        found: dict[str, dict[int, Result]] = {name: {} for name in names}
        for payload in [row.payload for row in self._returned().only("payload")] if names else ():
            phase, index = map(int, payload["key"].split(":"))
            if phase < before:
                found[names[phase]][index] = Result(payload["text"], failed=payload["failed"])
        return {name: [results[index] for index in sorted(results)] for name, results in found.items()}

    def _start(self, phase: Phase, prompts: Mapping[str, str]) -> None:
        agent = self._agent(phase)
        children = []
        drafts = []
        for key, prompt in prompts.items():
            child, created = threads.open_thread(self.held, agent, agent["name"], workflow_run_id=self.run.pk, key=key)
            children.append((child, prompt))
            drafts.append(created)
        self._tell(drafts)
        for child, prompt in children:
            threads.deliver(self.held.primary, child, threads.text(prompt), "task")

    def _agent(self, phase: Phase) -> Mapping[str, Any]:
        snapshot = self.held.session.agent_snapshot
        if phase.agent:
            return team_of(snapshot).workflows.members[phase.agent]
        given: dict[str, Any] = {"system": phase.system or snapshot["system"]}
        if phase.tools is not None:
            given["tools"] = list(phase.tools)
        return inline_definition(snapshot, phase.name, given)

    def _end_phase(self) -> bool:
        self._tell([self._phase_ended()])
        self._save(phase=self.run.phase + 1, phase_start="")
        return True

    def _phase_ended(self) -> Draft:
        place = {"workflow_run_phase_id": self.run.phase_ids[self.run.phase], "phase_started_id": self.run.phase_start}
        return Draft(ev.PHASE_ENDED, {**self._about(), **place})

    def _pause(self) -> bool:
        self._save(status="idle")
        self._tell([Draft(ev.RUN_IDLE, self._about()), *self._rested()])
        return False

    def fail(self, kind: str, message: str) -> bool:
        error = _error(kind, message)
        self._tell([Draft(ev.RUN_ERROR, {**self._about(), "error": error})])
        return self.end({"type": "error", "error": error})

    def end(self, result: dict[str, Any], *, tell: bool = True) -> bool:
        """End the run and its agents; the agent that wrote the plan gets the results unless it stopped it itself."""
        part = team_of(self.held.session.agent_snapshot).workflows
        plan = plans.read(self.run.call, part.members, inline=part.inline)
        ended = [self._phase_ended()] if self.run.phase_start else []
        results = self._results(min(self.run.phase + 1, len(plan.phases)))
        self._save(status="ended", phase_start="")
        self._end_threads()
        drafts = [*ended, Draft(ev.RUN_ENDED, {**self._about(), "result": result})]
        if not tell:
            self._tell(drafts)
            return False
        said = plans.summary(plan, results)
        if result["type"] == "error":
            said = f"{result['error']['message']}\n{said}"
        self._report(drafts, said)
        return False

    def _report(self, drafts: list[Draft], said: str) -> None:
        primary = self.held.primary
        event_id = ids.event_id()
        content = threads.text(said)
        drafts.append(Draft(ev.OPS_WORKFLOW_REPORT, {**self._about(), "content": content}, id=event_id))
        if primary.status == "idle" and not primary.pending:
            drafts += [Draft(ev.OPS_PROCESSED, {"event_ids": [event_id]})]
            drafts += [Draft(ev.THREAD_RUNNING, threads.about(primary))]
            wake_on_commit(primary.pk)
        self._tell([*drafts, *([] if primary.status != "idle" or not primary.pending else self._rested())])

    def _rested(self) -> list[Draft]:
        """The primary thread rests still; said again, so that the session rests too if nothing else runs."""
        primary = self.held.primary
        if primary.status != "idle":
            return []
        stop = primary.stop_reason or ev.END_TURN
        return [Draft(ev.THREAD_IDLE, threads.about(primary, stop_reason=stop, stop_details=None))]

    def _end_threads(self) -> None:
        """Take the threads that still work from their workers, and end them."""
        open_threads = Thread.objects.select_for_update().filter(workflow_run_id=self.run.pk)
        for thread in open_threads.exclude(status="terminated").order_by("id"):
            Thread.objects.filter(pk=thread.pk).update(fence=F("fence") + 1, lease_expires=None, lease_owner="")
            log.append(thread.session_id, thread.pk, [Draft(ev.THREAD_TERMINATED, threads.about(thread))])
            Thread.objects.filter(pk=thread.pk).update(archived_at=timezone.now())

    def _about(self) -> dict[str, Any]:
        return {"workflow_run_id": self.run.pk}

    def _tell(self, drafts: Sequence[Draft]) -> None:
        if drafts:
            log.append(self.held.session.pk, self.held.primary.pk, drafts)

    def _save(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self.run, name, value)
        self.run.save(update_fields=list(fields))
