"""What can go wrong, in the words of the product.

::

    SlipwayError
    ├── InvalidRequest            the caller must change the request
    │   └── InvalidDefinition     the same, for a workflow definition
    │       ├── UnfitDefinition     it asks for what there is not where it would run
    │       ├── MissingDependency   a task needs what no other makes
    │       └── CircularDependency  tasks need each other
    ├── SeveralCredentials        two at once, so nobody knows who asks
    ├── SignInFailed              a browser comes back from elsewhere, and nobody signed in
    ├── NotAuthenticated          nobody, or a wrong password
    │   └── CredentialEnded       a right one, that does not hold any more
    ├── NotAllowed                known, but without the role
    │   ├── ScopeMissing          the role would do; the credential is restricted
    │   ├── ForeignOrigin         a browser asks, for a page of somebody else
    │   └── CsrfTokenMissing      a session asks, without what the service's own pages know
    ├── UnknownHost               meant for another service
    ├── NotFound                  no such thing, as far as this caller may know
    │   ├── Hidden                there is one, which this caller may not know
    │   ├── Purged                there was one, which was removed for good
    │   ├── NoSuchWorkflow        none that stands under a name
    │   └── NoSuchTask            it stands, without a task of this name
    ├── ConditionFailed           what there is, is not what the caller thinks it is
    ├── Conflict                  not in the state that the thing is in
    │   ├── Ambiguous             the name fits several things
    │   ├── Busy                  a task runs already, or is about to
    │   ├── Superseded            an execution that goes on in another one
    │   ├── KeyOfPurged           what was launched with this key was removed for good
    │   ├── Taken                 another thing has the id, or the name
    │   │   └── NameTaken         a workflow stands under it, or once did
    │   ├── NotRunnable           a workflow that runs, or has nothing to run
    │   └── TaskOpen              a task that runs, or is to run
    ├── LimitExceeded             too much, or too often
    │   └── QuotaExceeded         more than a policy with a name allows
    ├── CapabilityMissing         this orchestrator cannot do that
    ├── NodesMissing              the nodes that there are cannot carry this
    ├── ConfigError               the service cannot start like this
    └── UpstreamError             something behind us failed
        ├── UpstreamRefused       it understood, and said no
        ├── UpstreamGarbled       its answer makes no sense
        ├── UpstreamUnreachable   surely not received: safe to repeat
        │   └── StoreUnavailable  our own database, whatever the cause
        └── UpstreamTimeout       perhaps received: look before repeating

No class knows an HTTP status: ``app.resources._errors`` holds that table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Final, Self

MAX_FIELDS: Final = 100
"""Most single faults that an error tells; of the others it tells the number."""

_MOST_NAMED: Final = 10
_MAX_PATH: Final = 300
_MAX_MESSAGE: Final = 500


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of the input: where it is, and what was expected there.

    Attributes:
        path: Place of the fault, such as ``inputs.n`` or ``steps[2].needs[0]``.
        message: What was expected, in words that a caller may see. Long ones are cut.
    """

    path: str
    message: str

    def __post_init__(self) -> None:
        for name, longest in (("path", _MAX_PATH), ("message", _MAX_MESSAGE)):
            text: str = getattr(self, name)
            if len(text) > longest:
                object.__setattr__(self, name, f"{text[:longest]}...")


def told(
    message: str, fields: Iterable[FieldError], more: int = 0
) -> tuple[str, tuple[FieldError, ...]]:
    """Keep the first faults, and return the number of the others.

    Args:
        message: What is wrong as a whole.
        fields: The faults.
        more: Number of faults that are not among them already.

    Returns:
        The message, with that number where there is one, and at most :data:`MAX_FIELDS` faults.
    """
    rest = iter(fields)
    first = tuple(islice(rest, MAX_FIELDS))
    more += sum(1 for _ in rest)
    return f"{message} ({more} more faults are not listed.)" if more else message, first


class SlipwayError(Exception):
    """Base of every error that the product raises on purpose.

    Args:
        message: Sentence that a caller may see; never a secret, a path or a trace.
        detail: What only the log should hold.
        fields: The single faults, where the input is at fault; the first ones are kept.
        more: Number of faults that are not among them already.
        retry_after_seconds: When trying again makes sense, if that is known.
    """

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        fields: Iterable[FieldError] = (),
        more: int = 0,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.message, self.fields = told(message, fields, more)
        super().__init__(self.message)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds

    def again(self) -> Self:
        """Return a new error that says the same.

        One that is kept must not be one that was raised: with its traceback it would keep whatever
        its frames held, such as a private key.
        """
        return type(self)(
            self.message,
            detail=self.detail,
            fields=self.fields,
            retry_after_seconds=self.retry_after_seconds,
        )


