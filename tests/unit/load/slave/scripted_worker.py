"""A worker process without requests: ``python scripted_worker.py FOLDER``.

Each virtual user of its share does an iteration each 10 ms, as long as the lease, the quota and
what is wanted allow it. For each it writes a letter to a file, so what was done is known, whatever
becomes of the report. It stands still, or dies, where a file says so.
"""

import os
import select
import sys
import time
from pathlib import Path

import orjson

from app.load.measures import empty
from app.load.messages import TaskReport
from app.load.protocol import read_task
from app.load.slave.lines import reports_line

VUS = 10
STEP_SECONDS = 0.01


class Worker:
    def __init__(self, folder):
        self.done = open(folder / f"done-{os.getpid()}", "ab", buffering=0)  # noqa: PTH123, SIM115
        self.until_us = 0
        self.wanted = {}
        self.claimed = {}

    def take(self, line):
        message = orjson.loads(line)
        if message["type"] == "lease":
            self.until_us = message["data"]["until_us"]
        elif message["type"] == "forget":
            self.wanted.pop(message["data"]["task"], None)
        elif message["type"] == "task":
            task = read_task(message["data"])
            self.wanted[task.task] = task
            self.claimed.setdefault(task.task, 0)

    def step(self):
        for task in self.wanted.values():
            if task.paused or task.stop != "no":
                continue
            for _ in range(self.vus(task)):
                if time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 >= self.until_us:
                    return
                if task.quota is not None and self.claimed[task.task] >= task.quota:
                    break
                self.claimed[task.task] += 1
                self.done.write(b"x")

    def vus(self, task):
        return task.segment.share(VUS if task.scaled is None else task.scaled)

    def report(self):
        return reports_line(0.1, 1.0, [self.report_of(each) for each in self.wanted.values()])

    def report_of(self, task):
        claimed = self.claimed[task.task]
        ended = task.stop != "no" or (task.quota is not None and claimed >= task.quota)
        ended = ended or (task.quota is not None and not self.vus(task))
        counted = {"claimed": claimed, "iterations": claimed, "ended": ended}
        counted["vus"] = 0 if ended else self.vus(task)
        return TaskReport(task.task, task.generation, empty() | counted)


def main():
    worker, rest, reported_at = Worker(Path(sys.argv[1])), b"", 0.0
    while True:
        if select.select([0], [], [], STEP_SECONDS)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                worker.take(line)
        worker.step()
        if time.monotonic() - reported_at > 0.05:
            reported_at = time.monotonic()
            os.write(1, worker.report())


if __name__ == "__main__":
    main()
