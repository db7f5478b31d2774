"""The code that a cluster needs, made from the modules of this installation."""

from __future__ import annotations

from pathlib import Path

_LAUNCHERS = Path(__file__).parent.parent

MODULES = (
    _LAUNCHERS / "messages.py",
    *(
        _LAUNCHERS / "shim" / f"{name}.py"
        for name in (
            *("captures", "kept", "lines", "output", "places", "processes", "reading", "records"),
            *("supervisor", "unbegun", "usage"),
        )
    ),
    *sorted((_LAUNCHERS / "slurm" / "agent").glob("*.py")),
)
"""The files that are sent, which Python 3.6 must understand."""


def command(python: str = "python3") -> str:
    """Return the command that begins an agent, for whatever login shell there is.

    Args:
        python: The interpreter on the login node.
    """
    raise NotImplementedError(python)


def program(nonce: str) -> bytes:
    """Return what that command reads first: the agent, which says the nonce once it has begun."""
    raise NotImplementedError(nonce)


def job_package() -> bytes:
    """Return the program of jobs, ``python <file> job <folder>``, the same bytes each time."""
    raise NotImplementedError


def job_script(python: str, package: str, folders: list[str]) -> str:
    """Return the script of a job, or of an array with a task for each folder.

    Args:
        python: The interpreter on the nodes.
        package: The file that ``install`` left.
        folders: The folders of the jobs.
    """
    raise NotImplementedError((python, package, folders))
