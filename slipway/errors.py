"""What can go wrong, as one tree of exceptions; nothing of the HTTP library gets out of the client.

::

    SlipwayError
    ├── Unreachable            no answer came
    │   └── TimedOut           the service is silent
    ├── NotOurs                something answered that is no Slipway service
    ├── Refused                the service said no: .status, .problem
    │   ├── NotSignedIn        401
    │   ├── NotAllowed         403
    │   ├── NotFound           404, 410
    │   ├── Conflict           409, 412
    │   ├── InvalidInput       400, 413, 415, 422: .fields
    │   ├── RateLimited        429
    │   ├── NotSupported       501: what runs the execution cannot do that
    │   └── ServerFault        all other 5xx
    ├── Misused                the client was given what it cannot use
    ├── StillRunning           the time of a wait is over
    └── ExecutionFailed        by wait(check=True) only
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from slipway.execution import Execution

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_LONGEST_MESSAGE: Final = 4000


class SlipwayError(Exception):
    """Something went wrong; the message is a sentence or two for people, on one line.

    It may hold what a server said, so what would move a terminal's cursor is not in it.
    """

    def __init__(self, message: str = "") -> None:
        shown = "".join(c if c.isprintable() else " " for c in message[:_LONGEST_MESSAGE])
        super().__init__(shown)


class Unreachable(SlipwayError):
    """No answer came: nothing listens there, or the connection broke again and again."""


class TimedOut(Unreachable):
    """The service took the request, or the connection, and was silent."""


class NotOurs(SlipwayError):
    """Something answered that is no Slipway service, such as a proxy or a login page."""


class Misused(SlipwayError, ValueError):
    """The client was given what it cannot use, such as half an address; nothing was sent."""


class StillRunning(SlipwayError, TimeoutError):
    """The time of a wait is over, and the execution goes on."""


class FieldFault(NamedTuple):
    """What is wrong with one field of a request.

    Attributes:
        path: Which, such as ``inputs.n``.
        message: What was expected there.
    """

    path: str
    message: str


class Refused(SlipwayError):
    """The service said no.

    Attributes:
        status: The HTTP status.
        problem: The problem document (RFC 9457): ``type``, ``title``, ``status``, ``detail``,
            ``code``, and what else the service says.
        retry_after: Seconds after which the service asks to come back; None where it does not.
    """

    def __init__(
        self,
        status: int,
        problem: Mapping[str, Any] = _NOTHING,
        retry_after: float | None = None,
    ) -> None:
        detail = problem.get("detail") or problem.get("title")
        super().__init__(detail if isinstance(detail, str) else f"The service answers {status}.")
        self.status = status
        self.problem = problem
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, dict(self.problem), self.retry_after)

    @property
    def code(self) -> str:
        """The stable word for programs, such as ``not_found``; empty where there is none."""
        code = self.problem.get("code")
        return code if isinstance(code, str) else ""

    @property
    def fields(self) -> tuple[FieldFault, ...]:
        """Each fault that the service names, in its order."""
        named = self.problem.get("fields")
        faults = named if isinstance(named, list) else []
        return tuple(
            FieldFault(str(fault.get("path", "")), str(fault.get("message", "")))
            for fault in faults
            if isinstance(fault, Mapping)
        )


class NotSignedIn(Refused):
    """401: nobody knows who asks."""


class NotAllowed(Refused):
    """403: this user may not do that."""


class NotFound(Refused):
    """404 or 410: it does not exist for this user, or not any more."""


class Conflict(Refused):
    """409 or 412: it is not in a state for that."""


class InvalidInput(Refused):
    """400, 413, 415 or 422: something in the request is wrong; ``fields`` says what."""


class RateLimited(Refused):
    """429: too much at a time, for as long as the client was ready to ask again."""


class NotSupported(Refused):
    """501: what runs the execution cannot do that."""


class ServerFault(Refused):
    """The service, or what it depends on, is at fault."""


class ExecutionFailed(SlipwayError):
    """An execution that was waited for with ``check=True`` did not succeed.

    Attributes:
        execution: It, as it ended.
    """

    def __init__(self, execution: Execution) -> None:
        why = f": {execution.error}" if execution.error else "."
        super().__init__(f"Execution {execution.id} ended with {execution.status}{why}")
        self.execution = execution

    def __reduce__(self) -> tuple[Any, ...]:
        # An execution has its client, whose connections stay with their process.
        return SlipwayError, (str(self),)


_BY_STATUS: Final[Mapping[int, type[Refused]]] = {
    401: NotSignedIn,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    412: Conflict,
    429: RateLimited,
    501: NotSupported,
}


def refusal(status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> Refused:
    """Make the exception for an answer of the service with a status from 400."""
    fallback = ServerFault if status >= 500 else InvalidInput
    return _BY_STATUS.get(status, fallback)(status, problem, retry_after)
