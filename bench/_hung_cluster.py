"""What a cluster that hangs costs those who do not use it, and the connections of one account.

The way to the login node dies silently, as when a firewall forgets its connections, while jobs run
there and are followed.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kit.servers.cable import Cable

from bench._report import Figure, percentile
from bench._service import Service

_FOLLOWED = 5
_MOST_RATIO = 1.25
_MOST_CONNECTIONS = 4
_HANG_SECONDS = 5.0
_ESTABLISHED = "01"


def hung(cluster: Any, *, quick: bool) -> Iterator[Figure]:
    """Take the figures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cable = Cable(cluster.port)
        stack.callback(cable.close)
        service = stack.enter_context(Service(folder, env=_settings(cluster, cable, folder)))
        made, _ = service.call("POST", "/ssh_keys", {"metadata": {"cluster": "hpc"}})
        cluster.authorize(cluster.users[0], made["public_key"])
        for name, script in (("long", "sleep 600"), ("short", "true")):
            step = {"id": "only", "type": "script", "config": {"script": script}}
            service.call("PUT", f"/workflows/{name}", {"id": name, "steps": [step]})
        jobs = [_launch(service, "long", "hpc") for _ in range(10 if quick else 50)]
        for execution in jobs:
            _await_submitted(service, execution)
        yield Figure(
            f"SSH connections for {len(jobs)} jobs of one service account",
            _connections(cable.port), most=_MOST_CONNECTIONS,
        )  # fmt: skip
        _follow(service, jobs[:_FOLLOWED])
        count = 20 if quick else 200
        well = _requests(service, jobs[-1], count), _runs(service, count // 10)
        cable.die()
        time.sleep(_HANG_SECONDS)  # whoever asks the cluster waits by now
        ill = _requests(service, jobs[-1], count), _runs(service, count // 10)
        cable.mend()
        names = ("reading an execution there, p95", "a run on this machine, p50")
        for name, before, after in zip(names, well, ill, strict=True):
            yield Figure(
                f"while the cluster hangs: {name}", after, "ms", ratio=after / before,
                beside="while it answers", most_ratio=_MOST_RATIO,
            )  # fmt: skip
        cluster.admin("scancel", f"--user={cluster.users[0]}")


def _settings(cluster: Any, cable: Cable, folder: Path) -> dict[str, str]:
    kind, key = cluster.host_key.split()[:2]
    (folder / "known_hosts").write_text(f"[{cluster.host}]:{cable.port} {kind} {key}\n")
    options = {
        "host": cluster.host, "port": cable.port, "user": cluster.users[0],
        "known_hosts": str(folder / "known_hosts"),
    }  # fmt: skip
    entries = [
        {"name": "local", "type": "engine"},
        {"name": "hpc", "type": "engine", "launcher": "slurm", "slurm": options},
    ]
    (folder / "slipway.json").write_text(json.dumps({"orchestrators": entries}))
    return {"SLIPWAY_CONFIG": str(folder / "slipway.json")}


def _launch(service: Service, workflow: str, orchestrator: str) -> str:
    _, headers = service.call("POST", f"/workflows/{workflow}?orchestrator={orchestrator}", {})
    return headers["Location"].rpartition("/")[2]


def _await_submitted(service: Service, execution: str) -> None:
    """Wait until the job of an execution runs, or waits for its turn on the cluster."""
    deadline = time.monotonic() + 120
    while True:
        view, _ = service.call("GET", f"/executions/{execution}/tasks")
        for task in view["tasks"]:
            if task["status"] == "RUNNING" or (task["waits_for"] or {}).get("kind") == "queue":
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"{execution} does not begin")
        time.sleep(0.1)


def _follow(service: Service, executions: list[str]) -> None:
    """Have executions followed until the service ends."""

    def follow(execution: str) -> None:
        try:
            while True:
                service.call(
                    "GET", f"/executions/{execution}/logs?from=1000&timeout=10s&levels=255"
                )
        except (OSError, RuntimeError):
            pass

    for each in executions:
        threading.Thread(target=follow, args=(each,), daemon=True).start()


def _requests(service: Service, execution: str, count: int) -> float:
    """Return the 95th percentile of reading an execution, in milliseconds."""
    return percentile(
        [_took(lambda: service.call("GET", f"/executions/{execution}")) for _ in range(count)], 95
    )


def _runs(service: Service, count: int) -> float:
    """Return the median of runs of a step on this machine, from launch to end, in milliseconds."""

    def run() -> None:
        service.await_end(_launch(service, "short", "local"), 120)

    return percentile([_took(run) for _ in range(max(5, count))], 50)


def _took(work: Callable[[], object]) -> float:
    began_at = time.monotonic()
    work()
    return 1000 * (time.monotonic() - began_at)


def _connections(port: int) -> int:
    """Count the connections that others have to a port of this machine: proc_net_tcp(5)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(
        remote.endswith(f":{port:04X}") and state == _ESTABLISHED
        for _, _, remote, state, *_ in fields
    )
