from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.expressions import _EXPRESSION as EXPRESSION
from app.engine.expressions import check, evaluate, render
from app.engine.header_fields import HeaderFields
from app.errors import InvalidRequest

CONTEXT = {
    "inputs": {"n": 3, "a-b": "dash", "items": [1, 2], "yes": True, "nothing": None, "text": "ab"},
    "steps": {
        "split": {"outputs": {"total": 7, "keys": "k"}, "status": "SUCCESS", "exit_code": 0},
    },
    "execution": {"id": "e-1"},
}

TOKENS = """
inputs . n text ['a-b'] steps split outputs total execution id | default join sort tojson round int
length replace ( ) [ ] { } : , + - * / // % ~ == < in not and or if else is defined none 'a' '}}' 1
2.5 true
"""
finite = st.floats(allow_nan=False, allow_infinity=False)
storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | storable,
    lambda children: st.lists(children) | st.dictionaries(storable, children),
    max_leaves=10,
)


def faults(template):
    return check(template, inputs=CONTEXT["inputs"], steps={"split", "later"}, ended="split".__eq__)


class TestRender:
    @pytest.mark.parametrize(
        ("template", "text"),
        [
            ("n is ${{ inputs.n }}.", "n is 3."),
            ("${{ inputs['a-b'] }}", "dash"),
            ("${{inputs.n}}${{ inputs.n + 1 }}", "34"),
            ("${{ steps.split.outputs.total }}", "7"),
            ("${{ steps.split.status }}/${{ steps.split.exit_code }}", "SUCCESS/0"),
            ("${{ execution.id }}", "e-1"),
            ("${{ inputs.yes }}", "true"),
            ("${{ inputs.nothing }}", ""),
            ("${{ inputs.items }}", "[1, 2]"),
            ("${{ inputs.items | join(',') | upper }}", "1,2"),
            ("${{ steps.split.outputs.missing | default('none') }}", "none"),
            ("${{ 'many' if inputs.n > 2 else 'few' }}", "many"),
            ("${{ {'a': 1}['a'] }}", "1"),
            ("${{ '}}' }}${{ '${{' }}", "}}${{"),
            ("${{ inputs.text | tojson }}", '"ab"'),
        ],
    )
    def test_puts_values_in(self, template, text):
        assert faults(template) == []
        assert render(template, CONTEXT) == text

    @pytest.mark.parametrize(
        "text",
        [
            "{% raw %}",
            "{# no comment #}",
            "{{ 7 * 7 }}",
            "}}",
            "$",
            "${",
            "a\r\nb\n\n",
            "\0",
            " x ",
        ],
    )
    def test_leaves_other_text_alone(self, text):
        assert faults(text) == []
        assert render(text, CONTEXT) == text
        assert render(f"{text}${{{{ inputs.n }}}}{text}", CONTEXT) == f"{text}3{text}"

    @pytest.mark.parametrize("name", ["items", "keys", "get", "copy"])
    def test_names_are_keys_and_never_methods(self, name):
        assert render(f"${{{{ inputs.{name} }}}}", {"inputs": {name: "mine"}}) == "mine"

    @given(storable | st.sampled_from(["${{ inputs.x }}", "{{ 7 * 7 }}", "{% if %}", "$(id)"]))
    def test_a_value_is_never_evaluated_again(self, value):
        assert render("<${{ inputs.x }}>", {"inputs": {"x": value}}) == f"<{value}>"

    @pytest.mark.parametrize(
        ("expression", "reason"),
        [
            ("steps.split.outputs.missing", "there is no 'missing'"),
            ("inputs.n.bit_length", "there is no 'bit_length'"),
            ("inputs.text.__class__", "there is no '__class__'"),
            ("inputs.n // 0", "division"),
            ("inputs.n + 'a'", "unsupported operand"),
            ("inputs.text * 1000000000", "takes numbers only"),
            ("'%1000000000d' % inputs.n", "takes numbers only"),
            ("[inputs.missing]", "there is no 'missing'"),
            ("1e308 * 10", "not JSON compliant"),
        ],
    )
    def test_tells_which_expression_failed_and_why(self, expression, reason):
        with pytest.raises(InvalidRequest) as caught:
            render(f"${{{{ {expression} }}}}", CONTEXT)
        assert f"${{{{ {expression} }}}}" in caught.value.message
        assert reason in caught.value.message


