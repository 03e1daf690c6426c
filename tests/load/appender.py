"""One process of the load ``appends``: ``python -m tests.load.appender SECONDS SESSION:THREAD …``.

A connection for each pair. Says ``ready``, waits for a line, and prints what each transaction took, in seconds, and the
processor time of the process meanwhile, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import django


def main(seconds: float, pairs: list[tuple[str, str]]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from sessions import events as ev
    from sessions import log
    from sessions.events import Draft

    said = "Forty characters are what a line holds. " * 12 + "A last line of 20 ch"
    drafts = [Draft(ev.AGENT_MESSAGE, {"content": [{"type": "text", "text": said}]})] * 4

    def work(pair: tuple[str, str], until: float) -> list[float]:
        taken = []
        while (begun := time.perf_counter()) < until:
            log.append(*pair, drafts)
            taken.append(time.perf_counter() - begun)
        return taken

    with ThreadPoolExecutor(len(pairs)) as pool:
        list(pool.map(lambda pair: work(pair, time.perf_counter() + 0.5), pairs))  # connects, prepares
        print("ready", flush=True)
        sys.stdin.readline()
        spent, until = time.process_time(), time.perf_counter() + seconds
        taken = [one for each in pool.map(lambda pair: work(pair, until), pairs) for one in each]
    print(json.dumps({"taken": taken, "spent": time.process_time() - spent}))


if __name__ == "__main__":
    main(
        float(sys.argv[1]), [(session, thread) for session, _, thread in (word.partition(":") for word in sys.argv[2:])]
    )
