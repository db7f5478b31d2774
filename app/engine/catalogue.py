"""The workflow definitions that the engine offers: uploaded ones, and those of a folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace as changed
from typing import Final

from app.clients.offers import Offers
from app.domain import DefinitionSource, DefinitionText, DefinitionVersion, Role
from app.engine.compiled import Compiled
from app.engine.folder import DefinitionFolder, FaultyFile
from app.errors import Conflict, NotFound, NotOwner, Taken
from app.json_schema import normal
from app.store.execution_rows import now
from app.store.owners import MayEdit
from app.store.standing import Along
from app.store.uploads import Quota, Upload, UploadedDefinitions

_SUMMARY = ("id", "name", "description", "digest", "asks", "spaced", "kept_by")


TYPE: Final = "engine"
"""Of these definitions, among those of all orchestrators."""

OPERATORS: Final = ""
"""Owner of what is in the folder."""

QuotaOf = Callable[[frozenset[Role]], Quota]


class Catalogue:
    """Offers what users uploaded, from the store, and beside it what operators put into a folder.

    Where both have an id, the uploaded definition is offered, and the file is listed with that
    fault. So all machines offer the same uploads at once, whatever their folders hold.

    Args:
        uploads: The uploaded definitions.
        folder: The folder; never written to.
        quota_of: How much a user of some roles may upload.
        offers: What other orchestrators offer.
    """

    def __init__(
        self,
        uploads: UploadedDefinitions,
        folder: DefinitionFolder,
        quota_of: QuotaOf,
        *,
        offers: Offers | None = None,
    ) -> None:
        self._offers = offers or Offers()
        self._uploads = uploads
        self._folder = folder
        self._quota_of = quota_of

    def all(self) -> list[Compiled]:
        """List the definitions, by id."""
        offered = {compiled.id: compiled for compiled in self._folder.all()}
        offered |= {upload.workflow_id: _compiled(upload) for upload in self._uploads.all()}
        return sorted(offered.values(), key=lambda compiled: compiled.id)

    def get(self, workflow_id: str) -> Compiled:
        """Find a definition; a file that is being read is waited for.

        Raises:
            NotFound: None has this id.
        """
        found = self._find(workflow_id)
        if found is None:
            raise NotFound(f"There is no workflow '{workflow_id}'.")
        return found

    def owner_of(self, workflow_id: str) -> str | None:
        """Return who owns a definition, ``OPERATORS`` for a file; None if there is none."""
        found = self._find(workflow_id)
        return None if found is None else found.owner or OPERATORS

    def search(self, reference: str) -> list[Compiled]:
        """Find definitions by id, or else by name, in one look at the folder at most."""
        upload = self._uploads.get(reference)
        if upload is not None:
            return [_compiled(upload)]
        offered = {compiled.id: compiled for compiled in self._folder.all()}
        if reference in offered:
            return [offered[reference]]
        offered |= {upload.workflow_id: _compiled(upload) for upload in self._uploads.all()}
        name = normal(reference)
        return [c for _, c in sorted(offered.items()) if normal(c.name) == name]

    def faults(self) -> list[FaultyFile]:
        """Return which files are not offered as they are, and why."""
        return self._folder.faults({upload.workflow_id for upload in self._uploads.all()})

    def add(
        self,
        compiled: Compiled,
        document: str | DefinitionSource,
        username: str,
        *,
        replace: bool,
        roles: frozenset[Role] = frozenset(),
        along: Along = lambda _: None,
        may_edit: MayEdit = lambda _: True,
        owner: str = "",
        base: int | None = None,
    ) -> tuple[Compiled, bool]:
        """Store an uploaded definition; on return the disk has it, and every machine offers it.

        Args:
            compiled: The definition.
            document: Its text.
            username: Who uploaded it.
            replace: Take the place of one of the same id.
            roles: Their roles.
            along: What the store writes in the same transaction.
            may_edit: Whose it may take the place of.
            owner: Who is to own a new one, if not who uploaded it.
            base: Number of the version that it must take the place of; None for any.

        Returns:
            It as it is offered, and whether none was under its id before.

        Raises:
            Taken: One is, and it is not to be replaced.
            OfferedElsewhere: Another orchestrator offers one of its id.
            NotOwner: It is of somebody else, or in a file, which is of the operators.
            Outdated: Another version is offered, or none.
            Conflict: There are too many, or the user has uploaded too many or too much.
        """
        before = self._find(compiled.id)
        if before is not None and not replace:
            raise Taken(f"There is a workflow '{compiled.id}' already; replace it instead.")
        if before is not None and before.owner is None and not may_edit(OPERATORS):
            raise NotOwner(compiled.id, OPERATORS)
        upload = changed(as_upload(compiled, username), owner=owner)
        claim = self._offers.claimed(TYPE, compiled.id, username)
        with claim if before is None else nullcontext():
            kept = self._uploads.put(
                upload, document, self._quota_of(roles), replace=replace, along=along,
                may_edit=may_edit, base=base,
            )  # fmt: skip
        return _compiled(kept), before is None

    def text(self, workflow_id: str, number: int | None) -> DefinitionText:
        """Return the text of a definition, as it was uploaded or as its file holds it.

        Args:
            workflow_id: Its id.
            number: Of a version; None for what is offered now.

        Raises:
            NotFound: There is no such definition or version, or it is not kept any more.
            Conflict: It is in a file, which holds something else by now.
        """
        found = self.get(workflow_id)
        version = found.version if number is None else number
        if version is None:
            return self._folder.text(found)
        return self._uploads.versions.get(workflow_id, version)

    def versions(self, workflow_id: str) -> list[DefinitionVersion]:
        """List the versions that are kept, the newest first; none of what is in a file.

        Raises:
            NotFound: There is no such definition.
        """
        if self.get(workflow_id).version is None:
            return []
        return self._uploads.versions.all(workflow_id)

    def remove(self, workflow_id: str, may_edit: MayEdit = lambda _: True) -> None:
        """Remove an uploaded definition; a file of the same id is offered from then on.

        Args:
            workflow_id: Its id.
            may_edit: Whose it may be.

        Raises:
            NotFound: None has this id.
            NotOwner: It is of somebody else.
            Conflict: It is not uploaded, but in a file.
        """
        if self._uploads.remove(workflow_id, may_edit):
            return
        files = ", ".join(self._folder.names_of(workflow_id))
        if not files:
            raise NotFound(f"There is no workflow '{workflow_id}'.")
        raise Conflict(
            f"The workflow '{workflow_id}' was not uploaded: it comes from the folder of workflows "
            f"({files}), and only an operator of the service can remove it there."
        )

    def withdraw(self, workflow_id: str, along: Along) -> None:
        """Offer an uploaded definition no more, of a workflow that goes on to stand.

        Args:
            workflow_id: Its id.
            along: What the store writes in the same transaction.
        """
        self._uploads.withdraw(workflow_id, along)

    def settle(self) -> bool:
        """Wait for the files that are being read.

        Returns:
            Whether there were any, or were until just now.
        """
        return self._folder.settle()

    def _find(self, workflow_id: str) -> Compiled | None:
        upload = self._uploads.get(workflow_id)
        return self._folder.find(workflow_id) if upload is None else _compiled(upload)


def as_upload(compiled: Compiled, username: str) -> Upload:
    """Make what the store keeps of a definition that a user uploads now."""
    summary = {name: getattr(compiled, name) for name in _SUMMARY}
    return Upload(compiled.id, compiled.key, summary, username, now())


def _compiled(upload: Upload) -> Compiled:
    loaded = Compiled.load(upload.key, upload.summary)
    return changed(loaded, owner=upload.owner, version=upload.version)
