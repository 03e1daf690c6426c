"""Reads a PDF. Run by ``agents.apart``."""

from __future__ import annotations

import io

PAGES = 300
CHARACTERS = 100_000


def read(data: bytes) -> dict[str, object]:
    """``pages``: of the whole file; ``text``: of as many as fit, each under its number; ``cut``: there is more."""
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        return {"fault": "it is protected by a password"}
    count, parts, length = len(reader.pages), [], 0
    for number in range(min(count, PAGES)):
        text = reader.pages[number].extract_text().strip()
        if text:
            parts.append(f"[Page {number + 1}]\n{text}")
            length += len(parts[-1]) + 2
        if length > CHARACTERS:
            break
    whole = "\n\n".join(parts)
    return {"pages": count, "text": whole[:CHARACTERS], "cut": len(whole) > CHARACTERS or count > PAGES}
