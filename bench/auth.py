"""What it takes to know who asks: CPU time of a web process for each request, by credential.

One service lets everybody in, another one asks for a credential; the same short answer is given
again and again over 64 connections that stay open. What the second takes more than the first is
what authentication takes, in ms of CPU time, which a busy machine changes little. *First use* is
the time from the request to the answer for keys and tokens that the process has not seen, beside
the same again; it wants a quiet machine.
"""

from __future__ import annotations

import base64
import http.client
import json
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from joserfc import jwk
from joserfc.jws import JWSRegistry

from bench._report import Figure, percentile
from bench._service import Service, cpu_seconds
from bench._target import Target
from bench._wrk import MISSING, is_here, load

_PATH = "/executions?page_size=1"
_USER, _PASSWORD = "bench", "the password of the bench"
_SHARED = "a-key-that-is-shared"
_SECRET = "the secret of the bench that signs tokens"
_ISSUER = "https://issuer.example"
_BASIC = f"Basic {b64encode(f'{_USER}:{_PASSWORD}'.encode()).decode()}"
_MOST_MS = 0.1
_MOST_FIRST_MS = 1.0


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    if not is_here():
        yield Figure("authentication of a request", None, note=MISSING)
        return
    seconds, number = (1, 10) if quick else (4, 40)
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as open_folder,
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        _issuer() as issuer,
        Service(Path(open_folder)) as everybody,
        Service(Path(folder), env=_env(issuer.url)) as service,
    ):
        ways = _credentials(service, issuer, number)
        bare = [_cpu_ms(everybody, None, seconds)]
        took = {name: _cpu_ms(service, given[0], seconds) for name, given in ways.items()}
        bare.append(_cpu_ms(everybody, None, seconds))
        none = sum(bare) / len(bare)
        for name, ms in took.items():
            yield Figure(
                f"authentication of a request by {name}", ms - none, "ms", most=_MOST_MS,
                note=f"CPU time; {ms:.3f} ms in all, {none:.3f} ms without authentication",
            )  # fmt: skip
        for name, given in ways.items():
            if len(given) > 1:
                yield _first_use(service, name, given[1:])


def _env(issuer: str) -> dict[str, str]:
    auth = {
        "TYPE": "[basic, api_key, jwt, introspection]",
        "USERS": f"[{{username: {_USER}, password: {_PASSWORD}}}]",
        "SECRET": _SECRET,
        "API_KEY_SECRET": _SHARED,
        "JWT__ISSUER": _ISSUER,
        "JWT__JWKS_URL": f"{issuer}/keys",
        "JWT__AUDIENCE": "slipway",
        "INTROSPECTION__URL": f"{issuer}/introspect",
        "INTROSPECTION__CLIENT_ID": "slipway",
        "INTROSPECTION__CLIENT_SECRET": "the secret of the client",
    }
    return {f"SLIPWAY_API__AUTH__{name}": value for name, value in auth.items()}


def _credentials(service: Service, issuer: _Issuer, number: int) -> dict[str, list[str]]:
    """Return values of Authorization by the way to sign in: more than one if each is new once."""

    def made(path: str, body: Mapping[str, Any]) -> Any:
        return service.call("POST", path, body, authorization=_BASIC)[0]

    keys = [made("/api_keys", {"name": "bench"})["key"] for _ in range(number)]
    own = [made("/auth/token", {})["access_token"] for _ in range(number)]
    secret = jwk.OctKey.import_key(_SECRET.encode())
    by_secret = [_token(secret, "HS256", n) for n in range(number)]
    by_issuer = [_token(issuer.key, "RS256", n, iss=_ISSUER) for n in range(number)]
    opaque = [f"opaque-{n}" for n in range(number)]
    bearer = {
        "an API key": keys,
        "the shared key": [_SHARED],
        "a token of the service": own,
        "a JWT (HS256)": by_secret,
        "a JWT of an issuer (RS256)": by_issuer,
        "an introspected token": opaque,
    }
    return {
        "Basic, from the cache": [_BASIC],
        **{name: [f"Bearer {each}" for each in given] for name, given in bearer.items()},
    }


def _token(key: Any, algorithm: str, number: int, **more: Any) -> str:
    claims = {"sub": _USER, "aud": "slipway", "exp": int(time.time()) + 3600, "jti": str(number)}
    signed = f"{_part({'alg': algorithm, 'kid': '1'})}.{_part({**claims, **more})}"
    signature = JWSRegistry.algorithms[algorithm].sign(signed.encode(), key)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class _Issuer:
    """Publishes a key, and says of every token that it is good."""

    def __init__(self) -> None:
        self.key: Any = jwk.RSAKey.generate_key(2048)
        self.url = ""

    def keys(self) -> bytes:
        public = {**self.key.as_dict(private=False), "kid": "1"}
        return json.dumps({"keys": [public]}).encode()

    @staticmethod
    def said() -> bytes:
        answer = {"active": True, "sub": _USER, "exp": int(time.time()) + 3600}
        return json.dumps(answer).encode()


@contextmanager
def _issuer() -> Iterator[_Issuer]:
    issuer = _Issuer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Or the body waits for the acknowledgement of the head, 40 ms that are not the service's.
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(issuer.keys())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(issuer.said())

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield issuer
        finally:
            server.shutdown()


def _cpu_ms(service: Service, authorization: str | None, seconds: float) -> float:
    """Return the CPU time that one request takes, in ms."""
    target = Target(service.port, _PATH, authorization=authorization)
    load(target, 1)
    before = cpu_seconds(service.web)
    begun = time.monotonic()
    rate = load(target, seconds).rate
    lasted = time.monotonic() - begun
    return (cpu_seconds(service.web) - before) * 1000 / (rate * min(lasted, seconds))


def _first_use(service: Service, name: str, credentials: list[str]) -> Figure:
    """Measure how much longer the first request with a credential takes than the second."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    first, second = [], []
    try:
        for credential in credentials:
            for took in (first, second):
                begun = time.perf_counter()
                connection.request("GET", _PATH, headers={"Authorization": credential})
                connection.getresponse().read()
                took.append((time.perf_counter() - begun) * 1000)
    finally:
        connection.close()
    more = percentile(first, 50) - percentile(second, 50)
    return Figure(
        f"first use of {name}, beyond the second", more, "ms", most=_MOST_FIRST_MS,
        note=f"medians of {len(credentials)}: {percentile(first, 50):.2f} and "
        f"{percentile(second, 50):.2f} ms",
    )  # fmt: skip
