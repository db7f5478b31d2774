"""What reads the script of a step, and how strictly."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

_DEFAULT: Final = "bash"
_STRICT: Final = {
    "bash": ("-e", "-o", "pipefail"),
    "sh": ("-e",),  # POSIX has known pipefail since 2024 only, and Debian's sh does not
    "dash": ("-e",),
}
"""Options by which a shell ends with the first command that fails, as a step is meant to."""


def interpreter(shell: str | None, script: str) -> tuple[str, ...]:
    """Return the program, and its arguments, to which a script is given as a file.

    Whoever names an interpreter in the script's first line means just that one, with the options
    that stand there; it is read as execve(2) does it: a program and at most one argument.

    Args:
        shell: The program that the step names, a shell of which is strict; None if it names none.
        script: The text.
    """
    if shell is None and script.startswith("#!"):
        words = script.partition("\n")[0][2:].strip(" \t\r").split(maxsplit=1)
        if words:
            return tuple(words)
    program = shell or _DEFAULT
    return (program, *_STRICT.get(PurePosixPath(program).name, ()))
