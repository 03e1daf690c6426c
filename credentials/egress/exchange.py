"""One HTTP/1.1 request towards a host and its answer back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import h11

from credentials.egress import messages
from credentials.egress.messages import Incoming, Outgoing, Undecodable
from credentials.egress.reach import Refused, Unreachable
from credentials.egress.streams import Ended

if TYPE_CHECKING:
    from credentials.egress.records import Record
    from credentials.egress.streams import SocketStream, Stream

HEADER_BYTES = 64 * 1024
NO_BODY = frozenset({204, 304})


class Speaker:
    """HTTP/1.1 over a stream, as a server or as a client."""

    def __init__(self, stream: Stream, role: type[h11.CLIENT] | type[h11.SERVER]) -> None:
        self.stream = stream
        self.http = h11.Connection(role, max_incomplete_event_size=HEADER_BYTES)

    async def next(self) -> Any:
        """The next event. Raises ``Ended`` or ``h11.RemoteProtocolError``."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            if self.http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            self.http.receive_data(await self.stream.read())
        return event

    async def send(self, event: Any) -> None:
        data = self.http.send(event)
        if data:
            await self.stream.write(data)

    async def answer(self, response: h11.Response, body: bytes) -> None:
        """A whole answer of our own."""
        with contextlib.suppress(h11.LocalProtocolError):
            await self.send(response)
            await self.send(h11.Data(data=body))
            await self.send(h11.EndOfMessage())

    @property
    def begun(self) -> bool:
        """Whether an answer was begun, so that no other can be given."""
        return self.http.our_state not in (h11.IDLE, h11.SEND_RESPONSE)


async def refuse(client: Speaker, record: Record, status: int, text: str, rule: str) -> None:
    """Answer by ourselves, and note it."""
    kind = "egress_denied" if record.decision == "denied" else "egress_failed"
    record.status = record.status or status
    if not client.begun:
        await client.answer(*messages.refusal(status, kind, text, host=record.host, rule=rule))


async def refuse_unreached(client: Speaker, record: Record, error: Refused | Unreachable) -> None:
    """A host that must not or can't be dialled."""
    if isinstance(error, Refused):
        record.decision, record.rule = "denied", str(error)
        await refuse(client, record, 403, f"{record.host} is not allowed: {error}.", record.rule)
        return
    record.decision = "failed"
    status = 504 if error.late else 502
    await refuse(client, record, status, f"{record.host} was not reached: {error}.", record.rule)


async def run(client: Speaker, upstream: SocketStream, out: Outgoing, record: Record) -> bool:
    """Carry one request out. True if the client's connection can take another one."""
    server = Speaker(upstream, h11.CLIENT)
    pump, sent = None, asyncio.Event()
    try:
        await server.send(out.request)
        pump = asyncio.create_task(_pump(client, server, out, sent))
        await _bring_back(client, server, out, record)
        return sent.is_set()
    except Undecodable as error:
        record.decision = "failed"
        text = f"The answer of {record.host} is packed as {error}, which the proxy can't look through."
        await refuse(client, record, 502, text, "responses of a credential's host are scrubbed")
    except (Ended, h11.RemoteProtocolError, h11.LocalProtocolError) as error:
        record.decision = "failed"
        status = 504 if isinstance(error, Ended) and error.late else 502
        await refuse(client, record, status, f"{record.host} gave no proper answer: {_why(error)}.", record.rule)
    finally:
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
        out.note_body()
        record.credentials = out.used
        record.bytes_sent, record.bytes_received = upstream.sent, upstream.received
        await upstream.close()
    return False


async def _pump(client: Speaker, server: Speaker, out: Outgoing, sent: asyncio.Event) -> None:
    """The request's body. A server that stops listening may still answer; a client that goes away ends it all, also
    once everything is ``sent``.
    """
    while True:
        try:
            event = await client.next()
        except (Ended, h11.RemoteProtocolError):
            await server.stream.close()
            raise
        if not isinstance(event, h11.Data):
            break
        await _send_data(server, out.body.feed(bytes(event.data)))
    await _send_data(server, out.body.finish())
    await server.send(h11.EndOfMessage())
    sent.set()
    if await _hangs_up(client):
        await server.stream.close()


async def _hangs_up(client: Speaker) -> bool:
    """Wait for the client to go away, as it does when it gave up; False once it said something else.

    Closing its half alone counts as going, as it does for other proxies: nobody can tell the two apart.
    """
    if client.http.trailing_data[0]:
        return False
    try:
        data = await client.stream.read()
    except Ended as error:
        return not error.late
    if data:
        client.http.receive_data(data)  # of its next request
    return not data


async def _bring_back(client: Speaker, server: Speaker, out: Outgoing, record: Record) -> None:
    while isinstance(event := await server.next(), h11.InformationalResponse):
        if event.status_code == 101:
            raise Ended("it changed the protocol without being asked")
    if not isinstance(event, h11.Response):
        raise Ended("it closed the connection without an answer")
    record.status = event.status_code
    has_body = out.request.method != b"HEAD" and event.status_code not in NO_BODY
    incoming = Incoming(event, out.scrub, has_body=has_body)
    await client.send(incoming.response)
    while not isinstance(event := await server.next(), h11.EndOfMessage):
        if not isinstance(event, h11.Data):
            raise Ended("the answer broke off")
        for piece in incoming.feed(bytes(event.data)):
            await _send_data(client, piece)
    await _send_data(client, incoming.finish())
    await client.send(h11.EndOfMessage())


async def _send_data(speaker: Speaker, data: bytes) -> None:
    if data:
        await speaker.send(h11.Data(data=data))


def _why(error: Exception) -> str:
    """Never the text of h11's own complaints: it may quote a header with a secret in it."""
    return str(error) if isinstance(error, Ended) else "it is not HTTP as it should be"
