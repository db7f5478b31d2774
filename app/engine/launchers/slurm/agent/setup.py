"""What a command has of its account and of Slurm, and the lines of a login shell before it."""

import os
import re
import shlex
import signal
import subprocess
import time
from contextlib import suppress

from app.engine.launchers.shim.processes import in_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SETUP_SECONDS = 300.0
"""Longest time for the lines."""
_MOST_SAID = 64 * 1024
_SHOWN = 500
_KEPT = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG"}
_KEPT_BEGINNINGS = ("SLURM", "CUDA_", "ROCR_", "HIP_", "GPU_", "ZE_", "PMI", "OMPI_", "TMPDIR")
_NOT_KEPT = {"SLURM_EXPORT_ENV"}
"""It is that of the script, and would have srun(1) give nothing on to the steps of a command."""
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_OF_SHELL = {"_", "SHLVL", "PWD", "OLDPWD"}


def inherited() -> "dict[str, str]":
    """Return the variables that a command has of its account and of Slurm."""
    return {
        name: text
        for name, text in os.environ.items()
        if name not in _NOT_KEPT and (name in _KEPT or name.startswith(_KEPT_BEGINNINGS))
    }


class Setup:
    """Lines that a login shell runs. The command gets the variables that they leave.

    Args:
        lines: The lines; the first one that fails ends them.
        env: What they begin with.
        own: Those variables that no profile may change.

    Attributes:
        failure: Why they failed; empty as long as they did not.
        env: What the command gets, once they have ended.
    """

    def __init__(self, lines: "list[str]", env: "dict[str, str]", own: "dict[str, str]") -> None:
        self.failure = ""
        self.env = env
        self._own = own
        self._until = time.monotonic() + _SETUP_SECONDS
        self._process: subprocess.Popen[bytes] | None = None
        # A profile may print what it likes: what the lines leave goes another way.
        self._left = in_memory(b"")
        self._said = in_memory(b"")
        exports = [f"export {n}={shlex.quote(own[n])}" for n in own if _NAME.fullmatch(n)]
        last = f"exec /bin/cat /proc/self/environ >&{self._left}"
        script = "\n".join([*exports, "set -e", *lines, last, ""])
        fd = in_memory(script.encode("utf-8", "surrogateescape"))
        try:
            self._process = subprocess.Popen(
                ["bash", "-l", f"/proc/self/fd/{fd}"], env=env, pass_fds=[fd, self._left],
                stdin=subprocess.DEVNULL, stdout=self._said, stderr=self._said,
                start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as exc:
            self.failure = f"bash: {exc}"
        finally:
            os.close(fd)

    def has_ended(self, seconds: float) -> bool:
        """Wait for the end, at most so long; return whether it came."""
        if self._process is None:
            return True
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            if time.monotonic() < self._until:
                return False
            self.failure = f"it did not end within {_SETUP_SECONDS:.0f} s"
            return True
        if code:
            said = _content(self._said)[-_MOST_SAID:].decode("utf-8", "replace").strip()
            self.failure = said.splitlines()[-1][:_SHOWN] if said else f"exit code {code}"
        else:
            self.env = self._changed()
        return True

    def close(self) -> None:
        """End what still runs of it."""
        process = self._process
        if process is not None and process.poll() is None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for fd in (self._left, self._said):
            os.close(fd)

    def _changed(self) -> "dict[str, str]":
        found: dict[str, Any] = {}
        for each in _content(self._left).split(b"\0"):
            key, separator, text = each.partition(b"=")
            if separator and key:
                found[os.fsdecode(key)] = os.fsdecode(text)
        for name in _OF_SHELL:
            found.pop(name, None)
        unfit = {name: own for name, own in self._own.items() if not _NAME.fullmatch(name)}
        return dict(self.env, **dict(found, **unfit))


def _content(fd: int) -> bytes:
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as file:
        return file.read()
