"""Which addresses this installation dials for its users: public ones, and the networks its operator names.

Everything else is refused, so that nobody can make the server talk to its own neighbourhood: loopback, private
and link-local ranges, cloud metadata services, and the forms of IPv6 that carry such an address inside.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAT64 = ip_network("64:ff9b::/96")
# Public by their number or in an older Python's tables, but only ever a provider's own service or somebody's inside.
SERVICES = (ip_network("168.63.129.16/32"), ip_network("192.0.0.0/24"), ip_network("fec0::/10"))


def networks(names: Iterable[str]) -> tuple[Network, ...]:
    """``["10.0.0.0/8", "127.0.0.1"]`` as networks. Raises ``ValueError`` for anything else."""
    return tuple(ip_network(name) for name in names)


def permitted(address: str, allowed: Sequence[Network] = ()) -> bool:
    """True if ``address`` is public or lies in one of the ``allowed`` networks. Text that is no address is refused."""
    try:
        found = _inner(ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    return _in(found, allowed) or _public(found)


def _public(address: Address) -> bool:
    if address.is_multicast or address.is_reserved or address.is_unspecified or _in(address, SERVICES):
        return False
    return address.is_global


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it stands for one."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address


def _in(address: Address, found: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in found)
