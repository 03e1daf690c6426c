"""``python3 -I -m runner serve [DOOR] | check USER | pack ROOT… | unpack ROOT…`` inside the sandbox.

Any of them may follow ``confined FILTER``.
"""

from __future__ import annotations

import os
import sys

PATIENCE = 10  # a snapshot can wait for the calls of other sandboxes


def main() -> None:
    command, roots = sys.argv[1], sys.argv[2:]
    if command == "confined":
        from .confined import put_on, reap

        with open(roots[0], "rb") as steps:
            put_on(steps.read())
        reap()
        command, roots = roots[1], roots[2:]
    if command == "serve":
        from .serve import main as serve

        if roots:
            from .door import hand_out

            hand_out(roots[0])
        serve()
        return
    if command == "check":
        from .check import main as check

        check(int(roots[0]))
        return
    if command == "pack":
        os.nice(PATIENCE)
    from . import archive

    if command == "pack":
        archive.pack(roots, sys.stdout.buffer)
    else:
        archive.unpack(roots, sys.stdin.buffer)


if __name__ == "__main__":
    main()
