"""Text from outside as it reads: nothing in it steers a terminal or the direction of what follows. Pure."""

from __future__ import annotations

import re

TERMINAL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])"
)
HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """``text`` without terminal sequences; other control characters and those that turn the direction of what
    follows are shown as ``<U+202E>``, so that nothing reads differently from what it is.
    """
    return HIDDEN.sub(lambda found: f"<U+{ord(found.group()):04X}>", TERMINAL.sub("", text.replace("\r\n", "\n")))
