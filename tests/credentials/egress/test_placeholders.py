"""Placeholders, and putting one byte string for another in a stream."""

from __future__ import annotations

import base64
import itertools
import json
import re

from hypothesis import given
from hypothesis import strategies as st

from credentials.egress.placeholders import Replacer, derive, put_in_header, scrubbing

KEY = b"k" * 32
small = st.binary(min_size=1, max_size=6).map(lambda data: bytes(byte % 3 + 97 for byte in data))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(
    st.binary(max_size=80).map(lambda data: bytes(byte % 3 + 97 for byte in data)),
    st.dictionaries(small, st.binary(max_size=4), max_size=4),
    st.lists(st.integers(0, 100), max_size=8),
)
def test_a_stream_is_replaced_alike_however_it_is_cut(
    data: bytes, pairs: dict[bytes, bytes], places: list[int]
) -> None:
    replacer = Replacer(pairs.items())
    streamed = b"".join([*map(replacer.feed, cut(data, places)), replacer.finish()])
    ordered = sorted(pairs, key=len, reverse=True)
    whole = re.sub(b"|".join(map(re.escape, ordered)), lambda m: pairs[m.group()], data) if pairs else data
    assert streamed == whole


def test_nothing_is_held_back_that_can_not_begin_a_secret() -> None:
    replacer = Replacer([(b"secret", b"placed")])
    assert replacer.feed(b"data: 1\n\n") == b"data: 1\n\n"
    assert replacer.feed(b"a se") == b"a "


@given(st.integers(1, 5000))
def test_a_placeholder_is_as_long_as_its_secret_and_never_short(length: int) -> None:
    assert len(derive(KEY, "sesn_1", "vcrd_1", length)) == max(length, 12)


def test_a_placeholder_belongs_to_its_session_credential_and_machine() -> None:
    made = {
        derive(KEY, "sesn_1", "vcrd_1", 40),
        derive(KEY, "sesn_2", "vcrd_1", 40),
        derive(KEY, "sesn_1", "vcrd_2", 40),
        derive(b"x" * 32, "sesn_1", "vcrd_1", 40),
    }
    assert len(made) == 4
    assert derive(KEY, "sesn_1", "vcrd_1", 40) in made


@given(st.text(min_size=4, max_size=40))
def test_every_usual_form_of_a_secret_is_scrubbed(secret: str) -> None:
    value = secret.encode("utf-8", "surrogatepass") if "\ud800" <= max(secret) <= "\udfff" else secret.encode()
    replacer = Replacer(scrubbing(value, b"P" * max(12, len(value))))
    for form in (value, base64.b64encode(value), json.dumps(secret)[1:-1].encode(), value.hex().encode()):
        assert replacer.whole(b"<" + form + b">") != b"<" + form + b">"


def test_a_secret_is_put_into_basic_authentication_and_its_coded_form_is_to_be_scrubbed() -> None:
    sent = b"Basic " + base64.b64encode(b"me:PLACEHOLDER12")
    value, scrub = put_in_header(sent, Replacer([(b"PLACEHOLDER12", b"the-secret")]))
    assert base64.b64decode(value.split()[1]) == b"me:the-secret"
    assert Replacer(scrub).whole(value) == sent


def test_a_header_that_is_not_basic_is_replaced_as_it_is() -> None:
    assert put_in_header(b"Basic not*base64", Replacer([(b"not", b"but")])) == (b"Basic but*base64", [])
