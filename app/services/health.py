"""Whether the service can do its work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from app.caching import UpstreamReads
from app.clients.key_store import KeyStore
from app.clients.orchestrator import Capability, Orchestrator, uploader
from app.errors import SlipwayError
from app.store.changes import Changes
from app.store.conductors import Conductors
from app.store.database import Database
from app.store.stranded import StrandedExecutions

_MOST_NAMED: Final = 100
CHECK_SECONDS: Final = 1.0
"""For how long what an upstream answered a check counts: anybody may ask, without credentials."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the service needs, and what is wrong with it.

    Attributes:
        vital: Without it the service cannot do its main work.
    """

    name: str
    problem: str | None = None
    vital: bool = True

    @property
    def ok(self) -> bool:
        """Whether it can be used."""
        return self.problem is None


class HealthService:
    """Looks at everything that the service needs.

    Args:
        conductors: Their signs of life.
        stranded: Knows of executions whose machine nobody serves.
        orchestrators: The orchestrators by name.
        key_store: Where private keys go.
        changes: Knows whether the process is about to stop.
        database: The store.
        beat_seconds: Age from which a sign of life is too old.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        conductors: Conductors,
        stranded: StrandedExecutions,
        orchestrators: Mapping[str, Orchestrator],
        key_store: KeyStore,
        changes: Changes,
        *,
        database: Database,
        beat_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._asked: UpstreamReads[str, str | None] = UpstreamReads(CHECK_SECONDS, clock=clock)
        self._database = database
        self._conductors = conductors
        self._stranded = stranded
        self._orchestrators = orchestrators
        self._key_store = key_store
        self._changes = changes
        self._beat_seconds = beat_seconds

    def checks(self) -> list[Check]:
        """Look at the process, the store, the conductor, each orchestrator and the key store.

        The last two are asked once for all who want to know within :data:`CHECK_SECONDS`.

        One orchestrator of several, the key store, executions of machines that nobody serves, and
        faulty definitions are not vital: the rest works without.
        """
        stopping = "the process is about to stop" if self._changes.closing else None
        problems = {
            name: self._ask(f"orchestrator:{name}", o) for name, o in self._orchestrators.items()
        }
        some_work = None in problems.values()
        return [
            Check("web", stopping),
            *self._store_checks(),
            *(
                Check(f"orchestrator:{name}", problem, vital=not some_work)
                for name, problem in problems.items()
            ),
            Check("key_store", self._ask("key_store", self._key_store), vital=False),
            *self._definition_checks(),
        ]

    def within(self, seconds: float) -> tuple[dict[str, str | None], list[Check]]:
        """Look at all that :meth:`checks` does, and wait for nobody outside longer than a time.

        Returns:
            What is wrong with each orchestrator, by name, None where nothing is; and all else.
        """
        parts: dict[str, Orchestrator | KeyStore] = {
            f"orchestrator:{name}": each for name, each in self._orchestrators.items()
        }
        parts["key_store"] = self._key_store
        problems = self._ask_all(parts, seconds)
        key_store = Check("key_store", problems.pop("key_store"), vital=False)
        others = [*self._store_checks(), key_store, *self._definition_checks()]
        return dict(zip(self._orchestrators, problems.values(), strict=True)), others

    def _ask_all(
        self, parts: Mapping[str, Orchestrator | KeyStore], seconds: float
    ) -> dict[str, str | None]:
        """Return what is wrong with each, all asked at once; that they are silent is wrong, too."""
        found: dict[str, str | None] = {}

        def ask(name: str, part: Orchestrator | KeyStore) -> None:
            found[name] = self._ask(name, part)

        asking = [
            threading.Thread(target=ask, args=item, name=item[0], daemon=True)
            for item in parts.items()
        ]
        for thread in asking:
            thread.start()
        deadline = time.monotonic() + seconds
        for thread in asking:
            thread.join(max(0.0, deadline - time.monotonic()))
        silent = f"It has not answered within {seconds:g} s."
        return {name: found.get(name, silent) for name in parts}

    def _ask(self, name: str, part: Orchestrator | KeyStore) -> str | None:
        return self._asked.get(name, partial(_problem, name, part)).value

    def _definition_checks(self) -> Iterator[Check]:
        """Name the faulty definitions; what is wrong with them is not for everybody."""
        for orchestrator in self._orchestrators.values():
            if Capability.UPLOAD not in orchestrator.capabilities:
                continue
            try:
                faulty = uploader(orchestrator).faulty()
            except SlipwayError:  # the store, which has its own check
                continue
            for workflow in faulty[:_MOST_NAMED]:
                offered = "its last good version is offered" if workflow.offered else "not offered"
                yield Check(f"workflow_file:{workflow.file}", f"is faulty; {offered}", vital=False)

    def _store_checks(self) -> list[Check]:
        try:
            alive = self._conductors.alive(self._beat_seconds)
            if self._database.troubled or not alive:
                self._database.probe()  # one that can only be read says so
            stranded = "; ".join(str(machine) for machine in self._stranded.machines())
        except SlipwayError as exc:
            return [Check("store", exc.message), Check("conductor", "unknown without the store")]
        return [
            Check("store"),
            Check("conductor", None if alive else "no conductor gave a sign of life lately"),
            Check("executions", stranded or None, vital=False),
        ]


def _problem(name: str, part: Orchestrator | KeyStore) -> str | None:
    try:
        part.health()
    except SlipwayError as exc:
        return exc.message
    except Exception:  # one check that fails, whatever nobody foresaw of it
        log.exception("a check failed as nobody foresaw", check=name)
        return "its check failed; the log of the service says why"
    return None
