"""The program behind steps of type ``http``: sends one request and hands on the response.

Usage: ``python -P -m app.engine.http_task < REQUEST.json``; the request holds ``method``, ``url``,
and as one likes ``headers``, ``body``, ``expect_status`` (numbers; otherwise any 2xx) and
``timeout`` (seconds for the whole exchange). It leaves ``status``, ``headers`` and ``body`` in the
file named in ``$SLIPWAY_OUTPUT``, and exits as curl(1) does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import requests

from app.domain import JSON
from app.engine.launchers.outputs import MAX_OUTPUTS_BYTES, parse_json

_DEFAULT_TIMEOUT_SECONDS = 300.0
_MAX_BODY_BYTES = 1024 * 1024
_CHUNK_BYTES = 64 * 1024

_BAD_URL, _UNREACHABLE, _BAD_STATUS, _TIMEOUT, _BAD_RESPONSE = 3, 7, 22, 28, 56


class _TimeIsUp(BaseException):
    """The alarm rang; no ``Exception``, so that no library takes it for one of its own."""


_FAILURES: tuple[tuple[type[BaseException], int, str], ...] = (
    (_TimeIsUp, _TIMEOUT, "no complete response in time"),
    (requests.exceptions.InvalidSchema, _BAD_URL, "only http and https are spoken"),
    (requests.exceptions.ChunkedEncodingError, _BAD_RESPONSE, "the response broke off"),
    (requests.ConnectionError, _UNREACHABLE, "not reachable"),
    (ValueError, _BAD_URL, "not a valid request"),
    (requests.RequestException, _BAD_RESPONSE, "the response cannot be read"),
)


def main() -> int:
    """Send the request that standard input describes; as it may hold secrets, no file does.

    Returns:
        The exit code: 0 for an expected status, 22 for another one, 7 when the server cannot be
        reached, 28 when it is too slow, 3 for a bad URL, 56 for a response that breaks off.
    """
    request = json.loads(sys.stdin.buffer.read())
    name = f"{request['method']} {_printable(request['url'])}"
    began = time.monotonic()
    try:
        response, body = _exchange(request)
    except (requests.RequestException, ValueError, _TimeIsUp) as exc:
        code, meaning = next((c, text) for kind, c, text in _FAILURES if isinstance(exc, kind))
        _print_error(f"{name}: {meaning}{_cause(exc)}")
        return code
    took_ms = (time.monotonic() - began) * 1000
    sys.stdout.write(f"{name} -> {response.status_code}, {len(body)} bytes, {took_ms:.0f} ms\n")
    _write_outputs(response, body)
    expected = request.get("expect_status") or range(200, 300)
    if response.status_code in expected:
        return 0
    _print_error(f"{name}: status {response.status_code} {response.reason} was not expected")
    return _BAD_STATUS


def _exchange(request: dict[str, Any]) -> tuple[requests.Response, bytes]:
    # Else requests would replace an Authorization header by what the service's ~/.netrc says.
    os.environ.setdefault("NETRC", os.devnull)
    # The timeout of requests bounds each wait for data, not the whole.
    signal.signal(signal.SIGALRM, _raise_time_is_up)
    signal.setitimer(signal.ITIMER_REAL, request.get("timeout") or _DEFAULT_TIMEOUT_SECONDS)
    try:
        with (
            requests.Session() as session,
            session.request(
                request["method"],
                request["url"],
                headers=request.get("headers"),
                stream=True,
                **_payload(request.get("body")),
            ) as response,
        ):
            body = b""
            for chunk in response.iter_content(_CHUNK_BYTES):
                body += chunk
                if len(body) >= _MAX_BODY_BYTES:
                    break
            return response, body[:_MAX_BODY_BYTES]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _raise_time_is_up(_number: int, _frame: object) -> NoReturn:
    raise _TimeIsUp


def _payload(body: JSON) -> dict[str, JSON]:
    """A text is sent as it is, anything else as JSON."""
    if body is None:
        return {}
    return {"data": body.encode()} if isinstance(body, str) else {"json": body}


def _write_outputs(response: requests.Response, body: bytes) -> None:
    """Leave the response; what exceeds the limit of outputs is cut off, and then is only text."""
    results: dict[str, JSON] = {
        "status": response.status_code,
        "headers": dict(response.headers),
        "body": _decode(response, body),
    }
    line = _encode(results)
    if len(line) > MAX_OUTPUTS_BYTES:
        _print_error("the response is too long for an output and is cut", level="WARN")
    while len(line) > MAX_OUTPUTS_BYTES and body:
        body = body[: len(body) // 2]
        results["body"] = body.decode("utf-8", "replace")
        line = _encode(results)
    with Path(os.environ["SLIPWAY_OUTPUT"]).open("ab") as file:
        file.write(line)


def _encode(results: dict[str, JSON]) -> bytes:
    return json.dumps(results, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _decode(response: requests.Response, body: bytes) -> JSON:
    """Give JSON as a value; text in the charset that the server names, or else in UTF-8."""
    content_type = response.headers.get("Content-Type", "").lower()
    charset = response.encoding if "charset=" in content_type else None
    try:
        text = body.decode(charset or "utf-8", "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    media_type = content_type.partition(";")[0].strip()
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return parse_json(text)
        except ValueError:
            return text
    return text


def _printable(url: str) -> str:
    """Leave out of a URL what may be a secret: user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "URL"
    query = "?..." if parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


def _cause(exc: BaseException) -> str:
    """Name the system's own reason, if there is one; other texts may hold the URL."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f": {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return ""


def _print_error(text: str, level: str = "ERROR") -> None:
    sys.stderr.write(f"{level} {text}\n")


if __name__ == "__main__":
    sys.exit(main())
