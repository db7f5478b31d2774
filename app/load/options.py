"""How much of a workflow runs: which options a mode has, and what stands where one is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, Final

from app.documents import Fault, Path
from app.domain import JSON
from app.durations import parse_go_duration
from app.load.definition import (
    SECOND_US,
    Mode,
    Options,
    Stage,
    TargetMode,
    TargetSlaves,
    Threshold,
)
from app.load.variables import text_of

_FIELDS: Final[Mapping[Mode, frozenset[str]]] = {
    Mode.CONSTANT_VUS: frozenset({"vus", "duration", "iterations"}),
    Mode.PER_VU_ITERATIONS: frozenset({"vus", "duration", "iterations"}),
    Mode.SHARED_ITERATIONS: frozenset({"vus", "duration", "iterations"}),
    Mode.RAMPING_VUS: frozenset({"vus", "stages"}),
    Mode.CONSTANT_ARRIVAL_RATE: frozenset(
        {"vus", "duration", "rate", "time_unit", "pre_allocated_vus", "max_vus"}
    ),
    Mode.RAMPING_ARRIVAL_RATE: frozenset(
        {"vus", "stages", "time_unit", "pre_allocated_vus", "max_vus"}
    ),
    Mode.EXTERNALLY_CONTROLLED: frozenset({"vus", "duration", "max_vus"}),
}
_OF_MODES: Final = frozenset().union(*_FIELDS.values())
_REQUIRED: Final[Mapping[Mode, tuple[str, ...]]] = {
    Mode.RAMPING_VUS: ("stages",),
    Mode.CONSTANT_ARRIVAL_RATE: ("duration",),
    Mode.RAMPING_ARRIVAL_RATE: ("stages",),
}
_FEWEST_VUS: Final = 10
"""How many VUs an arrival mode may have where ``max_vus`` says nothing."""

_TARGETS: Final = {
    TargetMode.MANUAL: "slave_ids",
    TargetMode.LABEL: "labels",
    TargetMode.CAPABILITY: "capabilities",
}


def mode_of(asked: Mapping[str, Any]) -> Mode | None:
    """Return the mode of options, None if that is no mode.

    Without a word, stages make a ramp of VUs, a rate makes a constant arrival rate, a duration
    alone makes constant VUs, and whatever else shares a number of iterations. So do constant VUs
    with a number of iterations, or with nothing that ends them.
    """
    word = asked.get("mode")
    if word is not None and word not in set(Mode):
        return None
    if word is None and "stages" in asked:
        return Mode.RAMPING_VUS
    if word is None and "rate" in asked:
        return Mode.CONSTANT_ARRIVAL_RATE
    if word in {None, Mode.CONSTANT_VUS}:
        endless = "iterations" in asked or "duration" not in asked
        return Mode.SHARED_ITERATIONS if endless else Mode.CONSTANT_VUS
    return Mode(word)


def violations(asked: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    """Find options that do not go together."""
    mode = mode_of(asked)
    if mode is not None:
        for field in sorted(_OF_MODES.intersection(asked) - _FIELDS[mode]):
            yield Fault((*path, field), f"is not for the mode {mode}")
        for field in _REQUIRED.get(mode, ()):
            if field not in asked:
                yield Fault((*path, field), f"is required for the mode {mode}")
    if mode is Mode.CONSTANT_ARRIVAL_RATE and "rate" not in asked and "vus" not in asked:
        yield Fault((*path, "rate"), "is required for the mode constant-arrival-rate")
    yield from _stage_faults(asked.get("stages"), (*path, "stages"), mode)
    fewest, most = (asked.get(name) for name in ("pre_allocated_vus", "max_vus"))
    if isinstance(fewest, int) and isinstance(most, int) and fewest > most:
        yield Fault((*path, "max_vus"), "must be at least pre_allocated_vus")
    if mode is Mode.EXTERNALLY_CONTROLLED and _exceeds(asked.get("vus"), most):
        yield Fault((*path, "max_vus"), "must be at least vus")
    target = asked.get("target_slaves")
    if isinstance(target, Mapping):
        yield from _target_faults(target, (*path, "target_slaves"))


def _exceeds(value: JSON, limit: JSON) -> bool:
    return isinstance(value, int) and isinstance(limit, int) and value > limit


def _stage_faults(stages: JSON, path: Path, mode: Mode | None) -> Iterator[Fault]:
    if not isinstance(stages, list) or not all(isinstance(stage, Mapping) for stage in stages):
        return
    if mode is Mode.RAMPING_VUS:
        for index, stage in enumerate(stages):
            target = stage.get("target")
            if isinstance(target, float) and not target.is_integer():
                yield Fault((*path, index, "target"), "must be a whole number of VUs")
    try:
        long = any(_microseconds(stage.get("duration", "0s")) for stage in stages)
    except (TypeError, ValueError):
        return
    if stages and not long:
        yield Fault(path, "must be longer than 0s altogether")


def _target_faults(target: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    wanted = _TARGETS.get(target.get("mode", TargetMode.AUTO))
    if wanted and wanted not in target:
        yield Fault((*path, wanted), "is required for this mode")
    for mode, field in _TARGETS.items():
        if field != wanted and field in target:
            yield Fault((*path, field), f"is for the mode {mode}")
    if _exceeds(target.get("min_slaves", 1), target.get("max_slaves")):
        yield Fault((*path, "max_slaves"), "must be at least min_slaves")


def build(asked: Mapping[str, Any]) -> Options:
    """Make options of what was found valid."""
    mode = mode_of(asked)
    if mode is None:
        raise ValueError("no such mode")
    time_unit_us = _microseconds(asked.get("time_unit", "1s"))
    stages = tuple(
        Stage(_microseconds(stage["duration"]), _fraction(stage["target"]), stage.get("name", ""))
        for stage in asked.get("stages", ())
    )
    rate = _rate(mode, asked)
    allocated, most = _arrival_vus(mode, asked, stages, rate, time_unit_us)
    return Options(
        mode=mode,
        vus=_vus(mode, asked),
        duration_us=_microseconds(asked["duration"]) if "duration" in asked else None,
        iterations=_iterations(mode, asked),
        stages=stages,
        rate=rate,
        time_unit_us=time_unit_us,
        pre_allocated_vus=allocated,
        max_vus=most,
        thresholds=tuple(Threshold(**threshold) for threshold in asked.get("thresholds", ())),
        target=_target(asked.get("target_slaves", {})),
        tags=_texts(asked.get("tags", {})),
    )


def _vus(mode: Mode, asked: Mapping[str, Any]) -> int:
    counts = {
        Mode.CONSTANT_VUS,
        Mode.PER_VU_ITERATIONS,
        Mode.SHARED_ITERATIONS,
        Mode.EXTERNALLY_CONTROLLED,
    }
    return int(asked.get("vus", 1)) if mode in counts else 1


def _iterations(mode: Mode, asked: Mapping[str, Any]) -> int | None:
    if mode not in {Mode.SHARED_ITERATIONS, Mode.PER_VU_ITERATIONS}:
        return None
    # Each VU once, where nobody says anything but their number.
    usual = 1 if asked.get("mode") == mode else asked.get("vus", 1)
    return int(asked.get("iterations", usual))


def _rate(mode: Mode, asked: Mapping[str, Any]) -> Fraction | None:
    if mode is not Mode.CONSTANT_ARRIVAL_RATE:
        return None
    return _fraction(asked.get("rate", asked.get("vus")))


def _arrival_vus(
    mode: Mode,
    asked: Mapping[str, Any],
    stages: tuple[Stage, ...],
    rate: Fraction | None,
    time_unit_us: int,
) -> tuple[int | None, int | None]:
    """Return VUs at the beginning and at most: one for each iteration a second, and twice that."""
    if mode not in {Mode.CONSTANT_ARRIVAL_RATE, Mode.RAMPING_ARRIVAL_RATE}:
        return None, asked.get("max_vus")
    fastest = rate if rate is not None else max(stage.target for stage in stages)
    usual = max(1, math.ceil(fastest * SECOND_US / time_unit_us))
    said = asked.get("pre_allocated_vus")
    if said is None and ("rate" in asked or mode is Mode.RAMPING_ARRIVAL_RATE):
        said = asked.get("vus")
    allocated = said or min(usual, asked.get("max_vus", usual))
    return allocated, asked.get("max_vus", max(_FEWEST_VUS, 2 * usual, allocated))


def _target(target: Mapping[str, Any]) -> TargetSlaves:
    return TargetSlaves(
        mode=TargetMode(target.get("mode", TargetMode.AUTO)),
        slave_ids=tuple(target.get("slave_ids", ())),
        labels=_texts(target.get("labels", {})),
        capabilities=tuple(target.get("capabilities", ())),
        min_slaves=target.get("min_slaves", 1),
        max_slaves=target.get("max_slaves"),
    )


def _texts(values: Mapping[str, JSON]) -> dict[str, str]:
    return {name: text_of(value) for name, value in values.items()}


def _microseconds(value: str | int) -> int:
    return parse_go_duration(str(value))


def _fraction(number: float) -> Fraction:
    """Return the number that was written: a tenth of ``0.1``."""
    return Fraction(repr(number))
