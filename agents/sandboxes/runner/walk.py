"""The pattern search behind grep where ripgrep is missing; a program of its own.

It runs as a separate process because Python's regular expressions can backtrack for ever while
they hold the interpreter: the parent kills it when its time is over. Prints ``path:line:text``.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MAX_FILES = 50_000
# A pathological pattern on a very long line is the classic way to burn a day of CPU.
MAX_LINE = 2000
SKIPPED = (".git", "node_modules")


def files_below(root: str) -> Iterator[str]:
    """Regular files in a stable order, links never followed."""
    if not os.path.isdir(root):
        yield root
        return
    for directory, names, leaves in os.walk(root):
        names[:] = sorted(n for n in names if n not in SKIPPED and not os.path.islink(os.path.join(directory, n)))
        for leaf in sorted(leaves):
            path = os.path.join(directory, leaf)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def matches(pattern: re.Pattern[str], path: str) -> Iterator[str]:
    """Matching lines of one text file; files with NUL bytes are taken for binary."""
    with open(path, "rb") as handle:
        if b"\x00" in handle.read(512):
            return
        handle.seek(0)
        for number, raw in lines(handle):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if pattern.search(line):
                yield "%s:%d:%s" % (path, number, line)


def lines(handle: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Number and text of every line that is not longer than ``MAX_LINE``; no longer one is ever held as a whole."""
    number, begun = 1, True
    while True:
        piece = handle.readline(MAX_LINE + 1)
        if not piece:
            return
        ends = piece.endswith(b"\n")
        if begun and (ends or len(piece) <= MAX_LINE):
            yield number, piece
        number, begun = number + ends, ends


def main() -> None:
    pattern, root = re.compile(sys.argv[1]), sys.argv[2]
    out = open(1, "w", encoding="utf-8", errors="replace")  # noqa: SIM115 - lives until exit
    for number, path in enumerate(files_below(root)):
        if number >= MAX_FILES:
            break
        try:
            out.writelines(line + "\n" for line in matches(pattern, path))
        except OSError:
            continue
    out.flush()


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        sys.stderr.write("%s: %s\n" % (type(error).__name__, error))
        sys.exit(2)  # as ripgrep does; 1 would mean that nothing was found
