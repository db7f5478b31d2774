"""What can be asked for; the package says what each verb takes and gives."""

import os
from contextlib import suppress

from app.engine.launchers.shim.records import CANCEL, PAUSE
from app.removal import remove_tree

from . import looking, machine, submitting
from .faults import Refusal, disk_faults, of_disk
from .folders import make_folder, names_in
from .programs import ran
from .records import RESERVED, SPECIFICATION, TAKEN, forget, path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Arguments = dict[str, Any]

PROGRAMS = {"hello", "submit", "run", "check", "cancel", "pause", "resume"}
"""Verbs that may run programs."""
_MOST_PRINTED = 16 * 1024 * 1024
"""Bytes that come with an answer, which has twice as many at most."""


def serve(verb: str, arguments: "Arguments", body: bytes, umask: int) -> "tuple[Any, bytes]":
    """Do what a request asks for; return the result, and the bytes that go with it.

    Raises:
        Refusal: It cannot be done.
        OSError: The disk cannot be used now.
    """
    if verb == "hello":
        return machine.hello(arguments, umask), b""
    if verb == "install":
        return {"path": machine.install(arguments["root"], arguments["digest"], body)}, b""
    found = _FILES.get(verb) or _RUNS.get(verb)
    if found is None:
        raise Refusal("refused", f"there is no verb {verb}")
    return found(arguments)


def _each(work: "Callable[[Arguments], Any]", entries: "Any") -> "list[Any]":
    """Do something for each of several, whatever becomes of the others."""
    return [_one(work, entry) for entry in submitting.check_jobs(entries)]


def _one(work: "Callable[[Arguments], Any]", entry: "Arguments") -> "Any":
    try:
        return work(entry)
    except Refusal as exc:
        return {"error": exc.told()}
    except OSError as exc:
        return {"error": of_disk(exc).told()}


def _jobs(work: "Callable[[Arguments], Any]") -> "Callable[[Arguments], tuple[Any, bytes]]":
    return lambda arguments: ({"jobs": _each(work, arguments["jobs"])}, b"")


def _submit(arguments: "Arguments") -> "tuple[Any, bytes]":
    return {"submissions": _each(submitting.submit, arguments["submissions"])}, b""


def _look(arguments: "Arguments") -> "tuple[Any, bytes]":
    jobs = submitting.check_jobs(arguments["jobs"])
    return looking.look(jobs, min(arguments["most_bytes"], _MOST_PRINTED))


def _read(arguments: "Arguments") -> "tuple[Any, bytes]":
    most = min(arguments["most_bytes"], _MOST_PRINTED)
    return {}, looking.read(arguments["folder"], arguments["offset"], most)


def _outputs(arguments: "Arguments") -> "tuple[Any, bytes]":
    return {}, looking.outputs(arguments["folder"])


def _usage(arguments: "Arguments") -> "tuple[Any, bytes]":
    return {"usage": looking.usage(arguments["folder"])}, b""


def _refuse(arguments: "Arguments") -> "tuple[Any, bytes]":
    done = submitting.refuse(arguments["folder"], arguments["cancelled"])
    return {"refused": done}, b""


def _request(name: str, *, made: bool) -> "Callable[[Arguments], Any]":
    def work(job: "Arguments") -> "Any":
        with disk_faults():
            if made:
                make_folder(job["folder"])
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
                os.close(os.open(path(job["folder"], name), flags, 0o600))
            else:
                forget(job["folder"], name)
        program = job.get("program")
        return ran(program)[0] if program else None

    return work


def _tidy(job: "Arguments") -> "Any":
    folder = job["folder"]
    with disk_faults():
        for name in names_in(folder) or ():
            if name not in RESERVED and not name.endswith(TAKEN):
                with suppress(IsADirectoryError, PermissionError):  # it is the command's
                    os.unlink(path(folder, name))
        with suppress(NotADirectoryError):
            forget(folder, SPECIFICATION)
    return {}


def _work_folder(arguments: "Arguments") -> "tuple[Any, bytes]":
    machine.work_folder(arguments["folder"], arguments["files"], arguments["begun"])
    return {}, b""


def _stage(arguments: "Arguments") -> "tuple[Any, bytes]":
    machine.stage(arguments["folder"], arguments["paths"])
    return {}, b""


def _remove(arguments: "Arguments") -> "tuple[Any, bytes]":
    with disk_faults():
        return {"done": remove_tree(arguments["folder"], arguments["seconds"])}, b""


def _run(arguments: "Arguments") -> "tuple[Any, bytes]":
    told, printed = ran(arguments["program"], min(arguments["most_bytes"], _MOST_PRINTED))
    return dict(told, stdout=""), printed


def _check(arguments: "Arguments") -> "tuple[Any, bytes]":
    return machine.check(arguments["root"], arguments.get("quota")), b""


_FILES = {
    "prepare": _jobs(submitting.prepare),
    "submitted": _jobs(submitting.submitted),
    "resubmit": _jobs(submitting.resubmit),
    "conclude": _jobs(submitting.conclude),
    "tidy": _jobs(_tidy),
    "look": _look,
    "read": _read,
    "outputs": _outputs,
    "usage": _usage,
    "refuse": _refuse,
    "work_folder": _work_folder,
    "stage": _stage,
    "remove": _remove,
}
"""Verbs that touch files only."""

_RUNS = {
    "submit": _submit,
    "run": _run,
    "check": _check,
    "cancel": _jobs(_request(CANCEL, made=True)),
    "pause": _jobs(_request(PAUSE, made=True)),
    "resume": _jobs(_request(PAUSE, made=False)),
}
