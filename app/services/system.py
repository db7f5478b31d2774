"""How the service is: for those who run it, and keep it open all day.

All of it is read from the store, once for all who ask within a moment, so that every web process
says the same; only orchestrators and the key store are asked, as for ``/ready``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from app.caching import UpstreamReads
from app.domain import ExecutionFilter, ExecutionStatus, ExecutionSummary, Identity, Permission
from app.identity.permissions import is_allowed, require
from app.services.access import is_theirs
from app.services.course import Course
from app.services.executions import ExecutionService
from app.services.health import Check, HealthService
from app.services.sampling import SAMPLE_SECONDS
from app.settings import Settings
from app.store.conductors import Conductor, Conductors, host_of
from app.store.execution_rows import now
from app.store.figures import MINUTE, Figures, ProcessMinute, minute_of
from app.store.overview import OpenWork, Overview, Queue, SignedIn, Work

SHARED_SECONDS: Final = 5.0
"""For how long what was read counts for all who ask."""
MOST_NAMED: Final = 10
"""How many failures, and executions that wait, are named."""
MOST_SIGNED_IN: Final = 100
HOUR_MINUTES: Final = 60

_ANSWER_SECONDS: Final = 2.0
"""How long orchestrators and the key store are waited for."""
_ALIVE_SECONDS: Final = 3.5 * SAMPLE_SECONDS
"""A web process that wrote no figures for so long does not work."""
_MISSED: Final = timedelta(minutes=10)
"""How long one that has fallen silent is told of."""
_LATELY: Final = timedelta(hours=1)
_FAILED_WITHIN: Final = timedelta(days=1)
_SLOW_LOOP_SECONDS: Final = 1.0
"""An event loop that is so late holds everybody up."""
_SLOW_DELIVERY_SECONDS: Final = 1.0
"""Log lines that come so late are not live any more."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not well.

    Attributes:
        part: What: ``orchestrator:NAME``, ``conductor:ID``, ``web:HOST``, or a check of ``/ready``.
        text: What is wrong, in a sentence.
        since: Since when, where that is known.
    """

    part: str
    text: str
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrchestratorState:
    """How an orchestrator is.

    Attributes:
        type: Its type, as in the settings.
        problem: Why it cannot be used; None where it can.
        executions: Those that have not ended.
        stale: Those of them of which there was no news for too long.
        last_news: When there was news of any of them; None without any.
        stale_since: Since when there was none of one that is stale.
        polls_used, polls_allowed: Requests a second that conductors make to watch its executions,
            and may make; None where nothing bounds them.
    """

    name: str
    type: str
    problem: str | None
    executions: int
    stale: int
    last_news: datetime | None
    stale_since: datetime | None
    polls_used: float | None
    polls_allowed: float | None


@dataclass(frozen=True, slots=True)
class ConductorState:
    """How a conductor is.

    Attributes:
        alive: It gave a sign of life lately.
        executions: How many it drives; of a silent one, those that no other one has taken over.
    """

    id: str
    host: str
    pid: int
    alive: bool
    started_at: datetime
    seen_at: datetime
    executions: int


@dataclass(frozen=True, slots=True)
class WebState:
    """How a web process is.

    Attributes:
        alive: It gave a sign of life lately.
        streams: Streams that it has open.
        followers: Readers that wait there for a change.
        loop_lag: Most seconds by which its event loop was late within the last minute.
        delivery_lag: Seconds within which followers got 95 of 100 log entries; None without any.
    """

    host: str
    pid: int
    alive: bool
    seen_at: datetime
    streams: int
    followers: int
    loop_lag: float
    delivery_lag: float | None


@dataclass(frozen=True, slots=True)
class Failures:
    """Executions that failed lately.

    Attributes:
        executions: How many, of those launched or ended within a day.
        first: The ones that were launched last.
    """

    executions: int
    first: Sequence[ExecutionSummary]


@dataclass(frozen=True, slots=True)
class Usage:
    """Who uses the service by sessions of browsers, or used API keys lately.

    Attributes:
        users, sessions, api_keys: How many do, and with how many.
        who: The ones who did last; None for who does not manage users.
    """

    users: int
    sessions: int
    api_keys: int
    who: tuple[SignedIn, ...] | None


@dataclass(frozen=True, slots=True)
class SystemState:
    """How the service is.

    Attributes:
        as_of: When that was.
        problems: What is not well; nothing where all is.
        failures: None for who may not read executions.
        signed_in: Who uses the service.
    """

    as_of: datetime
    problems: tuple[Problem, ...]
    orchestrators: tuple[OrchestratorState, ...]
    conductors: tuple[ConductorState, ...]
    web_processes: tuple[WebState, ...]
    queue: Queue
    signed_in: Usage
    failures: Failures | None = None

    @property
    def well(self) -> bool:
        """Whether all is well."""
        return not self.problems

    @property
    def streams(self) -> int:
        """Streams open now, everywhere."""
        return sum(web.streams for web in self.web_processes if web.alive)

    @property
    def followers(self) -> int:
        """Readers that wait for a change, everywhere."""
        return sum(web.followers for web in self.web_processes if web.alive)


class SystemService:
    """Tells how the service is.

    Args:
        health: Asks the orchestrators and the rest.
        overview: The work, in the store.
        figures: What web processes have counted.
        conductors: Their signs of life.
        executions: Finds those that failed.
        settings: How old what may be.
        clock: Seconds that never run backwards.
    """

    def __init__(
        self,
        health: HealthService,
        overview: Overview,
        figures: Figures,
        conductors: Conductors,
        *,
        executions: ExecutionService,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._overview = overview
        self._figures = figures
        self._conductors = conductors
        self._executions = executions
        self._settings = settings
        self._states: UpstreamReads[str, SystemState] = UpstreamReads(SHARED_SECONDS, clock=clock)
        self._works: UpstreamReads[str, Work] = UpstreamReads(SHARED_SECONDS, clock=clock)
        self._courses: UpstreamReads[str, Course] = UpstreamReads(SHARED_SECONDS, clock=clock)

    def state(self, identity: Identity) -> SystemState:
        """Return how the service is.

        Raises:
            NotAllowed: The caller lacks the permission.
            StoreUnavailable: The store cannot be read.
        """
        require(identity, Permission.SYSTEM_READ)
        state = self._states.get("all", self._read).value
        seen = tuple(each for each in state.queue.first if is_theirs(each.owner, identity))
        who = state.signed_in.who if is_allowed(identity, Permission.USERS_MANAGE) else None
        return replace(
            state,
            queue=replace(state.queue, first=seen),
            signed_in=replace(state.signed_in, who=who),
            failures=self._failures(identity),
        )

    def conductors(self, identity: Identity) -> list[ConductorState]:
        """Return how the conductors are, the silent ones first; nobody outside is asked.

        Raises:
            NotAllowed: The caller lacks the permission.
            StoreUnavailable: The store cannot be read.
        """
        require(identity, Permission.SYSTEM_READ)
        found = self._driving(self._conductors.all(), self._work(), now())
        return sorted(found, key=lambda each: (each.alive, each.host))

    def signed_in(self, identity: Identity) -> list[SignedIn]:
        """Return who uses the service, the last ones first; nobody outside is asked.

        Raises:
            NotAllowed: The caller lacks a permission.
            StoreUnavailable: The store cannot be read.
        """
        require(identity, Permission.SYSTEM_READ)
        require(identity, Permission.USERS_MANAGE)
        return self._signed_in()

    def course(self, identity: Identity) -> Course:
        """Return how it was within the last hour.

        Raises:
            NotAllowed: The caller lacks the permission.
            StoreUnavailable: The store cannot be read.
        """
        require(identity, Permission.SYSTEM_READ)
        return self._courses.get("hour", self._read_course).value

    def _failures(self, identity: Identity) -> Failures | None:
        if not is_allowed(identity, Permission.EXECUTIONS_READ):
            return None
        wanted = ExecutionFilter(
            states=frozenset({ExecutionStatus.FAILED}), active_since=now() - _FAILED_WITHIN
        )
        found, number = self._executions.find(wanted, identity, 0, MOST_NAMED)
        return Failures(number, found)

    def _read_course(self) -> Course:
        end = minute_of(now())
        begin = end - HOUR_MINUTES * MINUTE
        known = {each.minute: each for each in self._figures.minutes(begin, end)}
        return Course(begin, tuple(known.get(begin + n * MINUTE) for n in range(HOUR_MINUTES)))

    def _read(self) -> SystemState:
        moment = now()
        conductors = self._conductors.all()
        problems, others = self._health.within(_ANSWER_SECONDS)
        work = self._work()
        orchestrators = tuple(self._orchestrators(problems, work, conductors))
        driving = tuple(self._driving(conductors, work, moment))
        web = tuple(self._web(moment))
        signed_in = self._signed_in()
        return SystemState(
            as_of=moment,
            problems=(
                *_troubled(orchestrators),
                *_silent(driving, web),
                *_slow(web),
                *(
                    Problem(check.name, _sentence(check))
                    for check in others
                    if check.problem is not None
                ),
            ),
            orchestrators=orchestrators,
            conductors=driving,
            web_processes=web,
            queue=self._overview.queue(MOST_NAMED),
            signed_in=Usage(
                users=len(signed_in),
                sessions=sum(who.sessions for who in signed_in),
                api_keys=sum(who.api_keys for who in signed_in),
                who=tuple(signed_in[:MOST_SIGNED_IN]),
            ),
        )

    def _signed_in(self) -> list[SignedIn]:
        idle = timedelta(seconds=self._settings.api.auth.sessions.idle)
        return self._overview.signed_in(idle, _LATELY)

    def _work(self) -> Work:
        stale_after = timedelta(seconds=self._settings.conductor.stale_after)
        return self._works.get("all", lambda: self._overview.work(stale_after)).value

    def _orchestrators(
        self, problems: Mapping[str, str | None], work: Work, conductors: Sequence[Conductor]
    ) -> Iterator[OrchestratorState]:
        types = {entry.name: entry.type for entry in self._settings.orchestrators}
        for name, problem in problems.items():
            yield _orchestrator(name, types.get(name, ""), problem, work.open.get(name), conductors)

    def _driving(
        self, conductors: Sequence[Conductor], work: Work, moment: datetime
    ) -> Iterator[ConductorState]:
        oldest = moment - timedelta(seconds=self._settings.conductor.lease)
        for each in conductors:
            yield ConductorState(
                each.id, host_of(each.node), each.pid, each.beat_at >= oldest,
                each.started_at, each.beat_at, work.driven[each.id],
            )  # fmt: skip

    def _web(self, moment: datetime) -> Iterator[WebState]:
        oldest = moment - timedelta(seconds=_ALIVE_SECONDS)
        for each in self._figures.processes(moment - _MISSED):
            if not each.ended:
                yield _web_state(each, alive=each.seen_at >= oldest)


def _orchestrator(
    name: str,
    type_: str,
    problem: str | None,
    work: OpenWork | None,
    conductors: Sequence[Conductor],
) -> OrchestratorState:
    polls = [
        each.polls[name]
        for each in conductors
        if isinstance(each.polls, dict) and isinstance(each.polls.get(name), dict)
    ]
    return OrchestratorState(
        name=name,
        type=type_,
        problem=problem,
        executions=work.executions if work else 0,
        stale=work.stale if work else 0,
        last_news=work.last_news if work else None,
        stale_since=work.stale_since if work and work.stale else None,
        polls_used=sum(float(each["used"]) for each in polls) if polls else None,
        polls_allowed=sum(float(each["allowed"]) for each in polls) if polls else None,
    )


def _web_state(row: ProcessMinute, *, alive: bool) -> WebState:
    return WebState(
        host=row.host, pid=row.pid, alive=alive, seen_at=row.seen_at, streams=row.streams,
        followers=row.followers, loop_lag=row.loop_lag, delivery_lag=row.delivery_lag,
    )  # fmt: skip


def _sentence(check: Check) -> str:
    name = check.name.replace("_", " ")
    return f"{name[0].upper()}{name[1:]}: {str(check.problem).rstrip('.')}."


def _executions(number: int) -> str:
    return f"{number} execution{'' if number == 1 else 's'}"


def _troubled(orchestrators: Sequence[OrchestratorState]) -> Iterator[Problem]:
    for each in orchestrators:
        stale = f"{_executions(each.stale)} {'is' if each.stale == 1 else 'are'} stale"
        if each.problem is not None:
            text = _unusable(each.name, each.problem.rstrip("."))
            text = f"{text}; {stale}." if each.stale else f"{text}."
        elif each.stale:
            text = f"{each.name} answers, but {stale}."
        else:
            continue
        yield Problem(f"orchestrator:{each.name}", text, each.stale_since)


def _unusable(name: str, problem: str) -> str:
    """Return why an orchestrator cannot be used, in words; most reasons name it already."""
    of_itself = f"The orchestrator '{name}' "
    if problem.startswith(of_itself):
        return f"{name} {problem.removeprefix(of_itself)}"
    return f"{name} cannot be used: {problem}"


def _silent(conductors: Sequence[ConductorState], web: Sequence[WebState]) -> Iterator[Problem]:
    for each in conductors:
        if not each.alive:
            text = f"Conductor {each.pid} on {each.host} gives no sign of life"
            left = f"; it was driving {_executions(each.executions)}" if each.executions else ""
            yield Problem(f"conductor:{each.id}", f"{text}{left}.", each.seen_at)
    for process in web:
        if not process.alive:
            text = f"Web process {process.pid} on {process.host} gives no sign of life."
            yield Problem(f"web:{process.host}", text, process.seen_at)


def _slow(web: Sequence[WebState]) -> Iterator[Problem]:
    for each in web:
        if each.alive and each.loop_lag >= _SLOW_LOOP_SECONDS:
            text = (
                f"Web process {each.pid} on {each.host} was held up "
                f"for {each.loop_lag:.1f} s within the last minute."
            )
            yield Problem(f"web:{each.host}", text)
        if each.alive and (each.delivery_lag or 0.0) >= _SLOW_DELIVERY_SECONDS:
            text = (
                f"Web process {each.pid} on {each.host} delivers log lines late: "
                f"{each.delivery_lag:.1f} s after they were written."
            )
            yield Problem(f"web:{each.host}", text)
