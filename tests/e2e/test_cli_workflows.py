"""Workflows on the command line: listing, explaining, uploading, checking and deleting them."""

import json

import pytest
import yaml

ABOUT = "Counts the primes up to n, both halves of the range at the same time."
FLOW = """\
id: cli-flow
name: CLI flow
description: Says a number.
inputs:
  n: {type: integer, minimum: 1}
  mode: {type: string, enum: [fast, slow], default: fast}
outputs:
  n: "${{ inputs.n }}"
steps:
  - id: a
    type: script
    config: {script: "echo $INPUT_N"}
"""


@pytest.fixture
def ana(person, shared_service, monkeypatch):
    monkeypatch.setenv("SLIPWAY_URL", shared_service.url)
    return person


@pytest.fixture
def flow(ana, tmp_path):
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW)
    yield file
    ana.types("delete", "cli-flow")


def test_workflows_are_a_table_and_names_and_documents(ana):
    code, out, _ = ana.types("workflows", "prime")
    assert (code, out) == (
        0,
        (f"NAME     RUNS ON  DESCRIPTION\nDiamond  local    {ABOUT}\n"),
    )
    assert ana.types("workflows", "prime", "-o", "name").out == "diamond\n"
    [document] = json.loads(ana.types("workflows", "prime", "-o", "json").out)
    assert document["id"] == "diamond"
    assert yaml.safe_load(ana.types("workflows", "prime", "-o", "yaml").out) == [document]
    wide = ana.types("workflows", "prime", "-o", "wide").out.splitlines()
    assert wide[0].split() == ["NAME", "ID", "RUNS", "ON", "OWNER", "DESCRIPTION"]
    assert ana.types("workflows", "--query", "[?name=='Hello'].id | [0]").out == "hello\n"
    assert ana.types("wf", "list").out == ana.types("workflows").out


def test_what_no_workflow_is_called_is_said_on_standard_error(ana):
    assert ana.types("workflows", "zzz") == (
        0, "", "No workflow has 'zzz' in its name or description.\n",
    )  # fmt: skip
    assert json.loads(ana.types("workflows", "zzz", "-o", "json").out) == []


def test_a_workflow_is_explained_with_the_line_that_runs_it(ana):
    assert ana.types("show", "diamond") == (
        0,
        (
            f"Diamond: {ABOUT}\n"
            "Inputs   n  integer, 2 to 100000000, default 1000000  Upper end of the range.\n"
            "Steps    split\n"
            "         ├── low\n"
            "         │   └── join (needs high, too)\n"
            "         └── high\n"
            "Outputs  primes, low, high\n"
            "Run it   slipway run diamond -i n=1000000 -f\n"
        ),
        "",
    )
    assert ana.types("show", "Diamond", "-o", "name").out == "diamond\n"
    assert ana.types("show", "diamond", "--query", "inputs[0].type").out == "integer\n"


def test_a_name_that_is_nearly_right_is_told(ana):
    assert ana.types("show", "dimond") == (
        4, "", "slipway: There is no workflow 'dimond'; did you mean diamond?\n",
    )  # fmt: skip
    assert ana.types("run", "Helo")[::2] == (
        4, "slipway: There is no workflow 'Helo'; did you mean hello?\n",
    )  # fmt: skip
    code, _, err = ana.types("show", "zzz")
    assert (code, err) == (
        4, "slipway: There is no workflow 'zzz'.\n  slipway workflows lists them.\n",
    )  # fmt: skip


def test_a_definition_is_uploaded_replaced_and_deleted(ana, flow):
    assert ana.types("upload", str(flow)) == (
        0, "CLI flow is uploaded, version 1. Run it: slipway run cli-flow -f\n", "",
    )  # fmt: skip
    assert ana.types("show", "cli-flow").out.splitlines()[1:3] == [
        "Inputs   n     integer, at least 1, needed",
        "         mode  text, one of fast, slow, default fast",
    ]
    assert ana.types("show", "cli-flow").out.splitlines()[-1] == (
        "Run it   slipway run cli-flow -i n=INTEGER -i mode=fast -f"
    )
    code, _, err = ana.types("upload", str(flow))
    assert code == 2
    assert err.splitlines()[-1] == f"  slipway upload {flow} --replace"
    flow.write_text(FLOW.replace("Says", "Tells"))
    assert json.loads(ana.types("upload", str(flow), "--replace", "-o", "json").out)["version"] == 2
    assert ana.types("delete", "cli-flow") == (0, "cli-flow is deleted.\n", "")
    code, _, err = ana.types("delete", "cli-flow")
    assert (code, err) == (4, "slipway: There is no workflow 'cli-flow'.\n")


