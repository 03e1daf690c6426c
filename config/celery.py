"""The Celery app. A message is only a wake-up that carries an id; the database decides who runs what."""

from __future__ import annotations

import gc
import os
import threading
from importlib import import_module
from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup, celeryd_init, worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings

from config import broker
from contract.watchdog import Heart

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

broker.install()
app = Celery("holdfast")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# A worker without -Q takes both kinds of work; with it, only the queues it names.
app.conf.task_queues = {name: {} for name in (app.conf.task_default_queue, settings.HOLDFAST_CHORES)}

# Objects made and not freed between two looks for garbage. Of hundreds of turns at once nearly all live on: to look at
# them after every 700 took 4 % of a worker's time; this takes 1 %, and no more memory (a turn leaves some 300 objects).
GARBAGE = 5_000


@celeryd_after_setup.connect
def take_what_is_for_this_machine(instance: Any, **details: Any) -> None:
    """Every worker takes what only its machine can do, whatever -Q names: the sandboxes are there."""
    instance.app.amqp.queues.select_add(settings.HOLDFAST_AT_MACHINE + settings.HOLDFAST_MACHINE)


@celeryd_init.connect
def say_that_it_lives(**details: Any) -> None:
    """From a thread of its own: a broker or database that is away doesn't make a worker dead."""
    Heart().beat_aside()


@worker_ready.connect
def make_known(**details: Any) -> None:
    """Hold the liveness lock from the start; load what a turn needs, so that the first one need not wait for it."""
    from sessions.harness import lease

    gc.set_threshold(GARBAGE)
    lease.keeper()
    threading.Thread(target=_load_what_a_turn_needs, name="loading", daemon=True).start()


def _load_what_a_turn_needs() -> None:
    from agents.providers import registry

    import_module("sessions.harness.runner")
    registry.warm_up()


@worker_shutting_down.connect
def hand_over(**details: Any) -> None:
    """SIGTERM: the turns under way stop at their next step, where another worker takes them up."""
    from sessions.harness import lease

    lease.keeper().drain()


@worker_shutdown.connect
def say_goodbye(**details: Any) -> None:
    """After the last turn: the MCP servers are told, which would keep the sessions otherwise."""
    from agents.mcp import pool

    pool.close()
