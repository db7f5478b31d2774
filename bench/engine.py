"""The engine: what it costs to run commands that do nothing.

Times are seen by a client: from before ``POST /workflows/<id>`` is sent until an answer says
SUCCESS, in ms or s; those of the launcher alone from before the start of a command until its result
is known. The commands are ``true``; what is left is our own work, and the start of the processes
that each command needs (a shim, and the command itself). The peer is the least that a program can
do to run a command: ``subprocess.run``, with nothing kept of it.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from app.engine.launchers.base import Job, JobPhase
from app.engine.launchers.job_records import Process
from app.engine.launchers.local import LocalLauncher
from bench._report import Figure, median
from bench._service import Service, cpu_seconds

_WIDTH = 10
_MOST_SINGLE_MS = 15.0
_MOST_STEP_SECONDS = 0.006
_MOST_RATIO = 10.0
"""Of a graph, beside as many bare processes one after the other."""
_SETTLING_SECONDS = 15.0
"""Until the pauses between two measurements of a command are as long as they become."""


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure."""
    steps = 50 if quick else 500
    repetitions = 3 if quick else 15
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder:
        workflows = Path(folder) / "workflows"
        workflows.mkdir()
        _write(workflows, "single", {"only": ()})
        diamond = {"split": (), "left": ("split",), "right": ("split",), "join": ("left", "right")}
        _write(workflows, "diamond", diamond)
        _write(workflows, "lattice", _lattice(steps))
        with Service(Path(folder)) as service:
            yield from _launcher(Path(folder) / "jobs", 10 * repetitions)
            yield from _watching(Path(folder) / "watched", seconds=10 if quick else 40)
            yield from _short(service, repetitions)
            yield from _long(service, steps)


def _launcher(folder: Path, repetitions: int) -> Iterator[Figure]:
    """Run commands by the launcher, with neither a service nor a store."""
    launcher = LocalLauncher(folder / "doorbell")
    folder.mkdir()
    rung = threading.Event()
    launcher.listen(lambda _: rung.set())
    numbers = itertools.count()

    def one() -> None:
        job = Job(
            execution_id="bench", folder=folder / str(next(numbers)), argv=("true",),
            working_dir=folder, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        launcher.start(job)
        while launcher.state(job.folder).phase is not JobPhase.EXITED:
            rung.wait(0.1)
            rung.clear()

    bare = _median_ms(lambda: subprocess.run(["true"], check=True), repetitions)
    shim = _median_ms(one, repetitions)
    yield Figure(
        "one command by the launcher alone, begin to result on the disk", shim, "ms",
        ratio=shim / bare, beside="subprocess.run",
    )  # fmt: skip


def _watching(folder: Path, seconds: float) -> Iterator[Figure]:
    """Run commands that sleep, and see what their shims take meanwhile, which measure them."""
    launcher, count = LocalLauncher(), 100
    folder.mkdir()
    jobs = [
        Job(
            execution_id="bench", folder=folder / str(number), argv=("sleep", "600"),
            working_dir=folder, env={"PATH": os.environ["PATH"]}, kill_grace_seconds=0.0,
        )
        for number in range(count)
    ]  # fmt: skip
    try:
        for job in jobs:
            launcher.start(job)
        while not all(launcher.usage(job.folder) for job in jobs):
            time.sleep(0.1)
        time.sleep(_SETTLING_SECONDS)
        states = [launcher.state(job.folder) for job in jobs]
        shims = [process.pid for state in states if (process := Process.load(state.process))]
        used = sum(map(_run_seconds, shims))
        time.sleep(seconds)
        used = sum(map(_run_seconds, shims)) - used
    finally:
        for job in jobs:
            launcher.cancel(job.folder)
        while any(launcher.state(job.folder).phase is JobPhase.RUNNING for job in jobs):
            time.sleep(0.1)
    yield Figure(
        f"measuring what {count} commands take", 100 * used / seconds, "% of a core", most=0.5
    )


def _run_seconds(pid: int) -> float:
    """Return the processor time of a process that has one thread, more exactly than in ticks."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _short(service: Service, repetitions: int) -> Iterator[Figure]:
    bare = _median_ms(lambda: subprocess.run(["true"], check=True), repetitions)
    single = _median_ms(lambda: _success(service, "single"), repetitions)
    yield Figure(
        "one command, POST to SUCCESS", single, "ms", most=_MOST_SINGLE_MS,
        ratio=single / bare, beside="subprocess.run",
    )  # fmt: skip
    diamond = _median_ms(lambda: _success(service, "diamond"), repetitions)
    yield Figure(
        "diamond of 4 commands, POST to SUCCESS", diamond, "ms", most=1000,
        ratio=diamond / (4 * bare), beside="4 subprocess.run",
    )  # fmt: skip


def _long(service: Service, steps: int) -> Iterator[Figure]:
    bare = _seconds(lambda: [subprocess.run(["true"], check=True) for _ in range(steps)])
    used = cpu_seconds([service.conductor])
    took = _seconds(lambda: _success(service, "lattice"))
    used = cpu_seconds([service.conductor]) - used
    yield Figure(
        f"DAG of {steps} commands, POST to SUCCESS", took, "s", most=_MOST_STEP_SECONDS * steps,
        ratio=took / bare, beside=f"{steps} subprocess.run", most_ratio=_MOST_RATIO,
        note=f"{steps / took:.0f} commands/s; the conductor uses {used / took:.0%} of a core",
    )  # fmt: skip


def _success(service: Service, workflow: str) -> None:
    status = service.await_end(service.launch(workflow), 120)
    assert status == "SUCCESS", status


def _lattice(steps: int) -> Mapping[str, Sequence[str]]:
    """Make layers of ten steps; each step needs two of the layer before."""
    needs: dict[str, Sequence[str]] = {}
    for number in range(steps):
        layer, place = divmod(number, _WIDTH)
        before = {f"s{layer - 1}-{p % _WIDTH}" for p in (place, place + 1)}
        needs[f"s{layer}-{place}"] = sorted(before) if layer else ()
    return needs


def _write(folder: Path, name: str, needs: Mapping[str, Sequence[str]]) -> None:
    steps = [
        {"id": step, "type": "command", "needs": list(before), "config": {"command": "true"}}
        for step, before in needs.items()
    ]
    (folder / f"{name}.json").write_bytes(orjson.dumps({"id": name, "steps": steps}))


def _median_ms(work: Callable[[], object], times: int) -> float:
    work()
    return median(_seconds(work) * 1000 for _ in range(times))


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
