"""Who sees what: the one place that knows, for single executions, lists and event streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from app.clients.orchestrator import Capability, Orchestrator, adopter
from app.domain import ExecutionFilter, ExecutionSummary, Identity, Permission, Tombstone
from app.errors import Hidden
from app.identity.authenticators import Authenticators
from app.identity.permissions import is_allowed
from app.store.owners import MayEdit

NOBODY = ""
"""Owner of an execution that was started elsewhere."""

Caller = Callable[[], Identity]
"""Returns who a reader is by now; raises NotAuthenticated when their credential does not hold."""


def is_theirs(owner: str, identity: Identity) -> bool:
    """Return whether what an owner has is a user's to see and run: their own, or everybody's."""
    return owner == identity.username or is_allowed(identity, Permission.EXECUTIONS_ALL)


def editor(identity: Identity) -> MayEdit:
    """Return what says whose definitions a user may replace and remove: by the owner."""

    def may_edit(owner: str) -> bool:
        mine = bool(owner) and owner == identity.username
        return mine or is_allowed(identity, Permission.WORKFLOWS_ALL)

    return may_edit


class Access:
    """Who may know of which execution, and whether a credential still holds.

    An execution belongs to who started it, and operators see all. Where the orchestrator says for
    each application who may use it, those whom it lets in also see what nobody here started, and
    developers among them see everybody's.

    Args:
        orchestrators: The orchestrators by name.
        authenticators: Know whether a credential still holds.
        recheck_seconds: How often they are asked while a request lasts.
    """

    def __init__(
        self,
        orchestrators: Mapping[str, Orchestrator],
        authenticators: Authenticators,
        recheck_seconds: float,
    ) -> None:
        self._orchestrators = orchestrators
        self._authenticators = authenticators
        self._recheck_seconds = recheck_seconds

    def recheck(self, identity: Identity) -> Identity:
        """Check the credential of a user again, and return who they are now.

        Raises:
            NotAuthenticated: The credential does not hold any more.
        """
        return self._authenticators.recheck(identity)

    def caller(self, identity: Identity) -> Caller:
        """Return a function that checks the credential of a user again; see :meth:`recheck`."""
        return partial(self.recheck, identity)

    def watch(self, identity: Identity, caller: Caller | None = None) -> Watch:
        """Return a watch over the credential of the caller of a long request.

        Args:
            identity: Who the caller is now.
            caller: Checks them; by the credential of the identity unless given.
        """
        return Watch(identity, caller or self.caller(identity), self._recheck_seconds)

    def require_visible(self, execution: ExecutionSummary, identity: Identity) -> None:
        """Check that a user may see an execution.

        Raises:
            Hidden: They may not, so to them there is none.
            UpstreamError: Its orchestrator would have to be asked, and does not answer.
        """
        if self.lists(execution, identity):
            return
        shared = execution.owner == NOBODY or is_allowed(identity, Permission.EXECUTIONS_SHARED)
        if not shared or not self._lets_in(execution, identity):
            raise Hidden("There is no such execution.")

    def lists(self, execution: ExecutionSummary | Tombstone, identity: Identity) -> bool:
        """Return whether a user's lists and event streams hold an execution.

        Those hold what the store alone can tell: no orchestrator is asked for each execution.
        """
        return is_theirs(execution.owner, identity)

    def owner_listed(self, identity: Identity) -> str | None:
        """Return the owner whose executions alone a user's lists hold; None for everybody's."""
        return None if is_allowed(identity, Permission.EXECUTIONS_ALL) else identity.username

    def within(self, wanted: ExecutionFilter, identity: Identity) -> ExecutionFilter | None:
        """Restrict a list to what a user may see; None if that is nothing."""
        owner = self.owner_listed(identity)
        if owner is None:
            return wanted
        if wanted.owners is not None and owner not in wanted.owners:
            return None
        return replace(wanted, owners=frozenset((owner,)))

    def _lets_in(self, execution: ExecutionSummary, identity: Identity) -> bool:
        orchestrator = self._orchestrators.get(execution.orchestrator)
        if orchestrator is None or Capability.ADOPT not in orchestrator.capabilities:
            return False
        return adopter(orchestrator).lets_in(execution.workflow_id, identity)


class Watch:
    """Checks now and then that the caller of a long request may go on with it.

    Args:
        identity: Who the caller is at the beginning.
        caller: Returns who they are by now.
        every_seconds: Time from one check to the next; one is made when the credential expires,
            too.
    """

    __slots__ = ("_caller", "_due_at", "_every_seconds", "identity")

    def __init__(self, identity: Identity, caller: Caller, every_seconds: float) -> None:
        self._caller = caller
        self._every_seconds = every_seconds
        self._plan(identity)

    def seconds_left(self) -> float:
        """Return the seconds until the next check; 0 when it is due."""
        return max(0.0, self._due_at - time.monotonic())

    def check(self) -> bool:
        """Check the caller if that is due; ``identity`` is who they are then.

        Returns:
            Whether it was due, so that what they may see should be looked at again.

        Raises:
            NotAuthenticated: The credential does not hold any more.
        """
        if self.seconds_left():
            return False
        self.renew()
        return True

    def renew(self) -> None:
        """Check the caller now.

        Raises:
            NotAuthenticated: The credential does not hold any more.
        """
        # Set before the check: where that fails (the store is away), the next one is not at once.
        self._due_at = time.monotonic() + self._every_seconds
        self._plan(self._caller())

    def _plan(self, identity: Identity) -> None:
        self.identity, left = identity, self._every_seconds
        # Checked at the very end of the credential, too, so that nothing is held beyond it.
        expires_at = identity.credential.expires_at
        if expires_at is not None:
            left = min(left, (expires_at - datetime.now(UTC)).total_seconds())
        self._due_at = time.monotonic() + left
