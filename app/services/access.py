"""Who may do what."""

from __future__ import annotations

from collections.abc import Mapping

from app.clients.orchestrator import Capability, Orchestrator, adopter
from app.domain import Execution, Identity, Role
from app.errors import NotAllowed, NotFound

NOBODY = ""
"""Owner of an execution that was started elsewhere."""


def require_role(identity: Identity, role: Role) -> None:
    """Make sure that somebody holds a role.

    Raises:
        NotAllowed: He does not.
    """
    if not identity.has(role):
        raise NotAllowed(f"This needs the role '{role}'.")


def sees_everything(identity: Identity) -> bool:
    """Tell whether somebody sees the executions of all users."""
    return identity.has(Role.OPERATOR)


class Access:
    """Who may know of an execution.

    It belongs to who started it, and operators see all. Where the orchestrator says for each
    application who may use it, those whom it lets in also see what nobody here started, and
    developers among them see everybody's.

    Args:
        orchestrators: The orchestrators by name.
    """

    def __init__(self, orchestrators: Mapping[str, Orchestrator]) -> None:
        self._orchestrators = orchestrators

    def require_visible(self, execution: Execution, identity: Identity) -> None:
        """Make sure that somebody may know of an execution.

        Raises:
            NotFound: He may not, so to him there is none.
            UpstreamError: Its orchestrator would have to be asked, and does not answer.
        """
        if execution.owner == identity.username or sees_everything(identity):
            return
        shared = execution.owner == NOBODY or identity.has(Role.DEVELOPER)
        if not shared or not self._lets_in(execution, identity):
            raise NotFound("There is no such execution.")

    def _lets_in(self, execution: Execution, identity: Identity) -> bool:
        orchestrator = self._orchestrators.get(execution.orchestrator)
        if orchestrator is None or Capability.ADOPT not in orchestrator.capabilities:
            return False
        return adopter(orchestrator).lets_in(execution.workflow_id, identity)
