"""What the service tells of itself: structured logs with request ids, and without secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


_SECRET_NAMES = re.compile(
    r"password|secret|token|private_?key|authorization|api_?key|cookie", re.IGNORECASE
)
_SECRET_TEXTS = (
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
    ),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
    re.compile(r"\bhv[sb]\.[\w.-]{20,}"),
    re.compile(r"(?<=/ssh_keys/[^/]{8})[^/\s]+"),  # the whole id of a key is as good as the key
)
_HIDDEN = "***"


def configure_logging(level: str, log_format: str) -> None:
    """Send the logs of the service and of its libraries to standard error.

    Args:
        level: Least level, such as ``INFO``.
        log_format: ``console`` for people, ``json`` for collectors.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_request_id,
        # As plain text: the richer formats show local variables, and with them secrets.
        structlog.processors.format_exc_info,
        _redact,
    ]
    renderer: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    if log_format == "json":
        renderer = structlog.processors.JSONRenderer()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Whatever is left out of the log, who did what is not.
    logging.getLogger("audit").setLevel(logging.INFO)
    for chatty in ("alembic", "paramiko", "urllib3"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def redact(text: str) -> str:
    """Hide what looks like a private key or its id, a password in a URL, or a Vault token."""
    for pattern in _SECRET_TEXTS:
        text = pattern.sub(_HIDDEN, text)
    return text


def _add_request_id(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    current = request_id.get()
    if current is not None:
        event["request_id"] = current
    return event


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if _SECRET_NAMES.search(name):
            event[name] = _HIDDEN
        elif isinstance(value, str):
            event[name] = redact(value)
    return event
