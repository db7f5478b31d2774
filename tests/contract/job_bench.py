"""What tests of launchers share: jobs, patience, and no process left behind."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from kit.patience import PATIENCE_SECONDS
from kit.patience import await_that as wait_until

from app.engine.launchers.base import (
    Job,
    JobPhase,
    JobState,
    Launcher,
    LauncherContext,
    OutputLine,
    Stream,
)
from app.engine.launchers.registry import LAUNCHERS, create_launcher, options_class
from app.settings.schema import Choice


def make_launcher(named: str, root: Path) -> Launcher:
    """Make a launcher that the settings may name, with the options that it has by default."""
    chosen = Choice(options_class, LAUNCHERS, load_default=named).load_default()
    return create_launcher(chosen, LauncherContext(root))


class JobBench:
    """Makes jobs below one folder for one launcher."""

    def __init__(self, launcher: Launcher, root: Path) -> None:
        self.launcher = launcher
        self.root = root
        # Where other programs are, PATH means nothing; and not every folder can be looked into.
        self._path = os.environ["PATH"] if launcher.here else "/usr/local/bin:/usr/bin:/bin"
        self._count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_exc_info):
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while pids := self.processes():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            assert time.monotonic() < give_up_at, f"processes are left: {pids}"
            time.sleep(0.01)

    def processes(self) -> list[int]:
        """List all processes that work below the folder, or have its mark in the environment."""
        return [int(p.name) for p in Path("/proc").glob("[0-9]*") if self._owns(p)]

    @staticmethod
    def command_line(pid: int) -> str:
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
        return ""

    def _owns(self, process: Path) -> bool:
        with suppress(OSError):
            if process.joinpath("cwd").readlink().is_relative_to(self.root):
                return True
            return f"MARK={self.root}\0".encode() in process.joinpath("environ").read_bytes()
        return False

    def job(self, *argv, env=None, **fields) -> Job:
        self._count += 1
        return Job(
            **{
                "execution_id": "execution-1",
                "folder": self.root / "jobs" / str(self._count),
                "argv": argv,
                "working_dir": self.root / "work",
                "env": {"PATH": self._path, "MARK": str(self.root), **(env or {})},
                "kill_grace_seconds": 0.5,
                **fields,
            }
        )

    def bash(self, script: str, **fields) -> Path:
        """Start a script; return the job's folder."""
        return self.start(self.job("bash", "-c", script, **fields))

    def start(self, job: Job) -> Path:
        self.launcher.start(job)
        return job.folder

    def end(self, folder: Path) -> JobState:
        """Wait until a job has exited."""

        def exited():
            state = self.launcher.state(folder)
            assert state.phase in (JobPhase.QUEUED, JobPhase.RUNNING, JobPhase.EXITED), state
            return state if state.phase is JobPhase.EXITED else None

        return wait_until(exited)

    def lines(self, folder: Path, limit: int = 1 << 20) -> list[OutputLine]:
        lines, offset = [], 0
        while True:
            more, behind = self.launcher.read(folder, offset, limit)
            if behind == offset:
                return lines
            assert more
            lines += more
            offset = behind

    def texts(self, folder: Path, stream: Stream | None = None) -> list[str]:
        return [line.text for line in self.lines(folder) if stream in (None, line.stream)]

    def await_text(self, folder: Path, text: str) -> None:
        wait_until(lambda: text in self.texts(folder))
