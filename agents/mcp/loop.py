"""The event loop that all MCP connections of a worker process share, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from functools import cache


@cache
def shared() -> asyncio.AbstractEventLoop:
    """The process's loop, started at the first use. It ends with the process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="mcp", daemon=True).start()
    return loop
