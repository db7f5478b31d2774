"""Sets a supervisor upon each command; written from ``docs/guides/extending.md`` alone."""

import fcntl
import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM
from subprocess import PIPE, Popen

from app.engine.launchers.base import JobPhase, JobState, Launcher, Polling, Pool
from app.engine.launchers.disk import disk_errors, write_files
from app.engine.launchers.frames import read_lines
from app.engine.launchers.outputs import parse_outputs, read_outputs
from app.engine.launchers.shim.output import Output, Pipe
from app.engine.launchers.shim.records import FRAMES, OUTPUTS, STDERR, STDOUT
from app.engine.launchers.staging import copy_files
from app.files import make_private_folder, text_of, write_whole
from app.job_resources import Resource
from app.settings.schema import Range, WholeNumber, setting

RECORDS = {"prepared", "claim", "lock", "started", "cancel", "exit", "staged", FRAMES, OUTPUTS}


class ToyLauncher(Launcher):
    honours, pool = frozenset({Resource.NODES}), Pool("toy", most_jobs=4)
    polling = Polling(most_jobs=2, followed_seconds=0.05, quiet_seconds=0.05)

    @dataclass(frozen=True)
    class Options:
        """How commands run."""

        nice: int = setting(WholeNumber(load_default=0, validate=Range(0, 19)), "Their niceness.")

    def __init__(self, nice):
        self._nice = nice

    @classmethod
    def create(cls, options, context):
        return cls(options.nice)

    def stage_in(self, folder, staging):
        copy_files(staging.folder, folder / "staged", staging.stage_in)

    def stage_out(self, folder, staging):
        copy_files(folder / "staged", staging.folder, staging.stage_out)

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
        signals = "--default-signal=HUP,INT,QUIT"  # a shell or nohup may have had them ignored
        command = ("env", signals, sys.executable, "-P", __file__, str(self._nice))
        if not (job.folder / "claim").exists():
            Popen(command, -1, None, PIPE, PIPE, cwd=job.folder, env={}).communicate(given)

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


def supervise(nice):
    job = json.load(sys.stdin)
    if os.fork():
        os._exit(0)
    os.setsid()
    with suppress(BlockingIOError, FileExistsError), Path("lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        write_whole(Path("claim"), b"begun", replace=False)
        os.dup2(2, 1)  # the starter need not wait for more
        os.nice(nice)
        result = {"exit_code": 143, "cancelled": True} if Path("cancel").exists() else run(job)
        for name in job["files"]:
            Path(name).unlink(missing_ok=True)
        write_whole(Path("exit"), json.dumps({**result, "finished_at": time.time()}).encode())


def run(job):
    env, began = {**job["env"], "SLIPWAY_OUTPUT": str(Path(OUTPUTS).absolute())}, time.time()
    work = Path("staged").absolute() if job["staging"] else Path(job["working_dir"])
    stdin, until = os.memfd_create("stdin"), began + (job["timeout_seconds"] or float("inf"))
    os.pwrite(stdin, (job["stdin"] or "").encode(), 0)
    try:
        make_private_folder(work)
        command = Popen(job["argv"], 0, None, stdin, PIPE, PIPE, cwd=work, env=env, process_group=0)
    except (OSError, ValueError) as exc:
        what, why = getattr(exc, "filename", job["argv"][0]), getattr(exc, "strerror", exc)
        return {"exit_code": 127 - (type(exc) is not FileNotFoundError), "reason": f"{what}: {why}"}
    Path("started").write_text(json.dumps(began))  # not brought to the disk: output waits
    ends, told, output = {STDOUT: command.stdout, STDERR: command.stderr}, {}, Output()
    pipes = [Pipe(code, os.dup(end.fileno()), output) for code, end in ends.items()]
    while command.poll() is None:
        time.sleep(0.01)
        pipes = [pipe for pipe in pipes if pipe.read() or not pipe.closed]
        if (late := time.time() > until) and told:
            os.killpg(command.pid, SIGKILL)
        elif not told and (late or Path("cancel").exists()):
            told = {"timed_out" if late else "cancelled": True}
            until = time.time() + job["kill_grace_seconds"]
            os.killpg(command.pid, SIGTERM)
    with suppress(ProcessLookupError):
        os.killpg(command.pid, SIGKILL)  # what it left behind
    while pipes := [pipe for pipe in pipes if pipe.read()]:
        pass
    code = command.returncode
    return {"exit_code": code if code >= 0 else 128 - code, "started_at": began, **told}


if __name__ == "__main__":
    supervise(int(sys.argv[1]))
