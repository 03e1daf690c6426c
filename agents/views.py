"""Pages of agents and their versions, and of environments."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import OuterRef, QuerySet, Subquery
from django.shortcuts import redirect, render

from agents import actions, rosters
from agents.forms import AgentForm, EnvironmentForm, listed_tools
from agents.models import Agent, AgentVersion, Environment
from agents.templatetags.calls import diff_html
from agents.trying import CallForm, tried
from contract.door import explain, page
from contract.errors import ApiError, Conflict, NotFound, PermissionDenied
from contract.roles import Permission, may

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpResponse
    from django.utils.safestring import SafeString

    from contract.http import Request

PAGE_SIZE = 24
SHOWN_VERSIONS = 50
READABLE = (
    "name",
    "description",
    "model",
    "system",
    "tools",
    "mcp_servers",
    "skills",
    "multiagent",
    "execution_identity",
    "metadata",
)


@page(Permission.READ)
def agent_list(request: Request) -> HttpResponse:
    latest = AgentVersion.objects.filter(agent=OuterRef("pk"), version=OuterRef("version"))
    rows = Agent.objects.filter(workspace_id=request.acting.workspace_id).annotate(
        spec=Subquery(latest.values("spec")[:1])
    )
    return render(request, "agents/list.html", _listed(request, rows))


@page(Permission.READ)
def agent(request: Request, agent_id: str, version: int | None = None) -> HttpResponse:
    """An agent as its latest version has it, or as ``version`` had it, with the changes that version made."""
    shown = actions.find_agent(agent_id, request.acting, version=version)
    versions = AgentVersion.objects.filter(agent_id=agent_id).select_related("created_by").defer("spec")
    previous = AgentVersion.objects.filter(agent_id=agent_id, version__lt=shown.version).first() if version else None
    context = {
        "agent": shown.agent,
        "shown": shown,
        "spec": shown.spec,
        "tools": listed_tools(shown.spec["tools"]),
        "facts": _facts(shown.spec),
        "versions": list(versions[:SHOWN_VERSIONS]),
        "previous": previous,
        "diff": spec_diff(previous.spec, shown.spec) if previous else None,
    }
    return render(request, "agents/agent.html", context)


@page(Permission.BUILD, "GET", "HEAD", "POST")
def agent_new(request: Request) -> HttpResponse:
    form = AgentForm(request.POST or None)
    body = form.checked_body() if request.method == "POST" else None
    if body is not None:
        try:
            made = actions.create_agent(body, request.acting)
        except ApiError as error:
            _show(form, error)
        else:
            messages.success(request, f"{made.agent.name} is ready.", "done")
            return redirect("agents:agent", made.agent_id)
    return _form(request, "agents/form.html", {"form": form})


@page(Permission.BUILD, "GET", "HEAD", "POST")
def agent_edit(request: Request, agent_id: str) -> HttpResponse:
    current = actions.find_agent(agent_id, request.acting)
    form = AgentForm(request.POST or None, spec=current.spec, version=current.version)
    body = form.checked_body() if request.method == "POST" else None
    if body is not None:
        try:
            saved = actions.update_agent(agent_id, body, request.acting)
        except Conflict:
            _let_overwrite(form, current.agent_id)
        except ApiError as error:
            _show(form, error)
        else:
            changed = saved.version != current.version
            text = f"Version {saved.version} is saved." if changed else "Nothing changed, so no version was made."
            messages.success(request, text, "done")
            return redirect("agents:agent", agent_id)
    return _form(request, "agents/form.html", {"form": form, "agent": current.agent})


@page(Permission.OPERATE, "GET", "HEAD", "POST")
def agent_try(request: Request, agent_id: str) -> HttpResponse:
    """The policy tester: a call in, the decision and its rule out."""
    shown = actions.find_agent(agent_id, request.acting)
    form = CallForm(request.POST or None, initial={"tool": "bash"})
    context: dict[str, Any] = {"agent": shown.agent, "form": form, **tried(form, shown.spec)}
    return render(request, "agents/try.html", context, status=422 if form.errors else 200)


@page(Permission.BUILD, "POST")
def agent_archive(request: Request, agent_id: str) -> HttpResponse:
    archived = actions.archive_agent(agent_id, request.acting)
    messages.success(request, f"{archived.agent.name} is archived. No new session can use it.", "done")
    return redirect("agents:agent", agent_id)


@page(Permission.READ)
def environment_list(request: Request) -> HttpResponse:
    rows = Environment.objects.filter(workspace_id=request.acting.workspace_id)
    holdfast = settings.HOLDFAST
    image = holdfast.sandbox_image if holdfast.sandbox == "docker" else None
    return render(request, "environments/list.html", {**_listed(request, rows), "sandbox_image": image})


@page(Permission.BUILD, "GET", "HEAD", "POST")
def environment_new(request: Request) -> HttpResponse:
    form = EnvironmentForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = actions.create_environment(form.body(), request.acting)
        except ApiError as error:
            _show(form, error)
        else:
            messages.success(request, f"{made.name} is ready.", "done")
            return redirect("agents:environments")
    return _form(request, "environments/form.html", {"form": form})


@page(Permission.READ, "GET", "HEAD", "POST")
def environment(request: Request, environment_id: str) -> HttpResponse:
    """An environment; a form for those who may change it."""
    found = actions.find_environment(environment_id, request.acting)
    may_change = may(request.acting.role, Permission.BUILD) and found.archived_at is None
    if not may_change:
        if request.method == "POST":
            request.acting.require(Permission.BUILD)
            raise PermissionDenied("An archived environment can't be changed.")
        return render(request, "environments/form.html", {"environment": found})
    form = EnvironmentForm(request.POST or None, initial=_environment_initial(found))
    if request.method == "POST" and form.is_valid():
        try:
            actions.update_environment(environment_id, form.body(), request.acting)
        except ApiError as error:
            _show(form, error)
        else:
            messages.success(request, "Saved.", "done")
            return redirect("agents:environment", environment_id)
    return _form(request, "environments/form.html", {"form": form, "environment": found})


@page(Permission.BUILD, "POST")
def environment_archive(request: Request, environment_id: str) -> HttpResponse:
    archived = actions.archive_environment(environment_id, request.acting)
    messages.success(request, f"{archived.name} is archived. No new session can use it.", "done")
    return redirect("agents:environment", environment_id)


def _facts(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an agent has besides model, words and tools, if it has it: label and text."""
    members = ["itself" if entry["type"] == "self" else entry["id"] for entry in rosters.entries(spec["multiagent"])]
    facts = [
        ("Skills", ", ".join(skill["skill_id"] for skill in spec["skills"])),
        ("Calls on", ", ".join(dict.fromkeys(members))),
        ("Advisor", rosters.advisor(spec["multiagent"]) or ""),
        ("Acts as", spec["execution_identity"].get("role_arn", "")),
    ]
    return [(label, text) for label, text in facts if text]


