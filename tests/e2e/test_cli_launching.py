"""``slipway run``, ``rerun`` and ``outputs``: launching on the command line."""

import json
import uuid

import pexpect
import pytest

SAY = 'echo "$INPUT_TEXT"\nexit $INPUT_CODE'
FLOW = {
    "id": "cli-launched",
    "name": "CLI launched",
    "inputs": {
        "text": {"type": "string", "description": "What is said"},
        "n": {"type": "integer", "minimum": 1, "default": 1},
        "list": {"type": "array", "default": []},
        "code": {"type": "integer", "default": 0},
    },
    "outputs": {
        "text": "${{ inputs.text }}", "n": "${{ inputs.n }}", "list": "${{ inputs.list }}",
    },
    "steps": [
        {"id": "say", "type": "script", "config": {"script": SAY}}
    ],
}  # fmt: skip


@pytest.fixture
def ana(person, shared_service, client, monkeypatch):
    monkeypatch.setenv("SLIPWAY_URL", shared_service.url)
    client.upload(FLOW)
    return person


def is_id(text):
    return str(uuid.UUID(text.strip())) == text.strip()


def test_in_a_pipe_the_id_is_printed_alone(ana, client):
    code, out, err = ana.types("run", "cli-launched", "-i", "text=007", "-i", "list=[1, 2]")
    assert (code, err) == (0, "")
    assert is_id(out)
    assert client.wait(out.strip())["inputs"] == {"text": "007", "n": 1, "list": [1, 2], "code": 0}


def test_the_result_is_the_exit_code_when_it_is_waited_for(ana):
    code, out, err = ana.types("run", "cli-launched", "-i", "text=a", "--wait")
    assert code == 0
    assert is_id(out)
    assert "CLI launched started. Ctrl-C leaves it running." in err
    assert err.splitlines()[-1].endswith("text a, n 1, list []")
    code, out, err = ana.types("run", "cli-launched", "-i", "text=bad", "-i", "code=3", "--wait")
    assert code == 1
    assert "step say ended with code 3" in err
    assert f"slipway logs {out[:8]}" in err


def test_its_log_is_followed_to_the_end(ana):
    code, out, err = ana.types("run", "cli-launched", "-i", "text=héllo", "-f")
    assert code == 0
    assert any(line.endswith("say  héllo") for line in out.splitlines())
    assert "SUCCESS" in err.splitlines()[-1]
    assert "\x1b" not in out + err


def test_a_log_that_is_followed_as_json_is_a_line_for_each_entry(ana):
    _, out, _ = ana.types("run", "cli-launched", "-i", "text=x", "-f", "-o", "json")
    entries = [json.loads(line) for line in out.splitlines()]
    assert "x" in [entry["content"] for entry in entries]
    assert [entry["index"] for entry in entries] == sorted({entry["index"] for entry in entries})


def test_one_that_is_cancelled_ends_with_3(ana, client):
    code, out, _ = ana.types("run", "countdown", "-i", "seconds=60")
    assert code == 0
    client.cancel(out.strip())
    assert ana.types("logs", out.strip(), "-f").code == 3


@pytest.mark.parametrize("format_", ["json", "yaml"])
def test_documents_have_the_whole_execution(ana, format_):
    _, out, _ = ana.types("run", "cli-launched", "-i", "text=x", "-o", format_)
    assert "workflow_name" in out
    _, out, _ = ana.types("run", "cli-launched", "-i", "text=x", "--query", "id")
    assert is_id(out)
    _, out, _ = ana.types(
        "run", "cli-launched", "-i", "text=x", "--wait", "--query", "outputs.text"
    )
    assert out == "x\n"
    assert is_id(ana.types("run", "cli-launched", "-i", "text=x", "-o", "name").out)


