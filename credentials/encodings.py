"""How a secret may be written where it turns up again: in JSON, HTML, URLs, base64 and hexadecimal. Pure."""

from __future__ import annotations

import base64
import json
from html import escape
from urllib.parse import quote, quote_plus


def forms(value: bytes) -> list[bytes]:
    """The ways to write ``value``, itself first; always as many, in the same order, so that some may be equal."""
    text = value.decode("utf-8", "surrogateescape")
    return [
        value,
        json.dumps(text, ensure_ascii=True)[1:-1].encode(),
        json.dumps(value.decode("latin-1"), ensure_ascii=True)[1:-1].encode(),
        json.dumps(value.decode("latin-1"), ensure_ascii=False)[1:-1].encode(),
        json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape"),
        escape(text).encode("utf-8", "surrogateescape"),
        quote(value, safe="").encode(),
        quote_plus(value).encode(),
        base64.b64encode(value),
        base64.urlsafe_b64encode(value).rstrip(b"="),
        value.hex().encode(),
    ]
