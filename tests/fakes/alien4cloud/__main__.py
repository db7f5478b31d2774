"""Run the emulator by itself, for benchmarks and for trying things out.

python -m tests.fakes.alien4cloud --port 8088 --latency 20ms --applications 200
"""

from __future__ import annotations

import argparse
import signal
import threading

from app.durations import parse_duration

from .script import simple
from .server import Alien4Cloud


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.alien4cloud")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 for any free one")
    parser.add_argument("--latency", type=parse_duration, default=0.0, help="such as 20ms")
    parser.add_argument("--start-delay", type=parse_duration, default=1.0, help="such as 1s")
    parser.add_argument("--session", type=parse_duration, default=1800.0, help="such as 30m")
    parser.add_argument("--applications", type=int, default=1, help="how many to make")
    parser.add_argument("--run", type=parse_duration, default=10.0, help="how long a run takes")
    parser.add_argument("--lines", type=int, default=100, help="log lines of a run")
    options = parser.parse_args()
    server = Alien4Cloud(
        port=options.port,
        latency=options.latency,
        start_delay=options.start_delay,
        session_seconds=options.session,
    )
    script = simple(options.run, [f"line {i}" for i in range(options.lines)])
    for index in range(options.applications):
        application = server.application(f"app{index}", tags={"hpcwaas-workflows": "exec_job"})
        application.environment("Environment").workflow("exec_job", script=script)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with server:
        print(server.url, flush=True)  # noqa: T201
        stop.wait()


if __name__ == "__main__":
    main()
