"""Launching: how long ``POST /workflows/<id>`` takes.

On SQLite and on PostgreSQL a workflow of one command that does nothing is launched again and again,
by one client and by 16, each as soon as its last launch was answered; the service runs with the
defaults, log lines included, and runs what is launched meanwhile. The peer is a bare Flask view on
the same gevent server, which commits one row to the same store through the bare driver. Times are
those of a request, in ms.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from bench import _postgresql
from bench._client import Worker, in_turn
from bench._peers import Peer
from bench._report import Figure, percentile
from bench._seed import open_store
from bench._service import Service
from bench._target import Peers, Target

_MANY = 16
_MOST_RATIO = 3.0
_STEP = {"id": "only", "type": "command", "config": {"command": "true"}}
_WORKFLOW = {"id": "nothing", "steps": [_STEP]}


def run(*, quick: bool, peers: Peers) -> Iterator[Figure]:
    """Measure."""
    number = 100 if quick else 400
    yield from _both(None, "SQLite", number, peers.get("launch"))
    programs = _postgresql.programs()
    if programs is None:
        yield Figure("PostgreSQL: launch", None, note="initdb and postgres were not found")
        return
    with _postgresql.server(programs) as url:
        yield from _both(url, "PostgreSQL", number, None)


def _both(url: str | None, name: str, number: int, peer: Target | None) -> Iterator[Figure]:
    with _service(url) as (service, store), Peer("row", 0, store=store) as bare:
        mine = Target(service.port, "/workflows/nothing", body="{}")
        rows = Target(bare.port, "/rows", body="{}")
        for clients in (1, _MANY):
            times(mine, clients, 20)
            times(rows, clients, 20)
            theirs = times(rows, clients, number)
            ours = times(mine, clients, number)
            service.settle()  # it runs what was launched
            theirs += times(rows, clients, number)
            yield _figure(f"{name}: launch, {clients} at once, p50", ours, theirs)
        if url is None:
            theirs = times(peer, 1, number) if peer else []
            yield beside_peer(
                "SQLite: launch, 1 at once, beside another program", times(mine, 1, number), theirs
            )


def beside_peer(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Put launches beside those of another program, which were perhaps not measured."""
    ratio = percentile(ours, 50) / percentile(theirs, 50) if theirs else None
    return Figure(f"{name}, p50", percentile(ours, 50), "ms", ratio=ratio, beside="the peer")


def _figure(name: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    p50, p99 = percentile(ours, 50), percentile(ours, 99)
    bare, bare_p99 = percentile(theirs, 50), percentile(theirs, 99)
    return Figure(
        name, p50, "ms", most_ratio=_MOST_RATIO, ratio=p50 / bare, beside="bare view of one row",
        note=f"p99 {p99:.3g} ms; the bare view p50 {bare:.3g} ms, p99 {bare_p99:.3g} ms",
    )  # fmt: skip


def times(target: Target, clients: int, number: int) -> list[float]:
    """Send requests in turn; return how long each took, in ms."""
    with Worker(in_turn, target, clients, number) as worker:
        took: list[float] = worker.receive()
        return took


@contextmanager
def _service(url: str | None) -> Iterator[tuple[Service, str]]:
    """Run a service on the defaults; gives the URL of its store, too."""
    with tempfile.TemporaryDirectory(prefix="slipway-bench-") as name:
        folder = Path(name)
        store = url or f"sqlite:///{folder / 'slipway.db'}"
        (folder / "workflows").mkdir()
        (folder / "workflows" / "nothing.json").write_bytes(orjson.dumps(_WORKFLOW))
        open_store(store).dispose()
        env = {"SLIPWAY_OBSERVABILITY__LOG_LEVEL": "INFO", "SLIPWAY_DATABASE__URL": store}
        with Service(folder, processes=None, env=env) as service:
            yield service, store
