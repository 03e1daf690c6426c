"""Serve the demo on a loopback port: ``python -m agents.providers.demo --port 8123``."""

from __future__ import annotations

import argparse
import sys

from agents.providers.demo.server import DemoServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    arguments = parser.parse_args()
    with DemoServer(arguments.port) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("stopped\n")


if __name__ == "__main__":
    main()
