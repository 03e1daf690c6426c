"""What a person does to a session: start, message, answer, interrupt, archive. Forms, then a redirect.

With htmx the answer is the part of the page that shows how it went; what happened comes by the socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.db import transaction
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from pydantic import ValidationError

from contract import rows
from contract.door import explain, page
from contract.errors import ApiError, Conflict, InvalidRequest, NotFound, PermissionDenied, TooLarge
from contract.roles import Permission
from sessions import actions, bodies, inbox, pausing, resources, starting
from sessions import events as ev
from sessions.approvals.answers import Aside
from sessions.forms import MESSAGE_LENGTH, MessageForm, message, upload
from sessions.models import Session
from sessions.start_form import NewSessionForm
from sessions.views.show import composer_context, find, page_with

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from django.http import HttpResponse, QueryDict

    from contract.acting import Acting
    from contract.http import Request


HOLDS: Mapping[str, Callable[[str, Acting], object]] = {
    "pause": pausing.pause,
    "resume": pausing.resume,
    "retry": actions.retry_session,
}


@page(Permission.OPERATE, "GET", "HEAD", "POST")
def new(request: Request) -> HttpResponse:
    """Start a session: ``?agent=``, ``?version=``, ``?environment=``, ``?task=`` or ``?like=`` choose beforehand."""
    if request.method != "POST":
        chosen = starting.like(request.GET["like"], request.acting) if request.GET.get("like") else {}
        chosen |= {name: request.GET[name] for name in ("agent", "environment", "task") if name in request.GET}
        if request.GET.get("version") and "@" not in str(chosen.get("agent", "@")):
            chosen["agent"] = f"{chosen['agent']}@{request.GET['version']}"
        return _start_page(request, NewSessionForm(initial=chosen, acting=request.acting), chosen)
    begin = "begin" in request.POST
    form = NewSessionForm(rows.sent(request), request.FILES, acting=request.acting, begin=begin)
    if begin or rows.moves(request):
        return _start_page(request, form, _chosen(request.POST))
    if form.is_valid():
        try:
            with transaction.atomic():
                mounted = upload(form.cleaned_data["attachments"], (), request.acting)
                body = bodies.SESSION_CREATE.check(form.body(mounted))
                started = actions.create_session(body, request.acting)
            return redirect("sessions:session", started.pk)
        except (ValidationError, InvalidRequest, Conflict, TooLarge, NotFound) as error:
            explain(form, error)
    return _start_page(request, form, _chosen(request.POST), status=422)


@page(Permission.OPERATE)
def new_preview(request: Request) -> HttpResponse:
    """What a session of the chosen agent would use, while one chooses."""
    return render(request, "sessions/preview.html", {"preview": _preview(request, _chosen(request.GET))})


def _chosen(sent: QueryDict) -> dict[str, Any]:
    return {"agent": sent.get("agent", ""), "vaults": sent.getlist("vaults")}


def _start_page(request: Request, form: NewSessionForm, chosen: Mapping[str, Any], status: int = 200) -> HttpResponse:
    context = {"form": form, "preview": _preview(request, chosen)}
    return render(request, "sessions/new.html", context, status=status)


def _preview(request: Request, chosen: Mapping[str, Any]) -> starting.Preview | None:
    agent = str(chosen.get("agent") or "")
    return starting.preview(agent, chosen.get("vaults") or (), request.acting) if agent else None


@page(Permission.OPERATE, "POST")
def send(request: Request, session_id: str) -> HttpResponse:
    """The composer: a message with its files, all or nothing."""
    found = find(request, session_id)
    form = MessageForm(request.POST, request.FILES)
    if form.is_valid():
        try:
            with transaction.atomic():
                paths = _attach(found, form.cleaned_data["attachments"], request)
                text = form.cleaned_data["text"].replace("\r\n", "\n")
                inbox.send(found, [message(text, paths)], request.acting)
        except (InvalidRequest, Conflict, TooLarge) as error:
            explain(form, InvalidRequest(_answer_first()) if _waits(found.pk) else error)
    if form.errors:
        return _composer(request, found, form)
    if getattr(request, "htmx", False):
        found.last_seq = max(found.last_seq, 1)
        return render(request, "sessions/parts/composer.html", composer_context(request, found))
    return redirect("sessions:session", session_id)


@page(Permission.OPERATE, "POST")
def answer(request: Request, session_id: str) -> HttpResponse:
    """Approve or deny a call, or give a custom tool's result. The button pressed names the call."""
    found = find(request, session_id)
    return _sent(request, found, lambda: _answer_of(request))


