"""What expressions mean is what Jinja2 says; what they may take is bounded."""

import json
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment

from app.engine.evaluation import budget
from app.engine.expressions import check, evaluate, render
from app.errors import InvalidRequest
from app.values import to_json, to_text


class Reference(ImmutableSandboxedEnvironment):
    """Jinja2 itself, with keys in the place of attributes, and no formatting by ``%``."""

    intercepted_binops = frozenset({"*", "%"})

    def __init__(self):
        super().__init__(undefined=StrictUndefined)
        self.filters = FILTERS | {"string": to_text, "tojson": to_json}

    def getattr(self, obj, attribute):
        return self.getitem(obj, attribute)

    def getitem(self, obj, argument):
        try:
            return obj[argument]
        except (LookupError, TypeError):
            return self.undefined("nothing there")

    def call_binop(self, context, operator, left, right):
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise TypeError
        return super().call_binop(context, operator, left, right)


JINJA = Reference()
INPUTS = {
    "n": 3, "zero": 0, "f": 2.75, "big": 2**53 + 1, "text": "Ab c-d", "digits": "42.5", "empty": "",
    "yes": True, "nothing": None, "items": [3, 1, 2], "words": ["b", "A", "c", ""], "none": [],
    "people": [{"name": "Zoë", "age": 3}, {"name": "ann", "age": 1}],
    "map": {"a": 1, "b": [1, {"c": "x"}]},
}  # fmt: skip
FINE = 'Ab c-d "\\/%&é\U0001f600'

names = st.sampled_from([f"inputs.{name}" for name in INPUTS])
literals = st.sampled_from(
    [
        "0",
        "1",
        "2",
        "-1",
        "2.5",
        "1_000",
        "'a'",
        "'A b'",
        "''",
        "true",
        "none",
        "[]",
        "{}",
        "'name'",
    ]
)
keys = st.sampled_from(["['a']", ".a", ".b", ".b[1].c", "[0]", "[-1]", ".name", ".missing"])
slices = st.sampled_from(["[1:]", "[:2]", "[::2]", "[::-1]", "[:-1]", "[5:1]"])
filters = st.sampled_from([
    "abs", "capitalize", "count", "d('x')", "default('x', true)", "first", "float", "float(1.5)",
    "int", "int(7)", "int(7, 16)", "join", "join(', ')", "join('-', attribute='name')", "last",
    "length", "list", "lower", "max", "max(true)", "max(attribute='age')", "min",
    "replace('a', 'bb')",
    "replace('', '.')", "replace('b', '', 1)", "replace(1, 2)", "round", "round(1)", "round(-1)",
    "round(0, 'ceil')", "round(1, 'floor')", "sort", "sort(true)", "sort(case_sensitive=true)",
    "sort(attribute='age,name')", "sort(false, true, 'name')", "string", "sum", "sum(start=10)",
    "sum(attribute='age')", "sum('age', 2)", "title", "tojson", "trim", "trim('Ab')", "upper",
    "urlencode",
])  # fmt: skip
tests = st.sampled_from([
    "defined", "undefined", "none", "true", "false", "string", "number", "integer", "float",
    "boolean", "mapping", "sequence", "iterable", "lower", "upper", "even", "odd", "divisibleby(3)",
    "eq(3)", "ne 3", "gt(1)", "ge(3)", "lt(3)", "le(3)", "in([1, 'a', 3])", "in 'abc'",
    "sameas(true)", "not defined", "not none",
])  # fmt: skip
operators = st.sampled_from(
    [
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "~",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "and",
        "or",
        "in",
        "not in",
    ]
)


shapes = st.sampled_from([
    "({x} {operator} {y})", "({x} {operator} {y})", "({x} < {y} <= {z})", "{name}{key}",
    "{name}{slice}", "({name} | {filter}){slice}", "({x})[{y}]", "({x} | {filter})",
    "({x} | {filter})", "({name} | {filter})",
    "({x} is {test})", "({x} if {y} else {z})", "({x} if {y})", "(not {x})", "(-{x})", "[{x}, {y}]",
    "({x}, {y})", "{{'k': {x}, 'a': {y}}}",
])  # fmt: skip


@st.composite
def expressions(draw, depth=3):
    if depth == 0:
        return draw(names | literals)
    return draw(shapes).format(
        x=draw(expressions(depth=depth - 1)),
        y=draw(expressions(depth=depth - 2 if depth > 1 else 0)),
        z=draw(expressions(depth=0)),
        name=draw(names),
        key=draw(keys),
        slice=draw(slices),
        operator=draw(operators),
        filter=draw(filters),
        test=draw(tests),
    )


