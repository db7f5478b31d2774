"""Sets a supervisor upon each command; written from ``docs/guides/extending.md`` alone."""

import fcntl
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from signal import SIG_DFL, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, signal
from subprocess import PIPE, Popen

from app.engine.launchers.base import JobPhase, JobState, Launcher
from app.engine.launchers.disk import disk_errors, write_files
from app.engine.launchers.frames import read_lines
from app.engine.launchers.outputs import parse_outputs, read_outputs
from app.engine.launchers.shim.output import Output, Pipe
from app.engine.launchers.shim.records import FRAMES, OUTPUTS, STDERR, STDOUT
from app.errors import UpstreamUnreachable
from app.files import make_private_folder, write_whole
from app.settings.schema import Range, WholeNumber, setting

RECORDS = {"prepared", "claim", "lock", "started", "cancel", "exit", FRAMES, OUTPUTS}


class ToyLauncher(Launcher):
    @dataclass(frozen=True)
    class Options:
        """How commands run."""

        nice: int = setting(WholeNumber(load_default=0, validate=Range(0, 19)), "Their niceness.")

    def __init__(self, nice):
        self._nice = nice

    @classmethod
    def create(cls, options, context):
        return cls(options.nice)

    @disk_errors()
    def prepare(self, job):
        if not (job.folder / "prepared").exists():
            make_private_folder(job.folder)
            write_files(job.folder, job.files, RECORDS)
            write_whole(job.folder / "prepared", b"")

    @disk_errors()
    def start(self, job):
        self.prepare(job)
        given = json.dumps(asdict(job), default=str).encode()  # by a pipe: no disk holds a secret
        command = (sys.executable, "-P", __file__, str(self._nice))
        if not (job.folder / "claim").exists():
            Popen(command, -1, None, PIPE, PIPE, cwd=job.folder, env={}).communicate(given)
        if not (job.folder / "claim").exists():
            raise UpstreamUnreachable("The supervisor of the job could not be started.")

    @disk_errors()
    def refuse(self, folder, *, cancelled):
        make_private_folder(folder)
        with suppress(FileExistsError):
            write_whole(folder / "claim", b"cancelled" if cancelled else b"refused", replace=False)
        return text_of(folder / "claim") != "begun"

    @disk_errors()
    def state(self, folder, process=None):
        claim, phase = text_of(folder / "claim"), JobPhase.RUNNING
        if not claim:
            return JobState(JobPhase(("absent", "prepared")[(folder / "prepared").exists()]))
        if claim != "begun":
            return JobState(JobPhase.LOST, cancelled=claim == "cancelled", reason="never begun")
        with suppress(BlockingIOError), (folder / "lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            phase = JobPhase.LOST
        if result := text_of(folder / "exit"):  # only after the lock, which is let go of later
            return JobState(JobPhase.EXITED, os.uname().nodename, **json.loads(result))
        return JobState(phase, started_at=json.loads(text_of(folder / "started") or "null"))

    @disk_errors()
    def read(self, folder, offset, limit):
        return read_lines(folder / FRAMES, offset, limit)

    @disk_errors()
    def outputs(self, folder):
        return parse_outputs(read_outputs(folder / OUTPUTS))

    @disk_errors()
    def cancel(self, folder):
        make_private_folder(folder)
        (folder / "cancel").touch()


def text_of(path):
    return path.read_text() if path.is_file() else ""


def supervise(nice):
    job = json.load(sys.stdin)
    if os.fork():
        os._exit(0)
    os.setsid()
    for number in (SIGHUP, SIGINT, SIGQUIT):  # which a shell or nohup may have had ignored
        signal(number, SIG_DFL)
    with suppress(BlockingIOError, FileExistsError), Path("lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        write_whole(Path("claim"), b"begun", replace=False)
        os.dup2(2, 1)  # the starter need not wait for more
        os.nice(nice)
        cancelled = {"exit_code": 128 + SIGTERM, "cancelled": True}
        result = cancelled if Path("cancel").exists() else run(job)
        for name in job["files"]:
            Path(name).unlink(missing_ok=True)
        write_whole(Path("exit"), json.dumps({**result, "finished_at": time.time()}).encode())


def run(job):
    env, began = {**job["env"], "SLIPWAY_OUTPUT": str(Path(OUTPUTS).absolute())}, time.time()
    stdin, work = os.memfd_create("stdin"), Path(job["working_dir"])
    os.pwrite(stdin, (job["stdin"] or "").encode(), 0)
    try:
        make_private_folder(work)
        command = Popen(job["argv"], 0, None, stdin, PIPE, PIPE, cwd=work, env=env, process_group=0)
    except (OSError, ValueError) as exc:
        what, why = getattr(exc, "filename", job["argv"][0]), getattr(exc, "strerror", exc)
        code = 127 if isinstance(exc, FileNotFoundError) else 126
        return {"exit_code": code, "reason": f"{what}: {why}"}
    Path("started").write_text(json.dumps(began))  # not brought to the disk: output waits
    told, until, output = {}, began + (job["timeout_seconds"] or float("inf")), Output()
    ends = {STDOUT: command.stdout, STDERR: command.stderr}
    pipes = [Pipe(code, os.dup(end.fileno()), output) for code, end in ends.items()]
    while command.poll() is None:
        time.sleep(0.01)
        pipes = [pipe for pipe in pipes if pipe.read() or not pipe.closed]
        late = time.time() > until
        if told and late:
            os.killpg(command.pid, SIGKILL)
        elif not told and (late or Path("cancel").exists()):
            told = {"timed_out" if late else "cancelled": True}
            until = time.time() + job["kill_grace_seconds"]
            os.killpg(command.pid, SIGTERM)
    with suppress(ProcessLookupError):
        os.killpg(command.pid, SIGKILL)  # what it left behind
    while pipes := [pipe for pipe in pipes if pipe.read()]:
        pass
    code = command.returncode if command.returncode >= 0 else 128 - command.returncode
    return {"exit_code": code, "started_at": began, **told}


if __name__ == "__main__":
    supervise(int(sys.argv[1]))
