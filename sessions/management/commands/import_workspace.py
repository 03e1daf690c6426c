from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from agents.models import Workspace
from contract.acting import Acting
from contract.errors import ApiError
from contract.roles import Role
from contract.secret import Secret
from sessions.exchange import archive

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Bring an archive into a workspace, which is made if it isn't there."""

    help = "Import a workspace from a signed archive. The passphrase comes from ARCHIVE_PASSPHRASE."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the archive")
        parser.add_argument("--check", action="store_true", help="only say what is in it, and what is here already")
        parser.add_argument("workspace", nargs="?", default="", help="name of the workspace to bring it into")

    def handle(self, *args: Any, **options: Any) -> None:
        passphrase = Secret(os.environ.get("ARCHIVE_PASSPHRASE", ""))
        if not options["check"] and not options["workspace"]:
            raise CommandError("Name the workspace to bring it into, or give --check.")
        try:
            if options["check"]:
                self._tell(options["file"], passphrase)
                return
            with options["file"].open("rb") as source, transaction.atomic():
                workspace, _ = Workspace.objects.get_or_create(name=options["workspace"])
                counts = archive.restore(source, passphrase, Acting(workspace.pk, Role.ADMIN, "import_workspace"))
        except OSError as error:
            raise CommandError(f"{options['file']} can't be read: {error.strerror}.") from None
        except ApiError as error:
            raise CommandError(error.message) from None
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        sys.stdout.write(f"{workspace.name}: {told or 'nothing'}.\n")

    def _tell(self, file: Path, passphrase: Secret) -> None:
        with file.open("rb") as source:
            found = archive.check(source, passphrase)
        sys.stdout.write(f"Workspace {found['from']}, exported at {found['made_at']}.\n")
        for name, (count, here) in found["rows"].items():
            if count:
                sys.stdout.write(f"{count:>8} {name}{f', {here} of them here already' if here else ''}\n")
