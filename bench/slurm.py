"""Jobs of a real Slurm cluster on this machine, over SSH: how soon, and at what cost to it.

The cluster is that of the tests, with three nodes on loopback, and needs root. Times of launches
are those from the request to the record of the job's id on the cluster; those of lines from their
writing to their arrival at a follower by long polling.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench._report import Figure, percentile
from bench._service import Service

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the cluster is that of the tests

from kit.servers.slurm import SlurmCluster
from kit.slurm_launcher import keys_for, slurm_launcher
from kit.thrift import make_tables

from app.engine.launchers.base import Job, JobPhase, Watched
from app.store.database import Database
from bench._hung_cluster import hung

# What is counted here is nobody else's to see.
# ruff: noqa: SLF001

_POLL_SECONDS = 1.0
_LAUNCH_MS = 250.0
_LINE_MS = 1000 * _POLL_SECONDS + 300.0
_ACTIVE = 500
_TASKS = 1000
_SCRIPT = "for i in $(seq {count}); do date +%s.%N; sleep 0.25; done"


def run(*, quick: bool) -> Iterator[Figure]:
    """Take the figures."""
    cluster = SlurmCluster()
    try:
        yield from _by_service(cluster, quick=quick)
        yield from _by_launcher(cluster, quick=quick)
        yield from hung(cluster, quick=quick)
    finally:
        cluster.end()


def _by_service(cluster: Any, *, quick: bool) -> Iterator[Figure]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "known_hosts").write_text(cluster.known_hosts)
        entry = {
            "name": "hpc", "type": "engine", "launcher": "slurm",
            "slurm": {
                "host": cluster.host, "port": cluster.port, "user": cluster.users[0],
                "known_hosts": str(folder / "known_hosts"),
            },
        }  # fmt: skip
        (folder / "slipway.json").write_text(json.dumps({"orchestrators": [entry]}))
        env = {"SLIPWAY_CONFIG": str(folder / "slipway.json")}
        service = stack.enter_context(Service(folder, env=env))
        made, _ = service.call("POST", "/ssh_keys", {"metadata": {"cluster": "hpc"}})
        cluster.authorize(cluster.users[0], made["public_key"])
        _upload(service, "nothing", "true")
        service.await_end(service.launch("nothing"), 120)
        took = [_until_submitted(service, cluster) for _ in range(5 if quick else 30)]
        yield Figure(
            "launch, until the job is submitted, p50", percentile(took, 50), "ms",
            most=_LAUNCH_MS, note=f"p95 {percentile(took, 95):.0f} ms; the connection is there",
        )  # fmt: skip
        late = _lateness(service, 20 if quick else 80)
        yield Figure(
            "a line of a job, until a follower has it, p95", percentile(late, 95), "ms",
            most=_LINE_MS, note=f"p50 {percentile(late, 50):.0f} ms; polls: {_POLL_SECONDS:g} s",
        )  # fmt: skip


def _upload(service: Service, name: str, script: str) -> None:
    step = {"id": "only", "type": "script", "config": {"script": script}}
    service.call("PUT", f"/workflows/{name}", {"id": name, "steps": [step]})


def _until_submitted(service: Service, cluster: Any) -> float:
    """Launch a workflow; return the milliseconds until its job has an id."""
    began_at = time.time()
    execution = service.launch("nothing")
    home = cluster.machine.home(cluster.users[0])
    record = home / "slipway" / execution / "tasks" / "only" / "1" / "job"
    while not record.exists():
        time.sleep(0.001)
        if time.time() - began_at > 60:
            raise RuntimeError("the job was not submitted")
    took = 1000 * (record.stat().st_mtime - began_at)
    service.await_end(execution, 120)
    return took


def _lateness(service: Service, count: int) -> list[float]:
    """Follow a job that prints the time; return by how many milliseconds its lines were late."""
    _upload(service, "clock", _SCRIPT.format(count=count))
    execution = service.launch("clock")
    late: list[float] = []
    start = 0
    while True:
        path = f"/executions/{execution}/logs?from={start}&timeout=10s&levels=255"
        page, _ = service.call("GET", path)
        now = time.time()
        for line in page["logs"]:
            text = line["content"]
            if text.replace(".", "").isdigit():
                late.append(1000 * (now - float(text)))
        start += len(page["logs"])
        if page["complete"] and start >= page["total_results"]:
            return late


def _by_launcher(cluster: Any, *, quick: bool) -> Iterator[Figure]:

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make_tables(f"sqlite:///{folder}/slipway.db")
        database = Database(f"sqlite:///{folder}/slipway.db")
        stack.callback(database.dispose)
        users = [{"user": user, "account": user} for user in cluster.users]
        launcher = slurm_launcher(
            cluster, database, Path("/var/empty/executions"), folder, keys=keys_for(cluster),
            user=None, user_map=users,
        )  # fmt: skip
        stack.callback(launcher.close)
        seconds, jobs = _array(launcher, cluster.users[0], 100 if quick else _TASKS)
        yield Figure(
            f"{len(jobs)} jobs that begin together, as one submission", seconds, "s",
            note="written down and submitted",
        )  # fmt: skip
        cluster.admin("scancel", f"--user={cluster.users[0]}")
        yield from _watching(launcher, cluster, 50 if quick else _ACTIVE, 5 if quick else 20)


def _array(launcher: Any, owner: str, count: int, script: str = "sleep 600") -> tuple[float, Any]:

    home = Path("/var/empty/executions") / f"bench-{owner}-{time.monotonic_ns()}"
    launcher.place(home, owner)
    launcher.make_work_folder(home / "work", {}, begun=False)
    jobs = [
        Job(
            execution_id=home.name, folder=home / "tasks" / f"t{number}" / "1",
            argv=("bash", "-c", script), working_dir=home / "work", env={},
        )
        for number in range(count)
    ]  # fmt: skip
    began_at = time.monotonic()
    launcher.prepare_many(jobs)
    launcher.start_many(jobs)
    return time.monotonic() - began_at, jobs


def _watching(launcher: Any, cluster: Any, active: int, seconds: int) -> Iterator[Figure]:
    """Watch the jobs of five users as a conductor does whose executions are all followed."""
    share = active // len(cluster.users)
    jobs = [job for user in cluster.users for job in _array(launcher, user, share)[1]]
    watched = [Watched(job.folder) for job in jobs]
    scheduler = launcher._cluster.rounds._scheduler
    asked: list[str] = []
    ask = scheduler._run
    scheduler._run = lambda login, argv: (asked.append(argv[0]), ask(login, argv))[1]
    began_at, took, seen = time.monotonic(), [], 0
    while time.monotonic() - began_at < seconds:
        moment = time.monotonic()
        states = launcher.states(watched[:500])
        took.append(1000 * (time.monotonic() - moment))
        seen = len([s for s in states.values() if s.phase in (JobPhase.QUEUED, JobPhase.RUNNING)])
        time.sleep(max(0.0, _POLL_SECONDS - (time.monotonic() - moment)))
    lasted = time.monotonic() - began_at
    name = f"{len(jobs)} active jobs of {len(cluster.users)} users"
    yield Figure(
        f"{name}: commands of the scheduler a second", len(asked) / lasted, most=1.0,
        note=f"{seen} jobs seen in the last round",
    )  # fmt: skip
    counts = launcher._cluster._pool.counts()
    most = max(connections for connections, _ in counts.values())
    yield Figure(f"{name}: SSH connections an account", most, most=2)
    yield Figure(f"{name}: a look at all of them, p95", percentile(took, 95), "ms")
    for user in cluster.users:
        cluster.admin("scancel", f"--user={user}")
