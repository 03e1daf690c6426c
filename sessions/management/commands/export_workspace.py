from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from agents.models import Workspace
from contract.errors import ApiError
from contract.secret import Secret
from sessions.exchange import archive

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Write a workspace into one signed archive."""

    help = "Write a workspace into a signed archive. The passphrase comes from ARCHIVE_PASSPHRASE."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("workspace", help="its name or id")
        parser.add_argument("file", type=Path, help="the archive to write; must not exist")

    def handle(self, *args: Any, **options: Any) -> None:
        named = Workspace.objects.filter(pk=options["workspace"]) | Workspace.objects.filter(name=options["workspace"])
        workspace = named.first()
        if workspace is None:
            raise CommandError(f"There is no workspace {options['workspace']!r}.")
        path: Path = options["file"]
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandError(f"{path} can't be written: {error.strerror}.") from None
        try:
            with os.fdopen(descriptor, "w+b") as target:
                counts = archive.export(workspace, target, Secret(os.environ.get("ARCHIVE_PASSPHRASE", "")))
        except ApiError as error:
            path.unlink()
            raise CommandError(error.message) from None
        except BaseException:
            path.unlink()
            raise
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        sys.stdout.write(f"{path}: {told or 'nothing'}.\n")
