"""Finds and dials hosts: every address of a name is checked, and a checked address is what gets dialled."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address, ip_network

from credentials import addresses
from credentials.egress.streams import Budget, SocketStream
from credentials.egress.tls import ALPN

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# Where clouds keep the machine's own credentials. No setting opens them.
LINK_LOCAL = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"), ip_network("fd00:ec2::254/128"))
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


class Refused(Exception):
    """The host stands for an address that sandboxes must not reach. The text names the rule."""


class Unreachable(Exception):
    """The host could not be found, connected or trusted. ``late``: it was a matter of time."""

    def __init__(self, text: str, *, late: bool = False) -> None:
        super().__init__(text)
        self.late = late


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, by the system."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def dialable(address: str, allowed: Sequence[addresses.Network]) -> bool:
    """Public, or in a network the operator opened. Loopback opens only for a network that lies within loopback."""
    bare = address.partition("%")[0]
    if _within(bare, LINK_LOCAL):
        return False
    if _within(bare, LOOPBACK):
        allowed = [network for network in allowed if any(_inside(network, loopback) for loopback in LOOPBACK)]
    return addresses.permitted(bare, allowed)


def _within(address: str, networks: Sequence[addresses.Network]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return any(found.version == network.version and found in network for network in networks)


def _inside(network: addresses.Network, outer: addresses.Network) -> bool:
    if network.version != outer.version:
        return False
    return network.network_address in outer and network.prefixlen >= outer.prefixlen


class Dialler:
    """Makes connections outwards. ``trust`` is the context for TLS to servers; the default is the system's."""

    def __init__(
        self,
        *,
        resolve: Resolver = system_resolver,
        allowed: Sequence[addresses.Network] = (),
        trust: ssl.SSLContext | None = None,
        connect_seconds: float = 10.0,
        idle_seconds: float = 300.0,
    ) -> None:
        self._resolve, self._allowed = resolve, tuple(allowed)
        self._connect_seconds, self._idle_seconds = connect_seconds, idle_seconds
        self._trust = trust or ssl.create_default_context()
        self._trust.set_alpn_protocols(ALPN)

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host, all of them permitted. Raises ``Refused`` or ``Unreachable``."""
        try:
            async with asyncio.timeout(self._connect_seconds):
                found = await self._resolve(host, port)
        except TimeoutError:
            raise Unreachable("the name was not found in time", late=True) from None
        except (OSError, UnicodeError):
            raise Unreachable("the name is unknown") from None
        if not found:
            raise Unreachable("the name has no address")
        if not all(dialable(address, self._allowed) for address in found):
            raise Refused("the name stands for an address that is not public")
        return found

    async def connect(self, host: str, port: int, budget: Budget, *, tls: bool) -> SocketStream:
        """A connection to a checked address of the host. Raises ``Refused`` or ``Unreachable``."""
        problem = Unreachable("there is no address")
        for address in await self.addresses(host, port):
            try:
                async with asyncio.timeout(self._connect_seconds):
                    return await self._open(address, host, port, budget, tls=tls)
            except TimeoutError:
                problem = Unreachable("it did not answer in time", late=True)
            except ssl.SSLError as error:
                raise Unreachable(f"TLS failed: {_reason(error)}") from None
            except OSError as error:
                problem = Unreachable(error.strerror or "the connection failed")
        raise problem

    async def _open(self, address: str, host: str, port: int, budget: Budget, *, tls: bool) -> SocketStream:
        context, name = (self._trust, host) if tls else (None, None)
        reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=name)
        return SocketStream(reader, writer, self._idle_seconds, budget)


def _reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return error.reason or "the handshake was refused"
