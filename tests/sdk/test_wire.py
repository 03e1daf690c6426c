"""What no client that knows HTTP would send, to the live server: it answers in the API's own words all the same."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anthropic
import httpx2
import pytest

if TYPE_CHECKING:
    from tests.live import Installation

BROKEN_UPLOADS = [
    ("multipart/form-data; boundary=x", b"junk"),
    ("multipart/form-data; boundary=", b"--x\r\n\r\n"),
    ("multipart/form-data", b"abc"),
    ("multipart/form-data; boundary=\xc3", b"\xff\xfe"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'),
]
BROKEN_HEADS = [
    ({"x-long": "a" * 20_000}, 431),
    ({f"x-{number}": "a" for number in range(600)}, 431),
    ({"content-length": "two"}, 400),
    ({"transfer-encoding": "chunked"}, 400),  # beside a content-length
    ({"x-odd": "a\x0bb"}, 400),
]


def ask(
    installation: Installation, line: bytes, headers: dict[str, str], body: bytes = b""
) -> tuple[int, dict[str, str]]:
    """Status and error of one raw request."""
    place = urlsplit(installation.url)
    sent = {
        "host": place.netloc,
        "authorization": f"Bearer {installation.api_key}",
        "connection": "close",
        "content-length": str(len(body)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items()).encode("latin-1")
    with socket.create_connection((place.hostname, place.port), timeout=30) as connection:
        connection.sendall(line + b" HTTP/1.1\r\n" + head + b"\r\n" + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    status, _, rest = answer.partition(b"\r\n")
    told = json.loads(rest.partition(b"\r\n\r\n")[2])
    assert told["type"] == "error"
    assert told["request_id"].startswith("req_")
    return int(status.split()[1]), told["error"]


@pytest.mark.parametrize("path", [b"/v1/files", b"/v1/skills"])
def test_a_malformed_upload_gets_the_envelope(installation: Installation, path: bytes) -> None:
    for content_type, body in BROKEN_UPLOADS:
        status, error = ask(installation, b"POST " + path, {"content-type": content_type}, body)
        assert (status, error["type"]) == (400, "invalid_request_error"), body


def test_an_upload_may_come_in_pieces_without_a_length(installation: Installation) -> None:
    pieces = [b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n', b"abc", b"\r\n--x--\r\n"]
    headers = {"x-api-key": installation.api_key, "content-type": "multipart/form-data; boundary=x"}
    made = httpx2.post(f"{installation.url}/v1/files", content=iter(pieces), headers=headers)
    assert made.json()["size_bytes"] == 3


def test_a_body_over_the_limit_is_refused(installation: Installation) -> None:
    size = 33 * 1024 * 1024
    status, error = ask(installation, b"POST /v1/agents", {}, b" " * size)
    assert (status, error["type"]) == (413, "request_too_large")
    for path in (b"/v1/agents", b"/v1/files"):
        status, error = ask(installation, b"POST " + path, {"content-length": str(16 * size)})
        assert (status, error["type"]) == (413, "request_too_large"), "and nobody waits for it"


@pytest.mark.parametrize(("headers", "status"), BROKEN_HEADS)
def test_a_head_that_is_too_large_or_malformed_gets_the_envelope(
    installation: Installation, headers: dict[str, str], status: int
) -> None:
    told, error = ask(installation, b"GET /v1/agents", headers)
    assert (told, error["type"]) == (status, "invalid_request_error")


def test_an_address_that_is_too_long_gets_the_envelope(installation: Installation) -> None:
    status, error = ask(installation, b"GET /v1/agents?" + b"a" * 20_000, {})
    assert (status, error["type"]) == (414, "invalid_request_error")


def test_the_sdk_names_headers_that_are_too_large(installation: Installation) -> None:
    client = anthropic.Anthropic(base_url=installation.url, api_key=installation.api_key, max_retries=0)
    with pytest.raises(anthropic.RequestHeaderFieldsTooLargeError):
        client.beta.agents.list(extra_headers={"x-long": "a" * 20_000})
