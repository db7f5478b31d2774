"""Checking the inputs of launches, large ones where that holds up nobody."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from functools import partial
from typing import Final

from app.documents import Fault
from app.domain import JSON, Parameter
from app.inputs import Given, check_inputs, check_values, invalid_inputs
from app.isolation import Isolated, OverBudget

SECONDS: Final = 5.0
"""Longest time that checking the inputs of one launch may take."""

_INLINE_BYTES: Final = 4096


class InputChecker:
    """Checks the inputs of launches, large ones in a process of its own.

    Args:
        isolated: Where large ones are checked; None checks all of them where they are.
    """

    def __init__(self, isolated: Isolated | None = None) -> None:
        self._isolated = isolated

    def check(
        self, parameters: Sequence[Parameter], given: JSON, owner: str = ""
    ) -> dict[str, JSON]:
        """Check the inputs of a launch and add the defaults; see :func:`app.inputs.check_inputs`.

        Args:
            parameters: What the workflow takes.
            given: What the caller sent.
            owner: The caller.

        Raises:
            InvalidRequest: Naming the faults, at ``inputs.<name>``; no message repeats a value.
            LimitExceeded: Too many launches of this caller wait to be checked.
        """
        return check_inputs(parameters, given, partial(self._checked, owner=owner))

    def _checked(self, given: list[Given], owner: str) -> tuple[dict[str, JSON], list[Fault]]:
        # A pattern may be costly whatever its length, all else costs what its size says.
        work = pickle.dumps(given)
        small = len(work) <= _INLINE_BYTES and b"pattern" not in work
        if small or self._isolated is None:
            return check_values(given)
        try:
            reply = self._isolated.run(owner, f"{__name__}:check_pickled", work)
        except OverBudget:
            message = f"must be smaller: checking the inputs took more than {SECONDS:g} seconds"
            faults = [Fault(("inputs", parameter.name), message) for parameter, _ in given]
            raise invalid_inputs(faults) from None
        values, faults = pickle.loads(reply)  # noqa: S301  (from a process of ours)
        return values, faults


def check_pickled(work: bytes) -> bytes:
    """Check values in a worker process; see :func:`check_values`."""
    values, faults = check_values(pickle.loads(work))  # noqa: S301  (from a process of ours)
    return pickle.dumps((values, faults))
