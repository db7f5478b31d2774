"""The code that a cluster needs, made from the modules of this installation."""

from __future__ import annotations


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
