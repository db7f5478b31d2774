"""``slipway try``: a definition runs here and now, and nothing of it is left, however it ends."""

import json
import os
import signal
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pexpect
import pytest
import requests
from kit.patience import await_that
from kit.service import children_of, is_alive

from slipway.cli.embedded import throwaway

FLOW = """\
id: tried
name: Tried
inputs:
  n: {type: integer, default: 3, minimum: 1}
outputs:
  total: "${{ steps.add.outputs.total }}"
steps:
  - id: add
    type: script
    config:
      script: |
        echo "adding up to $INPUT_N"
        echo "total:=$((INPUT_N * (INPUT_N + 1) / 2))" >> "$SLIPWAY_OUTPUT"
  - id: check
    type: script
    needs: [add]
    config: {script: "[ $INPUT_N -lt 10 ] || exit 3"}
"""

LONG = """\
id: tried
steps:
  - id: long
    type: script
    config:
      script: |
        trap 'date > "$MARK"; exit 143' TERM
        (trap "" TERM; exec setsid sleep 987 &)
        echo $$ > pid
        echo "pid $$ marked"
        while true; do sleep 0.05; done
    env: {MARK: "%s"}
"""


@pytest.fixture
def tmp(tmp_path, monkeypatch):
    """The folder of temporary files of what is tried, which is empty once all is over."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    tempfile.tempdir = None
    yield folder
    tempfile.tempdir = None


@pytest.fixture
def flow(tmp_path):
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW)
    return file


def test_a_definition_is_run_and_its_outputs_are_printed(person, flow, tmp):
    code, out, err = person.types("try", str(flow), "-i", "n=4")
    assert code == 0
    assert out.splitlines()[-1] == "total  10"
    assert "add    adding up to 4" in out
    assert err.startswith(f"Trying {flow} here; nothing is kept.\n")
    assert err.splitlines()[-1].startswith("SUCCESS in ")
    assert list(tmp.iterdir()) == []


def test_what_fails_is_told_with_its_place_in_the_file(person, flow, tmp):
    code, out, err = person.types("try", str(flow), "-i", "n=10", "-o", "json")
    assert code == 1
    assert f"step check ({flow}:14) ended with code 3." in err.splitlines()[-1]
    assert "adding up to 10" in [json.loads(line).get("content") for line in out.splitlines()]
    assert list(tmp.iterdir()) == []


def test_what_is_wrong_before_anything_runs_is_said_as_elsewhere(person, flow, tmp):
    code, out, err = person.types("try", str(flow), "-i", "n=x", "-i", "m=1")
    assert (code, out) == (2, "")
    assert f"was not started (its inputs: {flow})." in err
    assert 'n: a whole number is needed, not "x"' in err
    assert "m: there is no such input" in err
    flow.write_text(FLOW.replace("[add]", "[ad]"))
    code, out, err = person.types("try", str(flow))
    assert (code, out) == (1, "")
    assert f"{flow}:16:13: step check: needs[0]: there is no step 'ad'; did you mean add?" in err
    assert "     |             ^^" in err
    assert list(tmp.iterdir()) == []


def test_the_settings_of_a_service_of_ones_own_count_for_nothing(person, flow, tmp, monkeypatch):
    monkeypatch.setenv("SLIPWAY_API__PORT", "nonsense")
    monkeypatch.setenv("SLIPWAY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SLIPWAY_TOKEN", "x")
    assert person.types("try", str(flow)).code == 0


def _family(pid):
    """Yield a process and all that descend from it."""
    yield pid
    for child in children_of(pid):
        yield from _family(child)


class Tried:
    """A definition that runs until somebody ends it, in a terminal."""

    def __init__(self, person, folder, tmp):
        self.mark = folder / f"mark-{uuid.uuid4().hex}"
        file = folder / "long.yaml"
        file.write_text(LONG % self.mark)
        self.tmp = tmp
        self.terminal = person.sits_at("try", str(file), TMPDIR=str(tmp))
        self.terminal.expect(r"pid (\d+) marked")
        self.pid = int(self.terminal.match[1])
        [self.folder] = tmp.iterdir()
        # The service, its keeper, and what the command began.
        await_that(lambda: self._count() >= 6, "all processes are there")

    def _count(self):
        there = [int(each.name) for each in Path("/proc").glob("[0-9]*") if self._has(each)]
        self.processes = {*_family(self.terminal.pid), *there}
        return len(self.processes)

    def _has(self, process):
        with suppress(OSError):  # of another user, or ended meanwhile
            command = (process / "cmdline").read_bytes()
            return str(self.tmp).encode() in command or b"sleep\x00987" in command
        return False

    def end(self):
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        return self.terminal.exitstatus, self.terminal.signalstatus

    def await_nothing_left(self):
        await_that(lambda: not any(self.tmp.iterdir()), "the folder is removed")
        await_that(lambda: not any(map(is_alive, self.processes)), "no process is left")


@pytest.fixture
def tried(person, tmp_path, tmp):
    return Tried(person, tmp_path, tmp)


def test_ctrl_c_cancels_what_is_tried_and_leaves_nothing(tried):
    tried.terminal.sendintr()
    tried.terminal.expect_exact("Cancelling. Ctrl-C again kills it.")
    assert tried.end() == (130, None)
    assert tried.mark.exists()  # it could clean up
    assert list(tried.tmp.iterdir()) == []
    tried.await_nothing_left()


@pytest.mark.parametrize(
    ("end", "ending"), [(os.kill, signal.SIGHUP), (os.killpg, signal.SIGKILL)],
    ids=["hangup", "kill"],
)  # fmt: skip
def test_whatever_ends_it_leaves_nothing(tried, end, ending):
    end(tried.terminal.pid, ending)
    code, number = tried.end()
    assert ending in (number, (code or 0) - 128)
    tried.await_nothing_left()


def test_the_service_of_a_trial_is_for_nobody_else(tmp):
    with throwaway() as service:
        assert urlsplit(service.url).hostname == "127.0.0.1"
        assert requests.get(f"{service.url}/workflows", timeout=60).status_code == 401
        known = {"X-API-Key": service.key}
        assert requests.get(f"{service.url}/workflows", headers=known, timeout=60).ok
        [folder] = tmp.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ('print(\'{"fault": "The disk is full"}\')', "\n  The disk is full\n"),
        ("print('nonsense')", "start.\n"),
        ("pass", "start.\n"),
    ],
)
def test_a_service_that_does_not_start_is_told(person, flow, monkeypatch, program, said):
    (flow.parent / "not_a_service.py").write_text(program)
    monkeypatch.syspath_prepend(str(flow.parent))
    monkeypatch.setenv("PYTHONPATH", str(flow.parent))
    monkeypatch.setattr("slipway.cli.embedded._MODULE", "not_a_service")
    code, _, err = person.types("try", str(flow))
    assert code == 5
    assert "slipway: The service did not start." in err
    assert err.endswith(said)
