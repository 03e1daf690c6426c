"""What was said, sealed in the database under the key ring (``SEAL_EVENTS``): JSON, bound to the place it lies in.

A sealed value is a JSON object: the fields that the database itself asks about, in the clear, and under ``MARK`` all
the rest, packed and sealed. Reading never asks the setting: plain and sealed values lie side by side.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models

from credentials import crypto

if TYPE_CHECKING:
    from collections.abc import Collection

MARK = "$sealed"
SIZE = "$bytes"
PLAIN, PACKED = b"j", b"z"
PACKED_FROM = 512  # bytes; shorter texts gain nothing


def shut(value: Any, owner: str, clear: Collection[str] = ()) -> Any:
    """The form in which a value is stored: sealed for ``owner`` if the settings say so, but for the ``clear`` fields.

    What only looks like a sealed value is sealed in any case, so that it comes back as it was.
    """
    lookalike = isinstance(value, dict) and MARK in value
    if value is None or not (settings.HOLDFAST_SEAL_EVENTS or lookalike):
        return value
    shown = {} if lookalike else {name: value[name] for name in clear if name in value}
    hidden = {name: held for name, held in value.items() if name not in shown} if shown else value
    if not hidden:
        return value
    text = json.dumps(hidden, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    body = PACKED + zlib.compress(text, 1) if len(text) >= PACKED_FROM else PLAIN + text
    return {**shown, MARK: base64.b64encode(crypto.seal_bytes(body, owner)).decode(), SIZE: len(text)}


def is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and MARK in value


def opened(value: Any, owner: str) -> Any:
    """A stored value as it was. Raises ``crypto.CannotOpen`` if it was sealed elsewhere or its key is gone."""
    if not is_sealed(value):
        return value
    body = crypto.unseal_bytes(base64.b64decode(value[MARK]), owner)
    hidden = json.loads(zlib.decompress(body[1:]) if body[:1] == PACKED else body[1:])
    shown = {name: held for name, held in value.items() if name not in (MARK, SIZE)}
    return {**shown, **hidden} if shown else hidden


def key_of(value: Any) -> str:
    """The name of the key that sealed a stored value; "" if none did."""
    return crypto.key_name(base64.b64decode(value[MARK])) if is_sealed(value) else ""


class SealableJSON(models.JSONField):
    """JSON that repeats what was said: stored as the log's events are. Bound to its column, not to its row."""

    @property
    def owner(self) -> str:
        return f"{self.model._meta.label}.{self.name}"

    def stored(self, value: Any) -> Any:
        """A value as the table keeps it."""
        return shut(value, self.owner)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        kept = value if hasattr(value, "resolve_expression") else self.stored(value)
        return super().get_db_prep_value(kept, connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return opened(super().from_db_value(value, expression, connection), self.owner)
