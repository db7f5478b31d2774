"""What jobs printed since it was read, fetched along with their states."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 32 * 1024 * 1024


class Growth:
    """Keeps pieces of output until they are read. Threads may share it."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._pieces: dict[Path, tuple[int, bytes]] = {}
        self._bytes = 0

    def put(self, folder: Path, offset: int, data: bytes) -> None:
        """Keep what the output of a job has from an offset on; of too much the oldest goes."""
        with self._lock:
            self._drop(folder)
            if not data:
                return
            self._pieces[folder] = offset, data
            self._bytes += len(data)
            while self._bytes > self._most_bytes:
                self._drop(next(iter(self._pieces)))

    def take(self, folder: Path, offset: int) -> bytes:
        """Return what is kept from an offset on, and keep it no more; nothing where it is not."""
        with self._lock:
            begin, data = self._drop(folder)
        return data[offset - begin :] if begin <= offset < begin + len(data) else b""

    def _drop(self, folder: Path) -> tuple[int, bytes]:
        begin, data = self._pieces.pop(folder, (0, b""))
        self._bytes -= len(data)
        return begin, data
