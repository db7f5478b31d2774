from __future__ import annotations

import pytest

from app.load.slave.networks import Networks


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254",
        "fd20:ce::254", "fe80::a9fe:a9fe", "fe80::1%eth0", "::ffff:169.254.169.254",
        "::ffff:a9fe:a9fe", "::169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::",
        "2001:0:0:0:0:0:5601:5601",
    ],
)  # fmt: skip
def test_metadata_services_are_denied_in_every_disguise(address):
    assert not Networks().allow(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "192.0.2.1", "::1", "2001:db8::1"])
def test_all_others_are_allowed(address):
    assert Networks().allow(address)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("10.1.2.3", True), ("10.9.9.9", False), ("11.0.0.1", False), ("::ffff:10.1.2.3", True),
        ("::ffff:11.0.0.1", False), ("fd00::1", True), ("64:ff9b::10.1.2.3", False), ("::1", False),
    ],
)  # fmt: skip
def test_what_is_allowed_is_so_without_what_is_denied(address, allowed):
    assert Networks.of(["10.0.0.0/8", "fd00::/8"], ["10.9.0.0/16"]).allow(address) is allowed


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "::ffff:127.0.0.1", "127.8.9.10"])
def test_another_name_of_loopback_is_loopback(address):
    assert not Networks.of(None, ["127.0.0.0/8", "::1"]).allow(address)


@pytest.mark.parametrize("network", ["x", "10.0.0.1/8", "10.0.0.0/33", ""])
def test_what_is_no_network_is_refused(network):
    with pytest.raises(ValueError, match=r"network|host bits|address"):
        Networks.of(None, [network])
