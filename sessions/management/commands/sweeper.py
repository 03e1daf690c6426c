from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from contract.watchdog import Heart
from sessions.sweeper import Sweeper


class Command(BaseCommand):
    """Run the sweeper until it is told to stop."""

    help = "Find lost work: leases of dead workers, lost wake-ups, waits that are over."

    def handle(self, *args: Any, **options: Any) -> None:
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        sweeper = Sweeper(stopping.is_set)
        Heart().beat_aside(sweeper.goes_on)
        sweeper.run()
