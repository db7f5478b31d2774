"""The life of one command, from its claim to its result."""

# pathlib alone would add a fifth to the time that the shim takes to start.
# ruff: noqa: PTH108, PTH110, PTH202

import errno
import json
import math
import os
import select
import signal
import time
from contextlib import suppress

from .kept import KeptFiles
from .output import Output, Pipe, ring
from .processes import (
    adopt_orphans,
    catch_signals,
    exit_code_of,
    let_signals_through,
    signal_tree,
    spawn,
)
from .records import (
    CANCEL,
    CLAIM,
    EXIT,
    FRAMES,
    OUTPUTS,
    PAUSE,
    STDERR,
    STDOUT,
    claim,
    identity,
    sync,
    write_atomically,
)
from .usage import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DECODER = json.JSONDecoder()  # by itself it leaves regular expressions out
_CHUNK_BYTES = 1 << 20
_LINGER_SECONDS = 0.5
"""For what the command left behind to end by itself, such as the tee of ``> >(tee log)``."""
_LEFTOVER_GRACE_SECONDS = 1.0
"""Between the polite end of what was left behind and its kill."""
_KILL_INTERVAL_SECONDS = 0.5
"""How often the tree is killed again: a process may have forked while it was walked through."""
_ABANDON_SECONDS = 5.0
"""How long after the first kill what does not die (it hangs in the kernel) is waited for."""
_DRAIN_SECONDS = 1.0
"""Whoever still holds a pipe might fill it without end."""
_RETRY_SECONDS = 1.0
"""How often the result is tried to be left on a full disk."""
_RING_INTERVAL_SECONDS = 0.01
"""At most so often the conductor is woken by a command that writes without end."""
_CLOCK_BOOTTIME = 7  # as clock_gettime(2) counts; Python knows it by name since 3.7
_LONGEST_WAIT_SECONDS = 3600.0
"""poll(2) counts milliseconds in an int, which ends after 24 days."""
_PASSING_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
    *(errno.EINTR, errno.EAGAIN, errno.EROFS),
}


def main() -> None:
    """Be a program that runs the job of the current folder; see the package."""
    let_signals_through()
    supervise()


def supervise() -> None:
    """Run the job of the current folder, unless another process has it."""
    os.umask(0o077)  # what the shim itself writes is for nobody else
    # What a terminal or the service sends to a group is not for commands; a leader cannot leave.
    if os.getpgrp() != os.getpid():
        os.setsid()
    spec = _take_specification()
    # The order matters: whoever sees the claim may send signals, so they are caught before it;
    # whoever does not see it has left a request by the time that the shim looks for one.
    wakeup = catch_signals()
    claimed = {**identity(), "started_at": None}
    if not claim(".", claimed):
        return
    adopt_orphans()
    Supervisor(spec, claimed, wakeup).run()


def _take_specification() -> "Any":
    """Read what to run, which may hold secrets, and let nobody read it again."""
    content = bytearray()
    chunk = os.read(0, _CHUNK_BYTES)
    while chunk:
        content += chunk
        chunk = os.read(0, _CHUNK_BYTES)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return _DECODER.raw_decode(content.decode())[0]