class InvalidRequest(SlipwayError):
    """The request cannot be honoured as it is; repeating it changes nothing."""

    code = "invalid_request"


class InvalidDefinition(InvalidRequest):
    """A workflow definition has faults, all of which are listed in ``fields``."""

    code = "invalid_definition"


class UnfitDefinition(InvalidDefinition):
    """A workflow definition is right, and asks for what there is not where it would run."""


class MissingDependency(InvalidDefinition):
    """A task needs an output that no task makes.

    Args:
        task: Name of the task.
        reference: What it needs, as ``<task>/<output>``.
    """

    def __init__(self, task: str, reference: str) -> None:
        text = f"The task '{task}' needs '{reference}', and there is no such output."
        super().__init__(text)
        self.task, self.reference = task, reference


class CircularDependency(InvalidDefinition):
    """Tasks need each other, or one needs itself.

    Args:
        cycle: Their names, the first one at the end again.
    """

    def __init__(self, cycle: list[str]) -> None:
        super().__init__(f"The tasks need each other: {' -> '.join(cycle[:_MOST_NAMED])}.")
        self.cycle = cycle


class SeveralCredentials(SlipwayError):
    """The request carries more than one credential (RFC 6750, 3.1)."""

    code = "several_credentials"


class SignInFailed(SlipwayError):
    """A browser has come back from where somebody should have signed in, and has not."""

    code = "sign_in_failed"


class NotAuthenticated(SlipwayError):
    """No credentials, or wrong ones."""

    code = "not_authenticated"


class CredentialEnded(NotAuthenticated):
    """The credential was right, and does not hold any more: who has it guesses nothing."""


class NotAllowed(SlipwayError):
    """The caller lacks the role for this."""

    code = "not_allowed"


class NotOwner(NotAllowed):
    """Only who owns a thing, or an operator, may change it.

    Args:
        workflow_id: The workflow.
        owner: Username of its owner; empty for the operators of the service.
    """

    def __init__(self, workflow_id: str, owner: str) -> None:
        whose = f"'{owner}'; only they" if owner else "the operators of the service; only they"
        rest = " or an operator may" if owner else " may"
        super().__init__(
            f"The workflow '{workflow_id}' belongs to {whose}{rest} replace or remove it."
        )


class ScopeMissing(NotAllowed):
    """Known, and with the role, but by a credential that is restricted to something else.

    Args:
        message: Sentence that a caller may see.
        permission: Name of the permission that the credential does not let through.
    """

    def __init__(self, message: str, permission: str, **more: Any) -> None:
        super().__init__(message, **more)
        self.permission = permission

    def again(self) -> Self:
        """Return a new error that says the same."""
        return type(self)(self.message, self.permission, detail=self.detail)


class ForeignOrigin(NotAllowed):
    """A browser sends this for a page from somewhere else."""

    code = "foreign_origin"


class CsrfTokenMissing(NotAllowed):
    """A session asks for a change without what only the service's own pages know."""

    code = "csrf_token_missing"


class UnknownHost(SlipwayError):
    """The request is meant for a host that this service does not answer for."""

    code = "unknown_host"


class NotFound(SlipwayError):
    """There is no such thing, or the caller may not know of it."""

    code = "not_found"


class Hidden(NotFound):
    """There is such a thing; callers are told the same as of nothing, and the audit knows."""


class Purged(NotFound):
    """There was such a thing, and what it held was removed for good (RFC 9110, 15.5.11)."""

    code = "purged"


