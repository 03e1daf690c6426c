"""What the scripts in ``static/js`` say: pages pass them these phrases in their language. Pure.

``{}`` stands for what a script puts there. ``base.html`` passes ``page``, others what their scripts need besides.
"""

from __future__ import annotations

from contract.phrases import marked as _

TIMES = {
    "ms": _("{} ms"),
    "s": _("{} s"),
    "m": _("{} m"),
    "h": _("{} h"),
    "d": _("{} d"),
    "ago": _("{} ago"),
    "in": _("in {}"),
    "now": _("just now"),
    "soon": _("in a moment"),
}
WORDS: dict[str, dict[str, str]] = {
    "page": {
        **TIMES,
        "copied": _("Copied"),
        "uncopied": _("The browser did not allow copying. Select the text and copy it by hand."),
        "yes": _("Go on"),
        "unsent": _("The server could not be reached, so nothing was sent. What you typed is still here: try again."),
        "4401": _("Your sign-in has ended, or your rights here have changed. This page shows how it was."),
        "4403": _("You may no longer see this. The page shows how it was."),
        "sign_in": _("Sign in and come back here"),
        "overview": _("Go to the overview"),
    },
    "live": {
        "back": _("Reconnecting, showing up to event {}"),
        "end": _("The live connection ended at event {}. Reload the page to go on."),
        "new": _("{} new"),
    },
    "approvals": {"asked": _("A new call waits for your decision.")},
    "passkeys": {
        "gone": _("No passkey was used. Try again, or choose another way."),
        "cannot": _("This browser can't use passkeys here. They need https or localhost."),
    },
    "replay": {
        "untitled": _("Untitled session"),
        "masked": _("values masked: {}"),
        "steps": _("steps: {}"),
        "cut": _("the file is not complete"),
        "at": _("Event {}"),
        "start": _("At the start"),
        "play": _("Play"),
        "pause": _("Pause"),
        "message": _("Message"),
        "system": _("System message"),
        "agent": _("Agent"),
        "call": _("Call {}"),
        "failed": _("Failed"),
        "result": _("Result"),
        "approved": _("Approved"),
        "denied": _("Denied"),
        "stopped": _("Interrupted"),
        "ended": _("Turn ended: {}"),
        "end_turn": _("Turn finished"),
        "requires_action": _("Waits for an answer"),
        "budget_reached": _("Stopped at a limit"),
        "retries_exhausted": _("Gave up after several attempts"),
        "error": _("Error"),
        "large": _("The file is too large for a browser."),
        "foreign": _("This is not a session that Export made."),
        "broken": _("The file holds something that is not JSON lines."),
    },
}
