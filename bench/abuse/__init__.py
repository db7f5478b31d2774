"""What one user, or nobody, sends while another works: how long the other is kept waiting.

Each case has a service of its own with authentication, a fresh data folder, and two processes of
clients. The *attacker* does one thing for some seconds, as fast as one process can. The *other
user* asks for ``/health`` a hundred times a second, lists executions, launches, and runs ``echo``,
each on a connection of its own. The figure is the longest of these delays in ms; of ``echo`` it is
the time from its launch until its command began, above that of a quiet service. Clients and server
share the machine, so it must be quiet; the attacker gets the processor when nothing else wants it.
"""

from __future__ import annotations

import json
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

from bench._client import Worker
from bench._report import Figure, median
from bench._service import Service
from bench.abuse import definitions, expressions, inputs, queues, streams, wire
from bench.abuse._attacker import Attacker, Case, attack
from bench.abuse._other import KINDS, OTHERS_WORKFLOWS, Delays, live
from bench.abuse._users import SETTINGS

_MOST_MS = 100.0
_WARM_UP_SECONDS = 1.0  # such as the first check of a password
_QUIET_SECONDS = 3.0
_AFTER_SECONDS = 0.5

CASES: tuple[Case, ...] = (
    *wire.CASES, *expressions.CASES, *inputs.CASES, *definitions.CASES, *streams.CASES,
    *queues.CASES,
)  # fmt: skip


def run(*, quick: bool) -> Iterator[Figure]:
    """Measure each case."""
    for case in CASES:
        try:
            yield _measure(case, seconds=3.0 if quick else 6.0)
        except (RuntimeError, OSError) as exc:
            yield Figure(_title(case), None, "ms", note=f"failed: {exc!r}"[:200])


def _title(case: Case) -> str:
    return f"another user's longest wait beside {case.name}"


def _measure(case: Case, seconds: float) -> Figure:
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name:
        folder = Path(name)
        config = folder / "slipway.yaml"
        config.write_text(textwrap.dedent(SETTINGS), encoding="utf-8")
        config.chmod(0o600)
        (folder / "workflows").mkdir()
        for definition in OTHERS_WORKFLOWS:
            file = folder / "workflows" / f"{definition['id']}.json"
            file.write_text(json.dumps(definition), encoding="utf-8")
        env = {"SLIPWAY_CONFIG": str(config), **case.env}
        with Service(folder, env=env) as service:
            if case.prepare is not None:
                case.prepare(Attacker(service.port))
        with (
            Service(folder, env=env) as service,
            Worker(live, service.port) as other,
            Worker(attack, service.port, case.name, seconds) as attacker,
        ):
            _watch(other, _WARM_UP_SECONDS)
            quiet = _watch(other, _QUIET_SECONDS)
            attacker.send("begin")
            other.send(None)
            note = attacker.receive(seconds + 120)
            other.send(_AFTER_SECONDS)
            delays = other.receive()
    return _figure(case, quiet, delays, note)


def _watch(other: Worker, seconds: float) -> Delays:
    other.send(None)
    other.send(seconds)
    delays: Delays = other.receive()
    return delays


def _figure(case: Case, quiet: Delays, delays: Delays, note: str) -> Figure:
    usual = {"echo": median(quiet["echo"])} if quiet["echo"] else {}
    worst = {kind: max(delays[kind], default=0.0) - usual.get(kind, 0.0) for kind in KINDS}
    told = ", ".join(f"{kind} {worst[kind]:.0f}" for kind in KINDS)
    return Figure(
        _title(case), max(worst.values()), "ms", most=_MOST_MS,
        note=f"{told}; quiet: {', '.join(f'{k} {max(quiet[k], default=0):.0f}' for k in KINDS)}; "
        f"{note}",
    )  # fmt: skip


def case_of(name: str) -> Case:
    """Return the case of a name."""
    return next(case for case in CASES if case.name == name)