@page(Permission.OPERATE, "POST")
def interrupt(request: Request, session_id: str) -> HttpResponse:
    found = find(request, session_id)
    return _sent(request, found, lambda: {"type": ev.USER_INTERRUPT})


@page(Permission.OPERATE, "POST")
def hold(request: Request, session_id: str, how: str) -> HttpResponse:
    """Pause the session between two steps, let it go on, or try again where it gave up: ``pause``, ``resume``,
    ``retry``.
    """
    found = find(request, session_id)
    change = HOLDS.get(how)
    if change is None:
        raise NotFound(f"A session can be paused, resumed and tried again, not {how}.")
    return _done(request, found, lambda: change(session_id, request.acting))


@page(Permission.OPERATE, "POST")
def archive(request: Request, session_id: str) -> HttpResponse:
    find(request, session_id)
    try:
        actions.archive_session(session_id, request.acting)
    except InvalidRequest:
        messages.error(
            request, gettext("The session is running. Interrupt it, wait until it rests, then archive it."), "failed"
        )
    else:
        messages.success(request, gettext("The session is archived and read-only."), "done")
    return redirect("sessions:session", session_id)


def _attach(found: Session, chosen: Sequence[Any], request: Request) -> list[str]:
    """Upload and mount the files of a message; returns their paths in the sandbox."""
    if not chosen:
        return []
    taken = found.resources.values_list("mount_path", flat=True)
    mounted = upload(chosen, taken, request.acting)
    for one in mounted:
        resources.add_resource(found.pk, one, request.acting)
    return [str(one["mount_path"]) for one in mounted]


def _answer_of(request: Request) -> dict[str, Any]:
    """The event a pressed button stands for."""
    for button in ("allow", "deny", "give", "fail"):
        call_id = request.POST.get(button)
        if call_id:
            break
    else:
        raise InvalidRequest("Press one of the buttons of a call to answer it.")
    if button in ("give", "fail"):
        text = request.POST.get(f"answer-{call_id}", "").replace("\r\n", "\n")[:MESSAGE_LENGTH]
        content = [{"type": "text", "text": text}] if text else []
        result = {"type": ev.USER_CUSTOM_TOOL_RESULT, "custom_tool_use_id": call_id, "content": content}
        return result | ({"is_error": True} if button == "fail" else {})
    confirmation = {"type": ev.USER_TOOL_CONFIRMATION, "tool_use_id": call_id, "result": button}
    reason = request.POST.get(f"reason-{call_id}", "").strip()
    return confirmation | ({"deny_message": reason} if button == "deny" and reason else {})


def _sent(request: Request, found: Session, event: Any) -> HttpResponse:
    """Send one event; say on the page what stood against it."""

    def send_one() -> None:
        one = event()
        asides = {one["tool_use_id"]: Aside("page")} if one["type"] == ev.USER_TOOL_CONFIRMATION else {}
        inbox.send(found, [one], request.acting, asides)

    return _done(request, found, send_one)


def _done(request: Request, found: Session, act: Callable[[], Any]) -> HttpResponse:
    """Do it; what stood against it is said on the page."""
    refused = ""
    try:
        act()
    except (NotFound, PermissionDenied):
        raise
    except ApiError as error:
        refused = _plain(error)
    if getattr(request, "htmx", False):
        return render(request, "sessions/parts/notice.html", {"text": refused})
    if refused:
        messages.error(request, refused, "failed")
    return redirect("sessions:session", found.pk)


def _waits(session_id: str) -> bool:
    """Whether the session takes no message, because calls wait for answers."""
    return Session.objects.filter(pk=session_id, status="idle", pending_count__gt=0).exists()


def _answer_first() -> str:
    return gettext("The agent waits for an answer. Answer its calls or interrupt it, then send your message.")


def _plain(error: ApiError) -> str:
    """The sentence without the field's path, which means nothing on a page."""
    path, separator, rest = error.message.partition(": ")
    return rest if separator and " " not in path else error.message


def _composer(request: Request, found: Session, form: MessageForm) -> HttpResponse:
    """The composer again with what was typed and why it was not sent."""
    if getattr(request, "htmx", False):
        return render(request, "sessions/parts/composer.html", composer_context(request, found, form), status=422)
    return page_with(request, found, form)
