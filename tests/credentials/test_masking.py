"""Secrets taken out of text from outside."""

from __future__ import annotations

import base64
import json
from html import escape
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.secret import Secret
from credentials.masking import MASK, excerpt, scrubbed

VALUE = 'to/ken "42"+x y'
FORMS = [VALUE, json.dumps(VALUE), quote(VALUE), quote(VALUE, safe=""), quote_plus(VALUE)]


@pytest.mark.parametrize(
    "form",
    [*FORMS[:2], *FORMS[3:], escape(VALUE), base64.b64encode(VALUE.encode()).decode(), VALUE.encode().hex()],
)
def test_a_secret_is_found_in_every_spelling(form: str) -> None:
    clean = scrubbed(f"a {form} b {form}", [Secret(VALUE)])
    assert form not in clean
    assert clean.count(MASK) == 2


def test_an_empty_secret_masks_nothing() -> None:
    assert scrubbed("text", [Secret("")]) == "text"


def test_the_longer_secret_goes_first() -> None:
    assert scrubbed("abcdef", [Secret("abc"), Secret("abcdef")]) == MASK


@given(start=st.integers(0, 40), size=st.integers(1, 60))
def test_a_text_cut_in_the_middle_shows_no_part_of_a_secret(start: int, size: int) -> None:
    secret = "0123456789"
    text = ("." * start + secret * 3)[:size]
    shown, truncated = excerpt(text, [Secret(secret)], 1000, cut=True)
    assert truncated
    assert not set(shown.replace(MASK, "")) & set(secret)


def test_an_excerpt_says_whether_it_is_whole() -> None:
    assert excerpt("abc", [], 3, cut=False) == ("abc", False)
    assert excerpt("abcd", [], 3, cut=False) == ("abc", True)