def test_every_fault_is_said_at_once_and_nothing_begins(ana, client):
    before = client.get("/executions")["total"]
    code, out, err = ana.types("run", "cli-launched", "-i", "n=many", "-i", "m=3", "-i", "lst=1")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "slipway: CLI launched was not started (its inputs: slipway show cli-launched).",
        '  n: a whole number is needed, not "many"',
        "  m: there is no such input",
        "  lst: there is no such input; did you mean list?",
        "  text: is missing: text, needed",
    ]
    assert client.get("/executions")["total"] == before


def test_what_only_the_service_can_check_is_said_in_the_same_way(ana, client):
    flow = {**FLOW, "id": "cli-strict", "inputs": {
        **FLOW["inputs"], "text": {"type": "string", "pattern": "^a+$"},
    }}  # fmt: skip
    client.upload(flow)
    assert ana.types("run", "cli-strict", "-i", "text=b") == (
        2,
        "",
        (
            "slipway: CLI launched was not started (its inputs: slipway show cli-strict).\n"
            "  text: must match the pattern ^a+$\n"
        ),
    )


def test_inputs_come_from_files_and_what_is_typed_wins(ana, client, tmp_path):
    file = tmp_path / "in.yaml"
    file.write_text("text: 007\nlist: [1, no]\nn: 4\n")
    text = tmp_path / "text"
    text.write_text("two\nlines\n")
    words = ("run", "cli-launched", "--inputs", str(file), "-i", f"text=@{text}", "-i", "n=5")
    inputs = client.wait(ana.types(*words).out.strip())["inputs"]
    assert inputs == {"text": "two\nlines\n", "n": 5, "list": [1, "no"], "code": 0}
    out = ana.types("run", "cli-launched", "--inputs", "-", piped='{"text": "piped"}').out
    assert client.wait(out.strip())["inputs"]["text"] == "piped"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-f", "--detach"), "--detach goes neither with --follow nor with --wait."),
        (("-i", "text"), '-i "text" is no input: NAME=VALUE is needed.'),
        (("--label", "x"), '--label "x" is no label: KEY=VALUE is needed.'),
        (("--inputs", "/nowhere"), "/nowhere cannot be read: No such file or directory."),
        (("--no-such",), "No such option '--no-such'."),
    ],
)
def test_wrong_words_are_one_sentence(ana, words, said):
    code, out, err = ana.types("run", "cli-launched", *words)
    assert (code, out) == (2, "")
    assert err.splitlines()[0] == f"slipway: {said}"
    assert len(err.splitlines()) <= 2


def test_a_launch_is_known_by_its_name_and_labels(ana, client):
    words = ("run", "cli-launched", "-i", "text=x", "--name", "night 4", "--label", "grid=fine")
    found = client.execution(ana.types(*words, "--label", "a=b=c").out.strip())
    assert found["name"] == "night 4"
    assert found["labels"] == {"grid": "fine", "a": "b=c"}


def test_the_same_is_launched_again_with_some_inputs_replaced(ana, client):
    words = ("-i", "text=x", "-i", "list=[1]", "--label", "a=b", "--wait")
    first = ana.types("run", "cli-launched", *words).out.strip()
    code, out, _ = ana.types("rerun", first[:12], "-i", "n=7")
    assert code == 0
    assert is_id(out)
    found = client.wait(out.strip())
    assert found["inputs"] == {"text": "x", "n": 7, "list": [1], "code": 0}
    assert found["labels"] == {"a": "b"}
    assert found["id"] != first
    latest = ana.types("rerun", "@latest:cli-launched", "-f")
    assert latest.code == 0
    assert "say  x" in latest.out
    assert ana.types("rerun", first, "-i", "n=x").code == 2
    assert ana.types("rerun", "ffffffff-0000").code == 4


