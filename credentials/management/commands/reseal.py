"""`manage.py reseal`: after a new key was put first in HOLDFAST_KEYS, bring everything that is sealed under it.

Also after ``SEAL_EVENTS`` or ``SEAL_SNAPSHOTS`` was turned on or off: what lies there already follows the setting.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from credentials import crypto, resealing


class Command(BaseCommand):
    help = "Seal every secret anew with the first key of HOLDFAST_KEYS. Online: nothing needs to stop for it."

    def handle(self, *args: Any, **options: Any) -> None:
        lost: list[str] = []
        for tally in resealing.reseal():
            self.stdout.write(f"{tally.name:<44} {tally.resealed:>7} sealed anew, {tally.current:>7} were already")
            lost += tally.lost
        if lost:
            raise CommandError("\n".join([*lost, "Everything else is sealed with the first key."]))
        self.stdout.write(f"Everything is sealed with the key {crypto.current_key()!r}; older keys may leave the ring.")
