"""Which addresses virtual users may connect to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Self

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA_SERVICES: Final = (
    "169.254.0.0/16",  # link-local: Amazon, Azure, Google, OpenStack, Oracle, DigitalOcean, ...
    "168.63.129.16/32",  # Azure's host of its machines
    "100.100.100.200/32",  # Alibaba
    "192.0.0.192/32",  # Oracle, earlier
    "fd00:ec2::/32",  # Amazon
    "fd20:ce::/32",  # Google
    "fe80::/10",  # link-local
)
"""What answers to a machine of a cloud with its secrets, whoever asks there; denied by default."""

_NAT64: Final = IPv6Network("64:ff9b::/96")
_COMPATIBLE: Final = IPv6Network("::/96")
_LOOPBACK: Final[Mapping[Address, tuple[Address, ...]]] = {  # as Linux connects to them
    IPv4Address(0): (IPv4Address("127.0.0.1"),),
    IPv6Address(0): (IPv6Address("::1"),),
}


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks that are allowed, without those that are denied.

    Attributes:
        allowed: None for all.
        denied: Also where they are within an allowed one.
    """

    allowed: tuple[Network, ...] | None = None
    denied: tuple[Network, ...] = tuple(map(ip_network, METADATA_SERVICES))

    @classmethod
    def of(cls, allowed: Iterable[str] | None, denied: Iterable[str] | None) -> Self:
        """Read networks such as ``10.0.0.0/8`` or ``fd00::/8``, or single addresses.

        Args:
            allowed: None for all.
            denied: None for :data:`METADATA_SERVICES`.

        Raises:
            ValueError: One of them is something else.
        """
        return cls(
            None if allowed is None else tuple(map(ip_network, allowed)),
            tuple(map(ip_network, METADATA_SERVICES if denied is None else denied)),
        )

    def allow(self, address: str) -> bool:
        """Return whether a numeric address, as it was resolved, may be connected to.

        An IPv6 address that leads to an IPv4 one must be allowed as both.
        """
        return all(self._allow(form) for form in _forms(ip_address(address.partition("%")[0])))

    def _allow(self, address: Address) -> bool:
        if any(address in network for network in self.denied):
            return False
        return self.allowed is None or any(address in network for network in self.allowed)


def _forms(address: Address) -> list[Address]:
    """Return the addresses that are reached through one, in whose place it may stand."""
    if isinstance(address, IPv4Address):
        return [address, *_LOOPBACK.get(address, ())]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    forms: list[Address] = [address, *_LOOPBACK.get(address, ())]
    if address.sixtofour:
        forms.append(address.sixtofour)
    if address.teredo:
        forms.append(address.teredo[1])
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        forms.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return forms
