"""Starts the processes of the service, replaces the dead and the stuck, and ends them together."""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from app.backoff import Backoff
from app.cli._late_log import LateLog
from app.cli._lifeline import (
    AT_WORK,
    BEAT_SECONDS,
    SLAVE_WANTED,
    START_SECONDS,
    notify_systemd,
)
from app.cli._signals import catch_stop_signals
from app.cli._start import Descendant, Process, Start, bury_strays

log = LateLog(__name__)

_LOOK_SECONDS = 0.05
"""How often the children are looked after."""
_LINGER_SECONDS = 5.0
"""How long a template is kept that nobody needs: processes that are replaced in turn share one."""
_LONGEST_LOOK_SECONDS = 0.5
"""No more silence is counted for one look: this process may have stood still."""
_STILL_SECONDS = 3 * BEAT_SECONDS
"""A template that was silent for so long is not asked: the answer would be waited for."""
_ABORT_SECONDS = 1.0
"""For a process that is stuck to say where."""
_ANSWER_SECONDS = 5.0
"""For the answer of a web process to whether all is well."""
_RESTART = Backoff(first=0.1, longest=10.0)
_STEADY_SECONDS = 10.0
"""What ends after so long has worked, and its failures are counted anew."""
_HOPELESS = 3
"""Deaths in a row after which nobody should wait for a process."""
_USAGE_ERROR = 2
_RELOAD_SECONDS = 2.0
"""How long the next process waits for one that reads its settings again, and may be replaced."""


LISTENERS = ("--listener-fd", "--beside-fd")
"""Options that hand listening sockets to a web process: the first, and one beside it."""


MASTER_KEY_OPTION = "--master-key-fd"
"""Option that hands a pipe with the master key to a web process."""


