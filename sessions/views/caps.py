"""A session's limits: raising the one it stopped at in its header, and the page of all of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from contract.door import attempt, page
from contract.errors import ApiError, NotFound, PermissionDenied
from contract.roles import Permission, may
from sessions import overview, raising, sessionlimits
from sessions import render as html
from sessions.views.show import find

if TYPE_CHECKING:
    from django.http import HttpResponse

    from contract.http import Request


@page(Permission.OPERATE, "POST")
def limit(request: Request, session_id: str) -> HttpResponse:
    """Set, raise or (empty) lift a cap at the level it is of; the session goes on where there is room."""
    found, refused, said = find(request, session_id), "", ""
    try:
        said = raising.raise_cap(found, request.POST.dict(), request.acting)
    except (NotFound, PermissionDenied):
        raise
    except ApiError as error:
        refused = error.message
    if getattr(request, "htmx", False):
        answer = render(request, "sessions/parts/notice.html", {"text": refused})
        if said:
            found.refresh_from_db()
            answer.write(html.partial("#state-now", "innerMorph", html.state_html(found)))
            answer["HX-Trigger"] = json.dumps({"toast": said})
        return answer
    if refused:
        messages.error(request, refused, "failed")
    else:
        messages.success(request, said, "done")
    return redirect("sessions:session", session_id)


@page(Permission.READ, "GET", "HEAD", "POST")
def session_limits(request: Request, session_id: str) -> HttpResponse:
    """All levels' caps of a session, and a form of its own."""
    found = find(request, session_id)
    ended = found.archived_at is not None or found.status == "terminated"
    form = sessionlimits.SessionLimitsForm(request.POST or None, session=found)
    if attempt(form, lambda: form.save(session_id, request.acting)):
        messages.success(request, _("Saved. It counts from now on."), "done")
        return redirect("sessions:session", session_id)
    context = {
        "session": found,
        "state": overview.state_for(found),
        "form": form,
        "lines": sessionlimits.lines(found, form),
        "changes": not ended and may(request.acting.role, Permission.OPERATE),
    }
    return render(request, "sessions/limits.html", context, status=422 if form.errors else 200)
