"""Listing executions, looking at them and following them, as people do it from a shell."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import pexpect
import pytest
from kit.bad_network import BadNetwork, random_budgets
from kit.client import Client
from kit.definitions import script, workflow
from kit.following import Relay
from kit.patience import PATIENCE_SECONDS
from kit.people import COMMAND, Person, bare
from kit.service import Service

from slipway.cli.output import cell_width

CODES = {0: "SUCCESS", 1: "FAILED", 3: "CANCELLED"}


@pytest.fixture
def anybody(person: Person, service_url: str, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody whose commands are for the shared service."""
    monkeypatch.setenv("SLIPWAY_URL", service_url)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return person


def ended(client: Client, code: int = 0, text: str = "echo said") -> str:
    """Run something that ends with a result of the command line."""
    if code != 3:
        done = client.run(workflow("ended", script("only", f"{text}; exit {code}")))
        client.wait(done)
        return done
    done = client.run(workflow("ended", script("only", "sleep 600")))
    client.wait(done, "RUNNING")
    client.cancel(done)
    client.wait(done)
    return done


class TestLists:
    def test_what_runs_comes_first_and_other_filters_leave_it_out(self, anybody, client):
        first = client.run(workflow("lasting", script("only", "sleep 600"), name="Lasting 日本🙂"))
        later = ended(client)
        listed = anybody.types("ps").out.splitlines()
        assert listed[0].split() == [
            "ID", "WORKFLOW", "STATUS", "DONE", "AGE", "TOOK", "OWNER", "NAME", "LABELS",
        ]  # fmt: skip
        ids = [line.split()[0] for line in listed[1:]]
        assert ids.index(first[:8]) < ids.index(later[:8])
        only = anybody.types("ps", "--status", "success", "-o", "name").out.split()
        assert later in only
        assert first not in only
        named = anybody.types("ps", "--workflow", "lasting", "--since", "2h", "-o", "json")
        (found,) = [each for each in json.loads(named.out) if each["id"] == first]
        assert found["workflow_name"] == "Lasting 日本🙂"
        client.cancel(first)

    def test_what_does_not_fit_there_is_said(self, anybody):
        assert anybody.types("ps", "--since", "yesterdayish").code == 2
        wrong = anybody.types("ps", "--status", "sleeping")
        assert wrong.code == 2
        assert "status" in wrong.err
        assert anybody.types("ps", "--name", "nobody calls one so") == (
            0, "",
            "There is none of those within the last day; slipway ps -a looks further back.\n",
        )  # fmt: skip
        assert anybody.types("ps", "-w", "-o", "json").code == 2

    def test_a_narrow_terminal_loses_columns_and_never_the_id(self, anybody, client):
        client.wait(client.run(workflow("narrow", script("only", "true"), name="数えるもの")))
        child = anybody.sits_at("ps", columns=40, SLIPWAY_URL=client.url)
        child.expect(pexpect.EOF)
        child.close()
        lines = re.sub(r"\x1b\[[0-9;]*m", "", child.before).splitlines()
        assert lines[0].split()[:3] == ["ID", "WORKFLOW", "STATUS"]
        assert {"OWNER", "NAME", "LABELS"}.isdisjoint(lines[0].split())
        assert max(map(cell_width, lines)) <= 40
        assert child.exitstatus == 0

    def test_live_it_has_a_screen_of_its_own_until_somebody_ends_it(self, anybody, client):
        execution = client.run(workflow("watched", script("only", "sleep 600")))
        client.wait(execution, "RUNNING")
        child = anybody.sits_at("ps", "-w", SLIPWAY_URL=client.url)
        child.expect_exact("\x1b[?1049h\x1b[?25l")
        child.expect_exact(execution[:8])
        client.cancel(execution)
        child.expect("CANCELLED")
        child.sendintr()
        child.expect_exact("\x1b[?25h\x1b[?1049l")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 130

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_gives_the_screen_back(self, anybody, client, number):
        child = anybody.sits_at("ps", "-w", SLIPWAY_URL=client.url)
        child.expect_exact("\x1b[?1049h\x1b[?25l")
        child.kill(number)
        child.expect_exact("\x1b[?25h\x1b[?1049l")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 128 + number

    def test_live_in_a_pipe_it_tells_what_changes(self, anybody, client):
        execution = client.run(workflow("piped", script("only", "sleep 600")))
        client.wait(execution, "RUNNING")
        with subprocess.Popen(
            [*COMMAND, "ps", "-w", "--workflow", "piped"], stdout=subprocess.PIPE, text=True,
            env=bare(anybody.home, {"SLIPWAY_URL": client.url}),
        ) as process:  # fmt: skip
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            assert next(lines).startswith("ID ")
            assert "RUNNING" in next(line for line in lines if line.startswith(execution[:8]))
            client.cancel(execution)
            assert any("CANCELLED" in line for line in lines if line.startswith(execution[:8]))
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == 130

    def test_no_library_for_screens_is_loaded(self, anybody, client):
        program = (
            "import sys\nfrom slipway.cli.running import run\nrun(['ps'])\n"
            "print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True,
            env=bare(anybody.home, {"SLIPWAY_URL": client.url}),
        )  # fmt: skip
        assert {"rich", "yaml", "jmespath"}.isdisjoint(done.stderr.split())


