"""The trace as somebody watches it: the rows that changed, or the whole drawing where its scale did.

What is pushed is what a reload would show at that moment. Between two looks only the open bars differ, which the
page lets grow by its own clock at the rate that they bear.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from sessions.models import Session
from sessions.projections import kinds
from sessions.timeline import Trace, Wanted, read_trace

if TYPE_CHECKING:
    from collections.abc import Mapping


MAX_DIGITS = 18
ROWS = {"target": "#bars", "swap": "upsert key:data-place"}
WHOLE = {"target": "#trace", "swap": "innerMorph"}
EXTENT = {"target": "#traced", "swap": "innerHTML"}


def address(read: Trace, wanted: Wanted) -> str:
    """What a page tells its socket of what it shows, as a query string."""
    shows = {"errors": "1" if wanted.errors else "", "idle": "" if wanted.fold else "show"}
    return urlencode({"view": "trace", "scale": read.scale, "kept": "{}.{}".format(*read.kept), **shows})


def context(session: Session, read: Trace, wanted: Wanted, chosen: int | None = None) -> dict[str, Any]:
    """What ``sessions/trace.html`` and its parts are made of."""
    return {
        "session": session,
        "trace": read,
        "phases": kinds.PHASES,
        "errors": wanted.errors,
        "fold": wanted.fold,
        "zoomed": wanted.before is not None or wanted.between is not None,
        "chosen": chosen,
    }


def whole_html(session: Session, read: Trace, wanted: Wanted, chosen: int | None = None) -> SafeString:
    """The inside of ``#trace``."""
    return _part("trace", context(session, read, wanted, chosen))


@dataclass(slots=True)
class Live:
    """A trace that somebody looks at: drawn in ``scale`` when the log had ``after`` events."""

    session_id: str
    wanted: Wanted
    scale: str
    after: int | None
    room: float = 0.0
    sent: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    extent: str | None = None

    @classmethod
    def asked(cls, session_id: str, given: Mapping[str, str], after: int | None) -> Live:
        """From the words of a socket's address; what means nothing counts as not given."""
        event, _, span = given.get("kept", "").partition(".")
        known = all(part.isascii() and part.isdigit() and len(part) <= MAX_DIGITS for part in (event, span))
        kept = (int(event), int(span)) if known else (0, 0)
        wanted = Wanted(errors=given.get("errors") == "1", fold=given.get("idle") != "show", kept=kept)
        return cls(session_id, wanted, given.get("scale", ""), after)

    def frames(self) -> list[dict[str, str]]:
        """What changed since the last look. ``room`` is then the seconds after which to look again by all means."""
        session = Session.objects.filter(pk=self.session_id).first()
        if session is None:
            return []
        read = read_trace(session, self.wanted)
        self.room = read.room
        moved = (read.scale, read.kept) != (self.scale, self.wanted.kept)
        stale = self.extent is None and session.last_seq != self.after
        self.wanted, self.scale = replace(self.wanted, kept=read.kept), read.scale
        changed = self._changed(session, read)
        return [{**WHOLE, "content": whole_html(session, read, self.wanted)}] if moved or stale else changed

    def _changed(self, session: Session, read: Trace) -> list[dict[str, str]]:
        """Rows and the line about what is shown, where they differ from what was sent; nothing at the first look."""
        about = context(session, read, self.wanted)
        settled = {bar.span.id: bar.settled for bar in read.bars}
        bars = [bar for bar in read.bars if self.sent.get(bar.span.id) != settled[bar.span.id]]
        extent, first = _part("trace_extent", about), self.extent is None
        lines = [{**EXTENT, "content": extent}] if extent != self.extent else []
        self.sent, self.extent = settled, extent
        if first:
            return []
        rows = "".join(_part("trace_row", {**about, "bar": bar}) for bar in bars)
        return [*([{**ROWS, "content": rows}] if rows else []), *lines]


def _part(name: str, about: dict[str, Any]) -> SafeString:
    return mark_safe(render_to_string(f"sessions/parts/{name}.html", about).strip())  # noqa: S308  our own template
