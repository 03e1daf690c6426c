"""Every key that does something: one table for the ``?`` sheet and for ``/help/shortcuts/``. Pure.

A page offers a key by ``data-key`` on the element that it presses; the sheet lists what the pages offer.
Single keys do nothing while one types, and can be switched off (WCAG 2.1.4).
"""

from __future__ import annotations

from dataclasses import dataclass

from contract.phrases import marked as _
from contract.places import PLACES


@dataclass(frozen=True, slots=True)
class Shortcut:
    """``keys`` as they are pressed: a space separates keys pressed one after another, ``+`` joins a chord."""

    keys: str
    does: str


SECTIONS: dict[str, tuple[Shortcut, ...]] = {
    _("Everywhere"): (
        Shortcut("?", _("Show this list")),
        Shortcut("Ctrl+K", _("Find a page, a session or an action (⌘K on a Mac)")),
        Shortcut("j", _("Next row")),
        Shortcut("k", _("Previous row")),
        Shortcut("Enter", _("Open the row")),
        Shortcut("f", _("Go to the filter or search field")),
        Shortcut("n", _("Start or create something new")),
        Shortcut("Ctrl+Enter", _("Send the form one is typing in (⌘⏎ on a Mac)")),
        Shortcut("Escape", _("Close what is open")),
    ),
    _("Go to"): tuple(Shortcut(f"g {place.key}", place.label) for place in PLACES),
    _("A session"): (
        Shortcut("t", _("Transcript")),
        Shortcut("w", _("Trace with its waterfall")),
        Shortcut("r", _("Raw events")),
        Shortcut("m", _("Write a message")),
        Shortcut("i", _("Open or close the inspector")),
        Shortcut(".", _("Interrupt the agent")),
        Shortcut("P", _("Pause between two steps, or resume")),
        Shortcut("End", _("Follow the newest event")),
        Shortcut("←", _("On the timeline: one event back")),
        Shortcut("→", _("On the timeline: one event on")),
    ),
    _("A decision"): (
        Shortcut("a", _("Approve")),
        Shortcut("e", _("Approve with changes")),
        Shortcut("x", _("Deny with a reason")),
        Shortcut("s", _("Stop the session")),
        Shortcut("p", _("Pass it to someone")),
    ),
}
