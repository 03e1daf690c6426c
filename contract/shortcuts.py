"""Every key that does something: one table for the ``?`` sheet and for ``/help/shortcuts/``. Pure.

A page offers a key by ``data-key`` on the element that it presses; the sheet lists what the pages offer.
Single keys do nothing while one types, and can be switched off (WCAG 2.1.4).
"""

from __future__ import annotations

from dataclasses import dataclass

from contract.places import PLACES


@dataclass(frozen=True, slots=True)
class Shortcut:
    """``keys`` as they are pressed: a space separates keys pressed one after another, ``+`` joins a chord."""

    keys: str
    does: str


SECTIONS: dict[str, tuple[Shortcut, ...]] = {
    "Everywhere": (
        Shortcut("?", "Show this list"),
        Shortcut("Ctrl+K", "Find a page, a session or an action (⌘K on a Mac)"),
        Shortcut("j", "Next row"),
        Shortcut("k", "Previous row"),
        Shortcut("Enter", "Open the row"),
        Shortcut("f", "Go to the filter or search field"),
        Shortcut("n", "Start or create something new"),
        Shortcut("Ctrl+Enter", "Send the form one is typing in (⌘⏎ on a Mac)"),
        Shortcut("Escape", "Close what is open"),
    ),
    "Go to": tuple(Shortcut(f"g {place.key}", place.label) for place in PLACES),
    "A session": (
        Shortcut("t", "Transcript"),
        Shortcut("w", "Trace with its waterfall"),
        Shortcut("r", "Raw events"),
        Shortcut("m", "Write a message"),
        Shortcut("i", "Open or close the inspector"),
        Shortcut(".", "Interrupt the agent"),
        Shortcut("P", "Pause between two steps, or resume"),
        Shortcut("End", "Follow the newest event"),
        Shortcut("←", "On the timeline: one event back"),
        Shortcut("→", "On the timeline: one event on"),
    ),
    "A decision": (
        Shortcut("a", "Approve"),
        Shortcut("e", "Approve with changes"),
        Shortcut("x", "Reject with a reason"),
        Shortcut("s", "Stop the session"),
        Shortcut("p", "Pass it to someone"),
    ),
}