class TestStatus:
    def test_it_tells_what_there_is_to_know_and_ends_well(self, anybody, client):
        failed = ended(client, 1, "echo ERROR no such file")
        done = anybody.types("status", failed[:10])
        assert done.code == 0
        head, why, steps = done.out.splitlines()
        assert head.startswith(f"{failed[:8]} ended FAILED, ended ")
        assert "exit code 1" in why
        assert steps.startswith("only FAILED ")
        assert json.loads(anybody.types("status", failed, "-o", "json").out)["id"] == failed
        assert anybody.types("status", failed, "--query", "tasks[0].name").out == "only\n"
        assert anybody.types("tasks", failed, "-o", "name").out == "only\n"
        table = anybody.types("tasks", failed).out.splitlines()
        assert table[0].split() == ["STEP", "STATUS", "TRIES", "CODE", "TOOK", "NODE"]
        assert table[1].split()[:4] == ["only", "FAILED", "1", "1"]

    @pytest.mark.parametrize("code", CODES)
    def test_whoever_waits_gets_the_result_also_of_what_is_over(self, anybody, client, code):
        execution = ended(client, code)
        for command in (["wait"], ["status", "-f"], ["logs", "-f"]):
            done = anybody.types(*command, execution)
            assert done.code == code, command
            assert f"{execution[:8]} {CODES[code]}" in done.err
        for command in ("status", "tasks", "logs"):
            assert anybody.types(command, execution).code == 0

    def test_of_several_the_worst_result_counts(self, anybody, client):
        good, bad, cut = (ended(client, code) for code in CODES)
        assert anybody.types("wait", good, cut).code == 3
        assert anybody.types("wait", good, bad, cut).code == 1
        assert anybody.types("wait", good, good[:12]).code == 0
        assert anybody.types("wait", good, "ffffffff-0000-4000-8000-000000000000").code == 4

    def test_it_does_not_end_at_the_first_of_several(self, anybody, client, relay):
        relay.write(1)
        done = anybody.types("wait", ended(client, 1), relay.id, "--timeout", "1s")
        assert done.code == 1
        assert f"{relay.id[:8]} goes on: it is RUNNING." in done.err

    def test_what_is_purged_meanwhile_is_not_there_any_more(self, anybody, client):
        execution = client.run(workflow("purged", script("only", "sleep 600")))
        client.wait(execution, "RUNNING")
        with _running(anybody, client, "wait", execution) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == "only started\n"
            _purge(client, execution)
            assert process.wait(PATIENCE_SECONDS) in {3, 4}

    def test_bars_move_and_leave_nothing_behind(self, anybody, client, relay):
        child = anybody.sits_at("status", relay.id, "-f", columns=40, SLIPWAY_URL=client.url)
        child.expect_exact("\x1b[?25l")
        child.expect_exact(f"{relay.id[:8]} relay RUNNING")
        child.expect("relay +.*━")
        relay.end()
        child.expect_exact("\x1b[?25h")
        child.expect_exact(f"{relay.id[:8]} SUCCESS in ")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 0

    def test_whoever_stops_looking_is_told_how_to_return(self, anybody, client, relay):
        child = anybody.sits_at("status", relay.id, "-f", SLIPWAY_URL=client.url)
        child.expect_exact("\x1b[?25l")
        child.sendintr()
        child.expect_exact("\x1b[?25h")
        child.expect_exact(f"{relay.id[:8]} goes on. Return: slipway logs {relay.id[:8]} -f.")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 130
        assert client.execution(relay.id)["state"] == "RUNNING"


