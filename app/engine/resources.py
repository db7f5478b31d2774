"""What the steps of a definition ask for: its shape in a document, and who can give it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from app.documents import path_text
from app.domain import JSON
from app.durations import parse_duration
from app.engine.faults import Fault, Path
from app.engine.model import Honoured, Preparation, StepType, StreamFile
from app.engine.schema import parse_memory
from app.errors import MAX_FIELDS, FieldError
from app.job_resources import Resource, Resources

_ASKS_FOR_NOTHING: Final[Mapping[str, tuple[JSON, ...]]] = {
    Resource.NODES: (1,),
    Resource.TASKS: (1,),
    Resource.TASKS_PER_NODE: (1,),
    Resource.GPUS: (0,),
    Resource.EXCLUSIVE: (False,),
    Resource.EXTRA: ([],),
}
"""Values that a command on any machine has by itself."""

_MOST_ASKED: Final = 200

_OF_ANY_MACHINE: Final[Mapping[str, int]] = {Resource.CPUS: 1, Resource.MEMORY: 0}

_ANYBODY: Final = frozenset({Resource.CPUS, Resource.MEMORY, Resource.TIME})
"""What the engine gives by itself, whatever the launcher."""


class Take(NamedTuple):
    """What a step takes of its machine.

    Attributes:
        path: Where the document says so.
        kind: ``cpus`` or ``memory``.
        amount: Processors of all of its tasks, or bytes.
        by_request: The step is of type ``http``.
    """

    path: str
    kind: str
    amount: int
    by_request: bool = False


def build(source: Mapping[str, Any]) -> Resources:
    """Make the resources of a step from what a valid document holds."""
    time = source.get(Resource.TIME)
    return Resources(
        cpus=int(source.get(Resource.CPUS, 1)),
        memory_bytes=parse_memory(source.get(Resource.MEMORY, 0)),
        time_seconds=None if time is None else parse_duration(time),
        nodes=_count(source.get(Resource.NODES)),
        tasks=_count(source.get(Resource.TASKS)),
        tasks_per_node=_count(source.get(Resource.TASKS_PER_NODE)),
        gpus=int(source.get(Resource.GPUS, 0)),
        exclusive=source.get(Resource.EXCLUSIVE, False),
        partition=source.get(Resource.PARTITION),
        account=source.get(Resource.ACCOUNT),
        qos=source.get(Resource.QOS),
        reservation=source.get(Resource.RESERVATION),
        constraint=source.get(Resource.CONSTRAINT),
        extra=tuple(source.get(Resource.EXTRA, ())),
    )


def _count(value: Any) -> int | None:
    return None if value is None else int(value)  # 2.0 is an integer to JSON Schema


def violations(resources: Mapping[str, JSON], path: Path) -> Iterator[Fault]:
    """Find numbers that cannot all be so; what has not the right shape is passed over."""
    numbers = {name: number for name, number in resources.items() if _is_count(number)}
    tasks, nodes = numbers.get(Resource.TASKS), numbers.get(Resource.NODES, 1)
    if tasks is None:
        return
    if tasks < nodes:
        yield Fault((*path, Resource.TASKS), f"must be at least one for each of {nodes} nodes")
    most = numbers.get(Resource.TASKS_PER_NODE)
    if most is not None and Resource.NODES in numbers and tasks > nodes * most:
        text = f"must be at most nodes * tasks_per_node, which is {nodes * most}"
        yield Fault((*path, Resource.TASKS), text)


def _is_count(value: JSON) -> bool:
    return type(value) in (int, float) and value == int(value) and value > 0


def asked_for(source: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths in a valid document of what not every launcher gives."""
    for index, step in enumerate(source["steps"]):
        yield from _asked_by(index, step)


def asked_by_requests(source: Mapping[str, Any]) -> Iterator[str]:
    """Yield those of :func:`asked_for` that belong to steps of type ``http``."""
    for index, step in enumerate(source["steps"]):
        if step["type"] == StepType.HTTP:
            yield from _asked_by(index, step)


