"""Which IP addresses are public: a server may be asked for them without reaching into a private network.

`ipaddress.is_global` is not enough: it passes NAT64, 6to4 and multicast addresses, behind which private hosts may
stand. So the networks are named here, each with its reason (IANA special-purpose registries, RFC 6890), and what is
outside of IPv6 global unicast is refused whatever it is.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

_SPECIAL = (
    ("0.0.0.0/8", "unspecified"),
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by carrier-grade NAT"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "reserved for documentation"),
    ("192.88.99.0/24", "a 6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "reserved for benchmarks"),
    ("198.51.100.0/24", "reserved for documentation"),
    ("203.0.113.0/24", "reserved for documentation"),
    ("224.0.0.0/4", "multicast"),
    ("255.255.255.255/32", "broadcast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::/96", "IPv4-compatible"),
    ("::ffff:0:0/96", "IPv4-mapped"),
    ("::ffff:0:0:0/96", "IPv4-translated"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    ("100::/63", "discard-only"),
    ("2001::/32", "Teredo"),
    ("2001:2::/48", "reserved for benchmarks"),
    ("2001:10::/28", "ORCHID"),
    ("2001:20::/28", "ORCHID"),
    ("2001::/23", "reserved for protocols"),
    ("2001:db8::/32", "reserved for documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "reserved for documentation"),
    ("5f00::/16", "a segment routing identifier"),
    ("fc00::/7", "private"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
)
_NETWORKS: tuple[tuple[IPv4Network | IPv6Network, str], ...] = tuple(
    (ip_network(text), reason) for text, reason in _SPECIAL
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")


def why_not_public(ip: Address | str) -> str:
    """Return why `ip` is no public unicast address ("loopback", "NAT64" …), or "" when it is one.

    Raises ValueError when `ip` is a text that is no IP address.
    """
    address = ip_address(ip) if isinstance(ip, str) else ip
    for network, reason in _NETWORKS:
        if address in network:
            return reason
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "bound to an interface"
        if address not in _GLOBAL_UNICAST:
            return "outside of global unicast"
    return "" if address.is_global else "not global"


def first_not_public(ips: list[str]) -> tuple[str, str] | None:
    """Return the first of a host's addresses that is not public, with why; None when all are.

    One private address among public ones is how a name is made to lead inside: whoever gets one here asks none of them.
    """
    for ip in ips:
        try:
            reason = why_not_public(ip)
        except ValueError:
            reason = "no IP address"
        if reason:
            return ip, reason
    return None
