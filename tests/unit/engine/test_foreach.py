"""What a definition may say of a step that runs for each element of a list."""

from __future__ import annotations

from typing import Any

import pytest

from app.engine.definition import load
from app.engine.model import Foreach
from app.errors import InvalidDefinition

CONFIG = {"command": "fit", "args": ["${{ item }}"]}


def flow(*others: dict[str, Any], inputs: dict[str, Any] | None = None, **words: Any) -> Any:
    step = {"id": "fit", "type": "command", "foreach": [1, 2], "config": CONFIG, **words}
    return {
        "id": "w",
        "steps": [step, *others],
        "inputs": {"files": {"type": "array"}, "n": {"type": "integer"}} | (inputs or {}),
    }


def faults(source: Any) -> dict[str, str]:
    with pytest.raises(InvalidDefinition) as caught:
        load(source)
    return {fault.path: fault.message for fault in caught.value.fields}


class TestWhatMayBeSaid:
    def test_the_list_the_most_at_once_and_the_word_for_the_element(self):
        config = {"command": "fit", "args": ["${{ file.name }} ${{ index }}"]}
        words = {"foreach": "${{ inputs.files }}", "max_parallel": 3, "item": "file"}
        assert load(flow(config=config, **words)).steps[0].foreach == Foreach(
            "${{ inputs.files }}", 3, "file"
        )

    def test_nothing_is_the_same_as_ever(self):
        step = {"id": "a", "type": "command", "config": {"command": "true"}}
        assert load({"id": "w", "steps": [step]}).steps[0].foreach is None

    @pytest.mark.parametrize(
        "over",
        [
            [],
            ["${{ inputs.n }}", {"name": "${{ execution.id }}"}, None, 2.5],
            "${{ inputs.files }}",
            "${{ steps.find.outputs.files | sort }}",
        ],
    )
    def test_the_list_may_be_written_out_or_computed(self, over):
        find = {"id": "find", "type": "command", "config": {"command": "ls"}}
        load(flow(find, foreach=over, needs=["find"]))

    def test_an_untyped_use_of_its_outputs_is_as_of_any_step(self):
        after = {
            "id": "after", "type": "command", "needs": ["fit"],
            "config": {"command": "sum", "args": ["${{ steps.fit.outputs.score | sum }}"]},
        }  # fmt: skip
        assert load(flow(after)).steps[1].foreach is None

    @pytest.mark.parametrize("field", ["stdout", "stderr", "capture"])
    def test_files_have_the_place_of_the_element_in_their_name(self, field):
        load(flow(**{field: "out/${{ index }}.txt"}))
        load(flow(working_dir="w${{index}}", stage_in=["in"], stage_out=["o/${{ index }}/x"]))


class TestWhatMayNot:
    @pytest.mark.parametrize(
        ("words", "path", "said"),
        [
            ({"foreach": "abc"}, "steps[0].foreach", "must be a list, or one expression"),
            ({"foreach": "x ${{ inputs.files }}"}, "steps[0].foreach", "must be a list, or one"),
            ({"foreach": "${{ inputs.n }}"}, "steps[0].foreach", "that input is of type integer"),
            ({"foreach": 3}, "steps[0].foreach", "array"),
            ({"foreach": "${{ inputs.none }}"}, "steps[0].foreach", "there is no input 'none'"),
            ({"foreach": "${{ item }}"}, "steps[0].foreach", "refers to 'item'"),
            ({"foreach": "${{ steps.fit.outputs.x }}"}, "steps[0].foreach", "not among those"),
            ({"max_parallel": 0}, "steps[0].max_parallel", "1"),
            ({"item": "inputs"}, "steps[0].item", "a word"),
            ({"item": "a-b"}, "steps[0].item", "a word"),
            ({"item": "index"}, "steps[0].item", "a word"),
            ({"stdout": "out.txt"}, "steps[0].stdout", "must hold '${{ index }}'"),
            ({"stage_out": ["out.txt"]}, "steps[0].stage_out[0]", "must hold '${{ index }}'"),
            ({"working_dir": "${{ item }}"}, "steps[0].working_dir", "expressions"),
            ({"item": "file"}, "steps[0].config.args[0]", "refers to 'item'"),
        ],
    )  # fmt: skip
    def test_each_fault_stands_at_its_place(self, words, path, said):
        found = faults(flow(**words))
        assert said in found[path], found

    @pytest.mark.parametrize("word", ["max_parallel", "item"])
    def test_words_about_elements_need_some(self, word):
        step = {"id": "a", "type": "command", "config": {"command": "true"}}
        value = 1 if word == "max_parallel" else "x"
        found = faults({"id": "w", "steps": [{**step, word: value}]})
        assert found[f"steps[0].{word}"] == "is for steps with 'foreach'"

    def test_other_steps_know_no_element(self):
        other = {"id": "b", "type": "command", "config": {"command": "x", "args": ["${{ item }}"]}}
        assert "refers to 'item'" in faults(flow(other))["steps[1].config.args[0]"]

    def test_files_of_other_steps_are_not_those_of_an_element(self):
        other = {
            "id": "b", "type": "command", "config": {"command": "x"}, "stdout": "out/7.txt",
        }  # fmt: skip
        found = faults(flow(other, stdout="out/${{ index }}.txt"))
        assert found["steps[1].stdout"] == "is the file of steps[0].stdout too"

    def test_all_elements_together_are_not_too_many(self):
        found = faults(flow(foreach=[0] * 10_000))
        assert "10,001" in found["steps"]
