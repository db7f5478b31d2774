"""The supervisor of a job on its node: a shim that Slurm began."""

import json
import os
import time
from contextlib import suppress

from app.engine.launchers.shim.output import Output
from app.engine.launchers.shim.processes import adopt_orphans, catch_signals, let_signals_through
from app.engine.launchers.shim.reading import whole_frames
from app.engine.launchers.shim.records import (
    CLAIM,
    EXIT,
    FRAMES,
    OUTPUTS,
    USAGE,
    claim,
    identity,
    sync,
    unrun,
    write_atomically,
)

from . import records
from .on_node import SIGNALS, JobSupervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ARRIVAL_SECONDS = 60.0
"""How long files may be on their way to the node: file systems keep what they know of a folder."""
_LOOK_SECONDS = 0.2
"""How often it is looked for them."""
_PART_BYTES = 1 << 20


def main(folder: str) -> None:
    """Run the job of a folder, unless another process has it, or it was refused."""
    _enter(folder)
    let_signals_through()
    os.umask(0o077)
    wakeup = catch_signals(*SIGNALS)
    spec = _specification()
    claimed = dict(identity(), started_at=None, slurm=_slurm())
    if not claim(".", claimed) and not _taken_over(claimed):
        return
    if spec is None:
        _leave("its specification did not come to the node")
        return
    if not spec["requeue"]:  # it may hold secrets, and is needed once
        records.forget(".", records.SPECIFICATION)
    adopt_orphans()
    JobSupervisor(spec, claimed, wakeup).run()


def _enter(folder: str) -> None:
    """Make the folder the current one, which may be new to the node."""
    until = time.monotonic() + _ARRIVAL_SECONDS
    while not os.path.isdir(folder) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    os.chdir(folder)


def _specification() -> "Any":
    """Read what to run; None where it does not come."""
    until = time.monotonic() + _ARRIVAL_SECONDS
    while True:
        names = os.listdir(".")  # it makes a file server be asked anew
        if records.SPECIFICATION in names:
            with suppress(OSError, ValueError), open(records.SPECIFICATION, "rb") as file:
                return json.loads(file.read().decode())
        if CLAIM in names or time.monotonic() > until:
            return None
        time.sleep(_LOOK_SECONDS)


def _slurm() -> "dict[str, Any]":
    """Return what Slurm says of the job, by the environment of its script (sbatch(1))."""
    env = os.environ
    return {
        "job_id": _number(env.get("SLURM_JOB_ID")),
        "array_job_id": _number(env.get("SLURM_ARRAY_JOB_ID")),
        "array_task_id": _number(env.get("SLURM_ARRAY_TASK_ID")),
        "restarts": _number(env.get("SLURM_RESTART_COUNT")) or 0,
        "node": env.get("SLURMD_NODENAME"),
    }


def _number(text: "str | None") -> "int | None":
    return int(text) if text is not None and text.isdigit() else None


def _taken_over(claimed: "dict[str, Any]") -> bool:
    """Take the job over from an earlier run of it, which Slurm put back into its queue."""
    before = records.read(".", CLAIM) or {}
    slurm, ours = before.get("slurm") or {}, claimed["slurm"]
    same = ours["job_id"] is not None and slurm.get("job_id") == ours["job_id"]
    if not same or slurm.get("restarts", 0) >= ours["restarts"]:
        return False
    if records.text_of(".", EXIT) is not None:
        result = records.read(".", EXIT) or {}
        if result.get("ended_by_slurm") is not True:
            return False
    write_atomically(CLAIM, json.dumps(claimed).encode())
    records.forget(".", EXIT, OUTPUTS, USAGE)
    sync(".")
    _cut_half_a_frame()
    Output().remark("The cluster put the job back into its queue: it begins anew")
    return True


def _cut_half_a_frame() -> None:
    """Take away what the earlier run could not finish, or nothing behind it could be read."""
    with suppress(FileNotFoundError), open(FRAMES, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        end = 0
        while end < size:
            file.seek(end)
            whole = whole_frames(file.read(_PART_BYTES))
            if not whole:
                break
            end += whole
        if end < size:
            file.truncate(end)


def _leave(reason: str) -> None:
    write_atomically(EXIT, json.dumps(unrun(126, reason, time.time())).encode())
