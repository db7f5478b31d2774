"""What is loaded: an address of our own service, or one of another program that runs beside it."""

from __future__ import annotations

import argparse
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

PEER_ROWS: Mapping[str, str] = {
    "launch": "launches a workflow of one command that does nothing (POST)",
    "alien4cloud-launch": "launches a workflow of Alien4Cloud (POST)",
    "execution": "shows one execution of Alien4Cloud",
    "page": "shows 100 of the 5,000 log entries of one; {} is the place, from 0",
}
"""What the address of a peer must do, by the name of the row."""


@dataclass(frozen=True, slots=True)
class Target:
    """One request that is sent again and again.

    Attributes:
        path: With the query; ``{}`` in it becomes a place in a log.
        body: JSON of a POST; None for a GET.
        authorization: Value of that header field, if any.
    """

    port: int
    path: str
    host: str = "127.0.0.1"
    body: str | None = None
    authorization: str | None = None

    @classmethod
    def of_url(cls, url: str, body: str | None = None) -> Self:
        """Read an address; a user name and a password in it are sent as HTTP Basic.

        Raises:
            ValueError: It is no address of a plain HTTP server.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"'{url}' must be like http://127.0.0.1:8080/path")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        user = None
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        basic = None if user is None else f"Basic {b64encode(user.encode()).decode()}"
        return cls(parts.port or 80, path, parts.hostname, body, basic)

    @property
    def url(self) -> str:
        """The address, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"

    @property
    def fields(self) -> dict[str, str]:
        """The header fields of a request."""
        fields = {} if self.authorization is None else {"Authorization": self.authorization}
        return fields if self.body is None else {**fields, "Content-Type": "application/json"}

    def request(self, place: int = 0) -> bytes:
        """Write one request (RFC 9112)."""
        method = "GET" if self.body is None else "POST"
        body = (self.body or "").encode()
        fields = {"Host": f"{self.host}:{self.port}", **self.fields}
        if self.body is not None:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        path = self.path.replace("{}", str(place))
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


Peers = Mapping[str, Target]
"""The peers that are there, by the name of the row."""


def read_peers(addresses: Iterable[str], bodies: Iterable[str]) -> Peers:
    """Read ``NAME=URL`` and, for those that are sent something, ``NAME=JSON``.

    Raises:
        ArgumentTypeError: One is not written like that, or there is no such row.
    """
    sent = dict(_pair(each) for each in bodies)
    try:
        return {
            name: Target.of_url(url, sent.get(name, "{}" if name.endswith("launch") else None))
            for name, url in map(_pair, addresses)
        }
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or name not in PEER_ROWS:
        names = ", ".join(PEER_ROWS)
        raise argparse.ArgumentTypeError(f"'{text}' must be NAME=..., with NAME one of {names}")
    return name, value
