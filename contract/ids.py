"""Object ids (spec core 2.3): a prefix and 24 base58 characters that sort roughly by time."""

from __future__ import annotations

import os
import time

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
TIME_DIGITS = 9
RANDOM_DIGITS = 15
RANDOM_BYTES = 12
AHEAD = 64  # ids

_random: list[bytes] = []
os.register_at_fork(after_in_child=_random.clear)  # no two processes may draw the same


def _base58(number: int, digits: int) -> str:
    out = []
    for _ in range(digits // 2):
        number, rest = divmod(number, len(PAIRS))
        out.append(PAIRS[rest])
    if digits % 2:
        out.append(ALPHABET[number % len(ALPHABET)])
    return "".join(reversed(out))


def _drawn() -> int:
    """A random number that nobody drew before. The system is asked for many at once: at each of its answers a busy
    worker goes on with another of its threads, and a step makes seven ids.
    """
    try:
        return int.from_bytes(_random.pop())
    except IndexError:
        many = os.urandom(RANDOM_BYTES * AHEAD)
        first, *others = (many[at : at + RANDOM_BYTES] for at in range(0, len(many), RANDOM_BYTES))
        _random.extend(others)
        return int.from_bytes(first)


def new_id(prefix: str) -> str:
    """``new_id("sesn")`` -> ``sesn_…``. Microsecond clock first, so that indexes stay compact."""
    clock = _base58(time.time_ns() // 1000, TIME_DIGITS)
    return f"{prefix}_{clock}{_base58(_drawn(), RANDOM_DIGITS)}"


def workspace_id() -> str:
    return new_id("wrkspc")


def agent_id() -> str:
    return new_id("agent")


def notice_target_id() -> str:
    return new_id("notify")


def environment_id() -> str:
    return new_id("env")


def session_id() -> str:
    return new_id("sesn")


def thread_id() -> str:
    return new_id("sthr")


def event_id() -> str:
    return new_id("sevt")


def resource_id() -> str:
    return new_id("sesrsc")


def file_id() -> str:
    return new_id("file")


def api_key_id() -> str:
    return new_id("apikey")


def model_connection_id() -> str:
    return new_id("mconn")


def memory_store_id() -> str:
    return new_id("memstore")


def memory_id() -> str:
    return new_id("mem")


def memory_version_id() -> str:
    return new_id("memver")


def user_profile_id() -> str:
    return new_id("uprof")


def vault_id() -> str:
    return new_id("vlt")


def credential_id() -> str:
    return new_id("vcrd")


def skill_id() -> str:
    return new_id("skill")


def skill_version_id() -> str:
    return new_id("skver")


def deployment_id() -> str:
    return new_id("depl")


def deployment_run_id() -> str:
    return new_id("drun")


def webhook_endpoint_id() -> str:
    return new_id("whep")


def webhook_event_id() -> str:
    return new_id("whe")


def webhook_delivery_id() -> str:
    return new_id("whd")


def work_id() -> str:
    return new_id("work")


def environment_key_id() -> str:
    return new_id("ekey")


def transfer_id() -> str:
    return new_id("xfer")


def workflow_run_id() -> str:
    return new_id("wrun")


def workflow_phase_id() -> str:
    return new_id("wrph")


def outcome_id() -> str:
    return new_id("outc")


def dream_id() -> str:
    return new_id("drm")


def view_id() -> str:
    return new_id("view")
