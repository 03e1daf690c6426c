"""List prices: exact, unknown where unknown, and never in the wrong currency of time."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import pricing
from agents.providers.base import Usage

SPEC_MODELS = (
    "claude-fable-5-2", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-1",
    "claude-sonnet-5", "claude-fable-5", "claude-opus-5", "claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-6",
    "claude-sonnet-4-6", "claude-haiku-4-5", "claude-haiku-4-5-20251001", "claude-opus-4-5",
    "claude-opus-4-5-20251101", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929",
)  # fmt: skip

counts = st.integers(min_value=0, max_value=10**12)
usages = st.builds(
    lambda given, made, read, short, long: Usage(given, made, read, short + long, short, long),
    counts, counts, counts, counts, counts,
)  # fmt: skip
flat_models = st.sampled_from([name for name, listed in pricing.LIST_PRICES.items() if listed.band is None])


@pytest.mark.parametrize("model", SPEC_MODELS)
def test_every_model_of_the_contract_has_a_list_price(model: str) -> None:
    assert pricing.is_priced(model)


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(input_tokens=1_000_000), "4"),
        (Usage(output_tokens=1_000_000), "20"),
        (Usage(cache_read_input_tokens=1_000_000), "0.2"),
        (Usage(cache_creation_input_tokens=1_000_000, cache_creation_5m=1_000_000), "5"),
        (Usage(cache_creation_input_tokens=1_000_000, cache_creation_1h=1_000_000), "8"),
        (Usage(cache_creation_input_tokens=1_000_000), "5"),
        (Usage(input_tokens=1), "0.000004"),
        (Usage(), "0"),
    ],
)
def test_each_kind_of_token_has_its_own_rate(usage: Usage, dollars: str) -> None:
    assert pricing.price("claude-opus-5-5", usage) == Decimal(dollars)


def test_fast_costs_double_and_us_a_tenth_more() -> None:
    usage = Usage(input_tokens=1_000_000)
    assert pricing.price("claude-opus-5-5", usage, speed="fast") == Decimal(8)
    assert pricing.price("claude-opus-5-5", usage, geo="us") == Decimal("4.4")
    assert pricing.price("claude-opus-5-5", usage, geo="global") == Decimal(4)
    assert pricing.price("claude-opus-5-5", usage, speed="fast", geo="us") == Decimal("8.8")


@pytest.mark.parametrize(
    ("model", "speed", "geo"),
    [
        ("my-own-model", "standard", None),
        ("claude-opus-9", "standard", None),
        ("claude-sonnet-5-5", "fast", None),
        ("claude-opus-4-7", "fast", None),
        ("claude-haiku-4-5", "standard", "us"),
        ("claude-opus-5-5", "standard", "eu"),
        ("claude-opus-5-5", "warp", None),
    ],
)
def test_what_is_not_listed_is_unknown_and_not_free(model: str, speed: str, geo: str | None) -> None:
    assert not pricing.is_priced(model, speed=speed, geo=geo)
    assert pricing.price(model, Usage(input_tokens=1), speed=speed, geo=geo) is None


def test_the_demo_is_known_to_cost_nothing() -> None:
    usage = Usage(input_tokens=10**9, output_tokens=10**9)
    assert pricing.price("demo", usage) == 0
    assert pricing.price("demo-anything", usage, speed="fast", geo="us") == 0


def test_a_dated_id_costs_what_its_model_costs() -> None:
    usage = Usage(input_tokens=7, output_tokens=11)
    assert pricing.price("claude-haiku-4-5-20251001", usage) == pricing.price("claude-haiku-4-5", usage)


def test_a_long_prompt_of_the_banded_model_costs_five_times_as_much() -> None:
    short = Usage(input_tokens=60_000, cache_read_input_tokens=40_000, output_tokens=100)
    long = Usage(input_tokens=60_001, cache_read_input_tokens=40_000, output_tokens=100)
    assert pricing.price("claude-haiku-5-5", short) == Decimal("0.00645")
    assert pricing.price("claude-haiku-5-5", long) == Decimal("0.0322505")


@given(flat_models, usages, usages)
def test_the_price_of_a_sum_is_the_sum_of_the_prices(model: str, one: Usage, two: Usage) -> None:
    both = Usage(
        one.input_tokens + two.input_tokens,
        one.output_tokens + two.output_tokens,
        one.cache_read_input_tokens + two.cache_read_input_tokens,
        one.cache_creation_input_tokens + two.cache_creation_input_tokens,
        one.cache_creation_5m + two.cache_creation_5m,
        one.cache_creation_1h + two.cache_creation_1h,
    )
    first, second = pricing.price(model, one), pricing.price(model, two)
    assert first is not None
    assert second is not None
    assert pricing.price(model, both) == _exact_sum(first, second)


@given(st.sampled_from(sorted(pricing.LIST_PRICES)), usages, usages)
def test_more_tokens_never_cost_less(model: str, one: Usage, more: Usage) -> None:
    both = Usage(*(a + b for a, b in zip(_fields(one), _fields(more), strict=True)))
    first, total = pricing.price(model, one), pricing.price(model, both)
    assert first is not None
    assert total is not None
    assert total >= first >= 0


@pytest.mark.parametrize(
    ("dollars", "expected"),
    [
        ("0", "0"),
        ("0.004999", "0"),
        ("0.005", "1"),
        ("0.014999", "1"),
        ("25", "2500"),
        ("123456789.995", "12345679000"),
    ],
)
def test_cents_are_whole_and_half_a_cent_goes_up(dollars: str, expected: str) -> None:
    assert pricing.cents(Decimal(dollars)) == expected


@given(st.decimals(min_value=0, max_value=10**15, places=12))
def test_reported_cents_are_within_half_a_cent_of_the_exact_value(dollars: Decimal) -> None:
    assert abs(Decimal(pricing.cents(dollars)) - dollars * 100) <= Decimal("0.5000000001")


def test_searches_and_running_time_have_their_rates() -> None:
    assert pricing.web_search_price(1_000) == Decimal(10)
    assert pricing.running_price(Decimal(3_600), Decimal("0.08")) == Decimal("0.08")
    assert pricing.running_price(Decimal("0.001"), Decimal("0.08")) == Decimal("0.000000022")


def _fields(usage: Usage) -> tuple[int, ...]:
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
        usage.cache_creation_5m,
        usage.cache_creation_1h,
    )


def _exact_sum(one: Decimal, two: Decimal) -> Decimal:
    scaled = int(one.scaleb(12)) + int(two.scaleb(12))
    return Decimal(scaled).scaleb(-12)
