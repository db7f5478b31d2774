"""The workflows of virtual users: definitions that users submitted, all of them in the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.caching import SharedReads
from app.clients.offers import Offers
from app.domain import (
    JSON,
    DefinitionSource,
    DefinitionText,
    DefinitionVersion,
    Identity,
)
from app.errors import FieldError, InvalidDefinition, NotFound, Taken
from app.json_schema import normal
from app.load import definition as definitions
from app.load.definition import Definition
from app.load.limits import faults_of
from app.memory import LOAD_DEFINITIONS_BYTES
from app.settings import Allowance
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots, digest_of
from app.store.execution_rows import now
from app.store.load_definitions import LoadDefinitions, SubmittedDefinition
from app.store.owners import MayEdit

if TYPE_CHECKING:
    from app.load.parsing import Parser

TYPE: Final = "load"
"""Of these definitions, among those of all orchestrators."""

AllowanceOf = Callable[[Identity], Allowance]


@dataclass(frozen=True, slots=True)
class _Read:
    """A definition that was read.

    Attributes:
        size_bytes: About what it takes of memory.
    """

    definition: Definition
    size_bytes: int


class LoadCatalogue:
    """Checks definitions, and offers those that were submitted.

    Args:
        database: The store.
        allowance_of: What somebody may ask for.
        most_versions: How many versions of each are kept.
        offers: What other orchestrators offer.
    """

    def __init__(
        self,
        database: Database,
        allowance_of: AllowanceOf,
        most_versions: int = 20,
        *,
        offers: Offers | None = None,
    ) -> None:
        self._offers = offers or Offers()
        self._submitted = LoadDefinitions(database, most_versions)
        self._snapshots = DefinitionSnapshots(database)
        self._allowance_of = allowance_of
        self._parser: Parser | None = None
        self._read: SharedReads[str, _Read] = SharedReads(
            self._of_digest, LOAD_DEFINITIONS_BYTES, weigh=lambda read: read.size_bytes
        )

    def all(self) -> list[SubmittedDefinition]:
        """List what is offered, by id."""
        return self._submitted.all()

    def get(self, workflow_id: str) -> SubmittedDefinition:
        """Find what is offered under an id.

        Raises:
            NotFound: Nothing is.
        """
        found = self._submitted.get(workflow_id)
        if found is None:
            raise NotFound(f"There is no workflow '{workflow_id}'.")
        return found

    def owner_of(self, workflow_id: str) -> str | None:
        """Return who owns what is offered under an id; None if nothing is."""
        found = self._submitted.get(workflow_id)
        return None if found is None else found.owner

    def search(self, reference: str) -> list[SubmittedDefinition]:
        """Find what is offered under an id, or else under a name."""
        found = self._submitted.search(reference, normal(reference))
        return [one for one in found if one.workflow_id == reference] or found

    def text(self, workflow_id: str, number: int | None) -> DefinitionText:
        """Read the text of a version, as it was submitted; the last one's unless a number is given.

        Raises:
            NotFound: There is none, or it is not kept any more.
        """
        version = self.get(workflow_id).version if number is None else number
        return self._submitted.versions.get(workflow_id, version)

    def versions(self, workflow_id: str) -> list[DefinitionVersion]:
        """List the versions that are kept, the newest first.

        Raises:
            NotFound: There is no such workflow.
        """
        return self._submitted.versions.all(self.get(workflow_id).workflow_id)

    def remove(self, workflow_id: str, may_edit: MayEdit = lambda _: True) -> None:
        """Offer a definition no more; executions of it go on.

        Args:
            workflow_id: Its id.
            may_edit: Whose it may be.

        Raises:
            NotFound: There is none.
            NotOwner: It is of somebody else.
        """
        if not self._submitted.remove(workflow_id, may_edit):
            raise NotFound(f"There is no workflow '{workflow_id}'.")

    def add(
        self,
        source: str | DefinitionSource | Mapping[str, JSON],
        identity: Identity,
        *,
        instead_of: str | None = None,
        replace: bool = True,
        may_edit: MayEdit = lambda _: True,
        base: int | None = None,
    ) -> tuple[SubmittedDefinition, bool]:
        """Check a definition, and offer it.

        Args:
            source: The text of one, or the object that it says.
            identity: Who submits it.
            instead_of: Id or name that it must have; None for any.
            replace: It takes the place of any earlier one of the same id.
            may_edit: Whose it may take the place of.
            base: Number of the version that it must take the place of; None for any.

        Returns:
            It, and whether none was offered under its id before.

        Raises:
            InvalidDefinition: With all of its faults.
            Taken: There is one of its id, and it is not to be replaced.
            OfferedElsewhere: Another orchestrator offers one of its id.
            NotOwner: There is one of somebody else.
            Outdated: Another version is offered, or none.
            LimitExceeded: Too many definitions of this user wait to be checked.
        """
        content = source.text if isinstance(source, DefinitionSource) else source
        found = self.checked(content, identity)
        written = _written(source)
        allowance = self._allowance_of(identity)
        if instead_of is not None and normal(instead_of) not in (found.id, normal(found.name)):
            fault = FieldError("id", f"must be '{instead_of}', which it is to replace")
            raise InvalidDefinition("The definition is for another workflow.", fields=(fault,))
        document = definitions.to_json(found)
        text = json.dumps(document, separators=(",", ":"))
        new = self._submitted.get(found.id) is None
        if not new and not replace:
            raise Taken(f"There is a workflow '{found.id}' already; replace it instead.")
        submitted = SubmittedDefinition(
            found.id, normal(found.name), found.description, digest_of(document), len(text),
            identity.username, now(),
        )  # fmt: skip
        with self._offers.claimed(TYPE, found.id, identity.username) if new else nullcontext():
            kept = self._submitted.put(
                submitted, text, allowance.definitions, allowance.definition_bytes,
                source=written, may_edit=may_edit, base=base,
            )  # fmt: skip
        return kept, new

    def checked(self, source: str | Mapping[str, JSON], identity: Identity) -> Definition:
        """Return what a definition says, which its user may ask for.

        Raises:
            InvalidDefinition: With all of its faults.
            LimitExceeded: Too many definitions of this user wait to be checked.
        """
        found = self._parse(source, identity.username)
        self.require_allowed(found, identity)
        return found

    def _parse(self, source: str | Mapping[str, JSON], owner: str) -> Definition:
        if self._parser is None:
            # Conductors need none, nor all that checking definitions takes.
            from app.load.parsing import Parser  # noqa: PLC0415

            self._parser = Parser()
        return self._parser.parse(source, owner)

    def require_allowed(self, found: Definition, identity: Identity) -> None:
        """Check that somebody may ask for what a definition asks for.

        Raises:
            InvalidDefinition: With each limit that it goes beyond.
        """
        faults = faults_of(found.options, self._allowance_of(identity))
        if faults:
            text = f"The workflow definition '{found.id}' asks for more than you may have."
            raise InvalidDefinition(text, fields=faults)

    def of(self, digest: str) -> Definition:
        """Read a definition by its digest.

        Raises:
            NotFound: It is gone.
        """
        return self._read.get(digest).definition

    def keep(self, definition: Definition) -> str:
        """Keep a definition as an execution has it; return its digest."""
        return self._snapshots.keep(definitions.to_json(definition))

    def _of_digest(self, digest: str) -> _Read:
        document = self._snapshots.get(digest)
        size = 4 * len(json.dumps(document))  # of objects, when that is text
        return _Read(definitions.of_json(document), size)


def _written(source: str | DefinitionSource | Mapping[str, JSON]) -> DefinitionSource:
    """Return a valid definition as a text: as it was written, or an object as JSON."""
    if isinstance(source, DefinitionSource):
        return source
    if isinstance(source, str):
        return DefinitionSource(source)
    return DefinitionSource(json.dumps(source, ensure_ascii=False), "application/json")