def test_outputs_are_lines_or_a_map_or_one_bare_value(ana):
    words = ("-i", "text=two\nlines", "-i", "list=[1, null]", "--wait")
    id_ = ana.types("run", "cli-launched", *words).out.strip()
    assert ana.types("outputs", id_) == (
        0, "text  two\n      lines\nn     1\nlist  [1, null]\n", "",
    )  # fmt: skip
    assert json.loads(ana.types("outputs", id_, "-o", "json").out) == {
        "text": "two\nlines", "n": 1, "list": [1, None],
    }  # fmt: skip
    assert ana.types("outputs", id_, "text").out == "two\nlines\n"
    assert ana.types("outputs", id_, "list").out == "[1, null]\n"
    assert ana.types("outputs", id_, "list", "-o", "json").out == "[\n  1,\n  null\n]\n"
    assert ana.types("outputs", id_, "--query", "n").out == "1\n"
    assert ana.types("outputs", id_, "-o", "name").out == "text\nn\nlist\n"
    assert ana.types("outputs", "@latest", "n").out == "1\n"
    assert ana.types("outputs", id_, "lst")[::2] == (
        4, "slipway: There is no output 'lst'; did you mean list?\n",
    )  # fmt: skip
    assert ana.types("outputs", id_, "zzz")[::2] == (
        4, "slipway: There is no output 'zzz'; there are: text, n, list.\n",
    )  # fmt: skip


def test_what_has_no_outputs_yet_says_so(ana, client):
    id_ = ana.types("run", "countdown", "-i", "seconds=60").out.strip()
    code, out, err = ana.types("outputs", id_)
    assert (code, out) == (0, "")
    assert err.startswith("It has no outputs yet (")
    assert json.loads(ana.types("outputs", id_, "-o", "json").out) == {}
    client.cancel(id_)


# On a terminal


@pytest.fixture
def sits(ana, shared_service):
    def sits(*words, **more):
        return ana.sits_at(*words, SLIPWAY_URL=shared_service.url, **more)

    return sits


def end(terminal):
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus


def test_what_is_missing_is_asked_for_on_a_terminal(sits):
    terminal = sits("run", "cli-launched", "-f")
    terminal.expect_exact("text (text, needed): ")
    terminal.sendline("")
    terminal.expect_exact("a value is needed")
    terminal.expect_exact("text (text, needed): ")
    terminal.sendline("007")
    terminal.expect("say +(\x1b.*)?007")
    terminal.expect("SUCCESS")
    assert end(terminal) == 0


def test_nobody_is_asked_where_others_are_wrong_or_nobody_can_answer(sits):
    terminal = sits("run", "cli-launched", "-i", "n=x")
    terminal.expect_exact("text: is missing")
    assert end(terminal) == 2
    terminal = sits("run", "cli-launched", CI="true")
    terminal.expect_exact("text: is missing")
    assert end(terminal) == 2


def test_ctrl_c_at_a_question_starts_nothing(sits, client):
    before = client.get("/executions")["total"]
    terminal = sits("run", "cli-launched")
    terminal.expect_exact("text (text, needed): ")
    terminal.sendintr()
    assert end(terminal) == 130
    assert client.get("/executions")["total"] == before


def test_at_ctrl_c_the_execution_goes_on_and_one_is_told_how_to_return(sits, client):
    terminal = sits("run", "countdown", "-i", "seconds=60", "-f", columns=40)
    terminal.expect("([0-9a-f]{8}) Countdown started. Ctrl-C leaves it")
    id_ = terminal.match[1]
    terminal.expect("59")
    terminal.sendintr()
    terminal.expect(f"{id_} goes on. Return: slipway logs")
    assert end(terminal) == 130
    [found] = client.get("/executions", id=id_)["executions"]
    assert found["state"] == "RUNNING"
    client.cancel(found["id"])


def test_on_a_terminal_the_next_step_is_told(sits):
    terminal = sits("run", "cli-launched", "-i", "text=x")
    terminal.expect("([0-9a-f]{8}) CLI launched started. Follow it: slipway logs ([0-9a-f]{8}) -f")
    assert terminal.match[1] == terminal.match[2]
    assert end(terminal) == 0
