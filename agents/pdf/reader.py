"""Reads a PDF on stdin and writes its text as JSON: a program of its own, so that a hostile file hurts nothing else.

Started by ``agents.pdf.text`` with an empty environment. Bounds itself before it reads a byte.
"""

from __future__ import annotations

import io
import json
import logging
import resource
import sys

MEMORY_BYTES = 1024 * 1024**2
CPU_SECONDS = 20
PAGES = 300
CHARACTERS = 100_000


def confine() -> None:
    """No more memory and time than these, no file written, no process started, no file kept of a crash."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


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


def main() -> None:
    confine()
    logging.disable(logging.CRITICAL)  # pypdf calls every odd file a warning
    data = sys.stdin.buffer.read()
    try:
        answer = read(data)
    except MemoryError:
        answer = {"fault": "it needs too much memory"}
    except Exception as error:
        # Whatever the library trips over in a file of unknown origin.
        answer = {"fault": f"it could not be read ({type(error).__name__})"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
