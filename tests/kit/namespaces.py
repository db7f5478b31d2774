"""Network namespaces: machines of their own, as far as the network goes."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from itertools import count

import pytest

_numbers = count()


def _run(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Network:
    """A bridge that hosts of their own can be put on; this machine is the first of them."""

    def __init__(self) -> None:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            pytest.skip("network namespaces need root, and the program ip")
        mark = f"{os.getpid() % 10_000:04d}{next(_numbers)}"
        self._bridge, self._hosts, self._mark = f"slwb{mark}", [], mark
        self._net = f"10.{os.getpid() % 200 + 20}.{next(_numbers) % 250}"
        try:
            _run("link", "add", self._bridge, "type", "bridge")
        except subprocess.CalledProcessError as exc:
            pytest.skip(f"this machine gives no network namespaces: {exc.stderr}")
        _run("addr", "add", f"{self._net}.1/24", "dev", self._bridge)
        _run("link", "set", self._bridge, "up")

    @property
    def address(self) -> str:
        """The address of this machine."""
        return f"{self._net}.1"

    def host(self) -> Host:
        """Put another host on it."""
        number = len(self._hosts) + 2
        host = Host(f"slw{self._mark}h{number}", self._bridge, f"{self._net}.{number}")
        self._hosts.append(host)
        return host

    def close(self) -> None:
        for host in self._hosts:
            host.close()
        _run("link", "del", self._bridge)


class Host:
    """One host.

    Attributes:
        within: A command that runs another one there.
    """

    def __init__(self, name: str, bridge: str, address: str) -> None:
        self._name, self._outside = name, f"{name}v"
        self.address = address
        self.within: Sequence[str] = ["ip", "netns", "exec", name]
        _run("netns", "add", name)
        _run("link", "add", self._outside, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("link", "set", self._outside, "master", bridge)
        _run("link", "set", self._outside, "up")
        _run("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _run("-n", name, "link", "set", device, "up")

    def cut(self) -> None:
        """Cut its cable: nothing comes or goes any more, and nobody is told."""
        _run("link", "set", self._outside, "down")

    def mend(self) -> None:
        """Put the cable back."""
        _run("link", "set", self._outside, "up")

    def close(self) -> None:
        subprocess.run(["ip", "netns", "del", self._name], check=False, capture_output=True)
