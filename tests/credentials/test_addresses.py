"""Which addresses may be dialled."""

from __future__ import annotations

import pytest

from credentials.addresses import networks, permitted

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
NOT_PUBLIC = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.8.9.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
    "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
    "240.0.0.1", "255.255.255.255", "168.63.129.16", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd00:ec2::254", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:0:4136:e378:8000:63bf:80ff:fffe", "fec0::1",
]  # fmt: skip
NO_ADDRESS = ["", "localhost", "127.1", "0x7f000001", "2130706433", "1.1.1.1:80", "[::1]", "010.0.0.1"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_permitted(address: str) -> None:
    assert permitted(address)


@pytest.mark.parametrize("address", NOT_PUBLIC + NO_ADDRESS)
def test_everything_else_is_refused(address: str) -> None:
    assert not permitted(address)


@pytest.mark.parametrize(
    ("address", "allowed", "expected"),
    [
        ("10.1.2.3", ["10.0.0.0/8"], True),
        ("::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("11.1.2.3", ["10.0.0.0/8"], True),
        ("192.168.1.1", ["10.0.0.0/8"], False),
        ("127.0.0.1", ["127.0.0.1"], True),
        ("127.0.0.2", ["127.0.0.1"], False),
        ("fd12::5", ["10.0.0.0/8", "fd12::/16"], True),
        ("169.254.169.254", ["10.0.0.0/8", "fd12::/16"], False),
    ],
)
def test_an_operator_permits_networks_by_name(address: str, allowed: list[str], expected: bool) -> None:
    assert permitted(address, networks(allowed)) is expected


@pytest.mark.parametrize("name", ["10.0.0.1/8", "example.com", "10.0.0.0/33", ""])
def test_a_network_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        networks([name])