class TestLogs:
    def test_a_part_of_it_is_what_was_asked_for(self, anybody, client):
        text = "echo one; echo WARN two; echo ERROR three; echo DEBUG four"
        execution = ended(client, 0, text)
        said = anybody.types("logs", execution, "--step", "only").out.splitlines()
        assert [line for line in said if "Task" not in line] == ["one", "WARN two", "ERROR three"]
        warned = anybody.types("logs", execution, "--level", "WARN").out
        assert warned == "only  WARN two\nonly  ERROR three\n"
        everything = anybody.types("logs", execution, "--level", "debug", "--step", "only").out
        assert "DEBUG four" in everything
        timed = anybody.types("logs", execution, "-t", "--level", "error").out
        date, clock, level, rest = timed.split(" ", 3)
        assert (len(date), len(clock), level, rest) == (10, 12, "ERROR", "only  ERROR three\n")
        assert anybody.types("logs", execution, "--tail", "1").out.endswith(" status SUCCESS\n")
        assert anybody.types("logs", execution, "--tail", "0").out == ""
        assert anybody.types("logs", execution, "--since", "2200-01-01").out == ""
        assert anybody.types("logs", execution, "--level", "loud").code == 2
        assert anybody.types("logs", execution, "--tail", "-1").code == 2
        assert anybody.types("logs", execution, "-o", "yaml").code == 2

    def test_a_step_that_there_is_not_is_said_to_be_none(self, anybody, client):
        execution = ended(client, 0, "true")
        said = f"{execution[:8]} has no step 'onyl'; it has: only."
        done = anybody.types("logs", execution, "--step", "onyl")
        assert (done.code, done.out, done.err) == (4, "", f"slipway: {said}\n")
        done = anybody.types("logs", "-f", execution, "--step", "onyl")
        assert (done.code, done.out) == (0, "")
        assert said in done.err.splitlines()

    def test_programs_get_a_line_of_json_for_each_entry(self, anybody, client):
        execution = ended(client)
        for follow in ([], ["-f"]):
            done = anybody.types("logs", execution, "-o", "json", "--step", "only", *follow)
            entries = [json.loads(line) for line in done.out.splitlines()]
            assert entries == [
                each for each in client.page(execution, levels=14)["logs"] if each["task"]
            ]
        done = anybody.types("logs", execution, "--step", "only", "--query", "content")
        assert "said" in done.out.splitlines()

    def test_what_a_command_writes_moves_no_terminal(self, anybody, client):
        text = r"printf '\033[31mred\033[0m \033]52;c;aGk=\007\033[2Aup\n'"
        execution = ended(client, 0, text)
        piped = anybody.types("logs", execution, "--step", "only").out
        assert "red up\n" in piped
        assert "\x1b" not in piped
        child = anybody.sits_at("logs", execution, "--step", "only", SLIPWAY_URL=client.url)
        child.expect_exact("\x1b[31mred\x1b[0m up\x1b[0m\r\n")
        child.expect(pexpect.EOF)
        plain = anybody.sits_at(
            "logs", execution, "--step", "only", SLIPWAY_URL=client.url, NO_COLOR="1"
        )
        plain.expect_exact("\r\nred up\r\n")
        plain.expect(pexpect.EOF)

    def test_a_reader_that_has_enough_ends_it(self, anybody, client, relay):
        relay.write(1000)
        line = f'"$0" -P -m slipway.cli logs {relay.id} -f --step relay | head -3'
        with subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line, COMMAND[0]], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
            env=bare(anybody.home, {"SLIPWAY_URL": client.url}),
        ) as process:  # fmt: skip
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            assert lines[1:] == ["0 \n", "1 \n"]
            while process.poll() is None:
                relay.write(1)
                time.sleep(0.05)
            assert (process.returncode, process.communicate()[1]) == (0, "")

    def test_a_new_line_is_there_at_once(self, anybody, client, relay):
        with _running(anybody, client, "logs", relay.id, "-f", "--step", "relay") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "Task 'relay' started\n"
            for number in range(3):
                relay.write(1)
                assert process.stdout.readline() == f"{number} \n"
            relay.end()
            assert process.wait(PATIENCE_SECONDS) == 0

    def test_no_cut_loses_or_doubles_a_line(self, anybody, client, relay, monkeypatch):
        """1,000 lines, 30 cuts, each anywhere in what the service says."""
        monkeypatch.setattr("slipway.attempts._FIRST_SECONDS", 0.01)
        monkeypatch.setattr("slipway.attempts._LONGEST_SECONDS", 0.05)
        relay.write(1000)
        relay.end()
        with BadNetwork(client.url, random_budgets(1, 30, 4000)) as network:
            monkeypatch.setenv("SLIPWAY_URL", network.url)
            done = anybody.types("logs", relay.id, "-f", "--step", "relay")
            assert network.cuts == 30
        assert done.code == 0
        said = [line for line in done.out.splitlines() if "Task" not in line]
        assert said == [f"{number} " for number in range(1000)]


