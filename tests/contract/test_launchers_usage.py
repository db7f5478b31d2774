"""What the shim measures of a command and of all that it started."""

import json
import os
import signal
from pathlib import Path

import pytest
from job_bench import wait_until

from app.domain import Usage
from app.engine.launchers.shim import records

pytestmark = pytest.mark.shim

MIB = 2**20
BURN = "python3 -c 'import time\nwhile time.process_time() < {0}: pass'"
HOLD = "python3 -c 'import time; x = bytearray({0} << 20); print(1, flush=True); time.sleep(600)'"


def ready(bench, folder, count=1):
    wait_until(lambda: len(bench.texts(folder)) == count)


def test_processor_time_and_memory_of_a_command_that_has_ended(bench):
    hold = "python3 -c 'x = bytearray(60 << 20)'"
    folder = bench.bash(f"{hold}; {BURN.format(0.3)}; until [ -e go ]; do :; done")
    # It computes until that was seen, so that it surely is in the last measurement.
    wait_until(
        lambda: (u := bench.launcher.usage(folder)) and u.cpu_seconds >= 0.3 and u.cpu_percent
    )
    bench.root.joinpath("work", "go").touch()
    usage = bench.end(folder).usage
    assert 0.3 <= usage.cpu_seconds < 30
    assert 60 * MIB < usage.memory_peak_bytes < 600 * MIB
    assert usage.cpu_percent > 0


def test_it_is_told_while_the_command_runs(bench):
    folder = bench.bash(f"{BURN.format(0.3)}; {HOLD.format(64)}")
    ready(bench, folder)
    seen = wait_until(
        lambda: (u := bench.launcher.usage(folder)) and (u.memory_bytes or 0) > 64 * MIB and u
    )
    assert seen.cpu_seconds >= 0.3
    assert seen.memory_peak_bytes >= seen.memory_bytes
    bench.launcher.cancel(folder)
    last = bench.end(folder).usage
    assert last.memory_peak_bytes >= seen.memory_peak_bytes
    assert last.cpu_seconds >= seen.cpu_seconds


def test_the_whole_tree_counts_whatever_group_it_is_in(bench):
    child = HOLD.format(30)
    folder = bench.bash(f"(setsid {child} &); setsid {child} & {child} & wait")
    ready(bench, folder, 3)
    wait_until(lambda: (u := bench.launcher.usage(folder)) and (u.memory_bytes or 0) > 3 * 30 * MIB)
    bench.launcher.cancel(folder)
    assert bench.end(folder).usage.memory_peak_bytes > 3 * 30 * MIB


def test_processor_time_of_what_was_adopted_counts_as_well(bench):
    folder = bench.bash(
        f"(setsid {BURN.format(0.45)} & echo $! > pid); tail --pid=$(cat pid) -s 0.01 -f /dev/null"
    )
    # Counted in ticks, some of which may be cut off.
    assert bench.end(folder).usage.cpu_seconds >= 0.4


def test_of_a_command_that_never_began_nothing_is_known(bench):
    folder = bench.start(bench.job("no-such-program"))
    assert bench.end(folder).usage.memory_bytes is None
    assert bench.launcher.usage(folder) is None


def test_a_result_of_a_shim_that_measured_nothing_counts_all_the_same(bench):
    folder = bench.bash("true")
    bench.end(folder)
    path = folder / records.EXIT
    result = json.loads(path.read_text())
    owner = path.stat().st_uid
    for usage in ("rubbish", {"cpu_seconds": -1}, None):
        path.write_text(json.dumps({**result, "usage": usage}))
        os.chown(path, owner, -1)
        state = bench.end(folder)
        assert (state.exit_code, state.usage) == (0, None)
    del result["usage"]
    path.write_text(json.dumps(result))
    assert bench.end(folder).usage is None


def test_a_shim_that_is_killed_leaves_what_it_measured_last(bench):
    folder = bench.bash(HOLD.format(30))
    ready(bench, folder)
    wait_until(lambda: bench.launcher.usage(folder))
    os.kill(json.loads(Path(folder, records.CLAIM).read_text())["pid"], signal.SIGKILL)
    assert isinstance(bench.launcher.usage(folder), Usage)