@dataclass(eq=False)
class Child:
    """One process.

    Attributes:
        name: For the log.
        module: What ``python -m`` runs.
        silence_seconds: It is replaced after so long without a sign of life.
        env: Its environment.
        secret: What it must not find in its environment; handed over by a pipe.
        secret_option: Names that pipe.
        listeners: Sockets that it inherits, in the order of :data:`LISTENERS`. The supervisor keeps
            them open, so that connections wait in their queues, and are not refused, while the
            process is started again.
        template: Of which it is a fork; without, it is a program of its own.
        options: For its command line, with their values.
        is_template: It forks others, see :mod:`app.cli._template`.
        on_demand: It is not started before one of the others asks for it.
        is_wanted: One has.
        wants_slave: This one has asked for those.
        lifeline: Our end of the socket by which it gives signs of life, and sees that we are gone.
        requests: Our end of the socket by which a template is asked for forks.
        needed_at: When something was last to be forked from this template.
        proven: It, or one before it, has been at work: the settings were right once.
        at_work: This one is.
        silent_seconds: Since the last one, as far as we were awake ourselves.
    """

    name: str
    module: str
    silence_seconds: float
    env: Mapping[str, str] = field(repr=False)
    listeners: Sequence[socket.socket] = ()
    secret: str | None = field(default=None, repr=False)
    template: Child | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    is_template: bool = False
    on_demand: bool = False
    secret_option: str = MASTER_KEY_OPTION
    is_wanted: bool = False
    wants_slave: bool = False
    process: Process | None = None
    lifeline: socket.socket | None = None
    requests: socket.socket | None = None
    needed_at: float = -math.inf
    started_at: float = 0.0
    start_at: float = 0.0
    failures: int = 0
    proven: bool = False
    at_work: bool = False
    silent_seconds: float = 0.0

    def start(self) -> None:
        """Start a process.

        Raises:
            OSError: It cannot be started.
        """
        self.started_at, self.at_work, self.silent_seconds = time.monotonic(), False, 0.0
        with ExitStack() as inherited:
            # A socket each: what one child sets on its end must not show on another's.
            self.lifeline, theirs = socket.socketpair()
            self.lifeline.setblocking(False)
            descriptors = {"--lifeline-fd": inherited.enter_context(theirs).fileno()}
            if self.is_template:
                self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                descriptors["--requests-fd"] = inherited.enter_context(theirs).fileno()
            for option, listener in zip(LISTENERS, self.listeners, strict=False):
                descriptors[option] = listener.fileno()
            if self.secret is not None:
                descriptors[self.secret_option] = _pipe_with(self.secret)
                inherited.callback(os.close, descriptors[self.secret_option])
            start = Start(self.module, self.env, descriptors, self.options)
            self.process = start.execute() if self.template is None else self.template.fork(start)

    def adopt(self, pid: int, lifeline: socket.socket, requests: socket.socket) -> None:
        """Take over a template that was started before this supervisor.

        Args:
            pid: Of a child of this process.
            lifeline: Our end of its lifeline.
            requests: Our end of the socket by which it is asked for forks.
        """
        self.started_at = time.monotonic()
        self.process, self.lifeline, self.requests = Descendant(pid), lifeline, requests
        lifeline.setblocking(False)

    def fork(self, start: Start) -> Process:
        """Have this template make a process.

        Raises:
            OSError: It cannot be made, also as the template is gone, or silent, and is ended.
        """
        assert self.requests is not None  # noqa: S101  (it is a template, and started)
        assert self.process is not None  # noqa: S101
        try:
            return start.fork_from(self.requests)
        except (EOFError, ConnectionError, TimeoutError) as exc:
            self.at_work = False
            self.process.kill()  # an answer that comes late would be taken for another one
            raise OSError(f"the {self.name} does not answer") from exc

    def listen(self, passed_seconds: float) -> None:
        """Take in the signs of life that have come.

        Args:
            passed_seconds: Since the last time.
        """
        assert self.lifeline is not None  # noqa: S101  (it is started)
        try:
            signs = self.lifeline.recv(4096)
        except OSError:
            signs = b""
        if AT_WORK in signs:
            self.at_work = self.proven = True
        self.wants_slave |= SLAVE_WANTED in signs
        if signs:
            self.silent_seconds = 0.0
        else:
            self.silent_seconds += passed_seconds

    @property
    def is_starting(self) -> bool:
        """Whether it is started, and has not said that its start is done."""
        return self.process is not None and not self.at_work

    @property
    def is_silent(self) -> bool:
        """Whether no sign of life has come for too long."""
        longest = max(self.silence_seconds, 2 * BEAT_SECONDS) if self.at_work else START_SECONDS
        return self.silent_seconds > longest

    @property
    def can_fork(self) -> bool:
        """Whether a template can be asked for a process, without holding up all others."""
        return self.at_work and self.silent_seconds < _STILL_SECONDS

    def put_down(self) -> int:
        """End a process that is stuck, and let it say where, if it still can; return its status."""
        assert self.process is not None  # noqa: S101  (it is started)
        self.process.send_signal(signal.SIGABRT)  # faulthandler writes a traceback of each thread
        try:
            return self.process.wait(_ABORT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def retire(self) -> None:
        """End a template that nobody needs, without a word."""
        assert self.process is not None  # noqa: S101  (it is started)
        self.process.kill()
        self.process.wait()
        self.bury()

    def put_off(self) -> float:
        """Wait before the next start, the longer the more have failed; return the seconds."""
        self.failures += 1
        pause = _RESTART.pause(self.failures)
        self.start_at = time.monotonic() + pause
        return pause

    def bury(self) -> None:
        """Forget the process, which has ended."""
        for ours in (self.lifeline, self.requests):
            if ours is not None:
                ours.close()
        self.process = self.lifeline = self.requests = None
        self.at_work = False


class Supervisor:
    """Runs children until a signal.

    Args:
        children: The processes.
        address: Host and port that answer when all is well; None where the API is not served.
        stop_seconds: How long they may take to stop.
        tls: They answer by HTTPS.
    """

    def __init__(
        self,
        children: Sequence[Child],
        address: tuple[str, int] | None,
        stop_seconds: float,
        *,
        tls: bool = False,
    ) -> None:
        self._children = children
        self._address = address
        self._tls = tls
        self._had_terminal = os.isatty(0)
        self._to_reload: deque[Child] = deque()
        self._reloading: tuple[Child | None, int, float] = (None, 0, 0.0)
        self._stop_seconds = stop_seconds
        self._stopping = threading.Event()

    def run(self, announce: Callable[[str | None], None]) -> int:
        """Run until SIGTERM or SIGINT; SIGHUP has the processes read their settings again.

        Args:
            announce: Gets the URL once the service is ready; None where the API is not served.

        Returns:
            Exit status: 0 after a signal, else that of a child that cannot start at all.
        """
        signals = catch_stop_signals()
        threading.Thread(target=self._await_ready, args=(announce,), daemon=True).start()
        status, looked_at = 0, time.monotonic()
        while not status and not self._is_told_to_stop(signals):
            now = time.monotonic()
            # If we could not run for a while, the children perhaps could not, either.
            passed, looked_at = min(now - looked_at, _LONGEST_LOOK_SECONDS), now
            notify_systemd("WATCHDOG=1")
            for child in self._children:
                status = status or self._tend(child, passed)
            self._reload_next()
            bury_strays({child.process.pid for child in self._children if child.process})
        self._stopping.set()
        self._end()
        return status

    def _wait(self, signals: int) -> list[int]:
        """Wait until it is time to look, or a child says that its start is done."""
        lines = [child.lifeline for child in self._children if child.is_starting]
        waited_for = select.poll()
        for descriptor in (signals, *(line.fileno() for line in lines if line is not None)):
            waited_for.register(descriptor, select.POLLIN)
        return [descriptor for descriptor, _ in waited_for.poll(_LOOK_SECONDS * 1000)]

    def _is_told_to_stop(self, signals: int) -> bool:
        """Wait until it is time to look; True if a signal says to stop."""
        if signals not in self._wait(signals):
            return False
        if set(os.read(signals, 64)) != {signal.SIGHUP} or self._has_lost_terminal():
            return True
        log.info("settings are to be read again")
        self._to_reload.clear()
        self._to_reload.extend(
            child for child in self._children if not child.is_template and not child.on_demand
        )
        return False

    def _has_lost_terminal(self) -> bool:
        """Return whether SIGHUP has its first meaning: the terminal of this process is gone."""
        return self._had_terminal and not os.isatty(0)

    def _reload_next(self) -> None:
        """Have one process after the other read its settings again, so that the others answer."""
        child, pid, since = self._reloading
        if child is not None and child.process is not None:
            is_done = child.at_work and child.process.pid != pid
            if not is_done and time.monotonic() - since < _RELOAD_SECONDS:
                return
        elif child is not None and time.monotonic() - since < _RELOAD_SECONDS:
            return
        self._reloading = (None, 0, 0.0)
        while self._to_reload and self._reloading[0] is None:
            child = self._to_reload.popleft()
            if child.process is not None and child.at_work:
                self._reloading = (child, child.process.pid, time.monotonic())
                child.process.send_signal(signal.SIGHUP)

    def _tend(self, child: Child, passed_seconds: float) -> int:
        """Look after one child; return the exit status if there is no use in going on."""
        now = time.monotonic()
        if child.process is None:
            if self._can_start(child):
                self._start(child)
            return 0
        child.listen(passed_seconds)
        if child.wants_slave:
            self._start_on_demand(child)
        if child.is_template and not self._is_needed(child):
            child.retire()
            return 0
        code = child.process.poll()
        if code is None and child.is_silent:
            silent = round(child.silent_seconds, 1)
            log.error("process gives no sign of life", name=child.name, seconds=silent)
            code = child.put_down()
        if code is None:
            return 0
        child.listen(0.0)  # what it said last
        child.bury()
        if code == _USAGE_ERROR and not child.on_demand and not self._is_proven(child):
            return code
        if now - child.started_at > _STEADY_SECONDS:
            child.failures = 0
        pause = child.put_off()
        if code == _USAGE_ERROR or child.failures >= _HOPELESS:
            self._spare_clients(child)
        _tell_end(child.name, code, pause)
        return 0

    def _start_on_demand(self, asking: Child) -> None:
        asking.wants_slave = False
        for child in self._children:
            child.is_wanted |= child.on_demand

    def _can_start(self, child: Child) -> bool:
        """Return whether it is time to start a child, and there is what it is made of."""
        if child.on_demand and not child.is_wanted:
            return False
        if time.monotonic() < child.start_at or (child.is_template and not self._is_needed(child)):
            return False
        return child.template is None or child.template.can_fork

    def _is_needed(self, template: Child) -> bool:
        """Return whether something is still to be forked from a template, or was a moment ago."""
        now = time.monotonic()
        for one in self._children:
            missing = one.template is template and one.process is None
            if missing and (not one.is_template or self._is_needed(one)):
                template.needed_at = now
        return now - template.needed_at <= _LINGER_SECONDS

    def _is_proven(self, child: Child) -> bool:
        """Return whether one like a child has been at work: the settings were right once."""
        return any(one.proven for one in self._children if one.module == child.module)

    def _start(self, child: Child) -> None:
        try:
            child.start()
        except OSError as exc:  # such as when the machine has no more processes
            child.bury()
            pause = child.put_off()
            log.error(
                "process cannot be started", name=child.name, error=str(exc),
                next_try_in_seconds=pause,
            )  # fmt: skip

    def _spare_clients(self, child: Child) -> None:
        """Let no more clients wait for a process that may not come back soon, if others answer.

        Each process has a socket of its own on the same port, and the kernel spreads connections
        over those that listen. The next process listens again when it is ready.
        """
        others = [one for one in self._children if one is not child and one.listeners]
        if not any(one.process and one.at_work for one in others):
            return
        for listener in child.listeners:
            with suppress(OSError):  # it is shut already
                listener.shutdown(socket.SHUT_RDWR)

    def _end(self) -> None:
        deadline = time.monotonic() + self._stop_seconds
        # First those who report to the others what they have done.
        self._end_those([child for child in self._children if child.on_demand], deadline)
        self._end_those([child for child in self._children if not child.on_demand], deadline)

    @staticmethod
    def _end_those(children: Sequence[Child], deadline: float) -> None:
        running = [child.process for child in children if child.process is not None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("process had to be killed", pid=process.pid)
                process.kill()
                process.wait()

    def _await_ready(self, announce: Callable[[str | None], None]) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            if self._is_ready():
                notify_systemd("READY=1")
                announce(self._url)
                return

    @property
    def _url(self) -> str | None:
        if self._address is None:
            return None
        host, port = self._address
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self._tls else 'http'}://{shown}:{port}"

    def _is_ready(self) -> bool:
        if self._address is None:
            return all(
                child.at_work
                for child in self._children
                if not child.is_template and not child.on_demand
            )
        host, port = self._address
        target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        return _is_ready(target, port, tls=self._tls)


def _is_ready(host: str, port: int, *, tls: bool) -> bool:
    """Ask whether all is well, by hand: ``http.client`` takes a third of a supervisor's memory."""
    shown = f"[{host}]" if ":" in host else host
    request = f"GET /ready HTTP/1.1\r\nHost: {shown}:{port}\r\nConnection: close\r\n\r\n"
    try:
        with _connect(host, port, tls=tls) as connection:
            connection.sendall(request.encode("ascii"))
            with connection.makefile("rb") as answer:
                return answer.readline(64).split()[1:2] == [b"200"]
    except OSError:
        return False


def _connect(host: str, port: int, *, tls: bool) -> socket.socket:
    """Connect to a process of our own, whose certificate is for other names."""
    connection = socket.create_connection((host, port), timeout=_ANSWER_SECONDS)
    if not tls:
        return connection
    import ssl  # noqa: PLC0415  (it takes megabytes)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)


def _tell_end(name: str, code: int, pause: float) -> None:
    if code == _USAGE_ERROR:
        log.error(
            "process cannot start as the settings are now; the others go on",
            name=name, next_try_in_seconds=pause,
        )  # fmt: skip
        return
    # Somebody may end one process by SIGTERM to have it replaced.
    say, event = (log.error, "process died") if code else (log.info, "process ended")
    say(event, name=name, exit_code=code, restart_in_seconds=pause)


def _pipe_with(text: str) -> int:
    """Return the reading end of a pipe that holds a short text, and then ends."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return reading
