"""``web_fetch`` against a real site: what is shown, what is refused, and that nothing inside can be reached."""

from __future__ import annotations

import base64
import gzip
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from agents.apart import reading
from agents.tools.web import domains, extract, fetch
from agents.tools.web.fetch import Failed, Outside
from agents.tools.web.seen import CLIENT, SERVER, USER, Known, counts, limits
from credentials.dialling import AddressRefused, Line, Unreachable
from tests.agents.tools.web import site as sites

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.agents.tools.web.site import Site

OUTSIDE = Outside(Line, AddressRefused, Unreachable)
ANY = Known()


@pytest.fixture(autouse=True)
def here_is_permitted(settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)


@pytest.fixture
def site() -> Iterator[Site]:
    yield from sites.running()


def text(url: str, known: Known = ANY, **config: Any) -> str:
    (block,) = fetch.fetch(url, config, OUTSIDE, known)
    assert block["type"] == "text"
    return str(block["text"])


def refusal(url: str, known: Known = ANY, **config: Any) -> str:
    with pytest.raises(Failed) as failed:
        fetch.fetch(url, config, OUTSIDE, known)
    return str(failed.value)


def test_a_page_is_its_main_text_with_links_and_tables(site: Site) -> None:
    shown = text(site.put("/", sites.PAGE))
    assert shown.startswith(site.url("/"))
    assert "# About ducks" in shown
    assert "Ducks are birds that swim." in shown
    assert "more about ducks" in shown
    assert "Mallard" in shown
    assert "ignored()" not in shown


def test_a_page_that_keeps_its_reader_busy_is_given_up(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    busy = tmp_path / "busy.py"
    busy.write_text("def read(data):\n    while True:\n        pass\n")
    monkeypatch.setattr(extract, "READER", busy)
    monkeypatch.setattr(reading, "SECONDS", 0.5)
    assert refusal(site.put("/", sites.PAGE)).endswith("can't be shown: reading it takes too long.")


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("text/plain", b"hello", "hello"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/ld+json", b"[]", "[]"),
        ("text/plain; charset=latin-1", "Zürich".encode("latin-1"), "Zürich"),
        ("text/plain; charset=nonsense", "Zürich".encode(), "Zürich"),
        ("text/plain; charset=undefined", "Zürich".encode(), "Zürich"),
        ("text/plain; charset=idna", "Zürich".encode(), "Zürich"),
        ("text/plain", b"a\x00b", "a\ufffdb"),
    ],
)
def test_text_files_come_as_they_are(site: Site, kind: str, body: bytes, expected: str) -> None:
    assert text(site.put("/file", body, kind)).endswith("\n\n" + expected)


def test_a_pdf_is_a_document_and_a_picture_a_picture(site: Site) -> None:
    for path, kind, shape in (("/a.pdf", "application/pdf", "document"), ("/a.png", "image/png", "image")):
        (block,) = fetch.fetch(site.put(path, b"%PDF-1.4 bytes", kind), {}, OUTSIDE, ANY)
        assert block["type"] == shape
        assert base64.b64decode(block["source"]["data"]) == b"%PDF-1.4 bytes"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"kind": "video/mp4", "body": b"x"}, "unsupported_content_type"),
        ({"kind": "image/png", "body": b"x" * 4_000_000}, "larger than 3 MB"),
        ({"body": b"x", "status": 500}, "HTTP 500"),
        ({"body": b"x", "content_encoding": "br"}, "compressed it as br"),
        ({"body": b"x", "content_encoding": "gzip"}, "compression is broken"),
    ],
)
def test_what_cannot_be_shown_says_why(site: Site, answer: dict[str, Any], said: str) -> None:
    assert said in refusal(site.put("/thing", **answer))


def test_a_page_that_is_compressed_all_the_same_is_read_and_a_bomb_is_bounded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert text(site.put("/gz", gzip.compress(b"packed"), "text/plain", content_encoding="gzip")).endswith("packed")
    assert text(site.put("/df", zlib.compress(b"packed"), "text/plain", content_encoding="deflate")).endswith("packed")
    monkeypatch.setattr(fetch, "LARGEST", 100_000)
    bomb = gzip.compress(b"x" * 50_000_000)
    assert len(text(site.put("/bomb", bomb, "text/plain", content_encoding="gzip"))) < 101_000


def test_a_long_text_is_cut_at_the_agents_limit_and_says_so(site: Site) -> None:
    shown = text(site.put("/long", b"y" * 50_000, "text/plain"), max_content_tokens=100)
    assert shown.endswith("[The rest is left out.]")
    assert len(shown) < 500


