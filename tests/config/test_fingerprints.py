"""The digest of a body: the same however it is cut, and whatever its boundary is called."""

from __future__ import annotations

import pytest

from config.fingerprints import BodyDigest


def digest(body: bytes, content_type: str = "", size: int = 1 << 20) -> str:
    found = BodyDigest(content_type)
    for start in range(0, len(body), size):
        found.feed(body[start : start + size])
    return found.hexdigest()


def multipart(boundary: str, content: str = "hello") -> tuple[bytes, str]:
    body = f"--{boundary}\r\nContent-Disposition: form-data; name=file\r\n\r\n{content}\r\n--{boundary}--\r\n"
    return body.encode(), f"multipart/form-data; boundary={boundary}"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_how_a_body_is_cut_makes_no_difference(size: int) -> None:
    body, kind = multipart("a1b2c3d4")
    assert digest(body, kind, size) == digest(body, kind)
    assert digest(body, "application/json", size) == digest(body, "application/json")


def test_another_boundary_makes_no_difference() -> None:
    assert digest(*multipart("first")) == digest(*multipart("0123456789abcdef", "hello"))
    assert digest(*multipart('"quoted 1"'.strip('"'))) == digest(*multipart("x"))


def test_other_content_does() -> None:
    assert digest(*multipart("b")) != digest(*multipart("b", "goodbye"))
    assert digest(b"{}") != digest(b"{} ")


def test_a_boundary_counts_where_the_body_is_not_multipart() -> None:
    one, two = multipart("first")[0], multipart("second")[0]
    assert digest(one, "application/json; boundary=first") != digest(two, "application/json; boundary=second")


def test_a_multipart_body_without_a_boundary_is_digested_as_it_is() -> None:
    assert digest(b"--x--", "multipart/form-data") == digest(b"--x--")
