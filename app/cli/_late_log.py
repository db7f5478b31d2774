"""A log that costs nothing until there is something to say."""

from __future__ import annotations

import sys
from typing import Any


class LateLog:
    """The service's log, imported with the first line.

    It takes more memory than a supervisor that has nothing to tell.

    Args:
        name: Of the logger.

    Attributes:
        form: Level and format, as :func:`app.observability.configure_logging` has them.
    """

    def __init__(self, name: str) -> None:
        self.form = ("INFO", "console")
        self._name = name
        self._log: Any = None

    def info(self, event: str, **fields: object) -> None:
        """Log something that is as it should be."""
        self._write("info", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log a fault."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        try:
            if self._log is None:
                self._log = self._open()
        except (OSError, MemoryError, ImportError):  # such as when no file can be opened
            print(f"[{level}] {event} {fields}", file=sys.stderr, flush=True)
        else:
            getattr(self._log, level)(event, **fields)

    def _open(self) -> Any:
        import structlog  # noqa: PLC0415

        from app.observability import configure_logging  # noqa: PLC0415

        configure_logging(*self.form)
        return structlog.get_logger(self._name)
