"""What a page must live through, written on a session's log of a running installation: its own command does it.

``manage.py shell -c "from tests.web import hostile; hostile.fill('sesn_…')"``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sessions import events as ev
from sessions import log
from sessions.events import Draft
from sessions.models import Session, Thread

if TYPE_CHECKING:
    from sessions.models import Event

CALLS = 300
OUTPUT = 5_000_000
TITLE = ("عنوان طويل جدا للجلسة " * 30)[:500]
UNKNOWN = "agent.something_new"
HURTS = "window.hurt=1"
ATTACKS = (
    f"<script>{HURTS}</script><img src=x onerror={HURTS}><svg/onload={HURTS}><iframe srcdoc='<script>x</script>'>",
    f"[click](javascript:{HURTS}) ![pixel](https://example.com/leak.png) <a href='javascript:{HURTS}'>here</a>",
    "</div></article></main><h1 id=forged>Holdfast</h1><form action=https://example.com><button>Approve</button></form>",
    "<hx-partial hx-target='body' hx-swap='innerHTML'>gone</hx-partial><div hx-get='/logout/' hx-trigger='load'></div>",
    "\x1b]0;forged title\x07\x1b[2J\x1b[31mred\x1b[0m \x9b31m \x08\x08 safe\u202egnp.exe \u2066hidden\u2069",
    "# " * 2000 + "\n" + "> " * 2000 + "\n" + "[" * 5000 + "\n" + "*_" * 4000 + "\n```\nnever closed",
)


def fill(session_id: str) -> None:
    """Put a page's worst day on the log after the turn that is over, and a title of 500 characters on the session."""
    thread = Thread.objects.get(session=session_id, parent=None)

    def append(*drafts: Draft) -> list[Event]:
        return log.append(session_id, thread.pk, drafts)

    Session.objects.filter(pk=session_id).update(title=TITLE)
    calls = append(*[_call(f"echo {n}") for n in range(CALLS)])
    append(_result(calls[0], "5" * OUTPUT), *[_result(call, f"output {n}") for n, call in enumerate(calls) if n])
    for attack in ATTACKS:
        (call,) = append(_call(attack))
        append(Draft(ev.AGENT_MESSAGE, {"content": _text(attack)}), _result(call, attack))
    append(Draft(UNKNOWN, {"odd": [True]}))


def _text(words: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": words}]


def _call(command: str) -> Draft:
    return Draft(ev.TOOL_USE, {"name": "bash", "input": {"command": command}, "evaluated_permission": "allow"})


def _result(call: Event, words: str) -> Draft:
    return Draft(ev.TOOL_RESULT, {"tool_use_id": call.pk, "content": _text(words), "is_error": False})
