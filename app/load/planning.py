"""Who does which share of an execution: chosen at first, and again when slaves are lost or join.

Functions of what is known, without input or output. Each process that runs them on the same comes
to the same, so nothing depends on who decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from app.load.definition import Definition, Options, StepType, TargetMode, TargetSlaves, all_steps
from app.load.modes import most_vus, quota
from app.load.segments import WHOLE, Segment, deal

CAPABILITIES: Final[Mapping[StepType, str]] = {
    StepType.HTTP: "http_executor",
    StepType.SCRIPT: "script_executor",
}
"""What a slave must be able to do for steps of a type; for the other types, nothing."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A slave, as far as it matters here.

    Attributes:
        incarnation: Of its process.
        max_vus: Most virtual users that it runs at a time.
        reserved: How many of them are reserved for other executions.
        load: How busy it is, from 0.
        there: It is connected, and takes new tasks; or it is local, and comes when it is called.
        connected: It need not be called.
        local: The service itself starts it.
    """

    id: str
    incarnation: str
    max_vus: int
    reserved: int = 0
    load: float = 0.0
    labels: Mapping[str, str] | None = None
    capabilities: Collection[str] = ()
    there: bool = True
    connected: bool = True
    local: bool = False

    @property
    def room(self) -> int:
        """Virtual users that it can still carry."""
        return max(0, self.max_vus - self.reserved)


@dataclass(frozen=True, slots=True)
class Part:
    """The share of an execution that one slave has.

    Attributes:
        task: Id of the task; empty for one that is new.
        slave: Id of the slave.
        incarnation: Of its process.
        segment: Which share.
        quota: Iterations that it may begin in all; None for any number.
        max_vus: Most virtual users that it runs at a time.
        reserved: The same, once others have let go of those that it gets from them.
        running: Virtual users that it may still have at the moment.
        claimed: Iterations that it has begun, as far as it has reported.
        follows: What it reported last, it reported knowing all this.
    """

    task: str
    slave: str
    incarnation: str
    segment: Segment = WHOLE
    quota: int | None = None
    max_vus: int = 0
    reserved: int = 0
    running: int = 0
    claimed: int = 0
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Shares:
    """What all do together.

    Attributes:
        parts: One for each slave that is at it; their segments cover the whole.
        lacking: Virtual users that nobody can carry.
    """

    parts: tuple[Part, ...]
    lacking: int


class NotEnough(Exception):
    """The slaves that there are do not do.

    Attributes:
        message: Sentence for whoever submits or scales.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def needs(definition: Definition) -> frozenset[str]:
    """Return the capabilities that slaves must have for the steps of a definition."""
    hooks = [definition.pre_hook, definition.post_hook]
    types = {step.type for step in all_steps(definition.steps)}
    for step in all_steps(definition.steps):
        hooks += [step.pre_hook, step.post_hook]
    types |= {StepType.SCRIPT for hook in hooks if hook and hasattr(hook.config, "script")}
    types |= {StepType.HTTP for hook in hooks if hook and hasattr(hook.config, "url")}
    return frozenset(CAPABILITIES[each] for each in types if each in CAPABILITIES)


def fitting(
    target: TargetSlaves, needed: Collection[str], workers: Iterable[Worker]
) -> list[Worker]:
    """Return those that may work for an execution, the least busy first.

    A local slave stands behind all others, unless it is asked for.
    """
    fit = [
        w
        for w in workers
        if w.there and set(needed) <= set(w.capabilities) and _is_meant(target, w)
    ]
    return sorted(fit, key=lambda w: (w.local, w.load, w.id))


def _is_meant(target: TargetSlaves, worker: Worker) -> bool:
    if target.mode is TargetMode.MANUAL:
        return worker.id in target.slave_ids
    if target.mode is TargetMode.LABEL:
        labels = worker.labels or {}
        return all(labels.get(name) == value for name, value in target.labels.items())
    if target.mode is TargetMode.CAPABILITY:
        return set(target.capabilities) <= set(worker.capabilities)
    return worker.local or target.mode is not TargetMode.LOCAL


def choose(
    target: TargetSlaves, needed: Collection[str], workers: Iterable[Worker], vus: int
) -> list[Worker]:
    """Choose the slaves of an execution that begins.

    All that fit are taken, up to ``max_slaves`` of them, but a local one only where the others
    cannot carry it alone.

    Args:
        target: Which slaves it is for.
        needed: What they must be able to do.
        workers: The slaves that there are.
        vus: The most virtual users that it has at a time.

    Raises:
        NotEnough: There are too few, or they cannot carry it.
    """
    fit = fitting(target, needed, workers)
    if target.mode is TargetMode.MANUAL:
        missing = sorted(set(target.slave_ids) - {worker.id for worker in fit})
        if missing:
            text = f"These slaves are not there, or cannot run it: {', '.join(missing[:10])}."
            raise NotEnough(text)
    else:
        fit = [worker for worker in fit if worker.room] or fit
    if not fit:
        raise NotEnough("There is no slave that could run it.")
    chosen = _carrying(fit, vus, target)
    if len(chosen) < target.min_slaves:
        text = f"It wants at least {target.min_slaves} slaves, and there are {len(chosen)}."
        raise NotEnough(text)
    room = sum(worker.room for worker in chosen)
    if room < vus:
        text = f"It wants {vus} virtual users, and its slaves have room for {room}."
        raise NotEnough(text)
    return chosen


