"""Steps that run for elements, whatever happens to them in whatever order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from engine_kit import Bench, steps

from app.domain import BEGUN, DesiredState, TaskStatus
from app.elements import by_step
from app.engine.slots import Slots

_WORST = (TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED)


def flow(dice: random.Random) -> list[dict[str, object]]:
    """Make some steps, each of which needs some before it, and one that ends when told."""
    made: list[dict[str, object]] = []
    for number in range(dice.randint(1, 4)):
        step: dict[str, object] = {
            "id": f"s{number}", "needs": [f"s{n}" for n in range(number) if dice.random() < 0.5],
            "retries": dice.choice([0, 0, 1]), "allow_failure": dice.random() < 0.3,
        }  # fmt: skip
        if dice.random() < 0.6:
            step["foreach"] = list(range(dice.choice([0, 1, 3, 5])))
            step["max_parallel"] = dice.choice([1, 2, 5])
        made.append(step)
    return [*made, {"id": "hold"}]


def act(bench: Bench, dice: random.Random) -> None:
    """Let one thing happen, or look."""
    running = [job for job in bench.launcher.jobs if bench.launcher.is_running(job)]
    running = [job for job in running if not job.startswith("hold")]
    happens = dice.random()
    if happens < 0.45 and running:
        bench.launcher.finish(dice.choice(running), dice.choice([0, 0, 0, 1]))
    elif happens < 0.55 and bench.tasks:
        bench.run_task(dice.choice(sorted(bench.tasks)))
    elif happens < 0.62 and bench.tasks:
        bench.stop_task(dice.choice(sorted(bench.tasks)))
    elif happens < 0.66:
        bench.want(dice.choice([DesiredState.PAUSE, DesiredState.RUN]))
    else:
        bench.look(dies=dice.random() < 0.1)


def bounds_hold(bench: Bench) -> bool:
    """Return whether no more elements of a step run than it says."""
    return all(
        sum(bench.tasks[name].status in BEGUN for name in names)
        <= (bench.plan.steps[step].foreach.max_parallel or len(names))
        for step, names in by_step(bench.tasks).items()
    )


def end(bench: Bench) -> None:
    for _ in range(200):
        bench.look()
        for job in filter(bench.launcher.is_running, list(bench.launcher.jobs)):
            bench.launcher.finish(job)
        if bench.seen.log_complete:
            return
    raise AssertionError({name: str(task.status) for name, task in bench.tasks.items()})


@pytest.mark.parametrize("seed", range(60))
def test_all_comes_to_an_end_that_fits_its_elements(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    bench = Bench(
        steps(*flow(dice)), tmp_path, slots=Slots(dice.choice([2, 1000]), None),
        forgetful=dice.random() < 0.4,
    )  # fmt: skip
    for _ in range(60):
        act(bench, dice)
        assert bounds_hold(bench)
        if bench.seen is not None and bench.seen.status.final:
            break
    bench.want(DesiredState.RUN)
    end(bench)
    assert all(task.status.final for task in bench.tasks.values())
    for step, names in by_step(bench.tasks).items():
        found = {bench.tasks[name].status for name in names}
        worst = next((status for status in _WORST if status in found), TaskStatus.SUCCESS)
        assert bench.tasks[step].status is worst
    assert len(set(bench.launcher.begun)) == len(bench.launcher.begun)
