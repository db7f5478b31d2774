"""Why a program could not be executed: what execve(2) leaves open of its errors."""

# pathlib alone would add a fifth to the time that the shim takes to start.
# ruff: noqa: PTH109, PTH110, PTH112, PTH114, PTH118

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_LINE_BYTES = 256  # as much as execve(2) itself reads
_SHOWN_PATH = 300


def explain(program: str, error: OSError, env: "Mapping[str, str]") -> str:
    """Return what was not found, or is not executable, in words for the author of a command.

    Args:
        program: As it was named; the working directory is that of the command.
        error: What its execution came to.
        env: The environment of the command, whose ``PATH`` counts.
    """
    said = f"{program}: {error.strerror or error}"
    file = _find(program, env)
    if is_missing(program, error, env):
        return f"{program}: {os.strerror(errno.ENOENT)}" + _why_missing(program, file, env)
    if error.errno == errno.ENOTDIR:
        return said + _why_missing(program, file, env)
    if error.errno == errno.EACCES and file is not None:
        return said + _why_forbidden(file)
    if error.errno == errno.E2BIG:
        return f"{said}; its arguments and variables are longer than this machine takes"
    if error.errno == errno.ENOEXEC:
        return f"{said}; it is no program of this machine, and no text that begins with #!"
    return said


def is_missing(program: str, error: OSError, env: "Mapping[str, str]") -> bool:
    """Return whether there is no such program, as far as its user can see.

    A folder of ``PATH`` that they may not look into is what the system says first.

    Args:
        program: As it was named.
        error: What its execution came to.
        env: The environment of the command.
    """
    is_hidden = error.errno == errno.EACCES and "/" not in program
    return error.errno == errno.ENOENT or (is_hidden and _find(program, env) is None)


def _find(program: str, env: "Mapping[str, str]") -> "str | None":
    """Return the file that a program's name stands for; None if there is none."""
    folders = [""] if "/" in program else env.get("PATH", os.defpath).split(os.pathsep)
    files = (os.path.join(folder, program) for folder in folders)
    return next((file for file in files if os.path.lexists(file)), None)


def _why_missing(program: str, file: "str | None", env: "Mapping[str, str]") -> str:
    if file is not None:
        return _why_not_loaded(file)
    if "/" not in program:
        path = env.get("PATH", os.defpath)
        return f"; no folder of PATH has it: {path[:_SHOWN_PATH]}"
    return "" if program.startswith("/") else f"; relative paths begin at {os.getcwd()}"


def _why_not_loaded(file: str) -> str:
    """Return what a file that is there needs and has not."""
    if os.path.islink(file) and not os.path.exists(file):
        return "; it is a symbolic link that leads nowhere"
    interpreter = _interpreter(file)
    if interpreter is None:
        return "; it is there, but not what loads it on this machine"
    if interpreter.endswith("\r"):
        return "; its first line ends with CR LF, which makes the CR a part of its interpreter"
    return f"; it is there, but not its interpreter, {interpreter}"


def _why_forbidden(file: str) -> str:
    if os.path.isdir(file):
        return "; it is a folder"
    if os.path.exists(file) and not os.access(file, os.X_OK):
        return "; it is not executable (chmod +x)"
    interpreter = _interpreter(file)
    if interpreter is not None and not os.access(interpreter, os.X_OK):
        return f"; its interpreter, {interpreter}, is not executable"
    return "; a folder on the way, or its file system, forbids it"


def _interpreter(file: str) -> "str | None":
    """Return what the first line of a text names as its interpreter; None if it names none."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        line = os.read(fd, _FIRST_LINE_BYTES).partition(b"\n")[0]
        os.close(fd)
    except OSError:
        return None
    words = line[2:].lstrip(b" \t").split(b" ") if line.startswith(b"#!") else []
    return words[0].decode("utf-8", "replace") if words and words[0] else None
