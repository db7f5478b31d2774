"""An agent's standard input and output over SSH, as its session wants them."""

from __future__ import annotations

from app.clients._ssh_process import SshProcess
from app.errors import UpstreamError


class SshChannel:
    """The streams of a command that runs over SSH.

    Args:
        process: The command; closed with the channel.
    """

    def __init__(self, process: SshProcess) -> None:
        self._process = process

    def write(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            OSError: Some of it was perhaps not sent.
        """
        try:
            self._process.write(data, closing=False)  # what it said last can be read
        except UpstreamError as exc:
            raise ConnectionError(exc.message) from exc

    def read(self, most: int, timeout: float) -> bytes:
        """Wait for bytes; none at the end.

        Raises:
            TimeoutError: None came in time.
            OSError: The connection is lost.
        """
        try:
            return self._process.read(most, timeout)
        except UpstreamError as exc:
            raise ConnectionError(exc.message) from exc

    def close(self) -> None:
        """End it; idempotent. Who reads comes back at once."""
        self._process.close()

    @property
    def errors(self) -> bytes:
        """The last of what the command wrote to its standard error."""
        return self._process.errors
