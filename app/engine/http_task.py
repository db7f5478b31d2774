"""The program behind steps of type ``http``: sends one request and hands on the response.

Usage: ``python -P -m app.engine.http_task < REQUEST.json``; the request holds ``method``, ``url``,
and as one likes ``headers``, ``body`` and ``expect_status`` (numbers; otherwise any 2xx). It leaves
``status``, ``headers`` and ``body`` in the file named in ``$SLIPWAY_OUTPUT``, and exits as curl(1)
does. It waits for as long as the server takes: who started it ends it, as any other command.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

from app.domain import JSON
from app.engine.http_exchange import ExchangeFailed, Response, exchange, printable
from app.engine.launchers.outputs import parse_json
from app.engine.launchers.shim.reading import MAX_OUTPUTS_BYTES

_BAD_STATUS = 22
_SUCCESS = range(200, 300)


def main() -> int:
    """Send the request that standard input describes; as it may hold secrets, no file does.

    Returns:
        The exit code: 0 for an expected status, 22 for another one, 3 for a bad URL, 7 when the
        server cannot be reached, 35 and 60 when TLS or its certificate fails, 52 for no response,
        and 56 for one that breaks off or cannot be read.
    """
    request = json.loads(sys.stdin.buffer.read())
    name = f"{request['method']} {printable(request['url'])}"
    began = time.monotonic()
    try:
        response = exchange(request, partial(_tell_redirect, name))
    except ExchangeFailed as exc:
        _print_error(f"{name}: {exc.message}")
        return exc.code
    took_ms = (time.monotonic() - began) * 1000
    size = len(response.body)
    _print(f"{name} -> {response.status}, {size} bytes, {took_ms:.0f} ms")
    _write_outputs(response)
    if response.status in (request.get("expect_status") or _SUCCESS):
        return 0
    _print_error(f"{name}: status {response.status} {response.reason} was not expected")
    return _BAD_STATUS


def _tell_redirect(name: str, status: int, url: str) -> None:
    _print(f"{name} -> {status}, goes on to {printable(url)}")


def _write_outputs(response: Response) -> None:
    """Leave the response; what exceeds the limit of outputs is cut off, and then is only text."""
    body = response.body
    results: dict[str, JSON] = {
        "status": response.status,
        "headers": response.headers,
        "body": _decode(response),
    }
    line = _encode(results)
    if response.cut or len(line) > MAX_OUTPUTS_BYTES:
        _print_error("the response is too long for an output and is cut", level="WARN")
    while len(line) > MAX_OUTPUTS_BYTES and body:
        body = body[: len(body) * MAX_OUTPUTS_BYTES // len(line)]
        results["body"] = body.decode(response.charset, "replace")
        line = _encode(results)
    with Path(os.environ["SLIPWAY_OUTPUT"]).open("ab") as file:
        file.write(line)


def _encode(results: dict[str, JSON]) -> bytes:
    return json.dumps(results, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _decode(response: Response) -> JSON:
    """Return JSON as a value, and anything else, also what is no JSON after all, as text."""
    text = response.body.decode(response.charset, "replace")
    media_type = response.media_type
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return parse_json(text.removeprefix("\ufeff"))
        except ValueError:
            return text
    return text


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()  # else a failure on the other stream would be told before it


def _print_error(text: str, level: str = "ERROR") -> None:
    sys.stderr.write(f"{level} {text}\n")


if __name__ == "__main__":
    sys.exit(main())
