"""What is counted, and how the figures of several processes become one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from app.metrics import Metrics

COUNT = """
import sys
from app.metrics import Metrics
metrics = Metrics()
metrics.count_request("GET", 200)
metrics.waiting.set(3)
metrics.loop_lag.set(float(sys.argv[1]))
metrics.delivery_lag.observe(0.02)
print("ready", flush=True)
sys.stdin.readline()
print(metrics.text().decode())
"""


def counting(folder: Path, lag: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", COUNT, lag],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def value(text: str, sample: str) -> float:
    [line] = [line for line in text.splitlines() if line.startswith(f"{sample} ")]
    return float(line.rpartition(" ")[2])


def test_one_process_tells_its_own() -> None:
    metrics = Metrics()
    metrics.count_request("GET", 200)
    metrics.follow(metrics.waiting, lambda: 7)
    text = metrics.text().decode()
    assert value(text, 'slipway_requests_total{method="GET",status="200"}') == 1
    assert value(text, "slipway_waiting_readers") == 7


def test_whichever_answers_tells_of_all_and_counts_of_the_dead_stay(tmp_path: Path) -> None:
    first, second, third = (counting(tmp_path, lag) for lag in ("0.5", "0.25", "9"))
    third.kill()
    third.wait()
    text, _ = first.communicate("\n", timeout=60)
    second.communicate("\n", timeout=60)
    assert value(text, 'slipway_requests_total{method="GET",status="200"}') == 3
    assert value(text, "slipway_delivery_lag_seconds_count") == 3
    assert value(text, "slipway_waiting_readers") == 6, "of those that live"
    assert value(text, "slipway_loop_lag_seconds") == 0.5
