"""Having one key pair at a time opened by the process that has the master key."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.clients._ssh_terms import SshCredential
from app.clients.key_opener import receive, send
from app.errors import UpstreamRefused, UpstreamUnreachable
from app.store.keys import Sealed, SealedKeys

_PROGRAM: Final = (sys.executable, "-I", "-m", "app.clients.key_opener")
_START_SECONDS: Final = 30.0
"""For the process to start, and to find the master key."""
_CALL_SECONDS: Final = 10.0
"""For a key pair to be opened."""
_WAIT_SECONDS: Final = 60.0
"""How long others are waited for."""
_BROKEN: Final = (OSError, EOFError, ValueError)


@dataclass(frozen=True, slots=True)
class MasterKeyPlace:
    """Where the process finds the master key, which this one never reads.

    Attributes:
        file: The file.
        descriptor: An open file that holds it instead; None without.
    """

    file: Path
    descriptor: int | None = None


class _Opener:
    """One process; its end of the socket closes with this one, whatever becomes of this one."""

    def __init__(self, place: MasterKeyPlace) -> None:
        self._link, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - a fixed program
                _PROGRAM, stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath)}, start_new_session=True,
                pass_fds=() if place.descriptor is None else (place.descriptor,),
            )  # fmt: skip
        self.pid = self._process.pid
        try:
            told = self.ask(
                {"file": str(place.file), "descriptor": place.descriptor}, _START_SECONDS
            )
            if "error" in told:
                raise UpstreamUnreachable("SSH keys cannot be read now.", detail=told["error"])
        except BaseException:
            self.end()
            raise

    def ask(self, message: Any, seconds: float = _CALL_SECONDS) -> dict[str, Any]:
        """Send a message, and return the answer."""
        self._link.settimeout(seconds)
        send(self._link, message)
        answer = receive(self._link)
        if not isinstance(answer, dict):
            raise ValueError("an answer that is none")
        return answer

    def end(self) -> None:
        """End it."""
        self._link.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_CALL_SECONDS)


class EmbeddedPrivateKeys:
    """Private keys of the embedded store. Threads may share it.

    The process is begun when the first key is read, and replaced when it has ended or hangs.

    Args:
        sealed: The encrypted rows.
        place: Where the master key is.
    """

    def __init__(self, sealed: SealedKeys, place: MasterKeyPlace) -> None:
        self._sealed = sealed
        self._place = place
        self._lock = threading.Lock()
        self._opener: _Opener | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that has the master key; None where there is none now."""
        opener = self._opener
        return None if opener is None else opener.pid

    def get(self, key_id: str) -> SshCredential:
        """Read the private half of a pair.

        Raises:
            UpstreamRefused: There is none, or it is not of this master key.
            UpstreamUnreachable: It cannot be opened now.
        """
        sealed = self._sealed.get(key_id)
        if sealed is None:
            raise UpstreamRefused("There is no private half of this SSH key any more.")
        if not self._lock.acquire(timeout=_WAIT_SECONDS):
            raise UpstreamUnreachable("SSH keys cannot be read now: others are still being read.")
        try:
            answer = self._opened(key_id, sealed)
        finally:
            self._lock.release()
        if "error" in answer:
            raise UpstreamRefused("The SSH key cannot be read.", detail=answer["error"])
        return SshCredential(answer["private_key"], answer["certificate"])

    def remove(self, key_id: str) -> None:
        """Remove a key pair."""
        self._sealed.delete(key_id)

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._leave()

    def _opened(self, key_id: str, sealed: Sealed) -> dict[str, Any]:
        parts = {name: base64.b64encode(part).decode() for name, part in sealed._asdict().items()}
        message = {"id": key_id, **parts}
        if self._opener is not None:
            with suppress(*_BROKEN):
                return self._opener.ask(message)
            self._leave()
        try:
            self._opener = _Opener(self._place)
            return self._opener.ask(message)
        except _BROKEN as exc:
            self._leave()
            raise UpstreamUnreachable(
                "SSH keys cannot be read now: the process that opens them does not answer.",
                detail=type(exc).__name__,
            ) from None

    def _leave(self) -> None:
        if self._opener is not None:
            self._opener.end()
            self._opener = None
