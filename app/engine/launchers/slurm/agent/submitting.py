"""Submitting jobs: what is written down before and after, so that each is submitted once."""

import json
import time

from app.engine.launchers.shim.records import (
    CLAIM,
    EXIT,
    REFUSAL,
    SPEC,
    claim,
    write_atomically,
)

from . import records
from .faults import Refusal, disk_faults
from .folders import make_folder, write_files
from .programs import ran, submission

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Job = dict[str, Any]

_NOT_BEGUN = 127


def prepare(job: "Job") -> "dict[str, Any]":
    """Write down that a job may be submitted; idempotent."""
    folder = job["folder"]
    with disk_faults():
        if records.read(folder, SPEC) is not None:
            return {}
        make_folder(folder)
        write_files(folder, job["files"], records.RESERVED)
        kept = {"execution_id": job["execution_id"], "working_dir": job["working_dir"]}
        records.write(folder, SPEC, kept)
    return {}


def submit(asked: "dict[str, Any]") -> "dict[str, Any]":
    """Run sbatch for one job, or for an array of several, unless that was done."""
    with submission():
        return _submit(asked)


def _submit(asked: "dict[str, Any]") -> "dict[str, Any]":
    jobs = asked["jobs"]
    moment = time.time()
    with disk_faults():
        standing = [_standing(job["folder"]) for job in jobs]
        if any(state is not None for state in standing):
            return {"ran": None, "jobs": [state or {"state": "prepared"} for state in standing]}
        for job in jobs:
            text = json.dumps(job["specification"]).encode()
            write_atomically(records.path(job["folder"], records.SPECIFICATION), text)
        # From here on an answer may be lost, and the job is looked for by its mark.
        for number, job in enumerate(jobs):
            attempt = {
                "mark": job["mark"],
                "moment": moment,
                "task": number if len(jobs) > 1 else None,
            }
            if not claim(job["folder"], attempt, records.SUBMISSION):
                return _back_out(jobs, number)
    told, _ = ran(asked["program"], submits=True)
    job_id = id_of(told)
    if job_id is not None:
        noted = {"id": job_id, "moment": moment}
        for job in jobs:
            with disk_faults():
                records.write(job["folder"], records.JOB, noted)
        return {"ran": told, "jobs": [dict(noted, state="submitted") for _ in jobs]}
    if told["code"] == _NOT_BEGUN:
        return dict(_back_out(jobs, len(jobs)), ran=told)
    # One that a signal ended may have reached the scheduler before.
    state = "failed" if told["code"] is not None and told["code"] > 0 else "unsure"
    return {
        "ran": told,
        "jobs": [{"state": state, "mark": job["mark"], "moment": moment} for job in jobs],
    }


def _standing(folder: str) -> "dict[str, Any] | None":
    """Return what became of a job that was submitted before; None where it was not."""
    if records.text_of(folder, CLAIM) is not None:
        return {"state": "begun"}
    noted = records.read(folder, records.JOB)
    if noted is not None:
        return dict(noted, state="submitted")
    attempt = records.text_of(folder, records.SUBMISSION)
    if attempt is None:
        return None
    content = records.read(folder, records.SUBMISSION) or {}
    return {"state": "unsure", "mark": content.get("mark"), "moment": content.get("moment")}


def _back_out(jobs: "list[Job]", count: int) -> "dict[str, Any]":
    """Forget a submission that surely did not happen; another one may be under way."""
    for job in jobs[:count]:
        with disk_faults():
            records.forget(job["folder"], records.SUBMISSION)
    return {"ran": None, "jobs": [_standing(j["folder"]) or {"state": "prepared"} for j in jobs]}


def id_of(told: "dict[str, Any]") -> "int | None":
    """Return the id that sbatch printed last of all; None where it printed none."""
    words = told["stdout"].split() if told["code"] == 0 else []
    first = words[-1].partition(";")[0] if words else ""
    return int(first) if first.isdigit() and len(first) < 19 else None


def submitted(job: "Job") -> "dict[str, Any]":
    """Note the id of a job that was found."""
    with disk_faults():
        records.write(job["folder"], records.JOB, {"id": job["id"], "moment": job["moment"]})
    return {}


def resubmit(job: "Job") -> "dict[str, Any]":
    """Forget a submission that did not arrive, if it is still that one."""
    folder = job["folder"]
    with disk_faults():
        attempt = records.read(folder, records.SUBMISSION)
        if attempt is None or attempt.get("moment") != job["moment"]:
            return {"done": False}
        if records.text_of(folder, records.JOB) is not None:
            return {"done": False}
        records.forget(folder, records.SUBMISSION)
    return {"done": True}


def conclude(job: "Job") -> "dict[str, Any]":
    """Record the end of a job that never runs, unless it has begun."""
    folder = job["folder"]
    with disk_faults():
        done = claim(folder, REFUSAL) or refused(folder)
        if done and records.text_of(folder, EXIT) is None:
            records.write(folder, EXIT, job["exit"])
        records.forget(folder, records.SPECIFICATION)
    return {"done": done}


def refuse(folder: str, cancelled: bool) -> bool:
    """Take the claim of a job, so that nothing of it ever runs; return False if it has begun."""
    with disk_faults():
        make_folder(folder)
        done = claim(folder, dict(REFUSAL, cancelled=cancelled)) or refused(folder)
        if done:
            records.forget(folder, records.SPECIFICATION)
    return done


def refused(folder: str) -> bool:
    """Return whether a claim says that the job never begins."""
    content = records.read(folder, CLAIM)
    return content is not None and content.get("refused") is True


def check_jobs(jobs: "Any") -> "list[Job]":
    """Return jobs that an answer can be given for.

    Raises:
        Refusal: They are none.
    """
    if not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise Refusal("refused", "jobs must be a list")
    return jobs