def spec_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> SafeString:
    """What changed between two versions, as a unified diff of their readable form; "" if nothing did."""
    lines = difflib.unified_diff(_readable(before), _readable(after), n=3, lineterm="")
    return diff_html([line for line in lines if not line.startswith(("---", "+++"))])


def _readable(spec: Mapping[str, Any]) -> list[str]:
    lines = []
    for key in READABLE:
        value = spec.get(key)
        if value in (None, [], {}):
            continue
        text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
        head, *rest = text.splitlines() or [""]
        lines += [f"{key}: {head}", *(f"  {line}" for line in rest)]
    return lines


def _listed(request: Request, rows: QuerySet[Any]) -> dict[str, Any]:
    """One page of a list, without archived rows unless ``?archived=1`` asks for them."""
    archived = request.GET.get("archived") == "1"
    if not archived:
        rows = rows.filter(archived_at=None)
    shown: Page[Any] = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return {"page": shown, "archived": archived}


def _environment_initial(found: Environment) -> dict[str, Any]:
    networking = found.config.get("networking") or {}
    return {
        "name": found.name,
        "description": found.description or "",
        "networking": networking.get("type", "unrestricted"),
        "allowed_hosts": "\n".join(networking.get("allowed_hosts", ())),
    }


def _form(request: Request, template: str, context: dict[str, Any]) -> HttpResponse:
    wrong = request.method == "POST"
    return render(request, template, context, status=422 if wrong else 200)


def _let_overwrite(form: AgentForm, agent_id: str) -> None:
    """Someone saved meanwhile: say so, and let a second press put this form on top of it."""
    latest = Agent.objects.get(pk=agent_id).version
    form.data = {name: form.data[name] for name in form.data} | {"version": str(latest)}
    form.add_error(
        None,
        f"Version {latest} was saved meanwhile. Look at it first (its page lists what changed); "
        "saving again puts your text on top of it.",
    )


def _show(form: AgentForm | EnvironmentForm, error: ApiError) -> None:
    """Show a refusal on the form; what may not be known of or done stays a page of its own."""
    if isinstance(error, NotFound | PermissionDenied):
        raise error
    explain(form, error)
