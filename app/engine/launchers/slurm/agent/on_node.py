"""What a shim does otherwise where Slurm began it, and no signal of its launcher reaches it."""

import math
import os
import signal
import time
from contextlib import suppress

from app.engine.launchers.shim.processes import signal_tree
from app.engine.launchers.shim.records import CANCEL, CLAIM
from app.engine.launchers.shim.supervisor import Supervisor

from . import records
from .setup import Setup, inherited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SIGNALS = (signal.SIGCONT,)
"""Those that it hears beside the usual ones."""
_LOOK_SECONDS = 1.0
"""How often it looks for requests, and brings output to where other machines can read it."""
_STOOD_STILL_SECONDS = 0.5
"""A wait that took longer than it should by so much was one in which the job was stopped."""
_TERM_SECONDS = 0.3
"""How long a signal may come later to the supervisor than to the command."""
_MOST_GRACE_SECONDS = 20.0
"""Slurm itself kills 30 s (KillWait) after its polite signal, by default."""
_ABANDON_SECONDS = 5.0
"""How much later what does not die is left alone."""
_TERMINATED = 128 + signal.SIGTERM


class JobSupervisor(Supervisor):
    """Runs one command as a job of Slurm.

    Args:
        spec: As of :class:`Supervisor`; and ``setup``, lines of a login shell, and ``requeue``,
            whether Slurm may begin the job again.
        claimed: The claim as it was written.
        wakeup: Pipe from which the numbers of signals can be read.
    """

    TERMINATED = "the cluster ended it"

    def __init__(self, spec: "dict[str, Any]", claimed: "dict[str, Any]", wakeup: int) -> None:
        super().__init__(spec, claimed, wakeup)
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._stood_still = 0.0

    def _begin(self) -> None:
        own = self._spec["env"]
        self._spec["env"] = dict(inherited(), **own)
        if self._spec["setup"] and not self._set_up(own):
            return
        super()._begin()

    def _set_up(self, own: "dict[str, str]") -> bool:
        """Run the lines of a login shell; return False where the command is not to be begun."""
        try:
            setup = Setup(self._spec["setup"], self._spec["env"], own)
        except OSError as exc:
            self._fail(f"setup: {exc.strerror}")
            return False
        try:
            while not setup.has_ended(_LOOK_SECONDS):
                self._hear_early()
                if self._exited:
                    return False
        finally:
            setup.close()
        if setup.failure:  # what ended the lines may have been meant for the job
            time.sleep(_TERM_SECONDS)
        self._hear_early()
        if setup.failure and not self._exited:
            self._fail(f"setup: {setup.failure}")
        self._spec["env"] = setup.env
        return not self._exited

    def _fail(self, reason: str) -> None:
        self._result.update(exit_code=126, finished_at=self._moment(), reason=reason)

    def _hear_early(self) -> None:
        """Hear of the end of a job whose command has not begun."""
        for fd in super()._wait(0.0):
            if fd == self._wakeup and signal.SIGTERM in os.read(fd, 4096):
                self._cancel()
        if self._is_asked(CANCEL):
            self._cancel()

    def _wait(self, seconds: float) -> "list[int]":
        began = time.monotonic()
        ready = super()._wait(seconds)
        late = time.monotonic() - began - seconds
        if late > _STOOD_STILL_SECONDS:
            self._stood_still = late
            # What came while the time was over is told by another look only.
            ready = ready or super()._wait(0.0)
        return ready

    def _heed(self, signals: bytes) -> None:
        if signal.SIGCONT in signals and self._stood_still:
            # The whole job was stopped, so nobody's time went by.
            self._deadline += self._stood_still
            self._kill_at += self._stood_still
            self._abandon_at += self._stood_still
        self._stood_still = 0.0
        ran = self._pid is not None and not self._exited
        told_to_end = signal.SIGTERM in signals
        if told_to_end:
            self._hurry()
        super()._heed(signals)
        if told_to_end and ran and self._exited and self._result["exit_code"]:
            self._ended_with_it()

    def _hurry(self) -> None:
        """Be at the end before Slurm kills all: it is the one who sent the signal."""
        grace = min(self._spec["kill_grace_seconds"], _MOST_GRACE_SECONDS)
        self._spec["kill_grace_seconds"] = grace
        if self._kill_at < math.inf:
            self._kill_at = min(self._kill_at, time.monotonic() + grace)
            self._abandon_at = min(self._abandon_at, self._kill_at + _ABANDON_SECONDS)

    def _ended_with_it(self) -> None:
        """Note that a signal ended the command which the supervisor got, too."""
        if self._result["cancelled"] or self._result["timed_out"] or self._result["reason"]:
            return
        self._result["cancelled"] = self._is_asked(CANCEL)
        if not self._result["cancelled"]:
            self._result.update(ended_by_slurm=True, reason=self.TERMINATED)

    def _look(self, now: float) -> None:
        self._look_at = now + _LOOK_SECONDS
        self._output.flush()
        if self._is_superseded():
            signal_tree(signal.SIGKILL)
            os._exit(0)  # what follows is another run's to record
        self._obey()

    def _is_superseded(self) -> bool:
        """Whether Slurm began the job again elsewhere, although this run of it goes on."""
        with suppress(OSError):
            content = records.read(".", CLAIM) or {}
            slurm = content.get("slurm") or {}
            ours = self._claimed["slurm"]
            same = slurm.get("job_id") == ours["job_id"]
            return bool(same and slurm.get("restarts", 0) > ours["restarts"])
        return False

    def _is_asked(self, request: str) -> bool:
        with suppress(OSError):
            return request in os.listdir(".")  # no cache of a file server has a missing name in it
        return False

    def _cancel(self) -> None:
        if self._ending:
            return
        super()._cancel()
        if not self._result["cancelled"]:
            self._result["ended_by_slurm"] = True

    def _leave_result(self) -> None:
        if self._result["exit_code"] == _TERMINATED and not self._result["cancelled"]:
            self._await_term()
        again = self._spec["requeue"] and self._result.get("ended_by_slurm") is True
        if again:  # another run needs them
            self._spec["files"] = []
        super()._leave_result()
        if not again:
            with suppress(OSError):
                records.forget(".", records.SPECIFICATION)

    def _await_term(self) -> None:
        """Learn whether who ended the command ends the supervisor, too: then it was Slurm."""
        if self._result["reason"] or self._result["timed_out"]:
            return
        until = time.monotonic() + _TERM_SECONDS
        while time.monotonic() < until:
            for fd in self._wait(max(0.0, until - time.monotonic())):
                if fd == self._wakeup and signal.SIGTERM in os.read(fd, 4096):
                    self._ended_with_it()
                    return
