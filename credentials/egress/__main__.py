"""The egress proxy: ``python -m credentials.egress --socket PATH --data DIR``. One process a machine.

It needs no setting of the installation's and is started without them: no database, no key ring, no model key.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from contract.processes import begin_beside
from contract.watchdog import Heart
from credentials import addresses
from credentials.egress.board import Board
from credentials.egress.control import Control, bound
from credentials.egress.packages import Packages
from credentials.egress.proxy import Proxy
from credentials.egress.reach import Dialler
from credentials.egress.sessions import Sessions
from credentials.egress.tls import machine_key

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("holdfast.egress")

PR_SET_DUMPABLE = 4
SWEEP_SECONDS = 60.0


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="credentials.egress", description="The way out of this machine's sandboxes.")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket for workers and sandbox hosts")
    parser.add_argument("--data", type=Path, required=True, help="where the machine's own key is kept")
    parser.add_argument("--die-with-parent", action="store_true", help="be killed when the starter dies")
    parser.set_defaults(
        networks=os.environ.get("EGRESS_ALLOW_NETWORKS", "").replace(",", " ").split(),
        package_hosts=os.environ.get("EGRESS_PACKAGE_HOSTS", "").replace(",", " ").split(),
        plain_credentials=os.environ.get("EGRESS_PLAIN_CREDENTIALS", "").lower() in ("1", "true", "yes", "on"),
    )
    return parser.parse_args(argv)


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    packages = Packages(options.package_hosts)
    key = machine_key(options.data / "key")
    dialler = Dialler(allowed=addresses.networks(options.networks))
    proxy = Proxy(dialler, package_hosts=lambda: packages.hosts, plain_credentials=options.plain_credentials)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    with bound(str(options.socket)) as listener:
        sessions = Sessions(key, Board(options.socket).change)
        log.info("serving at %s", options.socket)
        running = [
            asyncio.create_task(Control(sessions, proxy, packages).serve(listener)),
            asyncio.create_task(packages.ask()),
            asyncio.create_task(_sweep(sessions)),
            asyncio.create_task(Heart().beat_within()),
        ]
        await told.wait()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _sweep(sessions: Sessions) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        sessions.forget_unused()


def hide_memory() -> None:
    """Keep this process's memory from others of the same user, core dumps included."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def main(argv: Sequence[str] | None = None) -> int:
    parent = os.getppid()
    options = arguments(sys.argv[1:] if argv is None else argv)
    hide_memory()
    begin_beside(parent, until_it_dies=options.die_with_parent)
    try:
        options.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        options.socket.parent.mkdir(parents=True, exist_ok=True)
        asyncio.run(serve(options))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The egress proxy cannot serve: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
