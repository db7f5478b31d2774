"""Definitions, checked once for each content and by one process for all.

Reading and checking a definition of 1 MiB takes seconds. So it is done in a worker process, and the
outcome is kept in the store, under a key made of the content and of the code that checks it: lists,
launches and other processes, also after a restart, read no definition again.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from app.caching import LruCache, SharedReads
from app.domain import JSON, Output, Parameter, Step
from app.engine import definition
from app.engine.faults import Fault, invalid_definition
from app.engine.model import Definition, StepDefinition
from app.engine.programs import SpacedCommand, spaced_commands
from app.engine.resources import (
    Take,
    asked_by_requests,
    asked_elsewhere,
    asked_for,
    build,
    taken,
)
from app.errors import MAX_FIELDS, FieldError, InvalidDefinition
from app.isolation import Isolated, OverBudget
from app.job_resources import Asked
from app.memory import DETAILS_BYTES, STEPS_BYTES
from app.store.compiled import CompiledDefinitions
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots, digest_of

MAX_BYTES: Final = 1024 * 1024
"""Longest text of a definition."""

SECONDS: Final = 20.0
"""Longest time that checking a definition may take."""

_PROCESSES: Final = 2
_INLINE_BYTES: Final = 2048
_BYTES_A_CHARACTER: Final = 10  # of JSON, when it is objects
_CHECKED_BY: Final = (
    "engine", "documents.py", "durations.py", "elements.py", "json_schema.py", "look_alikes.py",
    "values.py",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compiled:
    """A valid definition, as far as a list needs it.

    Attributes:
        key: Names its content, and the code that checked it.
        digest: Under which the store has what the definition says.
        asks: Paths of the resources that not every launcher gives; of very many the first.
        spaced: The commands with blanks in them; of very many the first.
        stale: Whether its file holds something else by now, which is faulty.
        kept_by: Username of who keeps it as a workflow that stands; empty where nobody does.
        owner: Username of who may replace and remove it; None where it was not uploaded.
        version: Number of the version; None as ``owner``.
    """

    key: str
    id: str
    name: str
    description: str
    digest: str
    asks: tuple[str, ...] = ()
    spaced: tuple[SpacedCommand, ...] = ()
    stale: bool = False
    kept_by: str = ""
    owner: str | None = field(default=None, compare=False)
    version: int | None = field(default=None, compare=False)

    @classmethod
    def load(cls, key: str, summary: Mapping[str, Any]) -> Compiled:
        """Make one from its key and a summary that was stored; an old one may lack some of it."""
        asks = tuple(summary.get("asks", ()))
        spaced = tuple(SpacedCommand(*command) for command in summary.get("spaced", ()))
        return cls(key, **{**summary, "asks": asks, "spaced": spaced})


@dataclass(frozen=True, slots=True)
class Faulty:
    """A text that is no valid definition.

    Attributes:
        id: The id that it would have; None if that cannot be told.
    """

    key: str
    id: str | None
    error: InvalidDefinition


@dataclass(frozen=True, slots=True)
class Details:
    """The rest of a definition that callers see.

    Attributes:
        size_bytes: About what it takes of memory.
        takes: What its steps take of their machine.
        by_requests: Paths of what those of type ``http`` ask for, and not every launcher gives; of
            very many the first.
        asked: What its steps ask for, but those of type ``http``; of very many the first.
    """

    inputs: tuple[Parameter, ...]
    outputs: tuple[Output, ...]
    steps: tuple[Step, ...]
    size_bytes: int
    takes: tuple[Take, ...] = ()
    by_requests: tuple[str, ...] = ()
    asked: tuple[Asked, ...] = ()


class Compiler:
    """Checks definitions, and knows those that were checked.

    Args:
        known: What was checked.
        snapshots: Where the content of a valid definition goes.
        isolated: Where a definition is checked.
    """

    def __init__(
        self, known: CompiledDefinitions, snapshots: DefinitionSnapshots, isolated: Isolated
    ) -> None:
        self._known = known
        self._snapshots = snapshots
        self._isolated = isolated
        self._details = SharedReads(
            self._read_details, DETAILS_BYTES, weigh=lambda details: details.size_bytes
        )
        self._steps: LruCache[str, tuple[Step, ...]] = LruCache(STEPS_BYTES)

    def compile(self, text: bytes, owner: str = "") -> Compiled | Faulty:
        """Check a definition, unless the same content was checked before.

        Args:
            text: YAML or JSON.
            owner: Who wants it; turns go round by owner.

        Raises:
            LimitExceeded: Too many definitions of this owner wait to be checked.
        """
        key = key_of(text)
        return self.find(key) or self._check(key, text, owner)

    def find(self, key: str) -> Compiled | Faulty | None:
        """Return the outcome for a content that was checked; None if it was not."""
        summary = self._known.summary(key)
        return None if summary is None else _outcome(key, summary)

    def details(self, compiled: Compiled) -> Details:
        """Return the inputs, outputs and steps of a definition."""
        return self._details.get(compiled)

    def steps_of(self, digest: str, owner: str) -> tuple[Step, ...] | None:
        """Return the steps of a definition that something was launched from.

        Args:
            digest: Under which the store has what it says.
            owner: Who wants it; turns go round by owner.

        Returns:
            The steps; None where it is not kept, or was not understood in time.

        Raises:
            LimitExceeded: Too much of this owner waits for its turn.
        """
        known = self._steps.get(digest)
        if known is None:
            source = self._snapshots.text(digest)
            if source is None:
                return None
            try:
                known = _steps(json.loads(self._run(steps_within, source.encode(), owner)))
            except OverBudget:
                return None
            self._steps.put(digest, known)
        return known

    def _read_details(self, compiled: Compiled) -> Details:
        text = self._known.details(compiled.key)
        if text is None:  # the store has forgotten the outcome, but not the content
            source = self._snapshots.get(compiled.digest)
            text = json.dumps(_details(definition.build(source)))
        return _parse_details(text)

    def _check(self, key: str, text: bytes, owner: str) -> Compiled | Faulty:
        if len(text) > MAX_BYTES:
            return _faulty(key, f"is larger than {MAX_BYTES // 1024} KiB")
        try:
            outcome = self._run(check, text, owner)
        except OverBudget:
            return _faulty(key, f"takes more than {SECONDS:g} seconds to check; make it smaller")
        summary, details, source = pickle.loads(outcome)  # noqa: S301  (from a process of ours)
        if source:
            self._snapshots.keep_text(summary["digest"], source)
        self._known.keep(key, summary, details)
        return _outcome(key, summary)

    def _run(self, function: Callable[[bytes], bytes], text: bytes, owner: str) -> bytes:
        if len(text) <= _INLINE_BYTES:  # takes less than starting a process
            return function(text)
        return self._isolated.run(owner, f"{__name__}:{function.__name__}", text)


def make_compiler(database: Database) -> Compiler:
    """Make a compiler that keeps what it makes in a store, and works in processes of its own."""
    isolated = Isolated(_PROCESSES, seconds=SECONDS)
    return Compiler(CompiledDefinitions(database), DefinitionSnapshots(database), isolated)


def check(text: bytes) -> bytes:
    """Check a definition: what worker processes do.

    Returns:
        A pickled tuple: the summary, the details as JSON, and the content as JSON; the last two are
        empty for what is not valid.
    """
    source, error = definition.examine(text)
    if error is not None:
        fields = [(field.path, field.message) for field in error.fields]
        faults = {"message": error.message, "fields": fields}
        return pickle.dumps(({"id": _id_within(source), "faults": faults}, "", ""))
    found = definition.build(source)
    summary = {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "digest": digest_of(source),
        "asks": list(islice(asked_for(source), MAX_FIELDS)),
        "spaced": list(islice(spaced_commands(source), MAX_FIELDS)),
    }
    details, content = (json.dumps(v, separators=(",", ":")) for v in (_details(found), source))
    return pickle.dumps((summary, details, content))


def steps_within(source: bytes) -> bytes:
    """Return the steps of a definition, as JSON: what worker processes do.

    Args:
        source: What the definition says, as the store has it.
    """
    return json.dumps(_details(definition.build(json.loads(source)))["steps"]).encode()


@cache
def _code() -> bytes:
    """Return a digest of the code that decides what a definition is, and what it becomes."""
    root = Path(__file__).parents[1]
    files = sorted(
        file
        for name in _CHECKED_BY
        for file in ([root / name] if name.endswith(".py") else (root / name).rglob("*.py"))
    )
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).digest()


def key_of(text: bytes) -> str:
    """Name a content, and the code that would check it."""
    return hashlib.sha256(_code() + text).hexdigest()


def _faulty(key: str, message: str) -> Faulty:
    return Faulty(key, None, invalid_definition([Fault((), message)]))


def _outcome(key: str, summary: Mapping[str, Any]) -> Compiled | Faulty:
    if "faults" not in summary:
        return Compiled.load(key, summary)
    faults = summary["faults"]
    fields = [FieldError(path, message) for path, message in faults["fields"]]
    return Faulty(key, summary["id"], InvalidDefinition(faults["message"], fields=fields))


def _id_within(source: JSON) -> str | None:
    name = source.get("id") if isinstance(source, Mapping) else None
    return name[:100] if isinstance(name, str) else None


def _details(found: Definition) -> dict[str, JSON]:
    return {
        "inputs": [asdict(parameter) for parameter in found.inputs],
        "outputs": [[output.name, output.description] for output in found.outputs],
        "takes": taken(found.source),
        "by_requests": list(islice(asked_by_requests(found.source), MAX_FIELDS)),
        "asked": asked_elsewhere(found.source),
        "steps": [[s.id, s.type, s.needs, s.description or s.name, _title(s)] for s in found.steps],
    }


def _title(step: StepDefinition) -> str | None:
    return step.name if step.name not in ("", step.id) else None


def _parse_details(text: str) -> Details:
    details = json.loads(text)
    return Details(
        inputs=tuple(Parameter(**words) for words in details["inputs"]),
        outputs=tuple(Output(*words) for words in details["outputs"]),
        steps=_steps(details["steps"]),
        size_bytes=len(text) * _BYTES_A_CHARACTER,
        takes=tuple(Take(*words) for words in details.get("takes", ())),
        by_requests=tuple(details.get("by_requests", ())),
        asked=tuple(Asked(path, build(words)) for path, words in details.get("asked", ())),
    )


def _steps(listed: JSON) -> tuple[Step, ...]:
    return tuple(
        Step(id_, type_, tuple(needs), about, title) for id_, type_, needs, about, title in listed
    )
