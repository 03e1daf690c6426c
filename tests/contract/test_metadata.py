"""Metadata: limits and merges (spec core 2.3)."""

from __future__ import annotations

import pytest

from contract import metadata
from contract.errors import InvalidRequest


@pytest.mark.parametrize(
    ("stored", "patch", "empty_deletes", "merged"),
    [
        ({"a": "1"}, None, False, {"a": "1"}),
        ({"a": "1"}, {}, False, {"a": "1"}),
        ({"a": "1"}, {"a": "2", "b": "3"}, False, {"a": "2", "b": "3"}),
        ({"a": "1"}, {"a": None, "gone": None}, False, {}),
        ({"a": "1"}, {"a": ""}, False, {"a": ""}),
        ({"a": "1"}, {"a": ""}, True, {}),
    ],
)
def test_a_patch_goes_key_by_key(
    stored: dict[str, str], patch: dict[str, str | None] | None, empty_deletes: bool, merged: dict[str, str]
) -> None:
    assert metadata.merge(stored, patch, empty_deletes=empty_deletes) == merged


def test_the_limits_hold_after_the_merge() -> None:
    full = {str(number): "v" for number in range(16)}
    assert len(metadata.merge(full, {"0": None, "x": "v"})) == 16
    for patch in ({"x": "v"}, {"0": "v" * 513}, {"0": None, "k" * 65: "v"}, {"0": None, "": "v"}):
        with pytest.raises(InvalidRequest) as caught:
            metadata.merge(full, patch)
        assert caught.value.details == {"error_code": "invalid_metadata"}