def _asked_by(index: int, step: Mapping[str, Any]) -> Iterator[str]:
    for name, value in step.get("resources", {}).items():
        if name not in _ANYBODY and value not in _ASKS_FOR_NOTHING.get(name, ()):
            yield path_text(("steps", index, "resources", name))
    for field in StreamFile:
        if field in step:
            yield path_text(("steps", index, str(field)))
    for word in Preparation:
        if step.get(word):
            yield path_text(("steps", index, str(word)))


def taken(source: Mapping[str, Any]) -> list[Take]:
    """List what the steps of a valid document take, the most of each kind first; of many the first.

    What any machine has is left out.
    """
    found = []
    for index, step in enumerate(source["steps"]):
        resources = build(step.get("resources", {}))
        amounts = {Resource.CPUS: resources.all_cpus, Resource.MEMORY: resources.memory_bytes}
        path = ("steps", index, "resources")
        found += [
            Take(
                path_text((*path, str(kind))), str(kind), amount, step.get("type") == StepType.HTTP
            )
            for kind, amount in amounts.items()
            if amount > _OF_ANY_MACHINE[kind]
        ]
    return sorted(found, key=lambda take: -take.amount)[:MAX_FIELDS]


def asked_elsewhere(source: Mapping[str, Any]) -> list[tuple[str, JSON]]:
    """List what the steps of a valid document ask for, those of type ``http`` left out.

    Returns:
        Each ``resources`` once, of very many the first, behind the path where it stands first.
    """
    found: dict[str, tuple[str, JSON]] = {}
    for index, step in enumerate(source["steps"]):
        asked = step.get("resources")
        if not asked or step["type"] == StepType.HTTP:
            continue
        key = json.dumps(asked, sort_keys=True)
        if key not in found and len(found) < _MOST_ASKED:
            found[key] = path_text(("steps", index, "resources")), asked
    return list(found.values())


def too_much(takes: Iterable[Take], most: Mapping[str, tuple[float, str]]) -> list[FieldError]:
    """Return what no task can have.

    Args:
        takes: As :func:`taken` listed them.
        most: The most of each kind that a task can have, and the machine that has no more.
    """
    return [
        FieldError(take.path, _too_much(take, most[take.kind]))
        for take in takes
        if take.amount > most[take.kind][0]
    ]


def _too_much(take: Take, most: tuple[float, str]) -> str:
    amount, machine = most
    unit = "processors" if take.kind == Resource.CPUS else "bytes of memory"
    return (
        f"asks for {take.amount} {unit}, and all tasks together have {amount:.0f} "
        f"on machine '{machine}'"
    )


def not_given(
    paths: Iterable[str], honours: Collection[Honoured], launcher: str
) -> list[FieldError]:
    """Return which resources, files and preparations a launcher does not give.

    Args:
        paths: As :func:`asked_for` gave them.
        honours: What it gives.
        launcher: Its type.
    """
    given: Collection[Honoured] = _ANYBODY.union(honours)
    return [
        FieldError(path, _not_given(word, given, launcher))
        for path in paths
        if (word := path.rpartition(".")[2]) not in given
    ]


def not_for_requests(paths: Iterable[str]) -> list[FieldError]:
    """Return what requests cannot have that are not made from where commands run.

    Args:
        paths: As :func:`asked_by_requests` gave them.
    """
    text = "is not for steps of type http: they run on the machine of the gateway"
    return [FieldError(path, f"{text}, and have cpus, memory, time") for path in paths]


def _not_given(word: str, given: Collection[Honoured], launcher: str) -> str:
    if word in set(Preparation):
        return f"is not what the launcher '{launcher}' gives; it runs the command as it stands"
    kind = StreamFile if word in set(StreamFile) else Resource
    alike = ", ".join(str(each) for each in kind if each in given)
    return f"is not what the launcher '{launcher}' gives; it gives {alike or 'no such file'}"
