"""The log of requests: who asked for what, from where, and what became of it.

Of an address only the path is logged: queries may hold tickets and keys.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import structlog
from flask import Response, g, request

from app.resources._held import Later, Streamed
from app.resources._websocket import Hijacked

log = structlog.get_logger(__name__)
_LOGGER = logging.getLogger(__name__)  # asked before anything is made to be logged

_READS = ("GET", "HEAD", "OPTIONS")


class AccessLog:
    """Logs the requests of a process.

    Args:
        mode: ``off``; ``changes``, for what may change something and for what fails; or ``all``.
    """

    def __init__(self, mode: str) -> None:
        self._mode = mode

    def answered(self, response: Response) -> None:
        """Log the current request, which has this answer; one that goes on also when it ends."""
        level = self._level(response.status_code)
        if level is None or not _LOGGER.isEnabledFor(level):
            return
        fields = _fields()
        if isinstance(response, Later):  # what it is answered is not known yet
            response.on_end = _ending(level, "request", fields)
        elif isinstance(response, Streamed) and request.method != "HEAD":
            status = response.status_code
            log.log(level, "stream opened", status=status, **fields)
            response.on_end = _ending(level, "stream ended", fields)
        elif isinstance(response, Hijacked):
            fields["status"] = 101
            log.log(level, "stream ended", took_ms=_took_ms(g.get("started")), **fields)
        else:
            size = response.content_length or response.calculate_content_length() or 0
            took_ms = _took_ms(g.get("started"))
            status = response.status_code
            log.log(level, "request", status=status, took_ms=took_ms, bytes=size, **fields)

    def opened(self) -> None:
        """Log that the current request has opened a WebSocket."""
        level = self._level(101)
        if level is not None and _LOGGER.isEnabledFor(level):
            log.log(level, "stream opened", status=101, **_fields())

    def _level(self, status: int) -> int | None:
        """Return at which level a request is logged; None for not at all."""
        if self._mode == "off":
            return None
        noteworthy = self._mode == "all" or request.method not in _READS or status >= 400
        return logging.INFO if noteworthy else logging.DEBUG


def _fields() -> dict[str, Any]:
    identity = g.get("identity")
    credential = None
    if identity is not None:
        credential = f"{identity.credential.authenticator}:{identity.credential.id}"
    return {
        "method": request.method,
        "path": request.path,
        "user": identity.username if identity else None,
        "credential": credential,
        "address": request.remote_addr,
        "request_id": g.get("request_id"),
    }


def _ending(level: int, event: str, fields: dict[str, Any]) -> Callable[[int | None, int], None]:
    started = g.get("started")

    def ended(status: int | None, size: int) -> None:
        took_ms = _took_ms(started)
        log.log(level, event, status=status, took_ms=took_ms, bytes=size, **fields)

    return ended


def _took_ms(started: float | None) -> float:
    return 0.0 if started is None else round((time.perf_counter() - started) * 1000, 1)