class NoSuchWorkflow(NotFound):
    """No workflow stands under a name, as far as this caller may know.

    Args:
        name: The name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no workflow '{name}'.")
        self.name = name


class NoSuchTask(NotFound):
    """A workflow has no task of a name.

    Args:
        workflow: Name of the workflow.
        task: The name.
    """

    def __init__(self, workflow: str, task: str) -> None:
        super().__init__(f"The workflow '{workflow}' has no task '{task}'.")
        self.workflow, self.task = workflow, task


class ConditionFailed(SlipwayError):
    """The caller makes the request depend on what there is, and it is something else."""

    code = "precondition_failed"


class Conflict(SlipwayError):
    """The thing is in a state that does not allow this."""

    code = "conflict"


class Ambiguous(Conflict):
    """A name fits several things; ``fields`` lists the candidates."""

    code = "ambiguous"


class Busy(Conflict):
    """A task runs already, or a run of it was asked for that has not begun."""


class Superseded(Conflict):
    """An ended execution goes on in another one already."""


class Taken(Conflict):
    """Another thing has the id, or the name."""


class Outdated(Conflict):
    """Another version was uploaded since the one that a new one is made from.

    Args:
        workflow_id: The workflow.
        base: Number of the version that the new one is made from.
        offered: Number of the one that is offered now; None where none is.
    """

    def __init__(self, workflow_id: str, base: int, offered: int | None) -> None:
        now = f"version {offered} is offered" if offered else "it is not there any more"
        super().__init__(
            f"The workflow '{workflow_id}' has changed: this was made from version {base}, and "
            f"{now} by now."
        )
        self.offered = offered


class MadeAlready(Taken):
    """What is wanted was made before, by the same wish; its secret is told once only."""


class OfferedElsewhere(Taken):
    """What another orchestrator offers has the id; with two of them it would name neither.

    Args:
        workflow_id: The id.
        orchestrator: Name of that orchestrator; None where it is not known.
        owner: Username of who owns the workflow there; empty for the operators of the service, None
            where it is not known.
        is_own: That is who wants the id.
    """

    def __init__(
        self,
        workflow_id: str,
        orchestrator: str | None = None,
        owner: str | None = None,
        *,
        is_own: bool = False,
    ) -> None:
        where = (
            "Another orchestrator" if orchestrator is None else f"The orchestrator '{orchestrator}'"
        )
        whose = {None: "", "": " of the operators of the service"}.get(owner, f" of '{owner}'")
        if is_own:
            text = (
                f"offers your workflow '{workflow_id}' already: remove it there, or use another id."
            )
        else:
            text = f"offers a workflow '{workflow_id}'{whose} already: use another id."
        super().__init__(f"{where} {text}")
        self.workflow_id = workflow_id


class KeyOfPurged(Conflict):
    """What was launched with an idempotency key was purged, and the key is never used again."""

    code = "purged"


class NameTaken(Taken):
    """A workflow stands under the name, or once did.

    Args:
        name: The name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a workflow '{name}' already, or was one.")
        self.name = name


class NotRunnable(Conflict):
    """A workflow cannot be started as it is now.

    Args:
        name: Its name.
        runs: It runs already; else it has no tasks.
    """

    def __init__(self, name: str, *, runs: bool) -> None:
        super().__init__(f"The workflow '{name}' {'runs already' if runs else 'has no tasks'}.")
        self.name, self.runs = name, runs


class TaskOpen(Conflict):
    """A task runs, or is to run in an execution that has not ended.

    Args:
        workflow: Name of the workflow.
        task: Name of the task.
    """

    def __init__(self, workflow: str, task: str) -> None:
        super().__init__(f"The task '{task}' of the workflow '{workflow}' runs, or is to run.")
        self.workflow, self.task = workflow, task


class LimitExceeded(SlipwayError):
    """More than the service or this caller is allowed."""

    code = "limit_exceeded"
    retryable = True


class QuotaExceeded(LimitExceeded):
    """More than a policy allows that has a name.

    Args:
        message: Sentence that a caller may see.
        policies: The names.
        retry_after_seconds: When trying again makes sense, if that is known.
    """

    code = "quota_exceeded"

    def __init__(
        self,
        message: str,
        policies: Iterable[str] = (),
        *,
        retry_after_seconds: float | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds, **more)
        self.policies = tuple(policies)

    def again(self) -> Self:
        """Return a new error that says the same."""
        copy = super().again()
        copy.policies = self.policies
        return copy


class CapabilityMissing(SlipwayError):
    """The orchestrator behind this has no such ability."""

    code = "not_implemented"


class NodesMissing(SlipwayError):
    """There are no nodes that could do this, or too few; later there may be."""

    code = "nodes_missing"
    retryable = True


class ConfigError(SlipwayError):
    """The settings do not make a working service; every fault is in ``fields``."""

    code = "invalid_config"


class UpstreamError(SlipwayError):
    """Something behind the gateway failed."""

    code = "upstream_error"
    retryable = True


class UpstreamRefused(UpstreamError):
    """The upstream understood the request and refused it."""

    code = "upstream_refused"
    retryable = False


class UpstreamGarbled(UpstreamError):
    """The upstream answered something that makes no sense."""

    code = "upstream_garbled"


class UpstreamUnreachable(UpstreamError):
    """The upstream surely did not receive the request."""

    code = "upstream_unreachable"


class StoreUnavailable(UpstreamUnreachable):
    """Our own database cannot be used at the moment; the message says why."""

    code = "store_unavailable"


class UpstreamTimeout(UpstreamError):
    """The upstream may have received the request; its answer did not arrive."""

    code = "upstream_timeout"
