"""Finding one's way in a log: where an entry stands in a list, and what is looked for next to it.

Whoever shows a long log shows a part of a list of entries, counted within a filter, and jumps
within it: to a line that somebody named, to the next one that a text stands in, to the error
before. Each of that takes a short time wherever it is; where it would take longer, the answer says
how far it got, and the next request goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from app.domain import Execution, Identity, Level, LogEntry
from app.services.executions import ExecutionService, require_log
from app.services.grep import Patience
from app.services.stretches import Stretches
from app.services.tallies import Sieve, Tallies, Tally
from app.store.journal import count

Direction = Literal["next", "previous"]

_FINDING_SECONDS: Final = 1.5
"""How long one request looks for an entry."""
_COUNTING_SECONDS: Final = 0.3
"""How long it counts beside that."""
_THOROUGH_SECONDS: Final = 2.0
"""The same, of one that has time."""
_FIRST_WINDOW: Final = 16
"""Entries that are gone through at first, where that is done backwards: it always gets so far."""
_LARGEST_WINDOW: Final = 8192


@dataclass(frozen=True, slots=True)
class Place:
    """Where a place in the journal is among the entries that a filter lets through.

    Attributes:
        index: The place in the journal.
        before: How many of them stand before it.
        total: How many there are so far.
        log_total: How many entries the whole log has, those that are left out as well.
        passes: The filter lets the entry at the place through.
    """

    index: int
    before: int
    total: int
    log_total: int
    passes: bool


@dataclass(frozen=True, slots=True)
class MatchQuery:
    """What somebody looks for.

    Attributes:
        index: Place in the journal next to which they look; what is there is no answer.
        direction: Where they look.
        shown: What lets entries into the list in which they look; no pattern.
        grep: Pattern that the content must match somewhere; None for any content.
        levels: Levels that are looked for, of those in the list.
        thorough: Count for longer.
    """

    index: int
    direction: Direction
    shown: Sieve
    grep: str | None
    levels: Level
    thorough: bool = False

    @property
    def sieve(self) -> Sieve:
        """What lets through what is looked for."""
        return replace(self.shown, levels=self.shown.levels & self.levels, grep=self.grep)


@dataclass(frozen=True, slots=True)
class Match:
    """An entry that was looked for.

    Attributes:
        before: How many entries of the list stand before it.
        number: Which it is of all that could be found, from 1; None where they are not counted yet.
    """

    entry: LogEntry
    before: int
    number: int | None


@dataclass(frozen=True, slots=True)
class Matches:
    """What was found.

    Attributes:
        match: The nearest one; None where there is none, or none yet.
        go_on_from: The index from which to look on; None where nothing is left to look at.
        total: How many there are, as far as the log was gone through.
        counted: How many entries of the log were gone through for that.
        is_total: These are all of them so far.
    """

    match: Match | None
    go_on_from: int | None
    total: int
    counted: int
    is_total: bool


class LogSearch:
    """Finds entries in logs.

    Args:
        service: Finds executions and says who may see them.
        stretches: Reads entries.
        tallies: Counts what sieves let through.
    """

    def __init__(self, service: ExecutionService, stretches: Stretches, tallies: Tallies) -> None:
        self._service = service
        self._stretches = stretches
        self._tallies = tallies

    def place(self, execution_id: str, identity: Identity, index: int, sieve: Sieve) -> Place:
        """Return where a place in the journal is among the entries that a filter lets through.

        Raises:
            NotFound: There is no such execution for this user.
            Purged: There was one, or its log was removed.
            InvalidRequest: The pattern is no good.
            LimitExceeded: The log is too long for the pattern.
        """
        execution = self._found(execution_id, identity, sieve.grep)
        owner = identity.username
        before = self._before(execution, sieve, index, owner)
        if sieve.is_needed:
            passes = self._tallies.holds(execution, sieve, index, owner)
        else:
            passes = self._before(execution, sieve, index + 1, owner) > before
        total = self._total(execution, sieve, owner)
        return Place(index, before, total, execution.log_total, passes)

    def find(self, execution_id: str, identity: Identity, query: MatchQuery) -> Matches:
        """Return the next entry, or the one before, found in a bounded time; and count them all.

        Raises:
            NotFound: There is no such execution for this user.
            Purged: There was one, or its log was removed.
            InvalidRequest: The pattern is no good.
        """
        execution = self._found(execution_id, identity, query.grep)
        owner = identity.username
        if not query.sieve.is_needed:
            return self._find_by_index(execution, query, owner)
        if not query.sieve.levels:
            return Matches(None, None, 0, execution.log_total, is_total=True)
        look = self._next if query.direction == "next" else self._previous
        patience = Patience(_FINDING_SECONDS)
        entry, go_on_from = look(execution, query, owner, patience)
        counting = Patience(_THOROUGH_SECONDS if query.thorough else _COUNTING_SECONDS)
        tally = self._tallies.as_far_as(execution, query.sieve, owner, counting)
        match = None
        if entry is not None:
            number = self._number(execution, query.sieve, entry, tally, owner)
            match = Match(
                entry, self._before(execution, query.shown, entry.sequence, owner), number
            )
        is_total = tally.place >= execution.log_total
        return Matches(match, go_on_from, tally.total, tally.place, is_total=is_total)

    def _found(self, execution_id: str, identity: Identity, grep: str | None) -> Execution:
        self._stretches.grep.check(grep, identity.username)
        execution = self._service.get(execution_id, identity)
        require_log(execution)
        return execution

    def _total(self, execution: Execution, sieve: Sieve, owner: str) -> int:
        if sieve.is_needed:
            return self._tallies.of(execution, sieve, owner).total
        return count(execution.log_counts, sieve.levels)

    def _before(self, execution: Execution, sieve: Sieve, place: int, owner: str) -> int:
        if sieve.is_needed:
            return self._tallies.before(execution, sieve, place, owner)
        with self._stretches.turn(owner):
            return self._stretches.journal.index_of(
                execution.number, execution.log_counts, sieve.levels, place
            )

    def _find_by_index(self, execution: Execution, query: MatchQuery, owner: str) -> Matches:
        """Find an entry of some levels, which takes no time."""
        levels, counts, is_next = (
            query.sieve.levels,
            execution.log_counts,
            query.direction == "next",
        )
        total = count(counts, levels)
        before = self._before(execution, query.sieve, query.index + is_next, owner)
        at = before if is_next else before - 1
        match = None
        if 0 <= at < total:
            with self._stretches.turn(owner):
                read = self._stretches.journal.page
                (entry,) = read(execution.number, counts, levels, at, 1)
            shown = self._before(execution, query.shown, entry.sequence, owner)
            match = Match(entry, shown, at + 1)
        return Matches(match, None, total, execution.log_total, is_total=True)

    def _next(
        self, execution: Execution, query: MatchQuery, owner: str, patience: Patience
    ) -> tuple[LogEntry | None, int | None]:
        tally = self._tallies.known(execution, query.sieve)
        place, end = max(0, query.index + 1), execution.log_total
        while (place := tally.after_gap(place)) < end:
            found = self._stretches.read(query.sieve.first_stretch(execution, place, owner))
            if found.entries:
                return found.entries[0], None
            place = found.next
            if place < end and patience.is_over:
                return None, place - 1
        return None, None

    def _previous(
        self, execution: Execution, query: MatchQuery, owner: str, patience: Patience
    ) -> tuple[LogEntry | None, int | None]:
        """Look through windows that become larger, as long as each takes but a part of the time."""
        tally = self._tallies.known(execution, query.sieve)
        end, size = min(query.index, execution.log_total), _FIRST_WINDOW
        while (end := tally.before_gap(end)) > 0:
            first = max(0, end - size)
            of_window = Patience(_FINDING_SECONDS / 10)
            entry = self._last_within(execution, query.sieve, first, end, owner)
            if entry is not None:
                return entry, None
            end = first
            if end > 0 and patience.is_over:
                return None, end
            if not of_window.is_over:
                size = min(2 * size, _LARGEST_WINDOW)
        return None, None

    def _last_within(
        self, execution: Execution, sieve: Sieve, first: int, end: int, owner: str
    ) -> LogEntry | None:
        last, place = None, first
        while place < end:
            found = self._stretches.read(sieve.first_stretch(execution, place, owner))
            within = [entry for entry in found.entries if entry.sequence < end]
            last = within[-1] if within else last
            place = found.next
        return last

    def _number(
        self, execution: Execution, sieve: Sieve, entry: LogEntry, tally: Tally, owner: str
    ) -> int | None:
        """Return which one an entry is of all that are counted; None where that is not known."""
        if entry.sequence >= tally.place:
            return None
        place, number = tally.before_stretch(entry.sequence)
        patience = Patience(_COUNTING_SECONDS)
        while place <= entry.sequence:
            found = self._stretches.read(sieve.first_stretch(execution, place, owner))
            number += sum(each.sequence <= entry.sequence for each in found.entries)
            place = found.next
            if place <= entry.sequence and patience.is_over:
                return None
        return number
