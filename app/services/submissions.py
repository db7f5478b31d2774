"""Definitions that are submitted: checked, kept, offered and launched in one call."""

from __future__ import annotations

from collections.abc import Mapping

from app.clients.orchestrator import Capability, Orchestrator, submitter
from app.domain import JSON, Execution, Identity, Permission
from app.errors import CapabilityMissing
from app.identity.permissions import require
from app.services.access import editor
from app.services.launching import LaunchService


class SubmissionService:
    """Takes definitions of virtual users, and launches them.

    Args:
        orchestrators: The orchestrators by name.
        launching: Launches.
    """

    def __init__(self, orchestrators: Mapping[str, Orchestrator], launching: LaunchService) -> None:
        self._takers = [o for o in orchestrators.values() if Capability.SUBMIT in o.capabilities]
        self._launching = launching

    @property
    def orchestrator(self) -> str:
        """Name of the orchestrator that takes submissions: what it runs is of this API.

        Raises:
            CapabilityMissing: None does; it is switched off.
        """
        return self._taker().name

    def submit(
        self,
        definition: str | Mapping[str, JSON],
        identity: Identity,
        *,
        key: str | None = None,
    ) -> Execution:
        """Check a definition, offer it as a workflow from now on, and launch it, once.

        Whoever submits makes machines send requests to addresses of their choice, so that needs
        the permission of uploads.

        Args:
            definition: The text of one, or the object that it says.
            identity: Who submits it, and will own the execution.
            key: The same key with the same definition gives the same execution again.

        Returns:
            The execution. Its id, its name (``awf_name``) and its ``exec-`` id (``upstream_id``)
            are all good for each service.

        Raises:
            CapabilityMissing: No orchestrator takes submissions.
            NotAllowed: The caller lacks the permission.
            InvalidDefinition: With every fault of the definition, and each limit of the caller that
                it goes beyond.
            NotOwner: It would take the place of somebody else's, and the caller is no operator.
            NodesMissing: There are no nodes for it, or they cannot carry it; nothing is launched.
            Conflict: The key was used for another definition.
            LimitExceeded: The caller has as many executions that have not ended as they may, or too
                many definitions that wait to be checked.
        """
        taker = self._taker()
        require(identity, Permission.WORKFLOWS_WRITE)
        used = self._launching.used(key, identity, definition, taker.name)
        earlier = self._launching.earlier(used, identity)
        if earlier is not None:
            return earlier
        found = submitter(taker).submit(definition, identity, may_edit=editor(identity))
        return self._launching.launch_found(taker, found, identity, used=used)

    def _taker(self) -> Orchestrator:
        if not self._takers:
            raise CapabilityMissing("No orchestrator takes submissions: virtual users are off.")
        return self._takers[0]
