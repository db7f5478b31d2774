"""The texts of the definitions from which executions were launched, as far as they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from app.clients.orchestrator import Capability, Orchestrator, uploader
from app.domain import JSON, DefinitionSource, DefinitionText, Execution, Identity, Permission
from app.errors import CapabilityMissing, Conflict, NotFound, UpstreamError
from app.identity.permissions import is_allowed
from app.isolation import Isolated, OverBudget
from app.services import text_difference
from app.store.definitions import DefinitionSnapshots
from app.store.steering import SteeredExecutions

SECONDS: Final = 10.0
"""Longest time that comparing two texts may take, and a worker process to start."""

_JSON: Final = "application/json"
_INDENTED: Final = f"{text_difference.__name__}:indented"
_COMPARED: Final = f"{text_difference.__name__}:compared"

NOT_ALLOWED: Final = "workflows:read is needed to see definitions"
NOT_KEPT: Final = "it is not kept any more, or was never here"
TOO_LARGE: Final = "the two could not be compared in the time that there is for it"


@dataclass(frozen=True, slots=True)
class DefinitionChange:
    """Whether two executions ran the same definition.

    Attributes:
        changed: None where nobody knows.
        before: Number of the version of the one; None where it was not uploaded.
        after: Number of the version of the other.
    """

    changed: bool | None
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class TextDifference:
    """How two definitions differ.

    Attributes:
        lines: As ``diff -u`` writes it; of very many the first ones.
        cut: Not all lines are there, or not the whole of each.
        missing: Why there are none, although they may differ; empty where that is told.
    """

    lines: tuple[str, ...] = ()
    cut: bool = False
    missing: str = ""


class DefinitionTexts:
    """Finds what executions were launched from, and how that differs.

    Args:
        orchestrators: The orchestrators by name.
        steered: Knows from what executions were launched.
        snapshots: Keeps what they were launched from.
        isolated: Where texts are compared.
    """

    def __init__(
        self,
        orchestrators: Mapping[str, Orchestrator],
        steered: SteeredExecutions,
        snapshots: DefinitionSnapshots,
        isolated: Isolated,
    ) -> None:
        self._orchestrators = orchestrators
        self._steered = steered
        self._snapshots = snapshots
        self._isolated = isolated

    def compare(self, before: Execution, after: Execution) -> DefinitionChange:
        """Return whether two executions ran the same definition."""
        digests = self._digest(before), self._digest(after)
        changed = None if None in digests else digests[0] != digests[1]
        return DefinitionChange(changed, before.workflow_version, after.workflow_version)

    def text(self, execution: Execution, identity: Identity) -> DefinitionText | str:
        """Return the definition from which an execution was launched.

        Returns:
            Its text as it was uploaded, or else what it says as JSON; or a sentence on why a user
            is not given it.
        """
        if not is_allowed(identity, Permission.WORKFLOWS_READ):
            return NOT_ALLOWED
        uploaded = self.uploaded(execution)
        if uploaded is not None:
            return uploaded
        kept = self._snapshot(execution)
        if kept is None:
            return NOT_KEPT
        try:
            said = self._isolated.run(identity.username, _INDENTED, kept.encode())
        except OverBudget:
            said = kept.encode()
        return DefinitionText(said.decode(), _JSON, execution.workflow_version)

    def difference(self, before: Execution, after: Execution, identity: Identity) -> TextDifference:
        """Compare the texts of the definitions of two executions, where they may differ.

        Both are compared as they were uploaded, or both by what they say.
        """
        if not is_allowed(identity, Permission.WORKFLOWS_READ):
            return TextDifference(missing=NOT_ALLOWED)
        sides = before, after
        uploaded = [found for side in sides if (found := self.uploaded(side)) is not None]
        texts = [found.text for found in uploaded]
        as_json = all(found.media_type == _JSON for found in uploaded)
        if len(texts) < len(sides):
            kept, as_json = [self._snapshot(side) for side in sides], True
            texts = [text for text in kept if text is not None]
        if len(texts) < len(sides):
            return TextDifference(missing=NOT_KEPT)
        names = [f"{side.workflow_id} of {side.id}" for side in sides]
        return self._between((texts[0], texts[1]), names, identity, as_json=as_json)

    def between(
        self,
        before: DefinitionSource,
        after: DefinitionSource,
        names: Sequence[str],
        identity: Identity,
    ) -> TextDifference:
        """Compare two texts of definitions.

        Args:
            before: The one.
            after: The other.
            names: What each is called in the first lines of the difference.
            identity: Who asks.

        Raises:
            LimitExceeded: Too many comparisons of this user wait.
        """
        return self._between((before.text, after.text), names, identity)

    def _between(
        self,
        texts: tuple[str, str],
        names: Sequence[str],
        identity: Identity,
        *,
        as_json: bool = False,
    ) -> TextDifference:
        work = json.dumps([*texts, *names, as_json]).encode()
        try:
            reply = self._isolated.run(identity.username, _COMPARED, work)
        except OverBudget:
            return TextDifference(missing=TOO_LARGE)
        lines, cut = json.loads(reply)
        return TextDifference(tuple(lines), cut)

    def _digest(self, execution: Execution) -> str | None:
        orchestrator = self._orchestrators.get(execution.orchestrator)
        if orchestrator is None:
            return None
        return orchestrator.definition_digest(self.reference(execution))

    def reference(self, execution: Execution) -> JSON:
        """Return under what the orchestrator finds an execution; None where there is nothing."""
        with suppress(NotFound):  # it was purged since
            return self._steered.get(execution.id).reference
        return None

    def _snapshot(self, execution: Execution) -> str | None:
        digest = self._digest(execution)
        return None if digest is None else self._snapshots.text(digest)

    def uploaded(self, execution: Execution) -> DefinitionText | None:
        """Return the text of the version that an execution runs; None where it is not kept."""
        orchestrator = self._orchestrators.get(execution.orchestrator)
        version = execution.workflow_version
        if version is None or orchestrator is None:
            return None
        if Capability.UPLOAD not in orchestrator.capabilities:
            return None
        with suppress(NotFound, Conflict, CapabilityMissing, UpstreamError):
            return uploader(orchestrator).definition(execution.workflow_id, version)
        return None
