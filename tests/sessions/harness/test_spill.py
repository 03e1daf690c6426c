"""Long results from outside of the sandbox: a file there, a preview in the conversation."""

from __future__ import annotations

from typing import Any

from sessions.harness import spill


def _never(path: str, text: str) -> str | None:
    raise AssertionError(f"{path} was written")


def test_a_result_within_the_limit_stays_as_it_is() -> None:
    content: list[dict[str, Any]] = [{"type": "text", "text": "a" * spill.LIMIT}, {"type": "image", "source": {}}]
    assert spill.bounded(content, "sevt_1", _never) == content


def test_a_longer_one_is_kept_whole_in_a_file_that_the_preview_names() -> None:
    kept: dict[str, str] = {}
    content: list[dict[str, Any]] = [
        {"type": "text", "text": "b" * spill.LIMIT},
        {"type": "image", "source": {}},
        {"type": "text", "text": "END"},
    ]

    def write(path: str, text: str) -> None:
        kept[path] = text

    preview, image = spill.bounded(content, "sevt_1", write)
    (path,) = kept
    assert kept[path] == "b" * spill.LIMIT + "\nEND"
    assert path in preview["text"]
    assert preview["text"].endswith("END")
    assert len(preview["text"]) < 10_000
    assert image == content[1]


def test_a_file_that_cannot_be_written_is_told() -> None:
    (preview,) = spill.bounded(
        [{"type": "text", "text": "c" * 200_000}], "sevt_1", lambda path, text: "the disk is full"
    )
    assert "could not be kept (the disk is full)" in preview["text"]
