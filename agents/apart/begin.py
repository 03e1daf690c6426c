"""Bounds itself, then runs ``read(data)`` of the reader named by its argument on stdin, and writes the answer as JSON.

Started by ``agents.apart.reading`` with an empty environment, and without our packages: a reader is one file.
"""

from __future__ import annotations

import json
import logging
import resource
import runpy
import sys

MEMORY_BYTES = 1024 * 1024**2
CPU_SECONDS = 20


def confine() -> None:
    """No more memory and time than these, no file written, no file kept of a crash."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    confine()
    logging.disable(logging.CRITICAL)  # the libraries call every odd file a warning
    read = runpy.run_path(sys.argv[1])["read"]
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
