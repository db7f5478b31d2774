"""Starts the processes of the service, starts them again when they die, and ends them together."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.05
_STOP_SECONDS = 4.7
_LONGEST_PAUSE_SECONDS = 10.0
_STEADY_SECONDS = 10.0
_USAGE_ERROR = 2


@dataclass(eq=False)
class Child:
    """One process.

    Attributes:
        name: For the log.
        module: What ``python -m`` runs.
        listener: Socket that it inherits. The supervisor keeps it open, so that connections wait
            in its queue, and are not refused, while the process is started again.
        lifeline: Our end of the pipe whose end tells it that we are gone.
    """

    name: str
    module: str
    listener: socket.socket | None = None
    process: subprocess.Popen[bytes] | None = None
    lifeline: int = -1
    started_at: float = 0.0
    start_at: float = 0.0
    failures: int = 0


class Supervisor:
    """Runs children until a signal.

    Args:
        children: The processes.
        env: Their environment.
        address: Host and port that answer when all is well.
    """

    def __init__(
        self, children: Sequence[Child], env: Mapping[str, str], address: tuple[str, int]
    ) -> None:
        self._children = children
        self._env = env
        self._address = address
        self._stop = threading.Event()

    def run(self, announce: Callable[[str], None]) -> int:
        """Run until SIGTERM or SIGINT.

        Args:
            announce: Gets the URL once the service is ready.

        Returns:
            Exit status: 0 after a signal, else that of a child that cannot start at all.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._stop.set())
        threading.Thread(target=self._await_ready, args=(announce,), daemon=True).start()
        status = 0
        while not self._stop.wait(_LOOK_SECONDS):
            for child in self._children:
                status = self._tend(child)
                if status:
                    self._stop.set()
                    break
        self._end()
        return status

    def _tend(self, child: Child) -> int:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._start(child)
            return 0
        code = child.process.poll()
        if code is None:
            return 0
        child.process = None
        os.close(child.lifeline)
        if code == _USAGE_ERROR:
            return code
        child.failures = 1 if now - child.started_at > _STEADY_SECONDS else child.failures + 1
        pause = min(_LONGEST_PAUSE_SECONDS, 0.1 * 2.0 ** (child.failures - 1))
        child.start_at = now + pause
        # Somebody may end one process by SIGTERM to have it replaced.
        say, event = (log.error, "process died") if code else (log.info, "process ended")
        say(event, name=child.name, exit_code=code, restart_in_seconds=pause)
        return 0

    def _start(self, child: Child) -> None:
        # A pipe each: what one child sets on its end must not show on another's.
        lifeline, child.lifeline = os.pipe()
        descriptors = [lifeline]
        arguments = ["--lifeline-fd", str(lifeline)]
        if child.listener is not None:
            descriptors.append(child.listener.fileno())
            arguments += ["--listener-fd", str(child.listener.fileno())]
        child.started_at = time.monotonic()
        # In a session of its own: Ctrl-C in the terminal is for the supervisor to pass on.
        child.process = subprocess.Popen(
            [sys.executable, "-P", "-m", child.module, *arguments],
            env=self._env, pass_fds=descriptors, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(lifeline)

    def _end(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("process had to be killed", pid=process.pid)
                process.kill()
                process.wait()

    def _await_ready(self, announce: Callable[[str], None]) -> None:
        host, port = self._address
        shown = f"[{host}]" if ":" in host else host
        target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        while not self._stop.wait(_LOOK_SECONDS):
            connection = http.client.HTTPConnection(target, port, timeout=5)
            try:
                connection.request("GET", "/ready")
                if connection.getresponse().status == 200:
                    announce(f"http://{shown}:{port}")
                    return
            except OSError:
                continue
            finally:
                connection.close()
