"""Reports and messages as slaves write them."""

from typing import Any

from app.load.messages import DesiredTask, Machine, Register
from app.load.segments import WHOLE


def histogram(*buckets: int) -> dict[str, Any]:
    counted: dict[str, int] = {}
    for bucket in buckets:
        counted[str(bucket)] = counted.get(str(bucket), 0) + 1
    return {
        "n": len(buckets), "sum": sum(buckets), "min": min(buckets, default=0),
        "max": max(buckets, default=0), "b": counted,
    }  # fmt: skip


def report(iterations: int = 0, *, ended: bool = False, **more: Any) -> dict[str, Any]:
    passed = histogram(*range(100, 100 + iterations))
    return {
        "claimed": iterations, "iterations": iterations, "failed": 0, "interrupted": 0,
        "dropped": 0, "vus": 0, "vus_max": 0, "completed_vus": 0, "running_us": 0, "ended": ended,
        "iteration": passed,
        "requests": {**passed, "failed": 0},
        "steps": {
            "s1": {"count": iterations, "success": iterations, "failure": 0, "duration": passed}
        },
        "errors": [],
    } | more  # fmt: skip


def desired(task: str = "t1", generation: int = 1, **more: Any) -> DesiredTask:
    fields: dict[str, Any] = {
        "task": task, "execution": "e1", "generation": generation, "digest": "d1",
        "segment": WHOLE, "scaled": None, "quota": None, "max_vus": 100,
        "elapsed_us": 0,
    }  # fmt: skip
    return DesiredTask(**fields | more)


def register(slave_id: str = "slave-1", incarnation: str = "i1", **more: Any) -> Register:
    fields: dict[str, Any] = {
        "slave_id": slave_id, "incarnation": incarnation, "type": "worker",
        "address": "192.0.2.1:9091", "capabilities": ("http_executor",),
        "labels": {"region": "us-east"}, "machine": Machine(2, 4096, 100),
    }  # fmt: skip
    return Register(**fields | more)
