"""Files for what is shown only once: they are there before it is made, so that it has a place."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from slipway.cli.codes import ExitCode, Failure


class NewFile:
    """A file that must not be there yet; it goes again where nothing is written to it.

    Args:
        path: Of the file; None for none at all.
        mode: Who may read it.
    """

    def __init__(self, path: Path | None, mode: int) -> None:
        self._path = path
        self._mode = mode
        self._descriptor = -1
        self._fault: OSError | None = None
        self._is_whole = False

    def __enter__(self) -> Self:
        """Make the file.

        Raises:
            Failure: It is there already, or cannot be made; nothing was asked of the service.
        """
        if self._path is None:
            return self
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            self._descriptor = os.open(self._path, flags, self._mode)
            os.fchmod(self._descriptor, self._mode)
        except FileExistsError:
            raise Failure(
                f"{self._path} is there already, and is not written over.",
                hint="Name another file.",
            ) from None
        except OSError as exc:
            raise Failure(f"{self._path} cannot be written: {exc.strerror}.") from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        if not self._is_whole and self._path is not None:
            self._path.unlink(missing_ok=True)

    def write(self, text: str) -> bool:
        """Write all of it; return whether it is in the file now.

        What cannot be written must be shown otherwise; :meth:`complain` says why.
        """
        if self._descriptor < 0:
            return False
        try:
            left = text.encode()
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)
        except OSError as exc:
            self._fault = exc
            return False
        self._is_whole = True
        return True

    def complain(self) -> None:
        """Say what went wrong with the file.

        Raises:
            Failure: It could not be written.
        """
        if self._fault is not None:
            raise Failure(
                f"{self._path} cannot be written: {self._fault.strerror}.", code=ExitCode.FAILED
            )
