"""Who offers which ids: orchestrators that take definitions know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from app.errors import OfferedElsewhere

OwnerOf = Callable[[str], str | None]
"""Returns the username of who owns the workflow of an id, empty for the operators of the service;
None where there is no such workflow."""

_SHARED_AS: Final = "offers"


class Offers:
    """What the orchestrators of a process that take definitions offer.

    Those of one type share their definitions, and see to it by themselves that each has one id.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, OwnerOf]] = {}

    @classmethod
    def among(cls, shared: dict[str, Any]) -> Offers:
        """Return the one that the orchestrators of a process share."""
        found: Offers = shared.setdefault(_SHARED_AS, cls())
        return found

    def add(self, type_: str, orchestrator: str, owner_of: OwnerOf) -> None:
        """Note who offers what.

        Args:
            type_: The sort of definitions.
            orchestrator: Name of the orchestrator that offers them; of several, the first counts.
            owner_of: Tells whose they are.
        """
        self._known.setdefault(type_, (orchestrator, owner_of))

    @contextmanager
    def claimed(self, type_: str, workflow_id: str, username: str) -> Iterator[None]:
        """Store a definition under an id that is new to those of its type.

        The store decides between two who claim one id at the same moment; it does not know the
        files of operators, nor what orchestrators are called.

        Args:
            type_: The sort of the definition.
            workflow_id: The id.
            username: Who claims it.

        Raises:
            OfferedElsewhere: It is that of a workflow of another type.
        """
        self._require_free(type_, workflow_id, username)
        try:
            yield
        except OfferedElsewhere:
            self._require_free(type_, workflow_id, username)
            raise

    def _require_free(self, type_: str, workflow_id: str, username: str) -> None:
        for other, (orchestrator, owner_of) in self._known.items():
            owner = None if other == type_ else owner_of(workflow_id)
            if owner is not None:
                raise OfferedElsewhere(workflow_id, orchestrator, owner, is_own=owner == username)
