"""Purging executions: their owners and operators remove for good what has ended."""

from __future__ import annotations

import structlog

from app.domain import Identity, Permission
from app.errors import NotAllowed
from app.identity.permissions import require
from app.services.access import is_theirs
from app.services.executions import ExecutionService
from app.store.purging import Purging

log = structlog.get_logger(__name__)


class PurgeService:
    """Purges single executions, as users ask for it; conductors purge what is old.

    Args:
        purging: Those in the store.
        known: Finds the executions that somebody may know of.
    """

    def __init__(self, purging: Purging, known: ExecutionService) -> None:
        self._purging = purging
        self._known = known

    def purge(self, execution_id: str, identity: Identity) -> None:
        """Purge an execution: from here on nobody sees it, and conductors remove what it left.

        Raises:
            NotFound: There is none that this user may know of.
            Purged: There was one of theirs.
            NotAllowed: They lack the permission, or see it although it is another one's.
            Conflict: It has not ended, or another one goes on from it.
        """
        execution = self._known.get(execution_id, identity)
        require(identity, Permission.EXECUTIONS_PURGE)
        if not is_theirs(execution.owner, identity):
            raise NotAllowed("Only its owner and operators may purge an execution.")
        self._purging.purge(execution.number, identity.username)
        log.info("execution purged", execution=execution.id, by=identity.username)
