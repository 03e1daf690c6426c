"""Parts of set-up pages that change by themselves: deliveries, uses of a credential, runs, a queue of workers.

A page shows a part by its template and context; the socket ``/ws/part/`` sends the same part again when it changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.paginator import Paginator
from django.template.loader import render_to_string

from agents.actions import find_environment
from contract.errors import NotFound
from contract.roles import Permission
from sessions import impact, overview
from sessions.models import Session, Work
from sessions.models.work import STOPPED
from sessions.schedules import actions as schedules
from sessions.webhooks import endpoints
from sessions.work import queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet

    from agents.models import Environment
    from contract.acting import Acting

PAGE_SIZE = 50
SHOWN_USES = 50
SHOWN_RUNS = 20
LISTED = 50


class Part(NamedTuple):
    """Who may see it, and what its template ``parts/live/<name>.html`` is filled with."""

    permission: Permission
    context: Callable[[str, Acting], dict[str, Any]]


def deliveries(endpoint_id: str, acting: Acting, number: str | None = None) -> dict[str, Any]:
    """A page of an endpoint's deliveries, newest first."""
    endpoint = endpoints.find(endpoint_id, acting, organization=False)
    return {"endpoint": endpoint, "page": Paginator(endpoint.deliveries.defer("body"), PAGE_SIZE).get_page(number)}


def uses(credential_id: str, acting: Acting) -> dict[str, Any]:
    return {"uses": impact.uses(credential_id, acting, SHOWN_USES)}


def runs(deployment_id: str, acting: Acting) -> dict[str, Any]:
    """The last runs of a deployment, each with the state of its session; None once that is deleted."""
    found = schedules.find(deployment_id, acting)
    shown = list(found.runs.order_by("-created_at", "-pk")[:SHOWN_RUNS])
    started = Session.objects.filter(pk__in=[run.session_id for run in shown]).defer("agent_snapshot")
    states = {session.pk: overview.state_for(session) for session in started}
    return {"deployment": found, "runs": [(run, states.get(run.session_id)) for run in shown]}


def self_hosted(environment_id: str, acting: Acting) -> Environment:
    """The environment. Raises ``NotFound`` also for one whose sandboxes are our own."""
    environment = find_environment(environment_id, acting)
    if environment.config["type"] != "self_hosted":
        raise NotFound(f"Environment {environment_id} is not self_hosted and has no workers of its own.")
    return environment


def _live_work(environment: Environment) -> QuerySet[Work]:
    return Work.objects.filter(environment=environment).exclude(state=STOPPED).select_related("session")


def waiting(environment_id: str, acting: Acting) -> dict[str, Any]:
    """The queue of a ``self_hosted`` environment, and who asks it for work."""
    environment = self_hosted(environment_id, acting)
    return {
        "environment": environment,
        "stats": queue.stats(environment),
        "items": list(_live_work(environment)[:LISTED]),
        "seen": list(environment.workers_seen.order_by("-polled_at")[:LISTED]),
    }


PARTS = {
    "deliveries": Part(Permission.ADMINISTER, deliveries),
    "uses": Part(Permission.BUILD, uses),
    "runs": Part(Permission.READ, runs),
    "queue": Part(Permission.READ, waiting),
    "asking": Part(Permission.READ, waiting),
}


def frames(names: str, of: str, acting: Acting) -> list[dict[str, str]]:
    """Some parts (by name, with commas) as they are now. Raises ``NotFound`` and ``PermissionDenied``."""
    return [_frame(name, of, acting) for name in dict.fromkeys(names.split(","))]


def _frame(name: str, of: str, acting: Acting) -> dict[str, str]:
    if name not in PARTS:
        raise NotFound(f"There is no live part {name!r}.")
    acting.require(PARTS[name].permission)
    content = render_to_string(f"parts/live/{name}.html", PARTS[name].context(of, acting))
    return {"target": f"#{name}", "swap": "innerMorph", "content": content.strip()}
