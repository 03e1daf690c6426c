"""JSON from outside, as far as the database can keep it. Pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def read(text: str) -> Any:
    """The value of a JSON text. Raises ``ValueError`` for what isn't JSON, as ``NaN``, or numbers beyond all bounds;
    ``RecursionError`` if it is nested too deeply.
    """
    return json.loads(text, parse_constant=_no_constant, parse_float=_finite)


def is_storable(value: Any) -> bool:
    """PostgreSQL stores neither null characters nor lone surrogates."""
    if isinstance(value, str):
        return UNSTORABLE.search(value) is None
    if isinstance(value, dict):
        return all(is_storable(key) and is_storable(one) for key, one in value.items())
    if isinstance(value, list):
        return all(is_storable(one) for one in value)
    return True


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    """A number; one like 1e999 would be kept as infinity, which is no JSON."""
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number
