"""Pages that make, change, check, try and archive agents. Those that show them: ``sessions.views.agents``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from agents import actions, permitted, requests
from agents.differences import spec_diff
from agents.editing.form import AgentForm
from agents.trying import CallForm, tried
from contract import rows
from contract.door import explain, page
from contract.errors import ApiError, Conflict, NotFound, PermissionDenied
from contract.roles import Permission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpResponse

    from agents.models import AgentVersion
    from contract.http import Request


@page(Permission.BUILD, "GET", "HEAD", "POST")
def agent_new(request: Request) -> HttpResponse:
    """``?like=`` and an agent's id start from what that agent is now, ``&version=`` from that version of it."""
    like = _like(request)
    sent = rows.sent(request)
    form = AgentForm(sent, acting=request.acting, like=like.spec if like else None)
    body = form.checked_body() if sent and not rows.moves(request) else None
    if body is not None:
        try:
            made = actions.create_agent(body, request.acting)
        except ApiError as error:
            explain(form, error)
        else:
            messages.success(request, _("%(name)s is ready.") % {"name": made.agent.name}, "done")
            return redirect("agents:agent", made.agent_id)
    return rows.form_page(request, "agents/form.html", {"form": form, **_checked(form, body, None, request)})


@page(Permission.BUILD, "GET", "HEAD", "POST")
def agent_edit(request: Request, agent_id: str) -> HttpResponse:
    """The editor. What someone else saved meanwhile is shown beside what was typed, with status 409."""
    current = actions.find_agent(agent_id, request.acting)
    base = _base(request, current)
    sent = rows.sent(request)
    form = AgentForm(sent, acting=request.acting, base=base)
    context: dict[str, Any] = {"form": form, "agent": current.agent}
    body = form.checked_body() if sent and not rows.moves(request) else None
    if body is not None:
        try:
            saved = actions.update_agent(agent_id, body, request.acting)
        except Conflict:
            context |= _conflict(form, base, current, body, request)
            context |= _checked(form, None, base, request)
            return render(request, "agents/form.html", context, status=409)
        except ApiError as error:
            explain(form, error)
        else:
            changed = saved.version != base.version
            text = _("Version %(number)s is saved.") % {"number": saved.version}
            messages.success(request, text if changed else _("Nothing changed, so no version was made."), "done")
            return redirect("agents:agent", agent_id)
    return rows.form_page(request, "agents/form.html", context | _checked(form, body, base, request))


@page(Permission.BUILD, "POST")
def agent_check(request: Request, agent_id: str | None = None) -> HttpResponse:
    """The editor's text checked as the API would check it, while one types. Nothing is written."""
    current = actions.find_agent(agent_id, request.acting) if agent_id else None
    base = _base(request, current) if current else None
    like = None if base else _like(request)
    form = AgentForm(request.POST, acting=request.acting, base=base, like=like.spec if like else None)
    return render(request, "agents/checked.html", {"form": form, **_checked(form, form.checked_body(), base, request)})


@page(Permission.OPERATE, "GET", "HEAD", "POST")
def agent_try(request: Request, agent_id: str) -> HttpResponse:
    """The policy tester: a call in, the decision and its rule out."""
    shown = actions.find_agent(agent_id, request.acting)
    form = CallForm(request.POST or None, initial={"tool": request.GET.get("tool", "bash")})
    rows = permitted.matrix(shown.spec)
    context: dict[str, Any] = {"agent": shown.agent, "form": form, "matrix": rows, **tried(form, shown.spec)}
    return render(request, "agents/try.html", context, status=422 if form.errors else 200)


@page(Permission.BUILD, "POST")
def agent_restore(request: Request, agent_id: str, version: int) -> HttpResponse:
    """Make an old version the newest."""
    actions.find_agent(agent_id, request.acting, version=version)
    try:
        made = actions.restore_agent(agent_id, version, request.acting)
    except PermissionDenied:
        raise
    except ApiError as error:  # what it names may be gone since
        messages.error(request, error.message, "failed")
        return redirect("agents:version", agent_id, version)
    said = _("Version %(number)s says what version %(old)s said.") % {"number": made.version, "old": version}
    messages.success(request, said, "done")
    return redirect("agents:agent", agent_id)


@page(Permission.BUILD, "POST")
def agent_archive(request: Request, agent_id: str) -> HttpResponse:
    archived = actions.archive_agent(agent_id, request.acting)
    text = _("%(name)s is archived. No new session can use it.") % {"name": archived.agent.name}
    messages.success(request, text, "done")
    return redirect("agents:agent", agent_id)


def _like(request: Request) -> AgentVersion | None:
    wanted, version = request.GET.get("like", ""), request.GET.get("version", "")
    if not wanted:
        return None
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else None
    return actions.find_agent(wanted, request.acting, version=number)


def _base(request: Request, current: AgentVersion) -> AgentVersion:
    """The version the text was typed over: the form names it; the newest if it names none that exists."""
    sent = request.POST.get("version", "")
    if not (sent.isascii() and sent.isdigit() and len(sent) < 10) or int(sent) == current.version:
        return current
    try:
        return actions.find_agent(current.agent_id, request.acting, version=int(sent))
    except NotFound:
        return current


def _checked(
    form: AgentForm, body: Mapping[str, Any] | None, base: AgentVersion | None, request: Request
) -> dict[str, Any]:
    """What stands below the editor: the request it amounts to, the agent it would make, and its permissions."""
    if not form.is_bound:
        spec: Mapping[str, Any] | None = base.spec if base else None
        return {"matrix": permitted.matrix(spec) if spec else []}
    context: dict[str, Any] = {"matrix": []}
    if body is None or form.wrong:
        return context
    try:
        if base is None:
            spec = actions.new_spec(body, request.acting)
        else:
            onto = actions.find_agent(base.agent_id, request.acting) if form.cleaned_data["over"] else base
            spec = actions.changed_spec(onto, body, request.acting)
            context["diff"] = spec_diff(onto.spec, spec)
    except Conflict as error:
        form.add_error(None, error.message.partition(": ")[2] + ".")
        return context
    except ApiError as error:
        explain(form, error)
        return context
    sent = {key: value for key, value in form.body().items() if value is not None or base is not None}
    context["unchanged"] = base is not None and set(sent) <= {"version"}
    context["spelled"] = requests.agent(sent, base.agent_id if base else "")
    return context | {"matrix": permitted.matrix(spec)}


def _conflict(
    form: AgentForm, base: AgentVersion, latest: AgentVersion, body: Mapping[str, Any], request: Request
) -> dict[str, Any]:
    """Someone saved meanwhile: what they changed, what this text changes, and a form that lays it over."""
    newest = actions.find_agent(latest.agent_id, request.acting)
    form.data = request.POST.copy()
    form.data["over"] = str(newest.version)
    unversioned = {key: value for key, value in body.items() if key != "version"}
    context: dict[str, Any] = {"meanwhile": newest, "theirs": spec_diff(base.spec, newest.spec)}
    try:
        context["yours"] = spec_diff(newest.spec, actions.changed_spec(newest, unversioned, request.acting))
    except ApiError as error:
        explain(form, error)
    return context
