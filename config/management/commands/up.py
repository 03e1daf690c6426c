"""`manage.py up`, for `manage.py help`; `manage.py` itself starts the supervisor without loading Django."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand

from config.services import up

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    help = up.__doc__ or ""
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--quiet", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        raise SystemExit(up.main(["--quiet"] if options["quiet"] else []))
