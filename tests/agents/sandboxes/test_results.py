"""What a runner sends is produced beside the agent's own processes: it is checked."""

from __future__ import annotations

from typing import Any

import pytest

from agents.sandboxes.base import OutputFile
from agents.sandboxes.results import answer_from, result_from, result_to, unknown

GOOD: dict[str, Any] = {
    "content": [{"type": "text", "text": "x"}],
    "is_error": False,
    "outputs": [["a/b", 1, 2]],
    "ms": 3,
}


def test_a_good_answer_passes_and_survives_the_journal() -> None:
    result = answer_from(GOOD)
    assert result.outputs == (OutputFile("a/b", 1, 2),)
    assert result_from(result_to(result)) == result


def test_an_unknown_outcome_is_an_error_that_says_so() -> None:
    result = unknown("its sandbox ended.")
    assert (result.is_error, result.outcome) == (True, "unknown")
    assert "outcome of this call is unknown: its sandbox ended. It may have" in result.content[0]["text"]


def test_text_no_store_can_hold_is_replaced_and_unknown_fields_dropped() -> None:
    block = {"type": "text", "text": "a\x00\ud800", "cache_control": {"type": "ephemeral"}}
    assert answer_from({**GOOD, "content": [block]}).content == [{"type": "text", "text": "a\ufffd?"}]


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": [{"type": "tool_use", "source": {"media_type": "x"}}]},
        {"content": [{"type": "image", "source": {"media_type": "text/html", "data": ""}}]},
        {"content": [{"type": "text", "text": 3}]},
        {"content": [7]},
        {"content": None},
        {"outputs": [["../x", 1, 2]]},
        {"outputs": [["/etc/passwd", 1, 2]]},
        {"outputs": [["", 1, 2]]},
        {"outputs": [["a", "b", "c"]]},
        {"ms": "soon"},
    ],
)
def test_a_wrong_answer_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        answer_from({**GOOD, **wrong})