def by_jinja(expression):
    """Return the value, as a one-element list, or an empty one where Jinja2 fails."""
    try:
        value = JINJA.compile_expression(expression, undefined_to_none=False)(inputs=INPUTS)
        return [json.loads(json.dumps(value, default=str, allow_nan=False))]
    except Exception:  # noqa: BLE001 - whatever it is, it has no value there
        return []


def by_us(expression):
    try:
        return [evaluate(f"${{{{ {expression} }}}}", {"inputs": INPUTS})]
    except InvalidRequest:
        return []


class TestMeaning:
    @given(st.integers(0, 3).flatmap(lambda depth: expressions(depth=depth)))
    @settings(max_examples=300)
    @example("(inputs.people | sort(attribute='age,name'))")
    @example("inputs.map | urlencode")
    @example("(inputs.digits | int(7, 16))")
    @example("('a' < inputs.text)")
    def test_is_that_of_jinja2(self, expression):
        template = f"${{{{ {expression} }}}}"
        if not check(template, inputs=INPUTS, steps=()):
            # Compared as texts: to Python, 1, 1.0 and true are equal.
            assert repr(by_us(expression)) == repr(by_jinja(expression)), expression

    @pytest.mark.parametrize(
        ("expression", "value"),
        [
            ("1 / 0 if false else 'lazy'", "lazy"),
            ("false and inputs.missing", False),
            ("true or inputs.missing", True),
            ("inputs.f | round(1)", 2.8),
            ("9007199254740993 + 1", 9007199254740994),
            ("99999999999 * 99999999999", 9999999999800000000001),
            ("'a' 'b'", "ab"),
        ],
    )
    def test_examples(self, expression, value):
        assert by_us(expression) == by_jinja(expression) == [value]


LONG = "x" * 100_000
GREEDY = [
    "inputs.n | round(inputs.huge, 'ceil')",
    "inputs.n | round(inputs.huge, 'floor')",
    "inputs.n | round(-inputs.huge)",
    "inputs.n | round(3e12, 'ceil')",
    "inputs.f | round(precision=inputs.huge, method='ceil')",
    "inputs.long | replace('x', inputs.long)",
    "inputs.long | replace('', inputs.long)",
    "inputs.long | replace('x', inputs.long, 50000)",
    "inputs.long | join(inputs.long)",
    "inputs.long | list | join(inputs.long)",
    "inputs.people | join(inputs.long, attribute=inputs.dots)",
    "inputs.long | trim(inputs.long)",
    "inputs.long in inputs.long * 2",
    " ~ ".join(["inputs.long"] * 20),
    " + ".join(["inputs.long"] * 20),
    "[" + ", ".join(["inputs.long"] * 20) + "]",
    "[" + ", ".join(["inputs.rows"] * 20) + "] | string",
    "[" + ", ".join(["inputs.rows"] * 20) + "] | tojson",
    "[" + ", ".join(["inputs.rows"] * 20) + "] | urlencode",
    "[" + ", ".join(["inputs.rows"] * 20) + "] | sort",
    "[" + ", ".join(["inputs.rows"] * 20) + "] | min",
    "[" + ", ".join(["inputs.rows"] * 20) + "] | sum(start=[])",
    "([" + ", ".join(["inputs.rows"] * 20) + "] ~ '') | length",
    "[" + ", ".join(["inputs.rows"] * 20) + "] is eq([" + ", ".join(["inputs.rows"] * 20) + "])",
    "[" + ", ".join(["inputs.rows"] * 20) + "] < [" + ", ".join(["inputs.rows"] * 20) + "]",
    "[] in [" + ", ".join(["inputs.rows"] * 20) + "]",
    "inputs.rows | sort(attribute=inputs.dots)",
    "inputs.rows | max(attribute=inputs.dots)",
    "inputs.rows | sum(attribute=inputs.dots)",
    "inputs.wide | urlencode | urlencode | urlencode | urlencode",
    "inputs.quotes | tojson | tojson | tojson | tojson | tojson | tojson",
    "inputs.format is divisibleby(inputs.n)",
    "inputs.format is even",
    "inputs.format is odd",
    "inputs.format % inputs.n",
    "inputs.text * inputs.huge",
    "[0] * inputs.huge",
    " * ".join(["9" * 100] * 20),
    "'" + "9" * 1001 + "' | int",
    "inputs.long | int(0, 36)",
    "inputs.long | float",
]  # fmt: skip
ABUSED = INPUTS | {
    "huge": 3_000_000_000_000,
    "long": LONG,
    "rows": [[i, str(i)] for i in range(600)],
    "dots": "." * 100_000,
    "wide": "\U0001f600" * 25_000,
    "quotes": '"' * 50_000,
    "format": "%999999999d",
}


