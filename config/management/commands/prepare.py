"""`manage.py prepare`: bring the database up to this code and seed it. One process, so that Django is loaded once."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from config.endpoints import reach_database
from config.readers import SettingError
from config.settings import HOLDFAST


class Command(BaseCommand):
    help = "Migrate the database, then seed it (idempotent)."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            reach_database(HOLDFAST.database_url)
        except SettingError as error:
            raise CommandError(str(error)) from None
        call_command("migrate", interactive=False, skip_checks=True, verbosity=1)
        call_command("seed")
