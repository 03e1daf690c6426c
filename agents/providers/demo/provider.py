"""The demo as a provider: the real SDK client, talking to the app in its own process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agents.providers import interrupt
from agents.providers.anthropic import AnthropicProvider

if TYPE_CHECKING:
    import httpx2

    from agents.providers.demo.app import DemoApp

ADDRESS = "http://demo.invalid"
READ_TIMEOUT = 120.0


def demo_provider(*, read_timeout: float = READ_TIMEOUT) -> AnthropicProvider:
    """A provider named ``demo`` with a memory of its own. It makes no quick retries of its
    own, so that ``fail=429x2`` is two failed turns.
    """

    def client() -> httpx2.Client:
        from agents.providers.demo.app import DemoApp

        return in_process_client(DemoApp(), read_timeout)

    return AnthropicProvider(name="demo", base_url=ADDRESS, api_key="demo", http_client=client, retries=0)


def in_process_client(app: DemoApp, read_timeout: float) -> httpx2.Client:
    """The SDK's default client over the app instead of a socket. Waits in the app can be
    interrupted, and become the time-out a socket would give after ``read_timeout`` seconds.
    """
    import httpx2
    from anthropic import DefaultHttpxClient

    from agents.providers.demo.hooks import HOOKS

    hooks = InProcessHooks(read_timeout)
    transport = httpx2.WSGITransport(app=lambda environ, start: app({**environ, HOOKS: hooks}, start))
    return DefaultHttpxClient(transport=transport)


class InProcessHooks:
    """A stall ends in the HTTP client's own read time-out, a drop in its protocol error."""

    def __init__(self, read_timeout: float) -> None:
        self._read_timeout = read_timeout

    def pause(self, seconds: float) -> None:
        import httpx2

        if interrupt.current() is None:
            time.sleep(min(seconds, self._read_timeout))
        else:
            interrupt.pause(min(seconds, self._read_timeout))
        if seconds >= self._read_timeout:
            raise httpx2.ReadTimeout("The read operation timed out")

    def drop(self) -> None:
        import httpx2

        raise httpx2.RemoteProtocolError(
            "peer closed connection without sending complete message body (incomplete chunked read)"
        )
