"""The processes of a job: how signals are caught, the command begun, and its tree signalled."""

# pathlib alone would add a fifth to the time that the shim takes to start.
# ruff: noqa: PTH103, PTH108, PTH208

import ctypes
import os
import signal
import sys
from contextlib import suppress

from .records import process_stat
from .unbegun import explain, is_missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_LIBC = ctypes.CDLL(None)
_SIG_DFL = None  # a null pointer: signal(2)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_MAX_FAILURE = 65536  # what a pipe takes at once
_CAUGHT = (
    *(signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1),
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT),  # which a terminal sends
)
_CHANGED = {
    *_CAUGHT,
    signal.SIGCONT,
    *(n for n in range(1, signal.NSIG) if signal.getsignal(n) is not signal.SIG_DFL),
}
"""Signals that do not have their default effect in this process, by Python or by who began it."""


def let_signals_through() -> None:
    """Unblock all signals, whoever began this process may have blocked."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def catch_signals(*more: int) -> int:
    """Catch the signals that the shim acts upon or must survive.

    They are caught and not ignored, because commands would inherit that.

    Args:
        more: Others that are to be told of; only SIGCONT is taken back from commands, too.

    Returns:
        A pipe from which the numbers of the signals can be read.
    """
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    if sys.version_info >= (3, 7):  # noqa: UP036 - 3.6 is older than all that ruff knows
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    else:
        signal.set_wakeup_fd(writing)
    for number in (*_CAUGHT, *more):
        signal.signal(number, lambda _number, _frame: None)
    return reading


def set_dumpable(dumpable: bool) -> None:
    """Let others of the same user look into this process, or not: prctl(2)."""
    _LIBC.prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends: prctl(2).

    So those that made themselves daemons stay in sight, and can be waited for.
    """
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def spawn(spec: "dict[str, Any]", stdout: int, stderr: int) -> "tuple[int, str | None]":
    """Begin the command in a session of its own.

    Args:
        spec: ``argv``, ``env``, ``stdin``, ``umask`` and ``working_dir``, which is made if it is
            missing.
        stdout: Where the command writes.
        stderr: Where the command writes errors.

    Returns:
        The pid, and None or the reason why the command could not be begun. In that case the
        child exits as a shell would: with code 127 when there is no such program, else 126.

    Raises:
        OSError: No process could be made.
    """
    shim = os.getpid()
    reading, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become_command(spec, shim, stdout, stderr, report)
    os.close(report)
    # Python's pipes are closed by exec (PEP 446): nothing comes once the command is executed.
    failure = os.read(reading, _MAX_FAILURE)
    os.close(reading)
    return pid, failure.decode("utf-8", "replace") or None


def _become_command(
    spec: "dict[str, Any]", shim: int, stdout: int, stderr: int, report: int
) -> "NoReturn":
    program = spec["argv"][0]
    place = spec["working_dir"]
    code = _NOT_EXECUTABLE
    try:
        os.setsid()
        # A command that nobody watches must not run on: prctl(2).
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != shim:  # it died before prctl, and no signal will come for that
            os._exit(code)
        for number in _CHANGED:
            _LIBC.signal(int(number), _SIG_DFL)  # several times faster than Python's own
        _enter(place)
        os.dup2(_stdin(spec["stdin"]), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        place = program
        os.umask(spec["umask"])
        os.execvpe(program, spec["argv"], spec["env"])  # noqa: S606 - no shell, on purpose
    except (OSError, ValueError) as exc:
        if place == program and isinstance(exc, OSError) and is_missing(program, exc, spec["env"]):
            code = _NOT_FOUND
        os.write(report, _reason(place, exc, spec).encode("utf-8", "replace")[:_MAX_FAILURE])
    finally:
        os._exit(code)


def _reason(place: str, exc: "OSError | ValueError", spec: "dict[str, Any]") -> str:
    if isinstance(exc, OSError) and place == spec["argv"][0]:
        return explain(place, exc, spec["env"])
    return f"{place}: {getattr(exc, 'strerror', None) or exc}"


def _enter(folder: str) -> None:
    """Make a folder the working directory, and make it first where it is missing."""
    try:
        os.chdir(folder)
    except OSError:
        os.makedirs(folder, exist_ok=True)
        os.chdir(folder)


def _stdin(text: "str | None") -> int:
    """Open what the command reads; a text is kept in memory, for it may be a secret."""
    if text is None:
        return os.open(os.devnull, os.O_RDONLY)
    return in_memory(text.encode("utf-8", "replace"))


def in_memory(content: bytes) -> int:
    """Open a file without a name that has this content, and is on no disk.

    Raises:
        OSError: There is no memory for it.
    """
    fd = _memory_file()
    with open(fd, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("slipway", os.MFD_CLOEXEC)
    # Python before 3.8, and perhaps a kernel from before memfd_create(2).
    path = f"/dev/shm/.{os.urandom(16).hex()}"  # noqa: S108 - nobody can guess it
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return fd


def exit_code_of(status: int) -> int:
    """Return what waitpid(2) told as an exit code, or as a negative number of a signal."""
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return os.WEXITSTATUS(status)


def signal_tree(number: int) -> None:
    """Send a signal to all descendants of this process, once to each.

    Whole groups are signalled because the kernel does that atomically: a process that is just
    being forked gets it, too. Groups that came up meanwhile are found by looking again.
    """
    done: set[int] = set()
    new = _process_groups_below(os.getpid())
    while new:
        for group in new:
            with suppress(OSError):  # it has ended, or it is somebody else's by way of setuid
                os.killpg(group, number)
        done |= new
        new = _process_groups_below(os.getpid()) - done


def _process_groups_below(ancestor: int) -> "set[int]":
    """Find the process groups of all descendants.

    ``/proc/[pid]/task/[tid]/children`` would be faster, but proc(5) calls it unreliable.
    """
    children: dict[int, list[tuple[int, int]]] = {}
    for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
        with suppress(OSError):  # it has ended
            stat = process_stat(pid)
            children.setdefault(int(stat[1]), []).append((pid, int(stat[2])))
    groups = set()
    family = [ancestor]
    while family:
        for pid, group in children.get(family.pop(), ()):
            groups.add(group)
            family.append(pid)
    return groups
