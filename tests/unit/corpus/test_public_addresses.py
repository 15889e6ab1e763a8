"""Which addresses a fetch may reach."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from datasets_app.domain.public_addresses import why_not_public


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private"),
        ("100.64.0.1", "shared by carrier-grade NAT"),
        ("100.127.255.255", "shared by carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.0.0.8", "reserved for protocols"),
        ("192.0.2.1", "reserved for documentation"),
        ("192.88.99.1", "a 6to4 relay"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "reserved for benchmarks"),
        ("198.19.255.255", "reserved for benchmarks"),
        ("198.51.100.7", "reserved for documentation"),
        ("203.0.113.9", "reserved for documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::7f00:1", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "IPv4-mapped"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("::ffff:0:7f00:1", "IPv4-translated"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b:1::a00:1", "NAT64"),
        ("100::1", "discard-only"),
        ("2001::1", "Teredo"),
        ("2001:2::1", "reserved for benchmarks"),
        ("2001:10::1", "ORCHID"),
        ("2001:db8::1", "reserved for documentation"),
        ("2002:7f00:1::", "6to4"),
        ("3fff::1", "reserved for documentation"),
        ("5f00::1", "a segment routing identifier"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("fe80::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("4000::1", "outside of global unicast"),
        ("2606:4700::1%eth0", "bound to an interface"),
    ],
)
def test_why_not_public__special_address__reason(address: str, reason: str) -> None:
    assert why_not_public(address) == reason
    assert why_not_public(ip_address(address)) == reason


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "93.184.215.14",
        "100.63.255.255",
        "100.128.0.0",
        "172.32.0.1",
        "192.88.98.1",
        "2606:4700::1111",
    ],
)
def test_why_not_public__public_address__empty(address: str) -> None:
    assert why_not_public(address) == ""


def test_why_not_public__no_address__value_error() -> None:
    with pytest.raises(ValueError, match="localhost"):
        why_not_public("localhost")
