from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

from agents.sandboxes import registry
from agents.sandboxes.base import SandboxError
from sessions.work.outside import Outside, host, serve

if TYPE_CHECKING:
    from argparse import ArgumentParser


class Command(BaseCommand):
    """Run the tools of a self_hosted environment's sessions on this machine, until told to end."""

    help = "Serve a self_hosted environment from this machine. The key comes from ANTHROPIC_ENVIRONMENT_KEY."
    requires_system_checks = ()  # no database, no broker: only the server it asks

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--base-url", default=os.environ.get("ANTHROPIC_BASE_URL"), help="the server to ask")
        parser.add_argument("--environment-id", default=os.environ.get("ANTHROPIC_ENVIRONMENT_ID"))
        parser.add_argument("--backend", default="local", choices=sorted(registry.HOSTED), help="kind of sandbox")
        parser.add_argument("--image", default=os.environ.get("SANDBOX_IMAGE", ""), help="of the docker backend")
        parser.add_argument("--data", type=Path, default=Path("var/worker"), help="where sandboxes are kept")
        parser.add_argument("--max-idle", type=float, default=60.0, help="seconds to stay with a session at rest")
        parser.add_argument("--worker-id", default=os.environ.get("ANTHROPIC_WORKER_ID"))

    def handle(self, *args: Any, **options: Any) -> None:
        key = os.environ.get("ANTHROPIC_ENVIRONMENT_KEY", "")
        missing = [
            name
            for name, value in (
                ("--base-url or ANTHROPIC_BASE_URL", options["base_url"]),
                ("--environment-id or ANTHROPIC_ENVIRONMENT_ID", options["environment_id"]),
                ("ANTHROPIC_ENVIRONMENT_KEY", key),
            )
            if not value
        ]
        if missing:
            raise CommandError(f"Not given: {', '.join(missing)}.")
        logging.getLogger("anthropic").setLevel(logging.INFO)
        outside = Outside(
            base_url=options["base_url"],
            environment_id=options["environment_id"],
            environment_key=key,
            backend=options["backend"],
            data=options["data"].absolute(),
            max_idle=options["max_idle"],
            worker_id=options["worker_id"],
            image=options["image"],
        )
        try:
            asyncio.run(self._serve(outside))
        except SandboxError as error:
            raise CommandError(str(error)) from None

    async def _serve(self, outside: Outside) -> None:
        import anthropic

        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with host(outside) as backend:
            try:
                await serve(outside, backend)
            except asyncio.CancelledError:
                self.stdout.write("Stopped.")
            except anthropic.APIStatusError as error:
                raise CommandError(f"The server refused: {error.message}") from None
