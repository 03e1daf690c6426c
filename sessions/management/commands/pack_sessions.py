from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from agents.models import Workspace
from sessions import packing

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Move sessions that were archived long ago out of the database, each into a compressed file."""

    help = (
        "Write sessions archived long ago into one compressed file each, then delete them. The files hold their logs "
        "(secrets masked), not their workspaces and outputs; the page of sessions imports them again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="where the files go; must exist")
        parser.add_argument("--days", type=int, required=True, help="archived at least so many days ago")
        parser.add_argument("--workspace", help="the name or id of the only workspace to look at")
        parser.add_argument("--most", type=int, default=10_000, help="stop after so many sessions (10000)")

    def handle(self, *args: Any, **options: Any) -> None:
        directory: Path = options["directory"]
        if options["days"] < 0 or options["most"] < 1:
            raise CommandError("--days must be 0 or more, --most 1 or more.")
        if not directory.is_dir():
            raise CommandError(f"{directory} is not a directory; make it first.")
        packed = left = 0
        for session in packing.cold(options["days"], _workspace_id(options["workspace"])):
            if packed == options["most"]:
                break
            try:
                packing.pack(session, directory)
                packed += 1
            except packing.CannotPack as error:
                left += 1
                self.stderr.write(str(error))
            except OSError as error:
                raise CommandError(f"{directory} can't be written: {error.strerror}. {packed} were packed.") from None
        self.stdout.write(f"{packed} sessions are in {directory} and no longer in the database; {left} stayed.")


def _workspace_id(named: str | None) -> str | None:
    if named is None:
        return None
    found = (Workspace.objects.filter(pk=named) | Workspace.objects.filter(name=named)).first()
    if found is None:
        raise CommandError(f"There is no workspace {named!r}.")
    return str(found.pk)
