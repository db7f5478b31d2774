"""What a shim does otherwise where Slurm began it, and no signal of its launcher reaches it."""

import os
import shlex
import signal
import subprocess
import time
from contextlib import suppress

from app.engine.launchers.shim.processes import in_memory, signal_tree
from app.engine.launchers.shim.records import CLAIM
from app.engine.launchers.shim.supervisor import Supervisor

from . import records

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
_SETUP_SECONDS = 300.0
"""Longest time for the lines of a login shell before a command."""
_KEPT = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LANG"}
_KEPT_BEGINNINGS = ("SLURM", "CUDA_", "ROCR_", "HIP_", "GPU_", "ZE_", "PMI", "OMPI_", "TMPDIR")
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
        self._spec["env"] = dict(_inherited(), **self._spec["env"])
        if self._spec["setup"]:
            failure = self._set_up()
            if failure is not None:
                reason = f"setup: {failure}"
                self._result.update(exit_code=126, finished_at=self._moment(), reason=reason)
                return
        super()._begin()

    def _set_up(self) -> "str | None":
        """Run the lines of a login shell; the command gets the variables that they leave.

        Returns:
            None, or why they failed.
        """
        given = self._spec["env"]
        # After the profiles, which may set PATH and others anew.
        exports = [f"export {name}={shlex.quote(text)}" for name, text in given.items()]
        lines = ["exec 3>&1 1>&2", *exports, "set -e", *self._spec["setup"]]
        script = "\n".join([*lines, "exec /bin/cat /proc/self/environ >&3", ""])
        fd = in_memory(script.encode("utf-8", "surrogateescape"))
        try:
            ran = subprocess.run(
                ["bash", "-l", f"/proc/self/fd/{fd}"], stdin=subprocess.DEVNULL, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[fd], env=given,
                timeout=_SETUP_SECONDS,
            )  # fmt: skip
        except OSError as exc:
            return f"bash: {exc.strerror}"
        except subprocess.TimeoutExpired:
            return f"it did not end within {_SETUP_SECONDS:.0f} s"
        finally:
            os.close(fd)
        if ran.returncode:
            said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
            return said[-1][:500] if said else f"exit code {ran.returncode}"
        for each in ran.stdout.decode("utf-8", "surrogateescape").split("\0"):
            name, separator, text = each.partition("=")
            if separator:
                given[name] = text
        return None

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
        super()._heed(signals)

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
        self._spec["kill_grace_seconds"] = min(
            self._spec["kill_grace_seconds"], _MOST_GRACE_SECONDS
        )
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
        if self._result.get("ended_by_slurm") or self._result["timed_out"]:
            return
        until = time.monotonic() + _TERM_SECONDS
        while time.monotonic() < until:
            for fd in self._wait(max(0.0, until - time.monotonic())):
                if fd == self._wakeup and signal.SIGTERM in os.read(fd, 4096):
                    self._result.update(ended_by_slurm=True, reason=self.TERMINATED)
                    return


def _inherited() -> "dict[str, str]":
    """Return the variables that a command has of its account and of Slurm."""
    return {
        name: text
        for name, text in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_BEGINNINGS)
    }