def test_a_restart_of_the_service_loses_and_doubles_nothing(
    person: Person, service: Service, relay: Relay
) -> None:
    with BadNetwork(service.url) as network:
        env = bare(person.home, {"SLIPWAY_URL": network.url})
        with subprocess.Popen(
            [*COMMAND, "logs", relay.id, "-f", "--step", "relay"], env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            relay.write(100)
            lines = [process.stdout.readline() for _ in range(51)]
            service.stop()
            relay.write(100)
            network.to = service.start().url
            relay.write(100)
            relay.end()
            lines += process.stdout.readlines()
    assert process.returncode == 0
    assert [line for line in lines if "Task" not in line] == [f"{n} \n" for n in range(300)]


def test_events_tell_what_happens(anybody: Person, client: Client) -> None:
    execution = client.run(workflow("eventful", script("only", "sleep 600")))
    client.wait(execution, "RUNNING")
    assert execution[:8] in anybody.types("events").out
    with _running(anybody, client, "events", "-f", "-o", "json") as process:
        assert process.stdout is not None
        events = map(json.loads, iter(process.stdout.readline, ""))
        first = next(event for event in events if event["id"] == execution)
        assert first["state"] == "RUNNING"
        client.cancel(execution)
        assert any(e["id"] == execution and e["state"] == "CANCELLED" for e in events)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130


def _running(person: Person, client: Client, *words: str) -> subprocess.Popen[str]:
    """Start a command in pipes."""
    return subprocess.Popen(
        [*COMMAND, *words], env=bare(person.home, {"SLIPWAY_URL": client.url}), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _purge(client: Client, execution: str) -> None:
    client.cancel(execution)
    client.wait(execution)
    assert client.send("DELETE", f"/executions/{execution}?purge=true").status_code == 204
