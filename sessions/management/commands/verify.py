from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from sessions.models import Session
from sessions.verify import verify


class Command(BaseCommand):
    """Recompute every projected column from the log and compare."""

    help = "Check that sessions agree with their logs: gapless seq, status, usage, queue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", nargs="*", help="session ids; all of them if none is named")

    def handle(self, *args: Any, **options: Any) -> None:
        sessions = Session.objects.all().order_by("created_at")
        if options["session"]:
            sessions = sessions.filter(pk__in=options["session"])
        checked = unsound = 0
        for session in sessions.iterator():
            checked += 1
            complaints = verify(session)
            unsound += bool(complaints)
            for complaint in complaints:
                self.stderr.write(f"{session.pk}: {complaint}")
        if unsound:
            raise CommandError(f"{unsound} of {checked} sessions disagree with their log.")
        self.stdout.write(f"{checked} sessions agree with their logs.")
