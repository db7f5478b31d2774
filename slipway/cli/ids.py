"""Which execution is meant: by its id, the beginning of it, one of its names, or as the latest one.

Whatever was typed, the commands go on with the whole id: what the service tells of an execution by
another name is in the words of another API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

from slipway.cli.codes import ExitCode, Failure
from slipway.cli.executions import workflow_of
from slipway.cli.output import clean
from slipway.cli.times import ago
from slipway.cli.views import length_of_ids

if TYPE_CHECKING:
    from slipway.cli.shell import Shell
    from slipway.execution import Execution

LATEST: Final = "@latest"
ME: Final = "@me"
"""Who asks, as the service understands it in the filter ``owner``."""
HELP: Final = (
    "An execution is named by its id or any unique beginning of it, by one of its names, or by "
    "@latest or @latest:WORKFLOW; left out, it is your latest one."
)

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f-]+")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,160}")
_MOST_CANDIDATES: Final = 5
_MOST_LOOKED_AT: Final = 10_000
"""Executions that are looked through where the service cannot find one by the beginning of its id:
an older one takes no notice of that filter."""
_PAGE: Final = 1000


def find(shell: Shell, reference: str | None = None) -> Execution:
    """Return the execution that somebody means.

    Args:
        shell: Asks the service.
        reference: What was typed; None for one's own latest. An empty text, as of a
            variable that is not set, means none.

    Raises:
        Failure: There is none (code 4), or what was typed can mean several (code 2).
        SlipwayError: The service refuses otherwise, or cannot be reached.
    """
    if reference is None:
        return _latest(shell, None)
    word, colon, workflow = reference.partition(":")
    if word == LATEST and (workflow or not colon):
        return _latest(shell, workflow or None)
    if not _NAME.fullmatch(reference):
        raise Failure(f"'{clean(reference)}' is no id of an execution.", hint=HELP)
    if _HEXADECIMAL.fullmatch(reference):
        reference = reference.lower()
    if _ID.fullmatch(reference):
        return _whole(shell, reference)
    return _only(shell, reference)


def find_all(shell: Shell, references: Sequence[str]) -> list[Execution]:
    """Return the executions that somebody means, each once; one's own latest where none is named.

    Raises:
        Failure: As :func:`find`; nothing is done to any of them then.
        SlipwayError: The service refuses otherwise, or cannot be reached.
    """
    found = [find(shell, reference) for reference in references or (None,)]
    return list({execution.id: execution for execution in found}.values())


def matches(execution: Execution, reference: str) -> bool:
    """Whether what was typed can mean an execution."""
    seen = execution.seen
    names = (seen.execution_id, seen.upstream_id)
    return seen.id.startswith(reference) or any(
        name is not None and name.startswith(reference) for name in names
    )


def _whole(shell: Shell, id_: str) -> Execution:
    from slipway.errors import NotFound  # noqa: PLC0415  (it is loaded with the client)

    client = shell.client
    try:
        return client.execution(id_)
    except NotFound as exc:
        raise _none(str(exc)) from None


def _latest(shell: Shell, workflow: str | None) -> Execution:
    for owner in _oneself(shell):
        found = next(shell.client.executions(owner=owner, workflow=workflow, page_size=1), None)
        if found is not None:
            return found
    of = f" of {clean(workflow)}" if workflow else ""
    raise _none(f"You have no execution{of} yet.")


def _oneself(shell: Shell) -> Iterable[str]:
    """Yield what one may be called in the filter for owners; an older service knows names only."""
    yield ME
    login = shell.target.login
    if login.user:
        yield login.user
    elif login.kind == "none":
        yield "anonymous"


def _only(shell: Shell, reference: str) -> Execution:
    """Return the only execution that what was typed can mean."""
    listed = shell.client.executions(id=reference, page_size=_MOST_CANDIDATES + 1)
    found = list(islice(listed, _MOST_CANDIDATES + 1))
    if not all(matches(execution, reference) for execution in found):
        latest = islice(shell.client.executions(page_size=_PAGE), _MOST_LOOKED_AT)
        fitting = (execution for execution in latest if matches(execution, reference))
        found = list(islice(fitting, _MOST_CANDIDATES + 1))
    exact = [each for each in found if reference in (each.seen.execution_id, each.seen.upstream_id)]
    found = exact or found
    if not found:
        raise _none(f"There is no execution {clean(reference)}.")
    if len(found) > 1:
        raise _ambiguous(reference, found)
    return found[0]


def _none(message: str) -> Failure:
    hint = "slipway ps -a lists all that you may see."
    return Failure(message, hint=hint, code=ExitCode.REFUSED)


def _ambiguous(reference: str, found: Sequence[Execution]) -> Failure:
    now = datetime.now(UTC)
    length = length_of_ids([execution.id for execution in found])
    told = []
    for execution in found[:_MOST_CANDIDATES]:
        seen = execution.seen
        when = f" {ago(seen.created_at, now)}" if seen.created_at else ""
        told.append(f"{seen.id[:length]} ({clean(workflow_of(seen))} {seen.state}{when})")
    more = ", and others" if len(found) > _MOST_CANDIDATES else ""
    return Failure(
        f"'{clean(reference)}' can mean {len(told)}{'+' if more else ''} executions.",
        hint=f"Type more of it: {', '.join(told)}{more}",
    )