class TestEvaluate:
    @pytest.mark.parametrize(
        ("value", "result"),
        [
            ("${{ inputs.n }}", 3),
            ("${{ inputs.items }}", [1, 2]),
            ("${{ inputs.nothing }}", None),
            ("${{ inputs.yes }}", True),
            ("${{ (1, 2) }}", [1, 2]),
            (" ${{ inputs.n }}", " 3"),
            ("${{ inputs.n }}${{ inputs.n }}", "33"),
            ({"a": ["${{ inputs.n }}", 1, None]}, {"a": [3, 1, None]}),
            ({"${{ inputs.n }}": 1}, {"${{ inputs.n }}": 1}),
        ],
    )
    def test_a_lone_expression_keeps_its_type(self, value, result):
        assert evaluate(value, CONTEXT) == result

    @given(json_values)
    def test_a_value_passes_unchanged(self, value):
        assert evaluate("${{ inputs.x }}", {"inputs": {"x": value}}) == value


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("h['X-Token']", "t"),
        ("h['x-token']", "t"),
        ("h.etag ~ h.ETag", "11"),
        ("'X-TOKEN' in h", True),
        ("h['X-Other'] is defined", False),
        ("h | length", 2),
    ],
)
def test_header_fields_are_found_whatever_their_case(expression, value):
    fields = HeaderFields({"x-token": "t", "etag": 1})
    assert evaluate(f"${{{{ {expression} }}}}", {"h": fields}) == value


class TestCheck:
    @pytest.mark.parametrize(
        ("template", "fault"),
        [
            ("${{ inputs.m }}", "no input 'm'"),
            ("${{ inputs.a-b }}", "no input 'a'"),
            ("${{ inputs }}", "refers to 'inputs'"),
            ("${{ inputs[inputs.n] }}", "refers to 'inputs'"),
            ("${{ inputs.items[inputs.m] }}", "no input 'm'"),
            ("${{ steps.nope.status }}", "no step 'nope'"),
            ("${{ steps.later.status }}", "not among those that this one needs"),
            ("${{ steps.split.output.total }}", "no 'output'"),
            ("${{ steps[inputs.n].status }}", "refers to 'steps'"),
            ("${{ execution.owner }}", "refers to 'execution'"),
            ("${{ n }}", "refers to 'n'"),
            ("${{ range(3) }}", "must not call"),
            ("${{ inputs.text.upper() }}", "must not call"),
            ("${{ inputs.n ** 9 }}", "'**'"),
            ("${{ inputs.n | attr('real') }}", "no filter 'attr'"),
            ("${{ inputs.n is nice }}", "no test 'nice'"),
            ("${{ inputs.n", "never closed"),
            ("${{ 'a }}", "never closed"),
            ("${{ }}", "no expression"),
            ("${{ inputs.n inputs.n }}", "no expression"),
            ("${{ inputs.n, 1 }}", "no expression"),
            ("${{ " + "(" * 2000 + ")" * 2000 + " }}", "too long"),
            ("${{ " + "+".join("1" * 2000) + " }}", "too long"),
            ("${{ " + "9" * 5000 + " }}", "too long"),
        ],
    )
    def test_finds_faults_before_any_value_is_known(self, template, fault):
        assert fault in " ".join(faults(template))

    def test_finds_all_faults_at_once(self):
        assert len(faults("${{ inputs.a }} ${{ inputs.b + nope }} ${{")) == 4

    @pytest.mark.parametrize("piece", ["${{", "${{ '", r"${{\'", "${{ {", "${{\"'", "${{ {} "])
    def test_what_is_never_closed_is_read_once(self, piece, monkeypatch):
        tried = []

        class Counting:
            def match(self, *args):
                tried.append(args[1])
                return EXPRESSION.match(*args)

        monkeypatch.setattr("app.engine.expressions._EXPRESSION", Counting())
        assert len(faults(piece * 10_000)) == 1
        assert tried == [0]

    @given(st.lists(st.sampled_from(TOKENS.split()), max_size=12))
    def test_what_passes_can_fail_for_its_values_only(self, tokens):
        template = f"${{{{ {' '.join(tokens)} }}}}"
        if not faults(template):
            with suppress(InvalidRequest):
                evaluate(template, CONTEXT)
