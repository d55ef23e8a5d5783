"""Which address a request is counted under."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


def client_address(peer: str, headers: Mapping[str, str], trust_forwarded: bool) -> str:
    """The address a visitor is counted under.

    Behind a proxy that is the rightmost public address in X-Forwarded-For: each proxy appends the
    address it saw, so what a visitor forged stands further left. Without a proxy the header is
    ignored. An IPv6 address counts as its /64, which is what one household has.
    """
    if trust_forwarded:
        for entry in reversed(headers.get("x-forwarded-for", "").split(",")):
            address = _address(entry)
            if address and address.is_global:
                return _bucket(address)
    address = _address(peer)
    return _bucket(address) if address else peer


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    text = text.strip()
    if text.count(":") == 1:  # an IPv4 address with its port
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _bucket(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
