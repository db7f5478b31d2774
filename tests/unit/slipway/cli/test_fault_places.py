"""Where the faults of a definition are in its text."""

import pytest

from slipway.cli.definition_files import Definition, findings, told
from slipway.cli.places import Text

FLOW = """\
id: flow
inputs:
  n: {type: integer, minimun: 1}
steps:
  - id: split
    type: script
    config:
      script: |
        echo
  - id: join
    type: script
    needs: [split, hihg]
    config: {script: "echo é", typo: 1}
  - id: high
    type: script
"""


def shown(path, message, text=FLOW):
    definition = Definition("flow.yaml", text)
    return told(definition, findings(definition, [(path, message)]))


def test_a_fault_is_pointed_at_with_carets():
    assert shown("steps[1].needs[1]", "there is no step 'hihg' (line 12)") == [
        "flow.yaml:12:20: step join: needs[1]: there is no step 'hihg'; did you mean high?",
        "  12 |     needs: [split, hihg]",
        "     |                    ^^^^",
    ]


def test_a_name_that_is_not_known_is_pointed_at_itself():
    assert shown("inputs.n.minimun", "is not known here; known are: maximum, minimum, type") == [
        "flow.yaml:3:22: inputs.n.minimun: is not known here; did you mean minimum?",
        "   3 |   n: {type: integer, minimun: 1}",
        "     |                      ^^^^^^^",
    ]
    assert shown("steps[1].config.typo", "is not known here; known are: script, shell")[0] == (
        "flow.yaml:13:32: step join: config.typo: is not known here; known are: script, shell"
    )


def test_of_what_is_missing_what_should_hold_it_is_shown():
    assert shown("steps[2].config", "is required (line 14)") == [
        "flow.yaml:14:5: step high: config: is required",
        "  14 |   - id: high",
        "     |     ^",
    ]
    assert shown("name", "is required (line 1)")[0] == "flow.yaml:1:1: name: is required"


def test_what_has_several_lines_is_pointed_at_by_its_name():
    assert shown("steps[0].config.script", "has a fault (line 8)")[:2] == [
        "flow.yaml:8:7: step split: config.script: has a fault",
        "   8 |       script: |",
    ]


def test_a_text_that_is_no_yaml_is_pointed_at_where_it_ends_to_be():
    text = "id: a\nsteps: [\n"
    lines = shown("", "is not YAML: did not find expected node content (line 3)", text)
    assert lines[0].startswith("flow.yaml:2:9: is not YAML")
    tabs = shown("", "is not YAML: found a character (line 2)", "a: 1\n\tb: 2\n")
    assert tabs[1:] == ["   2 | \ufffdb: 2".replace("\ufffd", " "), "     | ^"]


@pytest.mark.parametrize("text", ["", "\0", "[" * 500, "a: *b", "? [x]\n: y", "- a\n- b\n"])
def test_no_text_is_too_strange_to_be_told_of(text):
    lines = shown("steps[0].id", "is required (line 7)", text)
    assert "is required" in lines[0]


def test_a_path_with_dots_in_a_name_is_found():
    text = "files:\n  a.b.py: {txt: x}\n"
    assert shown("files.a.b.py.txt", "is not known here", text)[0].startswith("flow.yaml:2:12:")


def test_wide_characters_and_tabs_keep_the_carets_below():
    lines = shown("b", "is wrong", "a: 1\nb: 日本語\n")
    assert lines[1:] == ["   2 | b: 日本語", "     |    ^^^^^^"]


def test_what_a_file_holds_steers_no_terminal():
    lines = shown("b", "is \x1b[31mred", "b: '\x1b[31m'\n")
    assert not any("\x1b" in line for line in lines)


def test_faults_come_in_the_order_of_the_lines():
    definition = Definition("f", FLOW)
    found = findings(definition, [("steps[1].id", "b"), ("id", "a"), ("", "all")])
    assert [each.message for each in found] == ["all", "a", "b"]
    assert found[1].document() == {"path": "id", "message": "a", "line": 1, "column": 5}


def test_the_line_of_a_step_is_found_by_its_name():
    text = Text(FLOW)
    assert text.step_line("join") == 10
    assert text.step_line("nobody") is None
    assert text.text_at("id") == "flow"
    assert text.text_at("steps") == ""
