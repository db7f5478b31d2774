import time

import pytest

from app import look_alikes


@pytest.mark.parametrize(
    "text",
    [
        "${inputs.n}",
        "${ inputs.n }",
        "${inputs.n:-5}",
        "${steps.a.outputs.x}",
        "${execution.id}",
        "{{ inputs.n }}",
        "{{inputs.n}}",
        "{{- inputs.n -}}",
        "{{ inputs['n'] }}",
        '{{ inputs["n"] | int }}',
        "{{ 2 * inputs.n }}",
        "{{{ inputs.n }}}",
        "{{=inputs.n}}",
        "{{ steps.a.outputs.x }}",
        "{{ steps['a'].status }}",
        "{{ execution.id }}",
        "{% if inputs.n %}",
        "$(inputs.n)",
        "$(inputs['n'])",
        "$(steps.a.outputs.x)",
        "$[[ inputs.n ]]",
    ],
)
def test_what_names_our_vocabulary_in_the_syntax_of_others_is_found(text):
    found = look_alikes.find(f"one\ntwo {text} three", expressions=False)
    assert found.text in text
    assert found.line == 2


@pytest.mark.parametrize(
    "text",
    [
        "${var}",
        "${inputs[0]}",
        "${inputs[@]}",
        '${inputs["n"]}',
        "${#inputs}",
        "${!inputs}",
        "${inputs}",
        "${INPUT_N}",
        "${inputs:-x}",
        "$inputs.n",
        "$(ls inputs.n)",
        "$(cat inputs/n)",
        "{{ n }}",
        "{{ .Values.inputs.n }}",
        "{{ my.inputs.n }}",
        "{{ my_inputs.n }}",
        "{{ 'inputs.n' }}",
        "{inputs.n}",
        "#{inputs.n}",
        "inputs.n",
        "execution.identity",
        "{{ execution.identity }}",
        "${execution.identity}",
        "awk '{{ print $1 }}'",
        "{% for x in inputs %}",
        "${{ env.X }}",
        "${{ secrets.inputs }}",
    ],
)
def test_what_belongs_to_shells_and_other_templates_is_left_alone(text):
    assert look_alikes.find(text, expressions=True) is None


def test_a_real_expression_counts_where_none_is_evaluated_only():
    text = "${{ inputs.n }}"
    assert look_alikes.find(text, expressions=False) is None
    assert look_alikes.find(text, expressions=True).input == "n"


@pytest.mark.parametrize(
    "piece", ["{{", "${{", "{{ inputs", "$(inputs.n", "${inputs.n ", "{% ", "$[[inputs.n"]
)
def test_the_time_grows_as_the_text_does(piece):
    text = piece * (1024 * 1024 // len(piece))
    began = time.process_time()
    look_alikes.find(text, expressions=True)
    assert time.process_time() - began < 20
