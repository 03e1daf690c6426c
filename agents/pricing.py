"""What a model request costs at list price. Pure, exact, in US dollars.

List prices as of 2026-11-23, dollars per million tokens, from Anthropic's public pages:
* platform.claude.com/docs/en/about-claude/pricing and the model overview pages for input,
  output and cache rates; 5-minute writes cost 1.25 times the input price, 1-hour writes
  twice; reads cost a share of the input price that differs by model (column ``cache_read``).
* platform.claude.com/docs/en/build-with-claude/fast-mode for the fast premium (twice, models
  that still offer it), …/manage-claude/data-residency for ``us`` inference (1.1 times, Opus
  4.6 and every later model).
* Fable 5.2's rates are those of its release on 2026-11-09 as two independent price lists
  repeat them; Haiku 5.5 has a second band for prompts over 100,000 tokens.

A model that is not in the table has no known price, and neither has a pairing of model and
speed or geography that is not sold: both are ``None``, to be shown as unknown, never as zero.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.providers.base import Usage

WRITE_5M = Decimal("1.25")
WRITE_1H = Decimal(2)
US_ONLY = Decimal("1.1")
WEB_SEARCH = Decimal("0.01")
"""Dollars a web search: $10 per 1,000."""


@dataclass(frozen=True, slots=True)
class Band:
    """Other rates for prompts of more than ``over`` tokens, cached ones included."""

    over: int
    input: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class ListPrice:
    """Dollars per million tokens; ``cache_read`` and ``fast`` are factors, ``fast`` is None
    where the model has no fast mode, ``us`` says whether US-only inference is sold.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal = Decimal("0.1")
    fast: Decimal | None = None
    us: bool = True
    band: Band | None = None


def _dollars(given: str, made: str, cache_read: str = "0.1", *, fast: str | None = None, us: bool = True) -> ListPrice:
    return ListPrice(Decimal(given), Decimal(made), Decimal(cache_read), Decimal(fast) if fast else None, us)


LIST_PRICES: dict[str, ListPrice] = {
    "claude-fable-5-2": _dollars("8", "40", "0.025", fast="2"),
    "claude-fable-5-1": _dollars("10", "50", "0.025"),
    "claude-fable-5": _dollars("10", "50"),
    "claude-opus-5-5": _dollars("4", "20", "0.05", fast="2"),
    "claude-opus-5": _dollars("5", "25", fast="2"),
    "claude-opus-4-8": _dollars("5", "25", fast="2"),
    "claude-opus-4-7": _dollars("5", "25"),
    "claude-opus-4-6": _dollars("5", "25"),
    "claude-opus-4-5": _dollars("5", "25", us=False),
    "claude-sonnet-5-5": _dollars("2", "10", "0.05"),
    "claude-sonnet-5": _dollars("2", "10"),
    "claude-sonnet-4-6": _dollars("3", "15"),
    "claude-sonnet-4-5": _dollars("3", "15", us=False),
    "claude-haiku-5-5": ListPrice(Decimal("0.1"), Decimal("0.5"), band=Band(100_000, Decimal("0.5"), Decimal("2.5"))),
    "claude-haiku-4-5": _dollars("1", "5", us=False),
    "demo": _dollars("0", "0", fast="1"),
}

_DATED = re.compile(r"-20\d{6}$")


def is_priced(model_id: str, *, speed: str = "standard", geo: str | None = None) -> bool:
    """Whether requests of this model, at this speed and place, have a known list price."""
    return _factor(_lookup(model_id), speed, geo) is not None


def price(model_id: str, usage: Usage, *, speed: str = "standard", geo: str | None = None) -> Decimal | None:
    """Dollars for the tokens of one request, unrounded; ``None`` when the price is unknown.

    Price every request for itself, by the model and speed that served it: a sum of several
    requests may fall into another band than any of them.
    """
    listed = _lookup(model_id)
    factor = _factor(listed, speed, geo)
    if listed is None or factor is None:
        return None
    given, made = _rates(listed, usage)
    long = usage.cache_creation_1h
    short = max(usage.cache_creation_5m, usage.cache_creation_input_tokens - long)
    with localcontext() as exact:
        exact.prec = 60
        prompt = usage.input_tokens + short * WRITE_5M + long * WRITE_1H
        prompt += usage.cache_read_input_tokens * listed.cache_read
        return ((prompt * given + usage.output_tokens * made) * factor).scaleb(-6)


def web_search_price(searches: int) -> Decimal:
    """Dollars for web searches (spec core 15.2)."""
    return searches * WEB_SEARCH


def running_price(seconds: Decimal, dollars_an_hour: Decimal) -> Decimal:
    """Dollars for running time, exact to a billionth of a dollar."""
    with localcontext() as exact:
        exact.prec = 60
        return (seconds * dollars_an_hour / 3_600).quantize(Decimal("1e-9"), ROUND_HALF_UP)


def cents(dollars: Decimal) -> str:
    """Whole cents as the API reports them: a decimal string, half a cent rounded up."""
    with localcontext() as exact:
        exact.prec = 60
        return str(int((dollars * 100).quantize(Decimal(1), ROUND_HALF_UP)))


def _lookup(model_id: str) -> ListPrice | None:
    if model_id.startswith("demo-"):
        return LIST_PRICES["demo"]
    return LIST_PRICES.get(_DATED.sub("", model_id))


def _factor(listed: ListPrice | None, speed: str, geo: str | None) -> Decimal | None:
    if listed is None or speed not in ("standard", "fast") or geo not in (None, "global", "us"):
        return None
    factor = Decimal(1) if speed == "standard" else listed.fast
    if geo != "us" or factor is None:
        return factor
    return factor * US_ONLY if listed.us else None


def _rates(listed: ListPrice, usage: Usage) -> tuple[Decimal, Decimal]:
    prompt = usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens
    if listed.band is not None and prompt > listed.band.over:
        return listed.band.input, listed.band.output
    return listed.input, listed.output
