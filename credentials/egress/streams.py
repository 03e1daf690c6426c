"""Byte streams with time-outs and counts: over a socket, or TLS as a server over another stream."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Answer = TypeVar("Answer")

PIECE = 64 * 1024
HANDSHAKE_SECONDS = 20.0


class Ended(Exception):
    """The other side went away, said nothing for too long, or moved more bytes than a connection may."""

    def __init__(self, text: str, *, late: bool = False) -> None:
        super().__init__(text)
        self.late = late


class Stream(Protocol):
    """What the proxy needs of a connection."""

    async def read(self) -> bytes:
        """The next bytes, empty at the end."""

    async def write(self, data: bytes) -> None:
        """Send, and wait while the other side is slow."""

    async def close(self) -> None:
        """End the connection. Never raises."""


class Budget:
    """How many bytes a connection may still move, both ways together."""

    def __init__(self, size: int) -> None:
        self._left = size

    def spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise Ended("the connection moved more bytes than it may")


class SocketStream:
    """A socket of asyncio's. Every wait ends after ``seconds``. ``sent`` and ``received`` count bytes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float, budget: Budget
    ) -> None:
        self._reader, self._writer = reader, writer
        self._seconds, self._budget = seconds, budget
        self._held = b""
        self._moved_at = asyncio.get_running_loop().time()
        self.sent = self.received = 0

    def unread(self, data: bytes) -> None:
        """Give bytes back, to be read again first."""
        self._held = data + self._held

    async def read(self) -> bytes:
        if self._held:
            data, self._held = self._held, b""
            return data
        data = await self._bounded(lambda: self._reader.read(PIECE))
        self.received += len(data)
        self._budget.spend(len(data))
        return data

    async def write(self, data: bytes) -> None:
        if data:
            self._budget.spend(len(data))
            self.sent += len(data)
            self._writer.write(data)
            await self._bounded(self._writer.drain)

    async def end_writing(self) -> None:
        """Say that nothing more comes, where the transport can."""
        with contextlib.suppress(OSError, NotImplementedError):
            if self._writer.can_write_eof():
                self._writer.write_eof()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()

    async def _bounded(self, wait: Callable[[], Awaitable[Answer]]) -> Answer:
        """Wait as long as something moves, in whichever direction."""
        clock = asyncio.get_running_loop().time
        self._moved_at = max(self._moved_at, clock() - self._seconds / 2)
        while True:
            try:
                async with asyncio.timeout_at(self._moved_at + self._seconds):
                    answer = await wait()
            except TimeoutError:
                if clock() < self._moved_at + self._seconds:
                    continue
                raise Ended(f"nothing moved for {self._seconds:.0f} s", late=True) from None
            except OSError as error:
                raise Ended(error.strerror or type(error).__name__) from None
            self._moved_at = clock()
            return answer


class TlsServer:
    """The server's side of TLS over another stream."""

    def __init__(self, inner: SocketStream, context: ssl.SSLContext) -> None:
        self._inner = inner
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._writing = asyncio.Lock()

    async def shake_hands(self) -> None:
        """Raises ``Ended`` if the client doesn't agree, for one because it doesn't trust our authority."""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await self._until_done(self._tls.do_handshake)
        except TimeoutError:
            raise Ended("the TLS handshake took too long") from None

    async def read(self) -> bytes:
        try:
            return await self._until_done(lambda: self._tls.read(PIECE))
        except ssl.SSLZeroReturnError:
            return b""

    async def write(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):
            self._tls.write(data[start : start + PIECE])
            await self._flush()

    async def close(self) -> None:
        with contextlib.suppress(ssl.SSLError, Ended):
            self._tls.unwrap()
        with contextlib.suppress(Ended):
            await self._flush()
        await self._inner.close()

    async def _until_done(self, step: Callable[[], Answer]) -> Answer:
        while True:
            try:
                answer = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._inner.read()
                if not data:
                    raise Ended("the connection ended inside TLS") from None
                self._in.write(data)
            except ssl.SSLZeroReturnError:
                raise
            except ssl.SSLError as error:
                await self._flush()
                raise Ended(f"TLS: {error.reason or 'failed'}") from None
            else:
                await self._flush()
                return answer

    async def _flush(self) -> None:
        async with self._writing:
            while data := self._out.read():
                await self._inner.write(data)
