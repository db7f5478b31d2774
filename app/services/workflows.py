"""Workflows: which there are, what they take, and uploading definitions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from app.clients.orchestrator import Capability, Orchestrator, Uploader, uploader
from app.domain import (
    DefinitionSource,
    DefinitionText,
    DefinitionVersion,
    FaultyWorkflow,
    FoundWorkflow,
    Identity,
    Permission,
    Workflow,
    WorkflowDescription,
)
from app.errors import (
    Ambiguous,
    CapabilityMissing,
    Conflict,
    FieldError,
    InvalidDefinition,
    NotFound,
    UnfitDefinition,
    UpstreamError,
)
from app.identity.permissions import is_allowed, require
from app.services.access import editor

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkflowList:
    """Workflows, and what is missing among them.

    Attributes:
        unavailable: The orchestrators that could not tell theirs.
        faulty: Definitions that are not offered as they are, for those who may mend them.
        silent: Orchestrators that do not answer, of which what there is may be old, or is missing;
            each with the moment when this process first saw that.
        offered: How many there are before any is left out that was not asked for.
    """

    workflows: list[Workflow]
    unavailable: list[str]
    faulty: list[FaultyWorkflow] = field(default_factory=list)
    silent: Mapping[str, datetime] = field(default_factory=dict)
    offered: int = 0

    @property
    def stale(self) -> list[str]:
        """The orchestrators that are silent: what there is of theirs is missing, or old."""
        old = {workflow.orchestrator for workflow in self.workflows if workflow.stale}
        return sorted(old | set(self.unavailable))


class WorkflowService:
    """Workflows of all orchestrators.

    Args:
        orchestrators: The orchestrators by name.
    """

    def __init__(self, orchestrators: Mapping[str, Orchestrator]) -> None:
        self._orchestrators = orchestrators
        self._silent_since: dict[str, datetime] = {}

    @property
    def orchestrators(self) -> Collection[str]:
        """The names of all orchestrators, in the order of the settings."""
        return self._orchestrators.keys()

    def find(
        self,
        identity: Identity,
        *,
        name: str | None = None,
        query: str | None = None,
        orchestrator: str | None = None,
        stale: bool = False,
    ) -> WorkflowList:
        """List what a user may launch.

        Args:
            identity: The user.
            name: Only workflows of exactly this name.
            query: Only workflows whose id, name or description holds this text.
            orchestrator: Only workflows of the one with this name.
            stale: Only workflows that may have changed, or be gone.

        Raises:
            UpstreamError: Not one orchestrator answers.
        """
        asked = self._orchestrators
        offered, unavailable = self._ask_each(asked, lambda o: o.workflows(identity))
        text = (query or "").casefold()
        workflows = [
            w
            for w in offered
            if (name is None or w.name == name)
            and orchestrator in (None, w.orchestrator)
            and (w.stale or not stale)
            and text in f"{w.id}\n{w.name}\n{w.description}".casefold()
        ]
        shown = is_allowed(identity, Permission.WORKFLOWS_FAULTS)
        silent = self._note_silence(asked, offered, unavailable)
        faulty = self._faulty() if shown else []
        return WorkflowList(workflows, unavailable, faulty, silent, len(offered))

    def _note_silence(
        self, asked: Iterable[str], offered: Iterable[Workflow], unavailable: Iterable[str]
    ) -> Mapping[str, datetime]:
        """Return since when each orchestrator is silent of those that are.

        Where definitions are uploaded, an old workflow is one whose definition is faulty by now.
        """
        old = {workflow.orchestrator for workflow in offered if workflow.stale}
        silent = {
            name for name in old if Capability.UPLOAD not in self._orchestrators[name].capabilities
        }.union(unavailable)
        moment = datetime.now(UTC)
        for name in asked:
            if name in silent:
                self._silent_since.setdefault(name, moment)
            else:
                self._silent_since.pop(name, None)
        return {name: self._silent_since.get(name, moment) for name in sorted(silent)}

    def _faulty(self) -> list[FaultyWorkflow]:
        return [workflow for taker in self._uploaders() for workflow in taker.faulty()]

    def has_definition(self, workflow: Workflow) -> bool:
        """Return whether a workflow was made of a definition that can be read here."""
        behind = self._orchestrators.get(workflow.orchestrator)
        return behind is not None and Capability.UPLOAD in behind.capabilities

    def taker(self) -> tuple[str, Uploader]:
        """Return the first orchestrator that takes definitions, and its name.

        Raises:
            CapabilityMissing: None does.
        """
        for name, orchestrator in self._orchestrators.items():
            if Capability.UPLOAD in orchestrator.capabilities:
                return name, uploader(orchestrator)
        raise CapabilityMissing("No orchestrator takes definitions.")

    def taker_named(self, orchestrator: str) -> Uploader:
        """Return an orchestrator that took definitions.

        Raises:
            Conflict: It is not configured any more.
            CapabilityMissing: It takes none any more.
        """
        if orchestrator not in self._orchestrators:
            raise Conflict(f"The orchestrator '{orchestrator}' is not configured any more.")
        return uploader(self._orchestrators[orchestrator])

    def _uploaders(self) -> list[Uploader]:
        return [
            uploader(orchestrator)
            for orchestrator in self._orchestrators.values()
            if Capability.UPLOAD in orchestrator.capabilities
        ]

    def describe(
        self, reference: str, identity: Identity, orchestrator: str | None = None
    ) -> WorkflowDescription:
        """Return the inputs, outputs and steps of a workflow.

        Args:
            reference: Its id or its name.
            identity: The user.
            orchestrator: Where to look only.

        Raises:
            NotFound: This user has no such workflow, or nobody such an orchestrator.
            Ambiguous: The name fits several.
            UpstreamError: The orchestrator failed.
        """
        behind, found = self.look_up(reference, identity, orchestrator)
        return behind.describe(found.id, identity)

    def look_up(
        self, reference: str, identity: Identity, orchestrator: str | None = None
    ) -> tuple[Orchestrator, FoundWorkflow]:
        """Find a workflow by id, or else by name; see :meth:`describe`."""
        if orchestrator is not None and orchestrator not in self._orchestrators:
            names = ", ".join(self._orchestrators)
            raise NotFound(f"There is no orchestrator '{orchestrator}'; there are: {names}.")
        asked = [n for n in self._orchestrators if orchestrator in (None, n)]
        found, silent = self._ask_each(asked, lambda o: o.look_up(reference, identity))
        if not found:
            rest = [name for name in asked if name not in silent]
            found, more = self._ask_each(rest, lambda o: o.look_up(reference, identity, anew=True))
            silent += more
        hits = [w for w in found if w.id == reference] or found
        if len(hits) == 1:
            return self._orchestrators[hits[0].orchestrator], hits[0]
        if hits:
            raise Ambiguous(
                f"'{reference}' names {len(hits)} workflows; use the id, or name the orchestrator",
                fields=tuple(
                    FieldError(w.id, f"on the orchestrator '{w.orchestrator}'") for w in hits
                ),
            )
        if silent:
            # It may well be there: "not found" would be a lie.
            names = ", ".join(silent)
            raise UpstreamError(
                f"The orchestrator does not answer: {names}.", retry_after_seconds=5
            )
        raise NotFound(f"There is no workflow '{reference}'.")

    def upload(
        self,
        document: str | DefinitionSource,
        identity: Identity,
        replace: str | None = None,
        *,
        base: int | None = None,
    ) -> tuple[Workflow, bool]:
        """Add a definition, or put one in the place of another.

        Args:
            document: YAML or JSON; a text without its media type is YAML.
            identity: The user.
            replace: Id or name that the definition is for; None adds a new one.
            base: Number of the version that it must take the place of; None for any.

        Returns:
            The workflow, and whether it is new.

        Raises:
            NotAllowed: The user lacks the permission.
            InvalidDefinition: With every fault of the definition.
            NotOwner: It would take the place of somebody else's, and the user is no operator.
            Conflict: There is one with this id already, or the id is another one.
            Outdated: Another version is offered by now.
            OfferedElsewhere: What it is valid for does not have this id, but another orchestrator.
        """
        require(identity, Permission.WORKFLOWS_WRITE)

        def upload(taker: Uploader) -> tuple[Workflow, bool]:
            return taker.upload(document, replace, identity, may_edit=editor(identity), base=base)

        return _first_valid(self._takers(replace, identity), upload)

    def check(self, document: DefinitionSource, identity: Identity) -> WorkflowDescription:
        """Check a definition as :meth:`upload` does, and keep nothing of it.

        Args:
            document: The text.
            identity: The user.

        Returns:
            The workflow that it would be, on the first orchestrator that would take it.

        Raises:
            NotAllowed: The user lacks the permission.
            InvalidDefinition: With every fault of the definition.
            CapabilityMissing: No orchestrator takes definitions.
        """
        require(identity, Permission.WORKFLOWS_WRITE)
        takers = self._takers(None, identity)
        return _first_valid(takers, lambda taker: taker.check(document, identity))

    def _takers(self, replace: str | None, identity: Identity) -> dict[str, Uploader]:
        """Return who takes definitions, by name; who offers what one is to replace comes first."""
        takers = [o for o in self._orchestrators.values() if Capability.UPLOAD in o.capabilities]
        if replace is not None:
            takers.sort(key=lambda taker: not taker.look_up(replace, identity))
        return {taker.name: uploader(taker) for taker in takers}

    def remove(self, reference: str, identity: Identity, orchestrator: str | None = None) -> None:
        """Remove a definition; what runs goes on.

        Args:
            reference: Its id or its name.
            identity: The user.
            orchestrator: Where to look only.

        Raises:
            NotAllowed: The user lacks the permission.
            NotFound: There is none.
            NotOwner: It is somebody else's, and the user is no operator.
            CapabilityMissing: It is not an uploaded definition.
        """
        require(identity, Permission.WORKFLOWS_WRITE)
        behind, found = self.look_up(reference, identity, orchestrator)
        uploader(behind).remove(found.id, may_edit=editor(identity))

    def definition(
        self,
        reference: str,
        identity: Identity,
        number: int | None = None,
        orchestrator: str | None = None,
    ) -> tuple[FoundWorkflow, DefinitionText]:
        """Return the text of a definition, exactly as it was given.

        Args:
            reference: Id or name of its workflow.
            identity: The user, who may see that.
            number: Of a version; None for what is offered now.
            orchestrator: Where to look only.

        Raises:
            NotFound, Ambiguous, UpstreamError: As :meth:`describe`; or there is no such version.
            Conflict: It is in a file, which holds something else by now.
            CapabilityMissing: It is defined elsewhere.
        """
        behind, found = self.look_up(reference, identity, orchestrator)
        return found, uploader(behind).definition(found.id, number)

    def versions(
        self, reference: str, identity: Identity, orchestrator: str | None = None
    ) -> list[DefinitionVersion]:
        """List the versions of a definition that are kept, the newest first.

        Raises:
            NotFound, Ambiguous, UpstreamError, CapabilityMissing: As :meth:`definition`.
        """
        behind, found = self.look_up(reference, identity, orchestrator)
        return uploader(behind).versions(found.id)

    def version_before(
        self,
        reference: str,
        identity: Identity,
        number: int | None = None,
        orchestrator: str | None = None,
    ) -> int | None:
        """Return the number of the last version that is kept from before another one.

        Args:
            reference: Id or name of the workflow.
            identity: The user, who may see that.
            number: Of the other one; None for what is offered now.
            orchestrator: Where to look only.

        Returns:
            That of the other one itself where none is; None where there are no versions.

        Raises:
            NotFound, Ambiguous, UpstreamError, CapabilityMissing: As :meth:`definition`.
        """
        kept = [each.version for each in self.versions(reference, identity, orchestrator)]
        other = kept[0] if number is None and kept else number
        return next((each for each in kept if other is not None and each < other), other)

    def _ask_each(
        self, names: Iterable[str], ask: Callable[[Orchestrator], list[T]]
    ) -> tuple[list[T], list[str]]:
        """Ask some orchestrators the same.

        Returns:
            The answers, and the names of those that gave none.

        Raises:
            UpstreamError: Some do not answer, and the others know nothing.
        """
        asked = {name: self._orchestrators[name] for name in names}
        answers: list[T] = []
        failures: dict[str, UpstreamError] = {}
        for name, orchestrator in asked.items():
            try:
                answers += ask(orchestrator)
            except UpstreamError as exc:
                log.warning("workflows cannot be listed", orchestrator=name, error=exc.message)
                failures[name] = exc
        if failures and not answers:  # who knows nothing answers, too
            raise next(iter(failures.values()))
        return answers, list(failures)


def _first_valid(takers: Mapping[str, Uploader], ask: Callable[[Uploader], T]) -> T:
    """Return the answer of the first who takes a definition, which may have what others lack.

    Raises:
        InvalidDefinition: Nobody takes it: what is wrong with it, or what each lacks for it.
        CapabilityMissing: There is nobody to ask.
    """
    refusals: dict[str, InvalidDefinition] = {}
    for name, taker in takers.items():
        try:
            return ask(taker)
        except InvalidDefinition as exc:
            refusals[name] = exc
    if not refusals:
        raise CapabilityMissing("No configured orchestrator takes uploads.")
    raise _refusal(refusals)


def _refusal(refusals: Mapping[str, InvalidDefinition]) -> InvalidDefinition:
    """Return the error that says why nobody takes a definition.

    Where it is right for some, others that say it is wrong read another kind of definitions.
    """
    unfit = {name: each for name, each in refusals.items() if isinstance(each, UnfitDefinition)}
    if len(unfit) < 2:
        return next(iter((unfit or refusals).values()))
    found = [(name, fault) for name, each in unfit.items() for fault in each.fields]
    common = set.intersection(*(set(each.fields) for each in unfit.values()))
    fields = [
        fault if fault in common else FieldError(fault.path, f"{fault.message} (on '{name}')")
        for name, fault in found
    ]
    message = "No orchestrator has all that the workflow asks for."
    return UnfitDefinition(message, fields=dict.fromkeys(fields))
