"""Makes tokens and keys, and an issuer that publishes keys over HTTP and counts who asks."""

from __future__ import annotations

import base64
import functools
import hmac
import json
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwk, jws

SECRET = "a secret of the tests, of more than 32 bytes"


@functools.cache
def key(kind: str, number: int = 1) -> Any:
    """A private key, made once: RSA, a curve of EC, or Ed25519."""
    if kind == "RSA":
        return jwk.RSAKey.generate_key(2048)
    if kind == "Ed25519":
        return jwk.OKPKey.generate_key("Ed25519")
    return jwk.ECKey.generate_key(kind)


def public(key_: Any, **more: Any) -> dict[str, Any]:
    return {**key_.as_dict(private=False), **more}


def claims(**more: Any) -> dict[str, Any]:
    """Claims that hold; None leaves one out."""
    all_ = {"sub": "ada", "exp": int(time.time()) + 600, **more}
    return {name: value for name, value in all_.items() if value is not None}


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(payload: Any, key_: Any = SECRET, alg: str = "HS256", **header: Any) -> str:
    """Sign a token with a key, or with any text or bytes as the secret of HS256."""
    signed = f"{part({'alg': alg, **header})}.{part(payload)}"
    if isinstance(key_, str | bytes):
        raw = key_.encode() if isinstance(key_, str) else key_
        return f"{signed}.{part(hmac.digest(raw, signed.encode(), 'sha256'))}"
    model = jws.JWSRegistry.algorithms[alg]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return f"{signed}.{part(model.sign(signed.encode(), key_))}"


class Issuer:
    """What it answers can be changed while it runs.

    Attributes:
        keys: Its JWK Set; any other value is what it sends.
        fetches: How often its keys were asked for.
        paths: Every address that was asked for.
        hold: While it is cleared, nothing is answered.
    """

    def __init__(self) -> None:
        self.keys: Any = []
        self.status = 200
        self.fetches = 0
        self.paths: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        self.url = ""

    def answer(self, path: str) -> bytes:
        self.paths.append(path)
        if path.endswith("/openid-configuration"):
            return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        self.fetches += 1
        self.hold.wait(20)
        return self.keys if isinstance(self.keys, bytes) else json.dumps(self.keys).encode()


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = issuer.answer(self.path)
            self.send_response(issuer.status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield issuer
        finally:
            issuer.hold.set()
            server.shutdown()
            thread.join()
