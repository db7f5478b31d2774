"""Running programs of the login node, each within its time, and ended with all that it began."""

import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any

MOST_TEXT = 64 * 1024
"""Bytes of what a program prints that are told, where nothing else is said."""
_NOT_BEGUN = 127
_GRACE_SECONDS = 2.0
"""From the polite end of a program to the deadly one, and for the rest of what it printed."""
_SUBMIT_SECONDS = 20.0
"""How long a submission may still take when nobody listens any more: its id is worth noting."""
_running: "set[Program]" = set()
_lock = threading.Lock()
_submissions = 0
_ends = False


@contextmanager
def submission() -> "Iterator[None]":
    """Have the end of this process wait until what came of a submission is noted."""
    global _submissions  # noqa: PLW0603
    with _lock:
        _submissions += 1
    try:
        yield
    finally:
        with _lock:
            _submissions -= 1


class Program:
    """One run of a program.

    Args:
        asked: ``argv``, ``timeout_seconds``, and perhaps ``env`` and ``stdin``.
        most_bytes: Most bytes that are kept of each of its streams.
        submits: It is not ended with this process: it has an effect that must be noted.
    """

    def __init__(
        self, asked: "dict[str, Any]", most_bytes: int = MOST_TEXT, *, submits: bool = False
    ) -> None:
        self.submits = submits
        self.cut = False
        self._asked = asked
        self._most_bytes = most_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> "tuple[int | None, bytes, bytes]":
        """Run it to its end; return its exit code and what it printed.

        The code is 127 where it could not be begun, and None where its time was over.
        """
        if _ends:
            return _NOT_BEGUN, b"", b"nobody waits for it any more"
        try:
            process = subprocess.Popen(
                self._asked["argv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env=_environment(self._asked.get("env")),
                start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as exc:
            return _NOT_BEGUN, b"", f"{self._asked['argv'][0]}: {exc}".encode()
        self._process = process
        with _lock:
            _running.add(self)
        try:
            if _ends and not self.submits:  # too late to be ended with the others
                self.end()
            return self._watch(process)
        finally:
            with _lock:
                _running.discard(self)

    def _watch(self, process: "subprocess.Popen[bytes]") -> "tuple[int | None, bytes, bytes]":
        text = (self._asked.get("stdin") or "").encode("utf-8", "surrogateescape")
        found: dict[str, bytes] = {}
        threads = [
            threading.Thread(target=self._read, args=(pipe, name, found))
            for pipe, name in ((process.stdout, "out"), (process.stderr, "err"))
        ]
        threads.append(threading.Thread(target=_feed, args=(process.stdin, text)))
        for thread in threads:
            thread.daemon = True
            thread.start()
        timed_out = False
        try:
            process.wait(self._asked["timeout_seconds"])
        except subprocess.TimeoutExpired:
            timed_out = True
        if timed_out:
            self.end()
        until = time.monotonic() + _GRACE_SECONDS
        for thread in threads:  # a program that it left behind may hold its pipes
            thread.join(max(0.0, until - time.monotonic()))
        code = process.poll()
        return None if timed_out else code, found.get("out", b""), found.get("err", b"")

    def _read(self, pipe: "IO[bytes]", name: str, found: "dict[str, bytes]") -> None:
        data = bytearray()
        with suppress(OSError, ValueError):
            chunk = os.read(pipe.fileno(), 65536)
            while chunk:
                room = self._most_bytes - len(data)
                if len(chunk) > room:
                    self.cut = True
                data += chunk[: max(0, room)]
                found[name] = bytes(data)
                chunk = os.read(pipe.fileno(), 65536)
        with suppress(OSError):
            pipe.close()

    def end(self) -> None:
        """End it, politely first."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(OSError):
                os.killpg(process.pid, number)
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return


def _feed(pipe: "IO[bytes]", text: bytes) -> None:
    with suppress(OSError, ValueError):
        pipe.write(text)
    with suppress(OSError, ValueError):
        pipe.close()


def _environment(changes: "dict[str, str | None] | None") -> "dict[str, str]":
    env = dict(os.environ)
    for name, value in (changes or {}).items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    return env


def ran(
    asked: "dict[str, Any]", most_bytes: int = MOST_TEXT, *, submits: bool = False
) -> "tuple[dict[str, Any], bytes]":
    """Run a program; return what it came to as answers have it, and what it printed as bytes.

    Args:
        asked: The program; see the package.
        most_bytes: Most bytes that are kept of each of its streams.
        submits: It has an effect that must be noted, also when nobody listens any more.
    """
    program = Program(asked, most_bytes, submits=submits)
    code, out, err = program.run()
    told = {
        "code": code,
        "stdout": out[:MOST_TEXT].decode("utf-8", "replace"),
        "stderr": err[:MOST_TEXT].decode("utf-8", "replace"),
        "timed_out": code is None,
        "cut": program.cut,
    }
    return told, out


def end_all() -> None:
    """Begin no more, and end all that run; those that submit have a while left to do so."""
    global _ends  # noqa: PLW0603
    _ends = True
    with _lock:
        running = [program for program in _running if not program.submits]
    threads = [threading.Thread(target=program.end) for program in running]
    for thread in threads:
        thread.daemon = True
        thread.start()
    until = time.monotonic() + _SUBMIT_SECONDS
    while _submissions and time.monotonic() < until:
        time.sleep(0.05)
    for thread in threads:
        thread.join(2 * _GRACE_SECONDS)