def test_redirects_are_followed_and_their_number_is_bounded(site: Site) -> None:
    site.put("/end", b"arrived", "text/plain")
    assert text(site.put("/start", b"", status=302, location="/end")).endswith("arrived")
    assert "redirects" in refusal(site.put("/round", b"", status=302, location="/round"))
    assert "no address" in refusal(site.put("/broken", b"", status=302, location="http://[::1/"))


def test_every_hop_is_checked_against_the_agents_domains_and_the_network(site: Site, settings: Any) -> None:
    away = site.put("/away", b"", status=302, location=f"http://localhost:{site.port}/end")
    site.put("/end", b"arrived", "text/plain")
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1", "::1")
    assert "url_not_allowed" in refusal(away, blocked_domains=["localhost"])
    settings.HOLDFAST_ALLOWED_NETWORKS = ("127.0.0.1",)
    metadata = site.put("/metadata", b"", status=307, location="http://169.254.169.254/latest/meta-data/")
    assert refusal(metadata).startswith(("url_not_allowed", "url_not_accessible"))
    file = site.put("/file-scheme", b"", status=302, location="file:///etc/passwd")
    assert "invalid_input" in refusal(file)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://[::ffff:127.0.0.1]/",
        "http://2130706433/",
        "http://0x7f.1/",
    ],
)
def test_addresses_inside_are_not_dialled(url: str, settings: Any) -> None:
    settings.HOLDFAST_ALLOWED_NETWORKS = ()
    said = refusal(url)
    assert said.startswith(("url_not_allowed", "url_not_accessible"))


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "file:///etc/passwd", "example.com", "http://a@b.example/", "http://", "http://a b/"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    assert refusal(url).startswith("invalid_input")


def test_a_server_that_never_answers_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SECONDS", 0.5)
    assert "url_not_accessible" in refusal(site.url("/silent"))


@pytest.mark.parametrize(
    ("url", "config", "expected"),
    [
        ("https://docs.example.com/a", {"allowed_domains": ["example.com"]}, True),
        ("https://EXAMPLE.com./a", {"allowed_domains": ["example.com"]}, True),
        ("https://example.com.evil.org/", {"allowed_domains": ["example.com"]}, False),
        ("https://notexample.com/", {"allowed_domains": ["example.com"]}, False),
        ("https://example.com/", {"blocked_domains": ["example.com"]}, False),
        ("https://other.org/", {"blocked_domains": ["example.com"]}, True),
        ("https://example.com/docs/x", {"allowed_domains": ["example.com/docs"]}, True),
        ("https://example.com/docsx", {"allowed_domains": ["example.com/docs"]}, False),
        ("https://example.com/", {"allowed_domains": ["example.com/"]}, True),
        ("https://anything.net/", {"allowed_domains": None, "blocked_domains": None}, True),
    ],
)
def test_domains_stand_for_themselves_and_their_subdomains(url: str, config: dict[str, Any], expected: bool) -> None:
    parts = domains.split(url)
    assert parts is not None
    assert domains.permitted(parts, config) is expected


@pytest.mark.parametrize(
    ("url", "said", "permitted"),
    [
        ("https://a.example/docs", "see https://a.example/docs.", True),
        ("https://a.example/docs", "[docs](https://a.example/docs/#top)", True),
        ("https://a.example/", "https://a.example, they say", True),
        ("https://a.example/d", "https://a.example/docs", False),
        ("https://a.example/docs", "https://a.example/docs?id=1", False),
        ("https://a.example", "https://a.example.org/", False),
        ("https://a.example/docs?id=1", "https://a.example/docs", False),
    ],
)
def test_the_beginning_of_an_address_is_another_address(url: str, said: str, permitted: bool) -> None:
    assert Known(("nothing", said)).permits(url) == permitted


def test_sources_say_where_an_address_may_come_from(site: Site) -> None:
    url = site.put("/", b"hello", "text/plain")
    assert text(url, Known((f"please read {url}.",))).endswith("hello")
    assert refusal(url, Known(("nothing here",))).startswith("url_not_allowed")
    only = {SERVER: {"type": "only", "tools": [{"type": "tool_reference", "name": "web_search"}]}}
    assert limits(only)
    assert not limits({USER: {"type": "all"}, CLIENT: None})
    assert [counts(only, SERVER, name) for name in ("web_search", "web_fetch")] == [True, False]
    assert counts(only, USER)
    assert not counts({USER: {"type": "none"}}, USER)
    excepted = {CLIENT: {"type": "except", "tools": [{"type": "tool_reference", "name": "mail"}]}}
    assert [counts(excepted, CLIENT, name) for name in ("mail", "notes")] == [False, True]
