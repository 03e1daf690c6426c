"""The SDK's own worker as a process of its own: ``python tests/sdk/workers.py URL ENVIRONMENT KEY DIRECTORY``."""

from __future__ import annotations

import asyncio
import sys

import anthropic


async def main() -> None:
    url, environment, key, directory = sys.argv[1:]
    client = anthropic.AsyncAnthropic(base_url=url, api_key="unused")
    work = client.beta.environments.work
    await work.worker(environment_id=environment, environment_key=key, workdir=directory, max_idle=2.0).run()


if __name__ == "__main__":
    asyncio.run(main())