def _carrying(fit: Sequence[Worker], vus: int, target: TargetSlaves) -> list[Worker]:
    """Choose among those that fit, which are in order."""
    most = target.max_slaves
    far = [worker for worker in fit if not worker.local][:most]
    enough = sum(worker.room for worker in far) >= vus and len(far) >= target.min_slaves
    return far if far and enough else list(fit[:most])


def joining(
    target: TargetSlaves,
    needed: Collection[str],
    workers: Iterable[Worker],
    *,
    at_it: Mapping[str, int],
    wanted: int,
    vus: int,
) -> list[Worker]:
    """Choose the slaves that join an execution which lacks some.

    It does if it has fewer than it began with, or if they cannot carry its virtual users.

    Args:
        target: Which slaves it is for.
        needed: What they must be able to do.
        workers: The slaves that there are.
        at_it: Room of those that are at it, by their ids. Those that have not let go of it since
            they were lost stand there, too, with no room.
        wanted: With how many it began.
        vus: The most virtual users that it has at a time.
    """
    free = [w for w in fitting(target, needed, workers) if w.id not in at_it and w.room]
    having = sum(1 for room in at_it.values() if room)
    most = len(free) if target.max_slaves is None else max(0, target.max_slaves - having)
    missing, room = max(0, wanted - having), sum(at_it.values())
    joins: list[Worker] = []
    for worker in free[:most]:
        replaces = len(joins) < missing and not (worker.local and having + len(joins))
        if not replaces and room >= vus:
            break
        joins.append(worker)
        room += worker.room
    return joins


def share_out(
    options: Options,
    scaled: int | None,
    parts: Sequence[Part],
    workers: Mapping[str, Worker],
    *,
    done_elsewhere: int,
) -> Shares:
    """Share an execution out over those that are at it.

    Segments stay as they are, as long as they cover the whole, and nobody has more than they can
    carry. Where they change, nobody gets virtual users of others before those have let go of them,
    so that there are never too many. What nobody may begin yet is added to the quotas. None falls,
    but where a slave is sure to begin nothing: it had no virtual users, and has reported since it
    knew. What it did not begin is for the others then.

    Args:
        options: How much runs.
        scaled: How many virtual users somebody asked for.
        parts: Those of all slaves that are at it, at least one; new ones without a segment.
        workers: Those slaves, by their ids.
        done_elsewhere: Iterations that came to their end on slaves that are not at it any more.
    """
    vus = most_vus(options, scaled)
    rooms = [workers[part.slave].room for part in parts]
    segments = _segments(parts, [workers[part.slave] for part in parts], vus)
    wanted = [segment.share(vus) for segment in segments]
    kept = tuple(
        replace(_released(part, share), segment=segment, reserved=min(share, room))
        for part, segment, share, room in zip(parts, segments, wanted, rooms, strict=True)
    )
    kept = _granted(kept, quota(options, scaled), vus, done_elsewhere)
    return Shares(_in_turn(kept, vus), vus - sum(part.reserved for part in kept))


def _in_turn(parts: Sequence[Part], vus: int) -> tuple[Part, ...]:
    """Let parts that get more virtual users wait for those that get fewer."""
    least = [min(part.max_vus, part.reserved) for part in parts]
    free = vus - sum(max(part.running, few) for part, few in zip(parts, least, strict=True))
    turned = []
    for part, few in zip(parts, least, strict=True):
        more = min(part.reserved - few, max(0, free))
        free -= more
        turned.append(replace(part, max_vus=few + more))
    return tuple(turned)


def _released(part: Part, share: int) -> Part:
    """Take from the quota of a slave that runs nobody what it is sure not to begin."""
    if share or part.max_vus or not part.follows or part.quota is None:
        return part
    return replace(part, quota=min(part.quota, part.claimed))


def _segments(parts: Sequence[Part], workers: Sequence[Worker], vus: int) -> list[Segment]:
    """Return the segments of parts: those that they have, if these do."""
    rooms = [worker.room for worker in workers]
    given = [part.segment for part in parts]
    if _cover(given) and _fit(given, rooms, vus):
        return given
    even = list(WHOLE.split([worker.max_vus or 1 for worker in workers]))
    if _fit(even, rooms, vus) or not any(rooms):
        return even
    return list(WHOLE.split(rooms))


def _cover(segments: Sequence[Segment]) -> bool:
    """Return whether segments are all of the whole, once."""
    ordered = sorted(segments, key=lambda segment: (segment.start, segment.end))
    ends = [segment.end for segment in ordered]
    joined = [0, *ends[:-1]] == [segment.start for segment in ordered]
    return joined and ends[-1] == 1 and len({segment.of for segment in segments}) == 1


def _fit(segments: Sequence[Segment], rooms: Sequence[int], vus: int) -> bool:
    return all(s.share(vus) <= room for s, room in zip(segments, rooms, strict=True))


def _granted(
    parts: tuple[Part, ...], total: int | None, vus: int, done_elsewhere: int
) -> tuple[Part, ...]:
    """Add what nobody may begin yet to the quotas, by the virtual users of each."""
    if total is None:
        return tuple(replace(part, quota=None) for part in parts)
    left = max(0, total - done_elsewhere - sum(part.quota or 0 for part in parts))
    return tuple(
        replace(part, quota=(part.quota or 0) + deal(left, part.segment, vus)) for part in parts
    )
