"""What comes out of one sandbox: a connection, judged, and then tunnelled, opened, or refused."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import h11

from contract import together
from credentials.egress import exchange, hello, messages, rules
from credentials.egress.exchange import Speaker
from credentials.egress.reach import Dialler, Refused, Unreachable
from credentials.egress.records import Record
from credentials.egress.streams import Budget, Ended, SocketStream, TlsServer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from credentials.egress.sessions import Session

log = logging.getLogger("holdfast.egress")

TLS_PORT, HTTP_PORT = 443, 80


@dataclass(frozen=True, slots=True)
class Caps:
    """Limits of one sandbox's connections. ``bytes``: what one connection may move, both ways together.

    ``patience_seconds``: how long a request waits for its session's rules, after this proxy was started anew.
    """

    connections: int = 64
    request_seconds: float = 60.0
    idle_seconds: float = 300.0
    connection_seconds: float = 3600.0
    bytes: int = 4 * 1024**3
    patience_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request wants to go. ``host`` is normalised."""

    host: str
    port: int

    def authority(self, default_port: int) -> bytes:
        """As it stands in a Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return (name if self.port == default_port else f"{name}:{self.port}").encode()


class Proxy:
    """Serves connections. ``package_hosts`` gives the hosts of this machine's package managers."""

    def __init__(
        self,
        dialler: Dialler,
        *,
        package_hosts: Callable[[], Collection[str]] = tuple,
        caps: Caps | None = None,
        plain_credentials: bool = False,
    ) -> None:
        self.dialler = dialler
        self.caps = caps or Caps()
        self.plain_credentials = plain_credentials
        self._package_hosts = package_hosts

    async def serve(self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its first byte to its last. Never raises."""
        budget = Budget(self.caps.bytes)
        stream = SocketStream(reader, writer, self.caps.idle_seconds, budget)
        session.connections += 1
        try:
            async with asyncio.timeout(self.caps.connection_seconds):
                await _Visit(self, session, stream, budget).run()
        except (Ended, TimeoutError, h11.ProtocolError, asyncio.CancelledError):
            log.debug("a connection of %s ended early", session.id)
        except Exception as error:
            # Not the traceback: its lines may hold what a request carried.
            log.error("a connection of %s failed: %s", session.id, type(error).__name__)
        finally:
            session.connections -= 1
            await stream.close()

    def verdict(self, session: Session, host: str) -> rules.Verdict:
        if session.networking is None:
            return rules.Verdict(False, "the session's rules are not known to this proxy yet")
        return rules.decide(session.networking, host, self._package_hosts())


class _Visit:
    """One connection from a sandbox."""

    def __init__(self, proxy: Proxy, session: Session, stream: SocketStream, budget: Budget) -> None:
        self._proxy, self._session = proxy, session
        self._stream, self._budget = stream, budget

    async def run(self) -> None:
        client = Speaker(self._stream, h11.SERVER)
        if self._session.connections > self._proxy.caps.connections:
            # Read first: an answer to what was not read would be lost with it.
            await self._request(client)
            record = Record("", 0, "", "denied", f"at most {self._proxy.caps.connections} connections at one time")
            await self._refuse(client, record, 503, f"A sandbox has {record.rule}.")
            return
        while (request := await self._request(client)) is not None:
            if request.method == b"CONNECT":
                await self._connect(client, request)
                return
            if not await self._plain(client, request):
                return
            client.http.start_next_cycle()

    async def _request(self, client: Speaker) -> h11.Request | None:
        """The next request; None when the client is done."""
        try:
            async with asyncio.timeout(self._proxy.caps.request_seconds):
                event = await client.next()
        except h11.RemoteProtocolError as error:
            if not client.begun:
                status = error.error_status_hint
                text = "This is no request that the proxy understands."
                await client.answer(*messages.refusal(status, "egress_failed", text, host="", rule="HTTP/1.1"))
            return None
        return event if isinstance(event, h11.Request) else None

    # Plain HTTP

    async def _plain(self, client: Speaker, request: h11.Request) -> bool:
        """A request with a whole URL. True if the connection can take another one."""
        target = _plain_target(request.target)
        method = request.method.decode("ascii")
        if target is None:
            record = Record("", 0, method, "denied", "a proxy takes http:// URLs and CONNECT")
            await self._refuse(client, record, 400, "The request does not name a host in an http:// URL.")
            return False
        record = Record(target.host, target.port, method, "allowed", "")
        if not await self._allowed(client, record, request):
            return False
        return await self._exchange(client, request, target.authority(HTTP_PORT), record)

    async def _exchange(self, client: Speaker, request: h11.Request, authority: bytes, record: Record) -> bool:
        """Carry one request out; ``record.opened`` says that it came inside TLS and goes on in TLS."""
        self._session.records.add(record)
        try:
            return await self._carry_out(client, request, authority, record)
        finally:
            record.over = True

    async def _carry_out(self, client: Speaker, request: h11.Request, authority: bytes, record: Record) -> bool:
        held, tls = self._session.holding(record.host), record.opened
        path = messages.origin_form(request.target).decode("latin-1")
        fitting = [one for one in held if one.fits(record.method, path)]
        try:
            out = messages.outgoing(
                request, authority, held, inject=fitting if tls or self._proxy.plain_credentials else ()
            )
        except h11.LocalProtocolError:
            record.decision = "failed"
            await exchange.refuse(client, record, 502, "A header can't hold the credential's secret.", record.rule)
            return False
        try:
            upstream = await self._proxy.dialler.connect(record.host, record.port, self._budget, tls=tls)
        except (Refused, Unreachable) as error:
            await exchange.refuse_unreached(client, record, error)
            return False
        again = await exchange.run(client, upstream, out, record)
        return again and client.http.our_state is h11.DONE and client.http.their_state is h11.DONE

    # CONNECT

    async def _connect(self, client: Speaker, request: h11.Request) -> None:
        target = _authority(request.target)
        if target is None:
            record = Record("", 0, "CONNECT", "denied", "CONNECT takes host:port")
            await self._refuse(client, record, 400, "CONNECT must name a host and a port.")
            return
        record = Record(target.host, target.port, "CONNECT", "allowed", "")
        if not await self._allowed(client, record):
            return
        if self._session.holding(target.host) or self._proxy.verdict(self._session, target.host).paths is not None:
            await self._open(client, target, record)
            return
        self._session.records.add(record)
        try:
            await self._tunnel(client, target, record)
        finally:
            record.over = True

    async def _tunnel(self, client: Speaker, target: Target, record: Record) -> None:
        """Carry what is said on, unread."""
        try:
            upstream = await self._proxy.dialler.connect(target.host, target.port, self._budget, tls=False)
        except (Refused, Unreachable) as error:
            await exchange.refuse_unreached(client, record, error)
            return
        try:
            await self._accept(client)
            record.status = 200
            await _both_ways(self._stream, upstream, target.host)
        except Misnamed as error:
            record.decision, record.rule = "denied", str(error)
        finally:
            record.bytes_sent, record.bytes_received = upstream.sent, upstream.received
            await upstream.close()

    async def _open(self, client: Speaker, target: Target, record: Record) -> None:
        """Speak TLS for a credential's host, so that secrets can be put in and taken out."""
        try:
            await self._proxy.dialler.addresses(target.host, target.port)
        except (Refused, Unreachable) as error:
            self._session.records.add(record)
            record.over = True
            await exchange.refuse_unreached(client, record, error)
            return
        await self._accept(client)
        try:
            await _first_words(self._stream, target.host)
            inner = TlsServer(self._stream, self._session.authority.context(target.host))
            await inner.shake_hands()
        except hello.NotTls:
            self._note_failed(record, "a credential's host is reached by TLS only")
            return
        except Misnamed as error:
            self._note_failed(record, str(error))
            return
        except Ended as error:
            self._note_failed(record, f"the sandbox did not agree: {error}", decision="failed")
            return
        await self._inside(Speaker(inner, h11.SERVER), target, record.rule)
        await inner.close()

    async def _inside(self, client: Speaker, target: Target, rule: str) -> None:
        """The requests within an opened connection."""
        while (request := await self._request(client)) is not None:
            record = Record(target.host, target.port, request.method.decode("ascii"), "allowed", rule, opened=True)
            wrong = _wrong_inside(request, target)
            # Again for every request: rules and credentials may have changed since the connection was made.
            if wrong is not None:
                record.decision, record.rule = "denied", wrong
                await self._refuse(client, record, 421, f"{wrong}.")
                return
            if not await self._allowed(client, record, request):
                return
            if not await self._exchange(client, request, target.authority(TLS_PORT), record):
                return
            client.http.start_next_cycle()

    # What all have in common

    async def _allowed(self, client: Speaker, record: Record, request: h11.Request | None = None) -> bool:
        """Judge by the host, and within what is read (``request``) by the path too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._proxy.caps.patience_seconds):
                await self._session.told.wait()
        verdict = self._proxy.verdict(self._session, record.host)
        record.rule = verdict.rule
        if verdict.allowed and request is not None and verdict.paths is not None:
            path = messages.origin_form(request.target).decode("latin-1")
            if not rules.within(path, verdict.paths):
                verdict = rules.Verdict(False, "networking: limited, and of this host only the session's repositories")
                record.rule = verdict.rule
        if verdict.allowed:
            return True
        record.decision = "denied"
        status = 403 if self._session.networking is not None else 503
        await self._refuse(client, record, status, f"{record.host} is not allowed: {verdict.rule}.")
        return False

    async def _refuse(self, client: Speaker, record: Record, status: int, text: str) -> None:
        self._session.records.add(record)
        record.over = True
        await exchange.refuse(client, record, status, text, record.rule)

    def _note_failed(self, record: Record, rule: str, decision: str = "denied") -> None:
        record.decision, record.rule = ("denied" if decision == "denied" else "failed"), rule
        record.over = True
        self._session.records.add(record)

    async def _accept(self, client: Speaker) -> None:
        """Say that the tunnel stands, and take back what the client already sent into it."""
        await client.send(h11.Response(status_code=200, headers=[], reason=b"Connection established"))
        self._stream.unread(client.http.trailing_data[0])


class Misnamed(Exception):
    """The client asks for one host and names another one inside. The text names the rule."""


async def _first_words(stream: SocketStream, host: str) -> bytes:
    """Read the TLS client's first message and give it back; it must name ``host``. Raises ``hello.NotTls``."""
    data = b""
    while True:
        piece = await stream.read()
        if not piece:
            raise Ended("it ended before TLS began")
        data += piece
        try:
            found = hello.read(data)
        except hello.Unreadable:
            raise Misnamed("the TLS hello can't be read") from None
        except hello.NotTls:
            stream.unread(data)
            raise
        if found is not None:
            stream.unread(data)
            _same_name(found.server_name, host)
            return data


def _same_name(named: str | None, host: str) -> None:
    try:
        if named is None or rules.normalised(named) == host:
            return
    except rules.BadHost:
        pass
    raise Misnamed("the server's name inside TLS is not the host of CONNECT")


async def _both_ways(client: SocketStream, upstream: SocketStream, host: str) -> None:
    """Carry bytes both ways until both sides are done."""

    async def outwards() -> None:
        with contextlib.suppress(hello.NotTls, Ended):
            await _first_words(client, host)
        await _copy(client, upstream)

    await together.until(asyncio.FIRST_EXCEPTION, outwards(), _copy(upstream, client))


async def _copy(source: SocketStream, target: SocketStream) -> None:
    while data := await source.read():
        await target.write(data)
    await target.end_writing()


def _authority(target: bytes) -> Target | None:
    try:
        parts = urlsplit(f"//{target.decode('ascii')}")
        return _target(parts, parts.port)
    except ValueError:
        return None


def _plain_target(target: bytes) -> Target | None:
    try:
        parts = urlsplit(target.decode("ascii"))
        if parts.scheme != "http" or "@" in parts.netloc:
            return None
        return _target(parts, parts.port or HTTP_PORT)
    except ValueError:
        return None


def _target(parts: SplitResult, port: int | None) -> Target | None:
    """Raises ``ValueError`` for what is no host."""
    if not port or not parts.hostname:
        return None
    return Target(rules.normalised(parts.hostname), port)


def _wrong_inside(request: h11.Request, target: Target) -> str | None:
    """Why a request within an opened connection is not what the connection was made for."""
    if not request.target.startswith(b"/") and request.target != b"*":
        return "the request names another place than its connection"
    named = messages.header(request.headers, b"host")
    if named is None:
        return None
    found = _authority(named if b":" in named.rpartition(b"]")[2] else named + b":443")
    if found is None or found.host != target.host:
        return "the Host header names another host than its connection"
    return None
