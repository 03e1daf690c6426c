from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from sessions.models import Session
from sessions.repair import repair
from sessions.verify import verify


class Command(BaseCommand):
    """Recompute every projected column from the log and compare."""

    help = "Check that sessions agree with their logs: gapless seq, status, usage, queue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("session", nargs="*", help="session ids; all of them if none is named")
        told = "write what the log says into rows that disagree with it, and tell so on the log"
        parser.add_argument("--repair", action="store_true", help=told)

    def handle(self, *args: Any, **options: Any) -> None:
        sessions = Session.objects.all().order_by("created_at")
        if options["session"]:
            sessions = sessions.filter(pk__in=options["session"])
        checked = unsound = 0
        for session_id in sessions.values_list("pk", flat=True).iterator():
            complaints = at_one_moment(session_id)
            if complaints is None:
                continue
            checked += 1
            unsound += bool(complaints)
            for complaint in complaints:
                self.stderr.write(f"{session_id}: {complaint}")
            if complaints and options["repair"] and repair(session_id) and not at_one_moment(session_id):
                self.stdout.write(f"{session_id}: repaired.")
                unsound -= 1
        if unsound:
            hint = "" if options["repair"] else " With --repair, rows are made to agree; logs are never changed."
            raise CommandError(f"{unsound} of {checked} sessions disagree with their log.{hint}")
        self.stdout.write(f"{checked} sessions agree with their logs.")


def at_one_moment(session_id: str) -> list[str] | None:
    """The complaints about a session that may be at work: its rows and its log as they are together. None: deleted."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        session = Session.objects.filter(pk=session_id).first()
        return None if session is None else verify(session)
