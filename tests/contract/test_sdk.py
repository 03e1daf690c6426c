from __future__ import annotations

import subprocess
import sys

from tests.live import ROOT

RACE = """
import threading
from agents.providers import registry
from contract import sdk
from contract.schema import request_model, sdk_type

START = threading.Barrier(8)
WORK = [
    lambda: sdk_type("session_create_params.SessionCreateParams"),
    lambda: request_model("agent_create_params.AgentCreateParams"),
    lambda: sdk.part("anthropic.types.beta.sessions.event_send_params"),
    lambda: registry.warm_up(),
]
failures = []

def run(work):
    START.wait()
    try:
        work()
    except Exception as error:
        failures.append(repr(error))

threads = [threading.Thread(target=run, args=(WORK[number % 4],)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(failures)
"""


def test_many_threads_may_need_the_sdk_at_the_same_first_moment() -> None:
    """In a process of its own: here the SDK is long loaded."""
    done = subprocess.run(
        [sys.executable, "-c", RACE], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
