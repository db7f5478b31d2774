"""A gateway to Alien4Cloud as it comes: launches, and readers of one execution.

Alien4Cloud is the emulator of the tests, in a process of its own, which takes 20 ms longer for
every answer. The service runs on the defaults, the number of web processes among them. *Launches*
are sent by one client, each when the last was answered, in ms; the calls that they make are counted
while the conductor stands still, since it makes calls of its own. Each web process gets to know a
workflow for itself, so many are launched at once before those of a workflow that was seen before
are counted. *Readers* are 64 connections, in
requests a second. Beside them stand other programs, where their addresses are given: ``python -m
bench --help`` says how. They run elsewhere, in front of an Alien4Cloud of theirs.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from statistics import mean

from bench import launch
from bench._alien4cloud import WORKFLOW, Upstream, gateway, standing_still
from bench._report import Figure, percentile
from bench._service import Service
from bench._target import Peers, Target
from bench._wrk import CONNECTIONS, MISSING, is_here, load

_ENTRIES = 5_000
_PAGE = 100
_LAST_PLACE = _ENTRIES - _PAGE
_MOST_MS = 60.0
_LEAST_RATIOS = {"execution": 1.5, "page": 5.0}
_NO_LAUNCH = {"login"}
_FILL_SECONDS = 60.0
_WARM_EACH = 8
"""Launches at once for each web process, so that every one of them surely has some."""


def run(*, quick: bool, peers: Peers) -> Iterator[Figure]:
    """Measure."""
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        Upstream() as upstream,
        gateway(folder, upstream, processes=None) as service,
    ):
        yield from _calls(service, upstream)
        yield from _launches(service, 20 if quick else 100, peers.get("alien4cloud-launch"))
    with (
        tempfile.TemporaryDirectory(prefix="slipway-bench-") as folder,
        Upstream() as upstream,
        gateway(folder, upstream, processes=None) as service,
    ):
        execution = _filled(service, upstream)
        yield from _readers(service, execution, 1 if quick else 4, peers)


def _calls(service: Service, upstream: Upstream) -> Iterator[Figure]:
    yield _calls_of_one(service, upstream, "cold", most=4)
    number = _WARM_EACH * len(service.web)
    launch.times(Target(service.port, f"/workflows/{WORKFLOW}", body="{}"), number, number)
    note = f"after {number} at once, so that all {len(service.web)} web processes know it"
    yield _calls_of_one(service, upstream, "workflow seen before", most=2, note=note)


def _calls_of_one(
    service: Service, upstream: Upstream, name: str, *, most: int, note: str = ""
) -> Figure:
    with standing_still(service):
        before = Counter(upstream.by_endpoint())
        service.launch(WORKFLOW)
        calls = Counter(upstream.by_endpoint()) - before
    made = {endpoint: n for endpoint, n in calls.items() if endpoint not in _NO_LAUNCH}
    endpoints = ", ".join(f"{n} {endpoint}" for endpoint, n in sorted(calls.items()))
    return Figure(
        f"launch over Alien4Cloud, {name}: upstream calls", sum(made.values()), most=most,
        note=f"{endpoints}; {note}" if note else endpoints,
    )  # fmt: skip


def _launches(service: Service, number: int, peer: Target | None) -> Iterator[Figure]:
    took = launch.times(Target(service.port, f"/workflows/{WORKFLOW}", body="{}"), 1, number)
    name = "launch over Alien4Cloud with 20 ms a call"
    yield Figure(
        f"{name}, p50", percentile(took, 50), "ms", most=_MOST_MS,
        note=f"p99 {percentile(took, 99):.3g} ms",
    )  # fmt: skip
    yield launch.beside_peer(
        f"{name}, beside another program", took, launch.times(peer, 1, number) if peer else []
    )


def _filled(service: Service, upstream: Upstream) -> str:
    """Launch one, and wait until the journal has all that it wrote."""
    execution = service.launch(WORKFLOW)
    service.call("GET", f"/executions/{execution}/logs?from=1&timeout=30s")
    upstream.fill(_ENTRIES)
    deadline = time.monotonic() + _FILL_SECONDS
    while _total(service, execution) < _ENTRIES:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the journal has not {_ENTRIES:,} entries")
        time.sleep(0.5)
    return execution


def _total(service: Service, execution: str) -> int:
    page, _ = service.call("GET", f"/executions/{execution}/logs?size=0&timeout=0s")
    return int(page["total_results"])


def _readers(service: Service, execution: str, seconds: int, peers: Peers) -> Iterator[Figure]:
    view = f"/executions/{execution}"
    page = f"{view}/logs?from={{}}&size={_PAGE}"
    rows = [
        ("execution", "GET /executions/<id> of Alien4Cloud", view, None),
        ("page", f"page of {_PAGE} of {_ENTRIES:,} entries at a random place", page, _LAST_PLACE),
    ]
    for row, name, path, last_place in rows:
        title = f"{name}, {CONNECTIONS} connections, {len(service.web)} web process(es)"
        if not is_here():
            yield Figure(title, None, note=MISSING)
            continue
        theirs = peers.get(row)
        bare = [] if theirs is None else [load(theirs, seconds, last_place).rate]
        load(Target(service.port, path), 1, last_place)
        ours = load(Target(service.port, path), seconds, last_place)
        bare += [] if theirs is None else [load(theirs, seconds, last_place).rate]
        yield Figure(
            title, ours.rate, "/s", least_ratio=_LEAST_RATIOS[row], beside="the peer",
            ratio=ours.rate / mean(bare) if bare else None,
            note=f"p99 {ours.p99_ms:.3g} ms" + (f"; the peer {mean(bare):,.0f}/s" if bare else ""),
        )  # fmt: skip