def test_several_workflows_are_deleted_and_one_that_is_not_there_hinders_no_other(ana, flow):
    ana.types("upload", str(flow))
    code, out, err = ana.types("delete", "cli-flo", "cli-flow", "-o", "json")
    assert code == 4
    assert json.loads(out) == [{"deleted": "cli-flow"}]
    assert err == "slipway: There is no workflow 'cli-flo'; did you mean cli-flow?\n"


def test_a_workflow_from_a_file_of_the_operator_is_not_deleted(ana):
    code, _, err = ana.types("delete", "hello")
    assert code == 2
    assert "it comes from the folder of workflows" in err


@pytest.fixture
def faulty(flow):
    flow.write_text(FLOW.replace("steps:\n", "steps:\n  - {id: b, type: script, needs: [aa]}\n"))
    return flow


FAULTS = """\
{0}:10:5: step b: config: is required
  10 |   - {{id: b, type: script, needs: [aa]}}
     |     ^
{0}:10:35: step b: needs[0]: there is no step 'aa'; did you mean a?
  10 |   - {{id: b, type: script, needs: [aa]}}
     |                                   ^^
"""


def test_faults_are_pointed_at_here_without_any_service(ana, faulty, monkeypatch):
    monkeypatch.setenv("SLIPWAY_URL", "http://127.0.0.1:1")
    assert ana.types("validate", str(faulty)) == (1, FAULTS.format(faulty), "")
    [found] = json.loads(ana.types("validate", str(faulty), "-o", "json").out)
    assert found["valid"] is False
    assert found["faults"][1] == {
        "path": "steps[0].needs[0]", "message": "there is no step 'aa'; did you mean a?",
        "line": 10, "column": 35,
    }  # fmt: skip


def test_faults_of_what_is_uploaded_are_pointed_at_too(ana, faulty):
    code, out, err = ana.types("upload", str(faulty))
    assert (code, out) == (1, "")
    first, _, rest = err.partition("\n")
    assert first == f"{faulty} was not uploaded; it has faults."
    assert rest == FAULTS.format(faulty)


def test_where_there_is_no_service_the_one_elsewhere_is_asked(ana, faulty, monkeypatch):
    monkeypatch.setattr("slipway.cli.service.installed", lambda: False)
    assert ana.types("validate", str(faulty)) == (1, FAULTS.format(faulty), "")
    faulty.write_text(FLOW)
    assert ana.types("validate", str(faulty)).out == f"{faulty}: cli-flow is valid, 1 step.\n"
    code, _, err = ana.types("validate", str(faulty), "--launcher", "local")
    assert (code, "pip install 'slipway-hpc[server]'" in err) == (2, True)
    code, _, err = ana.types("try", str(faulty))
    assert (code, "pip install 'slipway-hpc[server]'" in err) == (2, True)
    monkeypatch.setenv("SLIPWAY_URL", "http://127.0.0.1:1")
    code, _, err = ana.types("validate", str(faulty))
    assert (code, "127.0.0.1:1" in err) == (5, True)


def test_valid_definitions_are_said_to_be_so_and_one_faulty_one_counts(ana, flow, tmp_path):
    assert ana.types("validate", str(flow)) == (0, f"{flow}: cli-flow is valid, 1 step.\n", "")
    assert ana.types("validate", str(flow), "-o", "name").out == "cli-flow\n"
    other = tmp_path / "other.yaml"
    other.write_text("id: [")
    code, out, _ = ana.types("validate", str(flow), str(other))
    assert code == 1
    assert out.splitlines()[0].endswith("is valid, 1 step.")
    assert f"{other}:1:6: is not YAML" in out


def test_a_definition_may_come_by_a_pipe(ana):
    assert ana.types("validate", "-", piped=FLOW) == (
        0,
        "standard input: cli-flow is valid, 1 step.\n",
        "",
    )


def test_what_a_launcher_does_not_give_is_a_fault(ana, flow):
    flow.write_text(FLOW + "    resources: {gpus: 2}\n")
    assert ana.types("validate", str(flow)).code == 0
    code, out, _ = ana.types("validate", str(flow), "--launcher", "local")
    assert code == 1
    assert "step a: resources.gpus: is not what the launcher 'local' gives" in out
    code, _, err = ana.types("validate", str(flow), "--launcher", "slurn")
    assert code == 2
    assert "must be one of local" in err


@pytest.mark.parametrize("content", [None, b"\x89PNG\r\n\xff", b"id: \0"])
@pytest.mark.parametrize("word", ["validate", "upload", "try"])
def test_what_is_no_text_or_not_there_is_one_sentence(ana, tmp_path, word, content):
    file = tmp_path / "flow.yaml"
    if content is not None:
        file.write_bytes(content)
    code, out, err = ana.types(word, str(file))
    assert (code, out) == (2, "")
    assert err.startswith(f"slipway: {file} ")
    assert err.count("\n") == 1