class Supervisor:
    """Runs one command.

    Args:
        spec: ``argv``, ``env``, ``stdin`` (a text, or None), ``files`` (names of the files to take
            away afterwards), ``working_dir``, ``timeout_seconds``, ``kill_grace_seconds``,
            ``execution_id``, ``doorbell``, ``umask``, ``most_output_bytes``, and those of
            :class:`KeptFiles`.
        claimed: The claim as it was written.
        wakeup: Pipe from which the numbers of signals can be read.

    Attributes:
        TERMINATED: Why a command was ended by SIGTERM that nobody asked for, for its owner.
    """

    TERMINATED = "its supervisor got SIGTERM, as when a machine shuts down"

    def __init__(self, spec: "dict[str, Any]", claimed: "dict[str, Any]", wakeup: int) -> None:
        self._spec = spec
        self._claimed = claimed
        self._wakeup = wakeup
        self._poll = select.poll()
        self._poll.register(wakeup, select.POLLIN)
        self._output = Output(spec["most_output_bytes"])
        self._kept: KeptFiles | None = None
        self._usage = Usage()
        self._pipes: dict[int, Pipe] = {}
        self._pid: int | None = None
        self._childless = True
        self._paused = False
        timeout = spec["timeout_seconds"]
        self._time_left = math.inf if timeout is None else timeout
        # Moments of time.monotonic(): the polite end, the deadly one, and that of all patience.
        self._deadline = self._kill_at = self._abandon_at = math.inf
        self._look_at = math.inf  # for requests, where no signal tells of them
        self._quiet_until = 0.0
        self._started_uptime: float | None = None
        self._result: dict[str, Any] = {
            "exit_code": None,
            "started_at": None,
            "finished_at": None,
            "timed_out": False,
            "cancelled": False,
            "reason": None,
            "fault": None,
            "usage": None,
            "lost_bytes": 0,
            "losses": [],
        }

    def run(self) -> None:
        """Run the command, unless it is cancelled before, and leave its result."""
        # A request may have been left before the claim, when there was nobody to signal.
        self._obey()
        while self._paused and not self._exited:
            self._turn()
        if not self._exited:
            self._begin()
        while not (self._exited and (self._childless or time.monotonic() >= self._abandon_at)):
            self._turn()
        self._drain()
        self._leave_result()

    def _moment(self) -> float:
        """Return now, which is later than the start by what it took, however the clock was set."""
        if self._started_uptime is None:
            return time.time()
        return float(self._result["started_at"]) + _uptime() - self._started_uptime

    @property
    def _exited(self) -> bool:
        return self._result["exit_code"] is not None

    @property
    def _ending(self) -> bool:
        return self._exited or self._kill_at < math.inf

    def _begin(self) -> None:
        try:
            self._kept = kept = KeptFiles(self._spec)
        except OSError as exc:
            self._result.update(exit_code=126, finished_at=self._moment(), reason=exc.strerror)
            return
        stdout, stdout_end = os.pipe()
        stderr, stderr_end = os.pipe()
        try:
            self._pid, failure = spawn(self._spec, stdout_end, stderr_end)
        except OSError as exc:
            self._result.update(exit_code=126, reason=f"fork: {exc.strerror}")
            return
        self._childless = False
        self._usage.begin()
        for stream, fd, end, plain in (
            (STDOUT, stdout, stdout_end, kept.stdout),
            (STDERR, stderr, stderr_end, kept.stderr),
        ):
            os.close(end)
            self._pipes[fd] = Pipe(stream, fd, self._output, plain)
            self._poll.register(fd, select.POLLIN)
        if failure:
            self._result["reason"] = failure
            return
        self._deadline = time.monotonic() + self._time_left
        self._started_uptime = _uptime()
        self._result["started_at"] = self._claimed["started_at"] = time.time()
        with suppress(OSError):  # then the time is missing until the end, nothing else
            write_atomically(CLAIM, json.dumps(self._claimed).encode(), synced=False)

    def _turn(self) -> None:
        """Wait for the next thing to happen, and deal with it."""
        now = time.monotonic()
        ring_at = self._quiet_until if self._output.fresh else math.inf
        until = min(
            self._deadline, self._kill_at, ring_at, self._usage.due, self._look_at,
            now + _LONGEST_WAIT_SECONDS, *(pipe.due for pipe in self._pipes.values()),
        )  # fmt: skip
        for fd in self._wait(max(0.0, until - now)):
            if fd == self._wakeup:
                self._hear()
            else:
                self._read(fd)
        now = time.monotonic()
        for pipe in self._pipes.values():
            pipe.keep_time(now)
        self._keep_time(now)

    def _wait(self, seconds: float) -> "list[int]":
        """Wait until something can be read; return what."""
        return [fd for fd, _ in self._poll.poll(math.ceil(seconds * 1000))]

    def _read(self, fd: int) -> None:
        pipe = self._pipes[fd]
        pipe.read()
        if pipe.closed:
            self._poll.unregister(fd)
            del self._pipes[fd]

    def _keep_time(self, now: float) -> None:
        if now >= self._deadline and self._exited:
            self._output.remark("Processes that the command left behind are ended")
            self._terminate(_LEFTOVER_GRACE_SECONDS)
        elif now >= self._deadline:
            self._result["timed_out"] = True
            self._terminate(self._spec["kill_grace_seconds"])
        elif now >= self._kill_at:
            signal_tree(signal.SIGKILL)
            self._kill_at = now + _KILL_INTERVAL_SECONDS
        if now >= self._usage.due:
            self._usage.measure()
        if now >= self._look_at:
            self._look(now)
        if self._output.fresh and now >= self._quiet_until:
            self._output.fresh = False
            self._quiet_until = now + _RING_INTERVAL_SECONDS
            self._ring()

    def _look(self, now: float) -> None:
        """Do what is due now and then, and say when it is due again."""

    def _ring(self) -> None:
        ring(self._spec["doorbell"], self._spec["execution_id"])

    def _hear(self) -> None:
        self._heed(os.read(self._wakeup, 4096))

    def _heed(self, signals: bytes) -> None:
        self._reap()  # whatever the signal: those of one kind that come together are one
        if signal.SIGTERM in signals:
            self._cancel()
        elif signal.SIGUSR1 in signals:
            self._obey()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._childless = True
                return
            if pid == 0:
                return
            # Others are orphans of the tree, which this process adopts as their subreaper.
            if pid == self._pid:
                self._note_exit(exit_code_of(status))

    def _note_exit(self, code: int) -> None:
        self._result["exit_code"] = code if code >= 0 else 128 - code
        self._result["finished_at"] = self._moment()
        # The time limit was the command's. From here on the same deadline ends what it left behind,
        # unless an end is under way, which goes on by its own times.
        if self._kill_at == math.inf:
            self._deadline = time.monotonic() + _LINGER_SECONDS

    def _obey(self) -> None:
        """Do what the requests say."""
        if self._is_asked(CANCEL):
            self._cancel()
            return
        paused = self._is_asked(PAUSE)
        if paused == self._paused or self._ending:
            return
        self._paused = paused
        if self._pid is None:
            return
        now = time.monotonic()
        if paused:  # time that the command stands still does not count for its limit
            self._time_left, self._deadline = self._deadline - now, math.inf
            signal_tree(signal.SIGSTOP)
        else:
            self._deadline = now + self._time_left
            signal_tree(signal.SIGCONT)

    def _is_asked(self, request: str) -> bool:
        return os.path.exists(request)

    def _cancel(self) -> None:
        if self._ending:
            return
        self._result["cancelled"] = self._is_asked(CANCEL)
        if not self._result["cancelled"]:
            self._result["reason"] = self.TERMINATED
        if self._pid is None:
            self._result.update(exit_code=128 + signal.SIGTERM, finished_at=self._moment())
        else:
            self._terminate(self._spec["kill_grace_seconds"])

    def _terminate(self, grace_seconds: float) -> None:
        self._deadline = math.inf
        self._kill_at = time.monotonic() + grace_seconds
        self._abandon_at = self._kill_at + _ABANDON_SECONDS
        signal_tree(signal.SIGTERM)
        signal_tree(signal.SIGCONT)  # what stands still cannot end

    def _drain(self) -> None:
        """Read what is left in the pipes, though a stranger may hold their other ends."""
        until = time.monotonic() + _DRAIN_SECONDS
        for pipe in self._pipes.values():
            while pipe.read() and time.monotonic() < until:
                pass
            if not pipe.closed:
                pipe.close()
        if not self._childless:
            self._output.remark("Processes of the command could not be ended")
        self._close_kept()
        # Not in the file of frames, which may have no place for it either.
        self._result["lost_bytes"] = self._output.lost
        self._result["losses"] += self._output.losses()

    def _close_kept(self) -> None:
        if self._kept is None:
            return
        told_to_end = self._result["cancelled"] or self._result["timed_out"]
        succeeded = self._result["exit_code"] == 0 and not told_to_end
        self._result["fault"] = self._kept.close(succeeded=succeeded)
        self._result["losses"] += self._kept.losses()

    def _leave_result(self) -> None:
        self._result["usage"] = self._usage.end()
        for name in self._spec["files"]:
            with suppress(OSError):
                os.unlink(name)
        # Who sees the result reads the rest, also after a loss of power.
        for name in (FRAMES, OUTPUTS):
            with suppress(OSError):
                if os.path.getsize(name):
                    sync(name)
        while not self._write_result():
            time.sleep(_RETRY_SECONDS)

    def _write_result(self) -> bool:
        """Return False when it is worth another try: a result must not be lost to a full disk."""
        try:
            write_atomically(EXIT, json.dumps(self._result).encode(), synced=False)
            # Nobody need wait for the disk: a result that a loss of power takes, or damages, leaves
            # a job whose end nobody knows, as if the power had been lost a moment earlier.
            self._ring()
            sync(EXIT)
            sync(".")
        except OSError as exc:
            # Any other error means that the folder is gone, or nobody's to write to any more.
            return exc.errno not in _PASSING_ERRORS
        return True


def _uptime() -> float:
    """Return the seconds since the machine was started, which nobody sets."""
    return time.clock_gettime(_CLOCK_BOOTTIME)
