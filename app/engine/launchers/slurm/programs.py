"""Commands that run on a login node, through the agent there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.domain import JSON
from app.engine.launchers.job_records import clean_text
from app.engine.launchers.slurm.logins import Login
from app.errors import UpstreamGarbled, UpstreamUnreachable

_SLACK_SECONDS: Final = 10.0
"""Beyond the time of a command, until its answer has come."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended.

    Attributes:
        code: Its exit code; 127 where it could not be begun, None where its time was over.
        printed: What it printed.
        errors: The beginning of what it complained of.
        cut: It printed more than was to be read.
    """

    code: int | None
    printed: str
    errors: str
    cut: bool = False


def run(
    login: Login,
    argv: Sequence[str],
    env: Mapping[str, str | None],
    *,
    timeout: float,
    most_bytes: int,
) -> Finished:
    """Run a command to its end.

    Args:
        login: Where.
        argv: Its command line.
        env: Changes to the environment; None takes a variable away.
        timeout: Seconds for the command.
        most_bytes: Most bytes of what it prints.

    Raises:
        UpstreamError: The login node does not answer, or not as it should.
    """
    arguments = {"program": program(argv, env, timeout), "most_bytes": most_bytes}
    answer = login.agent.call("run", arguments, timeout=timeout + _SLACK_SECONDS)
    return finished(answer.result, answer.data)


def program(argv: Sequence[str], env: Mapping[str, str | None], timeout: float) -> JSON:
    """Return a command as an agent takes it; see :func:`run`."""
    return {"argv": list(argv), "timeout_seconds": timeout, "env": {**env, "LC_ALL": "C"}}


def finished(ran: JSON, data: bytes = b"") -> Finished:
    """Read what an agent says of a command.

    Args:
        ran: How it ended.
        data: What it printed.

    Raises:
        UpstreamGarbled: That makes no sense.
    """
    if not isinstance(ran, dict):
        raise UpstreamGarbled("The login node of the cluster answers nothing of use.")
    code = ran.get("code")
    errors = clean_text(str(ran.get("stderr", ""))[:1000])
    text = data.decode("utf-8", "replace")
    return Finished(code if type(code) is int else None, text, errors, bool(ran.get("cut")))


def printed(
    login: Login,
    argv: Sequence[str],
    env: Mapping[str, str | None],
    *,
    timeout: float,
    most_bytes: int,
) -> str:
    """Run a command that must succeed; return what it printed; see :func:`run`.

    Raises:
        UpstreamUnreachable: It failed; the details are in its own words.
        UpstreamError: The login node does not answer.
    """
    ran = run(login, argv, env, timeout=timeout, most_bytes=most_bytes)
    if ran.code != 0 or ran.cut:
        raise UpstreamUnreachable(f"{argv[0]} failed on the cluster.", detail=ran.errors)
    return ran.printed
