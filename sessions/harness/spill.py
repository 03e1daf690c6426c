"""Results too long for the model: all of it in a file of the sandbox, a preview in the conversation. Pure.

Tools that run in the sandbox do this there (``agents.sandboxes.runner.texts``, same limit). This is for results that
come from elsewhere: MCP servers, web pages, clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.sandboxes.base import WORKSPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Block = dict[str, Any]
    Write = Callable[[str, str], str | None]

LIMIT = 100_000  # characters of all text blocks of one result
HEAD, TAIL = 6_000, 2_000
DIRECTORY = f"{WORKSPACE}/.holdfast/results"


def path_of(call_id: str) -> str:
    """Where the whole result of a call is kept in the sandbox."""
    return f"{DIRECTORY}/{call_id}.txt"


def bounded(content: Sequence[Block], call_id: str, write: Write) -> list[Block]:
    """``content`` as it is, or with its texts replaced by a preview if they are longer than ``LIMIT``.

    ``write(path, text)`` keeps the whole text in the sandbox and returns None, or a sentence why it could not; then
    the preview is all there is, and says so. Blocks other than text stay where they are.
    """
    texts = [block["text"] for block in content if block["type"] == "text"]
    if sum(map(len, texts)) <= LIMIT:
        return list(content)
    whole = "\n".join(texts)
    path = path_of(call_id)
    fault = write(path, whole)
    where = f"The whole result is in {path}" if fault is None else f"The rest could not be kept ({fault})"
    others = [block for block in content if block["type"] != "text"]
    return [{"type": "text", "text": preview(whole, where)}, *others]


def preview(whole: str, where: str) -> str:
    """The beginning and the end of a long text, and between them what is missing and where it is."""
    left_out = len(whole) - HEAD - TAIL
    note = f"[{len(whole):,} characters in all. {where}; {left_out:,} characters are left out here.]"
    return f"{note}\n{whole[:HEAD]}\n[…]\n{whole[-TAIL:]}"
