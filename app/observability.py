"""What the service tells of itself: structured logs with request ids, and without secrets."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

import structlog

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)
"""Where the current request comes from, behind the proxies that the settings name."""


CONFIDENTIAL_NAMES: Final = r"password|secret|token|private_?key|authorization|api_?key|cookie"
"""Regular expression for what names of secrets have in them, in lower case."""
_SECRET_NAMES = re.compile(CONFIDENTIAL_NAMES, re.IGNORECASE)
_SECRET_TEXTS = (
    # How each begins, as literally as can be, and what it is.
    (
        "-----BEGIN ",
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
        ),
    ),
    ("://", re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")),
    (r"hv[sb]\.", re.compile(r"\bhv[sb]\.[\w.-]{20,}")),
    # API keys, and what a message has cut off of one; ``%5F`` is how addresses may write ``_``.
    ("slw[_%]", re.compile(r"slw(?:_|%5[Ff])[0-9A-Za-z]{5,}")),
    # What browsers hold of sessions, and what they are sent back with from where they signed in.
    ("sls[_%]", re.compile(r"sls(?:_|%5[Ff])[0-9A-Za-z_-]{5,}")),
    ("[?&]code=", re.compile(r"(?<=[?&]code=)[^&\s'\"]+")),
    ("[?&]state=", re.compile(r"(?<=[?&]state=)[^&\s'\"]+")),
    # Tokens (RFC 7515, 7.1), which begin with an encoded brace, also when the end is cut off.
    ("e[wy]", re.compile(r"(?<![\w-])e[wy][\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?")),
    # The whole id of a key is as good as the key.
    ("/ssh_keys/", re.compile(r"(?<=/ssh_keys/[^/]{8})[^/\s]+")),
)
_BEGINNING = re.compile("|".join(beginning for beginning, _ in _SECRET_TEXTS))
"""What every text with a secret in it holds; most texts hold none, which this finds at once."""
_HIDDEN = "***"
_DEEPEST = 6


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
        _add_request,
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
    _leave_out_of_records()
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


def _leave_out_of_records() -> None:
    """Have nothing looked up for lines of the log that none of them tells.

    Source: "Optimization" in the HOWTO of Python's ``logging``.
    """
    logging._srcfile = None  # noqa: SLF001  (as the HOWTO has it)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def redact(text: str) -> str:
    """Hide what looks like a private key or its id, an API key, a token or a password in a URL."""
    if _BEGINNING.search(text) is None:
        return text
    for _, pattern in _SECRET_TEXTS:
        text = pattern.sub(_HIDDEN, text)
    return text


def is_secret_name(name: str) -> bool:
    """Return whether a name is one that secrets have."""
    return _SECRET_NAMES.search(name) is not None


@lru_cache(maxsize=512)
def _is_secret(name: str) -> bool:
    """Return whether a field of an event holds a secret, by its name, which the code gives it."""
    return is_secret_name(name)


def _add_request(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    current = request_id.get()
    if current is not None:
        event.setdefault("request_id", current)  # what ends later says whose it is
    address = client_address.get()
    if address is not None:
        event.setdefault("address", address)
    return event


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if name.startswith("_"):  # what structlog itself passes on
            continue
        event[name] = _HIDDEN if _is_secret(name) else _redacted(value, _DEEPEST)
    return event


def _redacted(value: Any, levels: int) -> Any:
    """Return a value without the secrets in its texts, however they are nested."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, bytes):
        return redact(value.decode(errors="replace"))
    if value is None or isinstance(value, bool | int | float):
        return value
    if levels and isinstance(value, Mapping):
        return {
            key: _HIDDEN if is_secret_name(str(key)) else _redacted(each, levels - 1)
            for key, each in value.items()
        }
    if levels and isinstance(value, list | tuple | set | frozenset):
        return [_redacted(each, levels - 1) for each in value]
    text = str(value)
    return value if redact(text) == text else redact(text)
