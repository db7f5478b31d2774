"""What a conductor must remember of an execution of virtual users, between two looks at it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from app.clock import Instant
from app.domain import JSON, Level
from app.load.measures import ErrorKind
from app.store.load_tasks import Stop


class Phase(StrEnum):
    """Where an execution stands."""

    WAITING = "waiting"
    """No slave has begun."""
    RUNNING = "running"
    ENDING = "ending"
    """No iteration begins any more, and the last reports are waited for."""
    OVER = "over"
    """All that there was to know is known."""


class Cause(StrEnum):
    """What an execution ends by."""

    DONE = "done"
    CANCELLED = "cancelled"
    TOO_LONG = "too long"
    DESERTED = "deserted"
    """No slave is left, or none has come."""


@dataclass(slots=True)
class RunState:
    """What is remembered.

    An execution has a clock of its own, which showed the time when it was first looked at, and goes
    on evenly, whatever the clock of the machine is set to: all moments are of it, but those of what
    is told and of errors, which are for people to compare with others.

    Attributes:
        clock: When it was last compared with that of a machine, see :meth:`app.clock.Instant.dump`.
        clock_ms: What it showed then, in milliseconds since the epoch.
        digest: Of the definition that the slaves get, with its inputs.
        elapsed_us: Running time until the clock was started last.
        since_ms: When that was; None while it stands.
        waiting_ms: Since when it waits for slaves.
        began_ms: When the first slave began.
        wanted: With how many slaves it began.
        scaled: How many virtual users somebody had asked for at the last look.
        gone: Ids of tasks whose slaves were lost, and whose share the others have.
        deserted_ms: Since when no slave is left.
        stop: What the slaves are asked for.
        stop_ms: Since when.
        cause: What it ends by.
        stage: Number of the stage of a ramp.
        lacking: Virtual users that nobody can carry.
        full: Slaves that were said to be full.
        vus: The last number of virtual users above 0 that was wanted.
        vus_max: The most that there were.
        judged_ms: When thresholds were last judged.
        passed: Which of them held then; None for those of which nothing was measured.
        measured_ms: When figures were last written.
        errors: Of the execution itself.
        kinds: The kinds of errors of steps that were told, by their checksums.
        entries: What is to be told in the journal: number, moment, level, step and text.
        told: Number of the last entry.
        finished_ms: When it was over.
        status: Its last status, then.
        error: Why it failed.
    """

    phase: Phase = Phase.WAITING
    clock: list[float | str] | None = None
    clock_ms: int = 0
    digest: str = ""
    elapsed_us: int = 0
    since_ms: int | None = None
    waiting_ms: int | None = None
    began_ms: int | None = None
    wanted: int = 0
    scaled: int | None = None
    gone: list[str] = field(default_factory=list)
    deserted_ms: int | None = None
    stop: Stop = "no"
    stop_ms: int | None = None
    cause: Cause = Cause.DONE
    stage: int = -1
    lacking: int = 0
    full: list[str] = field(default_factory=list)
    vus: int = 0
    vus_max: int = 0
    judged_ms: int = 0
    passed: list[bool | None] = field(default_factory=list)
    measured_ms: int = 0
    errors: list[ErrorKind] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    entries: list[list[JSON]] = field(default_factory=list)
    told: int = 0
    finished_ms: int | None = None
    status: str | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Write it for the store."""
        return asdict(self)

    @classmethod
    def of_json(cls, value: JSON) -> RunState:
        """Read what :meth:`to_json` has written; None is that of an execution without a look."""
        if value is None:
            return cls()
        state = cls(**value)
        state.phase, state.cause = Phase(state.phase), Cause(state.cause)
        return state

    def read_clock(self, at: Instant) -> int:
        """Return what the execution's clock shows, in milliseconds since the epoch.

        Args:
            at: The present moment.
        """
        set_at = Instant.load(self.clock)
        return at.wall_ms if set_at is None else self.clock_ms + round(at.since(set_at) * 1000)

    def keep_clock(self, at: Instant, moment_ms: int) -> None:
        """Note what the execution's clock shows now, so that others can go on from there."""
        self.clock, self.clock_ms = at.dump(), moment_ms

    def running_since(self) -> Instant | None:
        """Return when the running time was started last; None while it stands."""
        set_at = Instant.load(self.clock)
        if self.since_ms is None or set_at is None:
            return None
        return set_at.after((self.since_ms - self.clock_ms) / 1000)

    def elapsed_at(self, moment_ms: int) -> int:
        """Return the running time at a moment, in microseconds."""
        if self.since_ms is None:
            return self.elapsed_us
        return self.elapsed_us + max(0, moment_ms - self.since_ms) * 1000

    def stop_clock(self, moment_ms: int) -> None:
        """Let the running time stand still."""
        self.elapsed_us, self.since_ms = self.elapsed_at(moment_ms), None

    def start_clock(self, moment_ms: int) -> None:
        """Let the running time go on."""
        if self.since_ms is None:
            self.since_ms = moment_ms

    def tell(self, moment_ms: int, level: Level, text: str, step: str = "") -> None:
        """Have something written into the journal, once, at a moment by the machine's clock."""
        self.told += 1
        self.entries.append([self.told, moment_ms, int(level), step, text])

    def fail(self, moment_ms: int, code: str, message: str) -> None:
        """Note an error of the execution itself, which is told in the journal as well."""
        self.tell(moment_ms, Level.ERROR, message)
        for known in self.errors:
            if (known["code"], known["message"]) == (code, message):
                known["count"] += 1
                return
        self.errors.append(
            {
                "code": code, "message": message, "step_id": "", "first_ms": moment_ms, "count": 1,
            }
        )  # fmt: skip

    def end(self, moment_ms: int, stop: Stop, cause: Cause) -> None:
        """Let no iteration begin any more."""
        self.stop_clock(moment_ms)
        self.phase, self.stop, self.cause = Phase.ENDING, stop, cause
        self.stop_ms = moment_ms
