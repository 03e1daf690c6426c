from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from sessions.exchange.copying import Copy

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Copy agents, environments, skills, memory, vault shells and histories from one server to another."""

    help = "Copy a workspace from one compatible server to another. Keys come from FROM_API_KEY and TO_API_KEY."
    requires_system_checks = ()  # it speaks to two servers and needs neither database nor broker

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="source", required=True, help="base URL to read from")
        parser.add_argument("--to", dest="target", required=True, help="base URL to write to")
        parser.add_argument("--no-histories", action="store_true", help="leave out what sessions said")

    def handle(self, *args: Any, **options: Any) -> None:
        import anthropic

        keys = {name: os.environ.get(name, "") for name in ("FROM_API_KEY", "TO_API_KEY")}
        missing = [name for name, key in keys.items() if not key]
        if missing:
            raise CommandError(f"Not given: {', '.join(missing)}.")
        source = anthropic.Anthropic(base_url=options["source"], api_key=keys["FROM_API_KEY"])
        target = anthropic.Anthropic(base_url=options["target"], api_key=keys["TO_API_KEY"])
        copy = Copy(source, target, say=self.stdout.write)
        try:
            copy.run(histories=not options["no_histories"])
        except anthropic.APIError as error:
            raise CommandError(f"{type(error).__name__}: {error}") from None
        for sentence in copy.left:
            self.stdout.write(f"LEFT OUT: {sentence}")
        told = ", ".join(f"{count} {kind}" for kind, count in copy.done.items())
        self.stdout.write(f"Copied: {told or 'nothing'}.")
