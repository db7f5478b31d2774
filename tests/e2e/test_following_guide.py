"""The commands of the guide on following executions, run as they stand there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.client import Client
from kit.definitions import script, workflow
from kit.guides import blocks, require_programs, run_block

PAGE = (Path(__file__).parents[2] / "docs/guides/following.md").read_text(encoding="utf-8")
LINES = ["one", "two"]


@pytest.fixture
def env(client: Client) -> dict[str, str]:
    """Where the service is, and the id of an execution that has ended."""
    execution = client.run(workflow("followed", script("say", "echo one; echo two")))
    client.wait(execution, "SUCCESS")
    return {"URL": client.url, "ID": execution}


def block(mark: str) -> str:
    [found] = [each for each in blocks(PAGE) if mark in each]
    return found


def contents(entries: list[dict[str, str]]) -> list[str]:
    return [entry["content"] for entry in entries if entry["content"] in LINES]


@pytest.mark.runs("docs/guides/following.md", "timeout=1m")
def test_a_page_of_the_log(env: dict[str, str], tmp_path: Path) -> None:
    page = json.loads(run_block(block("timeout=1m"), tmp_path, **env))
    assert contents(page["logs"]) == LINES
    assert page["complete"]


@pytest.mark.runs("docs/guides/following.md", "logs/matches")
def test_ones_way_in_a_log(env: dict[str, str], tmp_path: Path) -> None:
    matches, place = run_block(block("logs/matches"), tmp_path, **env).splitlines()
    found = json.loads(matches)
    assert found["match"]["entry"]["content"] == "two"
    assert (found["match"]["number"], found["total_results"]) == (1, 1)
    assert json.loads(place)["from"] <= 1


@pytest.mark.runs("docs/guides/following.md", "ETag")
def test_what_is_asked_for_again_is_not_sent_again(env: dict[str, str], tmp_path: Path) -> None:
    assert run_block(block("ETag"), tmp_path, **env).split() == ["304"]


@pytest.mark.runs("docs/guides/following.md", "curl -N -H 'Accept: text/event-stream'")
def test_the_log_as_a_stream(env: dict[str, str], tmp_path: Path) -> None:
    events = run_block(block("curl -N -H 'Accept: text/event-stream'"), tmp_path, **env)
    data = [line.removeprefix("data: ") for line in events.splitlines() if '"content"' in line]
    assert contents([*map(json.loads, data)]) == LINES


@pytest.mark.runs("docs/guides/following.md", "events?topics=")
def test_many_topics_on_one_stream(env: dict[str, str], tmp_path: Path) -> None:
    events = run_block(block("events?topics="), tmp_path, **env)
    *_, last = events.strip().split("\n\n")
    assert last == "event: end\ndata: {}"
    data = [json.loads(line.removeprefix("data: ")) for line in events.splitlines() if "[" in line]
    entries = [entry for each in data for entry in each.get("entries", ())]
    assert contents(entries) == LINES
    assert entries[0]["index"] == 1


@pytest.mark.runs("docs/guides/following.md", "x-ndjson")
def test_the_log_at_a_terminal_and_in_a_file(env: dict[str, str], tmp_path: Path) -> None:
    require_programs("jq")
    *most, go_on = block("x-ndjson").splitlines()
    printed = run_block("\n".join(most), tmp_path, **env).splitlines()
    assert [line for line in printed if line in LINES] == LINES
    file = tmp_path / "run.log"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])  # it was cut off
    run_block(go_on, tmp_path, **env)
    assert file.read_bytes() == whole
    kept = whole.decode().splitlines()
    for text in (printed, kept):  # as it is followed, and as a whole
        said = [line.rpartition(" say: ")[2] for line in text if " say: " in line]
        assert [line for line in said if line in LINES] == LINES


@pytest.mark.runs("docs/guides/following.md", "## Looking for a pattern")
def test_a_pattern_is_looked_for(client: Client, tmp_path: Path) -> None:
    said = 'echo "counting 17"; echo "counting on"; echo "Warning: nothing to count"'
    execution = client.run(workflow("sought", script("say", said)))
    client.wait(execution, "SUCCESS")
    env = {"URL": client.url, "ID": execution}
    asked = block("grep=").splitlines()
    page, text = [run_block(line, tmp_path, **env) for line in asked]
    assert [each["content"] for each in json.loads(page)["logs"]] == ["Warning: nothing to count"]
    assert [line.rpartition(" say: ")[2] for line in text.splitlines() if line] == ["counting 17"]
