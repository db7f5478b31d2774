"""Why an execution failed, as a running service tells it of real commands."""

from __future__ import annotations

from kit.client import Client
from kit.definitions import script, workflow

_SUM = """
echo "counting to $INPUT_N"
[ "$INPUT_N" -lt 4 ] || { echo "ERROR: $INPUT_N is too many"; kill -KILL $$; }
"""


def counting(**more: object) -> dict[str, object]:
    return workflow(
        "counting",
        script("count", _SUM),
        script("rest", "echo done", needs=["count"]),
        inputs={"n": {"type": "integer"}},
        **more,
    )


def test_a_digest_says_what_failed_first_and_what_was_not_so_before(client: Client) -> None:
    good = client.run(counting(), {"n": 3})
    assert client.wait(good)["status"] == "SUCCESS"
    assert client.get(f"/executions/{good}/digest")["summary"].startswith("Succeeded after ")
    bad = client.run(counting(description="Another one"), {"n": 5})
    client.wait(bad)
    digest = client.get(f"/executions/{bad}/digest")
    assert digest["tasks"] == {"FAILED": 1, "SKIPPED": 1}
    (failed,) = digest["failed"]
    assert (failed["name"], failed["exit_code"]) == ("count", 137)
    assert failed["meaning"] == "SIGKILL: killed"
    assert failed["first_error"]["content"] == "ERROR: 5 is too many"
    assert failed["first_error"] in failed["last_lines"]
    index = failed["first_error"]["index"]
    page = client.get(f"/executions/{bad}/logs", after=index - 1, size=1)
    assert page["logs"] == [failed["first_error"]]
    success = failed["last_success"]
    assert success["execution"] == good
    assert success["inputs"] == [{"name": "n", "before": 3, "after": 5}]
    assert success["definition"]["changed"] is True
    assert success["definition"]["after"] == success["definition"]["before"] + 1
    text = client.send("GET", f"/executions/{bad}/digest", headers={"Accept": "text/plain"}).text
    assert "Task count failed: exit code 137 (SIGKILL: killed)" in text
    assert "  input n: 3 -> 5\n" in text


def test_a_cancelled_one_says_who_asked(client: Client) -> None:
    execution = client.run(workflow("long", script("wait", "sleep 300")))
    client.wait(execution, "RUNNING")
    open_ = client.get(f"/executions/{execution}/digest")
    assert open_["active"][0]["name"] == "wait"
    assert client.send("DELETE", f"/executions/{execution}").status_code == 202
    client.wait(execution)
    digest = client.get(f"/executions/{execution}/digest")
    assert digest["summary"].startswith("Cancelled")
    assert digest["cancel"]["content"] == "Cancel requested by 'anonymous'."


def test_two_executions_are_compared_step_by_step(client: Client) -> None:
    says = 'for n in $(seq 400); do echo "line $n at $(date +%T)"; done; echo "n is $INPUT_N"'
    more = {"inputs": {"n": {"type": "integer"}}, "outputs": {"n": "${{ inputs.n }}"}}
    parallel = workflow("parallel", script("left", says), script("right", says), **more)
    one, again = client.run(parallel, {"n": 3}), client.launch("parallel", {"n": 3})
    other = client.run({**parallel, "description": "Another one"}, {"n": 4})
    for execution in (one, again, other):
        assert client.wait(execution)["status"] == "SUCCESS"
    same = client.get(f"/executions/{one}/diff/{again}")
    assert same["differs"] is False, same
    assert same["log"]["complete"] is True
    difference = client.get(f"/executions/{one}/diff/{other}")
    assert difference["differs"] is True
    assert difference["inputs"] == [{"name": "n", "before": 3, "after": 4}]
    assert difference["outputs"] == [{"name": "n", "before": 3, "after": 4}]
    assert [step["change"] for step in difference["steps"]] == ["none", "none"]
    assert difference["definition"]["changed"] is True
    assert '+  "description": "Another one"' in "\n".join(difference["definition"]["diff"])
    assert sorted(line["task"] for line in difference["log"]["lines"]) == ["left", "right"]
    for line in difference["log"]["lines"]:
        assert (line["line"], line["before"]["content"]) == (401, "n is 3")
        assert line["after"]["content"] == "n is 4"
