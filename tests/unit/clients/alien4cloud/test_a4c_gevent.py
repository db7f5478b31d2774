"""The web processes are patched by gevent; the adapter has to work in them, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from fakes.alien4cloud import Alien4Cloud, Log, Script, Status, Step

ROOT = Path(__file__).parents[4]

PROGRAM = """
from gevent import monkey; monkey.patch_all()
import json, sys, threading
from fakes.alien4cloud.driver import ALICE, Driver, FastClock
from fakes.alien4cloud.driver import make_execution, make_launch
from app.clients.alien4cloud import Alien4CloudOptions, Alien4CloudOrchestrator
from app.settings.schema import load_section
values = {"url": sys.argv[1], "user": "admin", "password": "secret",
          "poll": {"min": "50ms"}}
options, _ = load_section(Alien4CloudOptions, values, "")
clock = FastClock(10)
orchestrator = Alien4CloudOrchestrator("hpc", options, clock=clock)
found = []
threads = [threading.Thread(target=lambda: found.append(orchestrator.workflows(ALICE)))
           for _ in range(20)]
[t.start() for t in threads]; [t.join() for t in threads]
wanted = make_launch(found[0][0].id, clock=clock)
execution = make_execution(wanted, orchestrator.trigger(wanted))
driver = Driver(orchestrator, execution, clock, clock.sleep)
print(json.dumps([len(found), driver.until_complete(200).status, driver.lines]))
"""


def test_it_works_in_a_process_that_gevent_has_patched():
    with Alien4Cloud(start_delay=0.05) as server:
        application = server.application("covid", tags={"hpcwaas-workflows": "exec_job"})
        events = (Step(0, "run", "STARTED"), Log(0.2, "line"), Status(0.4, "SUCCEEDED"))
        application.environment().workflow("exec_job", script=Script(events))
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.url],
            capture_output=True, text=True, timeout=30, cwd=ROOT, check=False,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == [20, "SUCCESS", ["line"]]
        assert (server.logins, server.requests["search_applications"]) == (1, 1)
