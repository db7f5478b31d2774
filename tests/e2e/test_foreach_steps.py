"""Steps that run for each element of a list, on this machine, through the API."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.deaths import die_at
from kit.definitions import script, workflow
from kit.patience import await_that
from kit.service import Service

LAUNCHER, DRIVING = "app.engine.launchers.local", "app.store.driving"
POINTS = {
    "before elements are stored": (DRIVING, "DrivenExecutions.record", "before", "each[1]"),
    "once elements are stored": (DRIVING, "DrivenExecutions.record", "after", "each[1]"),
    "once one is prepared": (LAUNCHER, "LocalLauncher.prepare", "after", "each[1]/1"),
    "before one is started": (LAUNCHER, "LocalLauncher.start", "before", "each[4]/1"),
    "once one is started": (LAUNCHER, "LocalLauncher.start", "after", "each[1]/1"),
}
ROOT = Path(__file__).parents[2]
WORDS = """
echo "word $SLIPWAY_INDEX is $WORD"
test "$WORD" != bad || test -e mended || { touch mended; exit 1; }
echo "length=${#WORD}" >> "$SLIPWAY_OUTPUT"
"""


def words_flow(**more: Any) -> dict[str, Any]:
    return workflow(
        "words",
        script("find", """echo '{"words": ["one", "three", "bad"]}' >> "$SLIPWAY_OUTPUT" """),
        script(
            "measure", WORDS, needs=["find"], foreach="${{ steps.find.outputs.words }}",
            item="word", env={"WORD": "${{ word }}"}, **more,
        ),
        script("after", "true", needs=["measure"]),
        outputs={"lengths": "${{ steps.measure.outputs.length }}"},
    )  # fmt: skip


def test_all_is_as_of_any_task(shared_service: Service) -> None:
    client = shared_service.client()
    failed = client.run(words_flow())
    ended = client.wait(failed)
    assert ended["state"] == "FAILED"
    assert "1 of 3 elements failed, 'measure[2]': exit code 1" in ended["error"]
    listed = client.get(f"/executions/{failed}/tasks")["tasks"]
    assert [task["name"] for task in listed] == [
        "find", "measure", "measure[0]", "measure[1]", "measure[2]", "after",
    ]  # fmt: skip
    assert [task["status"] for task in listed[1:]] == [
        "FAILED", "SUCCESS", "SUCCESS", "FAILED", "SKIPPED",
    ]  # fmt: skip
    assert client.lines(failed, "measure[1]") == ["word 1 is three"]
    of_all = client.page(failed, task="measure")["logs"]
    said = sorted(entry["content"] for entry in of_all if entry["content"].startswith("word"))
    assert said == ["word 0 is one", "word 1 is three", "word 2 is bad"]
    digest = client.get(f"/executions/{failed}/digest")
    assert [each["name"] for each in digest["failed"]] == ["measure[2]"]
    graph = client.get(f"/executions/{failed}/graph")
    assert [box["steps"] for box in graph["boxes"]] == [["find"], ["measure"], ["after"]]
    assert [box.get("elements") for box in graph["boxes"]] == [None, 3, None]

    created = client.send("POST", f"/executions/{failed}/retry")
    assert created.status_code == 201
    again = created.headers["Location"].rpartition("/")[2]
    ended = client.wait(again)
    assert (ended["state"], ended["outputs"]) == ("SUCCESS", {"lengths": ["3", "5", "3"]})
    tasks = client.tasks(again)
    assert [tasks[f"measure[{i}]"]["continued_from"] for i in range(3)] == [failed, failed, None]


@pytest.mark.runs("docs/guides/workflows.md", "id: sweep")
def test_the_definition_of_the_guide_runs(shared_service: Service) -> None:
    page = (ROOT / "docs" / "guides" / "workflows.md").read_text()
    text = re.search(r"```yaml\n(id: sweep\n.*?)```", page, re.DOTALL)
    assert text is not None
    client = shared_service.client()
    headers = {"Content-Type": "application/yaml"}
    client.send("PUT", "/workflows/sweep", data=text[1].encode(), headers=headers)
    id_ = client.launch("sweep")
    assert client.wait(id_)["outputs"] == {"best": 10.0}
    assert client.lines(id_, "report") == ["[0.0, 5.0, 10.0]"]


def test_one_element_is_stopped(shared_service: Service) -> None:
    client = shared_service.client()
    text = 'test "$SLIPWAY_ITEM" != long || exec sleep 600'
    id_ = client.run(
        workflow("stop-one", script("a", text, foreach=["short", "long"], max_parallel=2))
    )
    await_that(lambda: client.tasks(id_).get("a[1]", {}).get("status") == "RUNNING")
    assert client.send("POST", f"/executions/{id_}/tasks/a[1]/stop").status_code == 202
    assert client.wait(id_)["state"] == "CANCELLED"
    tasks = client.tasks(id_)
    assert [tasks[name]["status"] for name in ("a", "a[0]", "a[1]")] == [
        "CANCELLED", "SUCCESS", "CANCELLED",
    ]  # fmt: skip


def test_a_list_that_is_too_long_is_refused_at_its_step(shared_service: Service) -> None:
    client = shared_service.client()
    flow = workflow(
        "too-long",
        script("a", "true", foreach="${{ inputs.n }}"),
        inputs={"n": {"type": "array"}},
    )
    ended = client.wait(client.run(flow, {"n": list(range(1001))}))
    assert "has 1,001 elements, and may have 1,000 (engine.max_foreach)" in ended["error"]


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_conductor_that_is_killed_begins_no_element_twice(
    new_service: Callable[..., Service], tmp_path: Path, point: tuple[str, ...]
) -> None:
    hook = tmp_path / "hook"
    hook.mkdir()
    client = new_service(env=die_at(hook, *point)).start().client()
    text = f'echo "$SLIPWAY_INDEX" >> {tmp_path}/began; echo "n:=$SLIPWAY_ITEM" >> $SLIPWAY_OUTPUT'
    each = script("each", text, foreach="${{ inputs.n }}", max_parallel=3)
    outputs = {"all": "${{ steps.each.outputs.n }}"}
    flow = workflow("once-each", each, inputs={"n": {"type": "array"}}, outputs=outputs)
    values = list(range(10, 18))
    ended = client.wait(client.run(flow, {"n": values}))
    assert (ended["state"], ended["outputs"]) == ("SUCCESS", {"all": values})
    assert (hook / "died").exists()
    began = (tmp_path / "began").read_text().split()
    assert sorted(began, key=int) == [str(place) for place in range(8)]
