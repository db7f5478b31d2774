"""What steps print reaches those who follow: as it is meant, and while it is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.patience import await_that


def told(client: Client, execution: str) -> list[tuple[str, str]]:
    """Level and content of what the command has printed so far."""
    entries = client.page(execution)["logs"]
    of_command = (e for e in entries if e["task"] and not e["content"].startswith("Task '"))
    return [(entry["level"], entry["content"]) for entry in of_command]


PYTHON = """
import os, pathlib, sys, time
{say}
while not pathlib.Path({go!r}).exists():
    time.sleep(0.01)
"""


@pytest.mark.parametrize(
    "say", ["print('hello')", "sys.stdout.write('hello')", "print('hello', end='\\r')"]
)
def test_python_keeps_nothing_to_itself(client: Client, tmp_path: Path, say: str) -> None:
    go = tmp_path / "go"
    text = PYTHON.format(say=say, go=str(go))
    step = {"id": "a", "type": "script", "config": {"shell": "python3", "script": text}}
    execution = client.run(workflow("unbuffered", step))
    await_that(lambda: ("INFO", "hello") in told(client, execution))
    assert client.execution(execution)["state"] == "RUNNING"
    go.touch()
    assert client.wait(execution)["state"] == "SUCCESS"


def test_a_step_may_have_its_own_way(client: Client) -> None:
    step = script("a", "echo ${PYTHONUNBUFFERED-unset}", env={"PYTHONUNBUFFERED": ""})
    execution = client.run(workflow("buffered", step))
    assert client.lines(execution, "a") == [""]


def test_levels_are_understood_in_colour_and_in_pieces(client: Client) -> None:
    text = r"""
printf '\033[31mERROR\033[0m disk full\n'
printf '\033[1;33m[WARN]\033[0m old format\n'
echo DEBUG=1
python3 -c "print('ERROR ' + 'x' * 140000); print('plain')"
"""
    execution = client.run(workflow("colours", script("a", text)))
    client.wait(execution)
    seen = [(level, content[:20]) for level, content in told(client, execution)]
    assert seen == [
        ("ERROR", "\x1b[31mERROR\x1b[0m disk "),
        ("WARN", "\x1b[1;33m[WARN]\x1b[0m ol"),
        ("INFO", "DEBUG=1"),
        ("ERROR", "ERROR xxxxxxxxxxxxxx"),
        ("ERROR", "x" * 20),
        ("ERROR", "x" * 20),
        ("INFO", "plain"),
    ]


def test_the_states_of_a_line_are_seen_and_no_carriage_return(
    client: Client, tmp_path: Path
) -> None:
    text = f"""
printf 'progress 1\\r'; until [ -e {tmp_path}/1 ]; do sleep 0.01; done
printf 'progress 2\\r'; printf 'done\\n'
printf 'licence server ... '; until [ -e {tmp_path}/2 ]; do sleep 0.01; done; printf 'ok\\n'
"""
    execution = client.run(workflow("progress", script("a", text)))
    await_that(lambda: ("INFO", "progress 1") in told(client, execution))
    (tmp_path / "1").touch()
    await_that(lambda: ("INFO", "licence server ... ") in told(client, execution))
    (tmp_path / "2").touch()
    client.wait(execution)
    assert [content for _, content in told(client, execution)] == [
        "progress 1", "progress 2", "done", "licence server ... ", "ok",
    ]  # fmt: skip
    log = client.send("GET", f"/executions/{execution}/logs", headers={"Accept": "text/plain"})
    assert b"\r" not in log.content


def test_no_output_forges_a_line_of_the_text_and_no_level_is_said_twice(client: Client) -> None:
    forged = "2026-01-01T00:00:00.000Z ERROR b: forged"
    text = f"echo 'INFO splitting'; echo '{forged}'; exit 1"
    execution = client.run(workflow("forged", script("a", text)))
    assert client.wait(execution)["state"] == "FAILED"
    for path in (f"/executions/{execution}/logs", f"/executions/{execution}/logs?follow=true"):
        log = client.send("GET", path, headers={"Accept": "text/plain"}).text
        assert log.count(forged) > 1, "also among the last lines, which the reason quotes"
        assert f" INFO  a: {forged}\n" in log
        assert " INFO  a: splitting\n" in log
        for line in log.splitlines():
            assert line.startswith(("20", "    ")), line
            assert not line.startswith("2026-01-01T00:00:00"), line
