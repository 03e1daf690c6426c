"""Tags and filters that every page shares: icons, numbers, times, Markdown, coloured code."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import nh3
from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timezone import now
from django.utils.translation import gettext
from markdown_it import MarkdownIt
from pygments import highlight as colour
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

from contract import script
from contract.phrases import Told
from contract.plain import clean
from contract.roles import Permission, may

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpRequest

    from contract.acting import Acting

register = template.Library()

CENT = Decimal("0.01")
COLOURED_CHARACTERS = 20_000
# No title attribute: the serializer leaves "<" in attribute values, and htmx reads responses as text.
MARKDOWN_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}, "code": {"class"}}
MARKDOWN_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code"),
    *("em", "strong", "s", "a", "table", "thead", "tbody", "tr", "th", "td"),
}


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One icon of the sprite. Without a ``label`` it is decoration and hidden from screen readers."""
    href = f"{static('icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}" viewBox="0 0 24 24"><use href="{}"/></svg>', label, href
        )
    return format_html('<svg class="icon" aria-hidden="true" viewBox="0 0 24 24"><use href="{}"/></svg>', href)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return (
        MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"]).disable("image")
    )


def _below_title(text: str) -> str:
    tokens = _parser().parse(text)
    for token in tokens:
        if token.tag == "h1":
            token.tag = "h2"
    rendered: str = _parser().renderer.render(tokens, _parser().options, {})
    return rendered


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as safe HTML: no raw HTML, no images, links only to the web, opened without a referrer.

    A heading of the first level becomes one of the second: the page's own title is the only one of the first.
    """
    clean: str = nh3.clean(
        _below_title(text),
        tags=MARKDOWN_TAGS,
        attributes=MARKDOWN_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"pre": {"tabindex": "0"}},  # it scrolls, so the keyboard must reach it
    )
    return mark_safe(clean.replace("<hx-", "&lt;hx-"))  # noqa: S308  nh3 cleaned it against the list above


def coloured(text: str, lexer: str = "", filename: str = "") -> SafeString:
    """``text`` as spans with Pygments classes; plain and escaped where no lexer fits or it is long."""
    text = clean(text)
    if len(text) > COLOURED_CHARACTERS:
        return format_html("{}", text)
    try:
        chosen = get_lexer_by_name(lexer) if lexer else get_lexer_for_filename(filename)
    except ClassNotFound:
        return format_html("{}", text)
    chosen.stripnl = False
    chosen.ensurenl = False
    html: str = colour(text, chosen, HtmlFormatter(nowrap=True))
    return mark_safe(html)  # noqa: S308  Pygments escapes the text


@register.filter
def may_do(acting: Acting | None, permission: str) -> bool:
    """``{% if request.acting|may_do:"operate" %}``."""
    return acting is not None and may(acting.role, Permission(permission))


@register.filter
def money(amount: Decimal) -> str:
    """US dollars to the cent; a positive amount below one reads "<$0.01"."""
    if 0 < amount < CENT:
        return "<$0.01"
    return f"${amount.quantize(CENT, ROUND_HALF_UP):,}"


@register.filter
def compact(number: int) -> str:
    """12345 -> 12.3k, so that counts keep their width."""
    if number < 10_000:
        return f"{number:,}"
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as "43 ms", "0.8 s", "12 s", "3 m 05 s", "2 h 04 m"."""
    if seconds is None:
        return "–"
    if seconds == 0:
        return _amount("s", 0)
    if seconds < 0.1:
        return _amount("ms", f"{seconds * 1000:.0f}")
    if seconds < 10:
        return _amount("s", f"{seconds:.1f}")
    whole = round(seconds)
    if whole < 60:
        return _amount("s", whole)
    if whole < 3600:
        return f"{_amount('m', whole // 60)} {_amount('s', f'{whole % 60:02d}')}"
    return f"{_amount('h', whole // 3600)} {_amount('m', f'{whole % 3600 // 60:02d}')}"


def _amount(unit: str, number: Any) -> str:
    return gettext(script.TIMES[unit]).replace("{}", str(number))