class TestBounds:
    @pytest.mark.parametrize("expression", GREEDY)
    def test_no_expression_takes_more_than_its_budget(self, expression, monkeypatch):
        monkeypatch.setattr(budget, "MAX_LENGTH", 128 * 1024)  # quicker, and the same otherwise
        template = f"${{{{ {expression} }}}}"
        assert not check(template, inputs=ABUSED, steps=())
        tracemalloc.start()
        try:
            with pytest.raises(InvalidRequest, match="cannot be evaluated: ") as caught:
                evaluate(template, {"inputs": ABUSED})
            assert tracemalloc.get_traced_memory()[1] < 32 * budget.MAX_LENGTH
        finally:
            tracemalloc.stop()
        assert len(caught.value.message) < 600

    def test_all_expressions_of_an_evaluation_have_one_budget(self):
        template = {str(i): "${{ inputs.long | upper }}" for i in range(1000)}
        with pytest.raises(InvalidRequest, match=r"takes more than 200,000 steps"):
            evaluate(template, {"inputs": ABUSED})

    def test_what_hangs_ends_by_the_clock(self, monkeypatch):
        monkeypatch.setattr(budget, "MAX_SECONDS", -1.0)
        with pytest.raises(InvalidRequest, match="takes longer than"):
            evaluate("${{ inputs.long | upper }}", {"inputs": ABUSED})

    @pytest.mark.parametrize(
        "expression",
        [
            "inputs.long",
            "inputs.rows",
            "inputs.rows | length",
            "inputs.long | upper | length",
            "inputs.rows | sort | first",
            "inputs.long ~ inputs.long",
            "inputs.text | replace('b', 'x' ~ inputs.text)",
            "inputs.huge * inputs.huge",
            "inputs.f | round(inputs.n)",
        ],
    )
    def test_honest_work_is_done(self, expression):
        assert evaluate(f"${{{{ {expression} }}}}", {"inputs": ABUSED}) is not None

    def test_no_failure_is_left_to_the_caller(self, monkeypatch):
        def fail(*_args):
            raise MemoryError

        monkeypatch.setattr("app.engine.evaluation.budget.Budget.text", fail)
        with pytest.raises(InvalidRequest, match="more memory than there is"):
            evaluate("${{ inputs.n ~ 'a' }}", {"inputs": INPUTS})


class TestResults:
    @pytest.mark.parametrize(
        ("expression", "reason"),
        [
            ("1e999", "the number inf, which is not JSON"),
            ("-1e999", "the number -inf"),
            ("1e308 * 10", "the number inf"),
            ("1.5 | round(400, 'ceil')", "evaluated: int too large to convert to float"),
            ("5 % 0", "evaluated: integer modulo by zero"),
            ("1e999 - 1e999", "the number nan"),
            ("[{'a': 1e999}]", "the number inf"),
            ("'x' ~ 1e999", "the number inf"),
            ("{1e999: 1}", "the number inf"),
            ("[1e999] | tojson", "not JSON compliant"),
            (r"'\ud83d'", "half of a surrogate pair"),
            (r"['\udc00']", "half of a surrogate pair"),
            (r"{'\udc00': 1}", "half of a surrogate pair"),
            (r"'a\0b'", "NUL"),
            (r"{'\0': 1}", "NUL"),
            (r"['\0'] | tojson | replace('\\u0000', '\0')", "NUL"),
            (r"inputs['\ud83d']['\0']", "there is no '\ufffd'"),
        ],
    )
    def test_what_json_cannot_say_is_refused_by_name(self, expression, reason):
        for template in (f"${{{{ {expression} }}}}", f"a${{{{ {expression} }}}}"):
            with pytest.raises(InvalidRequest) as caught:
                evaluate(template, {"inputs": {}})
            assert reason in caught.value.message
            assert caught.value.message.encode()
            assert "\0" not in caught.value.message

    @pytest.mark.parametrize(
        ("number", "text"),
        [
            (0.00001, "0.00001"),
            (1e-7, "0.0000001"),
            (-2.5e-10, "-0.00000000025"),
            (1e21, "1000000000000000000000"),
            (1.5e300, "15" + "0" * 299),
            (5e-324, "0." + "0" * 323 + "5"),
            (1e16, "10000000000000000"),
            (1000.0, "1000.0"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
        ],
    )
    def test_numbers_are_written_in_plain_digits(self, number, text):
        values = {"inputs": {"x": number}}
        assert to_text(number) == text
        assert render("${{ inputs.x }}", values) == text
        assert render("${{ '' ~ inputs.x }}", values) == text
        assert render("${{ inputs.x | string }}", values) == text
        assert render("${{ [inputs.x, 1] | join(',') }}", values) == f"{text},1"
        assert render("${{ inputs.x | replace('x', '') | trim }}", values) == text
        assert render("${{ inputs.x | urlencode }}", values) == text
