"""`manage.py prepare`: bring the database up to this code and seed it. One process, so that Django is loaded once."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection


class Command(BaseCommand):
    help = "Migrate the database, then seed it (idempotent)."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            connection.ensure_connection()
        except OperationalError as error:
            raise CommandError(f"The database can't be reached; look at DATABASE_URL. It said: {error}") from None
        call_command("migrate", interactive=False, skip_checks=True, verbosity=1)
        call_command("seed")