@register.filter
def working(row: Any) -> float:
    """Seconds that a session or a thread has worked up to now."""
    since = row.running_since
    return float(row.active_seconds) + (max(0.0, (now() - since).total_seconds()) if since else 0.0)


@register.filter
def size(count: int) -> str:
    """Bytes as people read them: 512 B, 1.4 kB, 20 MB."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return str(count)


def ago_text(moment: datetime, reference: datetime) -> str:
    """How long before ``reference`` something was, in one unit; "in 3 d" when it is to come."""
    seconds = (reference - moment).total_seconds()
    distance = abs(seconds)
    for unit_seconds, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if distance >= unit_seconds:
            return _amount("ago" if seconds >= 0 else "in", _amount(unit, int(distance // unit_seconds)))
    return gettext(script.TIMES["now" if seconds >= 0 else "soon"])


@register.filter
def ago(moment: datetime | None) -> SafeString:
    """A moment relative to now, with the exact time on hover and for scripts."""
    if moment is None:
        return SafeString("–")
    exact = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC" data-ago>{}</time>',
        exact.isoformat(timespec="seconds"),
        f"{exact:%Y-%m-%d %H:%M:%S}",
        ago_text(moment, now()),
    )


@register.filter
def clock(moment: datetime) -> SafeString:
    """The time of day, which a script turns to the reader's zone; the full time on hover."""
    exact = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC" data-clock>{}</time>',
        exact.isoformat(timespec="milliseconds"),
        f"{exact:%Y-%m-%d %H:%M:%S}",
        f"{exact:%H:%M:%S}",
    )


@register.filter
def moment(when: datetime) -> SafeString:
    """A date and time in UTC, which a script turns to the reader's zone."""
    exact = when.astimezone(UTC)
    return format_html(
        '<time datetime="{}" data-moment>{} UTC</time>', exact.isoformat(timespec="seconds"), f"{exact:%Y-%m-%d %H:%M}"
    )


@register.filter
def plain(text: str) -> str:
    """Text from outside as it reads: see ``contract.plain``."""
    return clean(text)


@register.filter
def spaced(name: str) -> str:
    """``list_cost`` as words."""
    return name.replace("_", " ")


@register.filter
def translated(phrase: str) -> str:
    """A phrase that was marked without Django (``contract.phrases``) in the page's language; other text as it is."""
    return phrase.said(gettext) if isinstance(phrase, Told) else gettext(str(phrase))


@register.simple_tag
def script_words(*names: str) -> str:
    """What the scripts of a page say, in its language, as JSON for ``<body data-words>``."""
    said = {key: gettext(phrase) for name in names for key, phrase in script.WORDS[name].items()}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


@register.filter
def told(text: str) -> str:
    """What we say ourselves in the page's language; the words of others, though they may be the same, as they are."""
    return text.said(gettext) if isinstance(text, Told) else text


@register.filter
def unlocal(value: float) -> str:
    """A number for an attribute of a drawing: a point, no grouping, no trailing noughts."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


@register.filter
def words(values: Iterable[Any]) -> str:
    """Values as one comma-separated phrase."""
    return ", ".join(str(value) for value in values)


@register.filter
def split(text: str) -> list[str]:
    """Words of a literal: ``{% for name in "one two"|split %}``."""
    return text.split()


@register.filter
def get(mapping: Any, key: Any) -> Any:
    """``mapping[key]`` where the key is a variable; None when it is absent."""
    return mapping.get(key)


@register.simple_tag(takes_context=True)
def with_query(context: template.Context, **changes: Any) -> str:
    """The page's query string with ``changes``; empty values are left out. "?" when nothing remains."""
    request: HttpRequest = context["request"]
    query = request.GET.copy()
    for name, value in changes.items():
        if value in (None, ""):
            query.pop(name, None)
        else:
            query[name] = str(value)
    return "?" + query.urlencode()


@register.simple_tag(takes_context=True)
def here(context: template.Context, prefix: str) -> SafeString:
    """``aria-current`` on the navigation link that leads to this part of the site."""
    path = context["request"].path
    at = path == prefix if prefix == "/" else path.startswith(prefix)
    return SafeString(' aria-current="page"' if at else "")
