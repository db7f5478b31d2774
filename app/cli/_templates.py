"""The templates of ``slipway serve``; the first is begun before anything else is prepared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.cli._options import bare_environment
from app.cli._start import ROOM
from app.cli._supervise import Begun, ChildPlan

_TEMPLATE_SILENCE_SECONDS = 10.0
"""A template is replaced after so long without a sign of life."""
_LONGEST_COMMAND_LINE = 1024
_FIRST, _MODULE = "template", "app.cli._template"
_SILENCE = {"--silence": str(_TEMPLATE_SILENCE_SECONDS)}


def template_plans(begun: Begun | None = None) -> list[ChildPlan]:
    """Plan what the other processes are forks of.

    What all of them load, the conductor among them, is in the first one. The second is a fork of
    it and the only one that gevent patches.

    Args:
        begun: The first, where it is there already.
    """
    env = bare_environment()
    first = ChildPlan(
        _FIRST, _MODULE, _TEMPLATE_SILENCE_SECONDS, env,
        options={"--load": "common", **_SILENCE, ROOM: "-" * _LONGEST_COMMAND_LINE},
        is_template=True, begun=begun,
    )  # fmt: skip
    second = ChildPlan(
        "web-template", _MODULE, _TEMPLATE_SILENCE_SECONDS, env,
        template=_FIRST, options={"--load": "web", **_SILENCE}, is_template=True,
    )  # fmt: skip
    return [first, second]


@contextmanager
def begun_template() -> Iterator[Begun | None]:
    """Begin the first template, which is loaded while its supervisor is still being prepared.

    It is ended if there will be no supervisor. None where no process can be made now; the
    supervisor tries again.
    """
    child = template_plans()[0].child({})
    try:
        child.start()
    except OSError:
        child.bury()
    begun = None
    if child.process and child.lifeline and child.requests:
        begun = Begun(child.process.pid, child.lifeline.fileno(), child.requests.fileno())
    try:
        yield begun
    finally:
        if child.process is not None:
            child.retire()
