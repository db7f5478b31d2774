import json

import pytest
from iteration_kit import URL, Ran, Target, http

from app.load.exchange import Answer

BODY = json.dumps({"user": {"name": "ann", "tags": ["a", "b"]}, "n": 5, "none": None}).encode()
HEADERS = [
    (b"Content-Type", b"application/json"),
    (b"Set-Cookie", b"sid=abc=; Path=/; HttpOnly"),
    (b"set-cookie", b"lang=en"),
]
ANSWER = Answer(201, 12_500, HEADERS, BODY)


def after(*processors, answer=ANSWER, step=None, **fields):
    written = [{"enabled": True, "id": f"p{i}"} | p for i, p in enumerate(processors)]
    return Ran(
        http("s", postProcessors=written, **(step or {})),
        http("t", config={"url": f"{URL}${{v}}"}),
        target=Target(answer, Answer(200, 1)),
        **fields,
    )


def assertion(kind, operator, expected, expression=""):
    config = {"assertType": kind, "operator": operator, "expected": expected}
    return {"type": "assertion", "config": config | {"expression": expression}}


def extraction(kind, expression, **config):
    config = {"extractType": kind, "expression": expression, "variableName": "v"} | config
    return {"type": "extract_param", "config": config}


@pytest.mark.parametrize(
    ("kind", "operator", "expected", "expression"),
    [
        ("status_code", "eq", 201, ""),
        ("status_code", "eq", "201", ""),
        ("status_code", "ne", 200, ""),
        ("status_code", "lt", 400, ""),
        ("status_code", "gte", 201, ""),
        ("response_body", "contains", '"ann"', ""),
        ("response_body", "not_contains", "bob", ""),
        ("response_time", "lt", 500, ""),
        ("response_time", "eq", 12.5, ""),
        ("response_time", "gt", "9", ""),
        ("header", "contains", "json", "content-TYPE"),
        ("header", "eq", "application/json", "Content-Type"),
        ("header", "ne", "x", "X-None"),
        ("header", "not_contains", "x", "X-None"),
        ("jsonpath", "eq", "ann", "$.user.name"),
        ("jsonpath", "eq", "5", "n"),
        ("jsonpath", "gt", "4", "$.n"),
        ("jsonpath", "contains", "a", "$.user.tags"),
        ("jsonpath", "eq", "", "$.none"),
        ("jsonpath", "ne", "x", "$.nope"),
        ("jsonpath", "eq", "${expected}", "$.user['tags'][-1]"),
    ],
)
def test_assertions_that_hold(kind, operator, expected, expression):
    ran = after(assertion(kind, operator, expected, expression), variables={"expected": "b"})
    assert (ran.messages, ran.succeeded) == ([], True)


@pytest.mark.parametrize(
    ("kind", "operator", "expected", "expression"),
    [
        ("status_code", "eq", 200, ""),
        ("status_code", "gt", 201, ""),
        ("response_body", "contains", "bob", ""),
        ("response_time", "lt", 12, ""),
        ("header", "eq", "x", "X-None"),
        ("header", "gt", "0", "X-None"),
        ("jsonpath", "eq", "bob", "$.user.name"),
        ("jsonpath", "eq", "x", "$.nope"),
    ],
)
def test_an_assertion_that_does_not_hold_is_a_failure(kind, operator, expected, expression):
    ran = after(assertion(kind, operator, expected, expression))
    assert (ran.steps, ran.succeeded) == ([("s", "failure")], False)
    assert ran.counted.requests == [("s", False)]
    words = f"{kind} {expression}".strip()
    message = f"assertion 'p0' does not hold: {words} {operator} {expected}"
    assert ran.counted.errors == [("VALIDATION_ERROR", message, "s")]


def test_what_follows_an_assertion_that_does_not_hold_runs_and_is_told():
    no = assertion("status_code", "eq", 200)
    ran = after(no, {"type": "wait", "config": {"duration": 300}}, no)
    assert ran.slept == [0.3]
    assert [message[:14] for message in ran.messages] == ["assertion 'p2'", "assertion 'p0'"]
    assert ran.steps == [("s", "failure")]


def test_it_all_runs_after_an_answer_that_is_a_failure():
    wait = {"type": "wait", "config": {"duration": 300}}
    ran = after(wait, assertion("status_code", "eq", 404), answer=Answer(404, 1))
    assert (ran.slept, ran.messages) == ([0.3], ["answered with status 404"])


@pytest.mark.parametrize(
    ("kind", "expression", "expected"),
    [
        ("jsonpath", "$.user.name", "ann"),
        ("jsonpath", "n", "5"),
        ("jsonpath", "$.user.tags[1]", "b"),
        ("header", "content-type", "application/json"),
        ("cookie", "sid", "abc="),
        ("cookie", "lang", "en"),
    ],
)
def test_extractions(kind, expression, expected):
    assert after(extraction(kind, expression)).target.urls[-1] == f"{URL}{expected}"


def test_an_extraction_keeps_the_type():
    ran = after(
        extraction("jsonpath", "$.user"),
        {"type": "set_variable", "config": {"variableName": "v", "value": "${v.tags.0}"}},
    )
    assert ran.target.urls[-1] == f"{URL}a"


def test_an_extraction_of_the_scope_env():
    ran = after(
        extraction("jsonpath", "$.n", scope="env"),
        {"type": "set_variable", "config": {"variableName": "v", "value": "${env.v}!"}},
    )
    assert ran.target.urls[-1] == f"{URL}5!"


@pytest.mark.parametrize(
    ("kind", "expression"), [("jsonpath", "$.nope"), ("header", "X-None"), ("cookie", "none")]
)
def test_nothing_to_extract_is_a_failure(kind, expression):
    ran = after(extraction(kind, expression))
    assert ran.messages == [f"there is no {kind} {expression} to extract"]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": NaN}', b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_not_json_is_a_failure(body):
    ran = after(extraction("jsonpath", "$.a"), answer=Answer(200, 1, [], body))
    assert ran.counted.errors == [("PARSING_ERROR", "the answer is not JSON", "s")]


def test_variables_before_the_request():
    setting = {"type": "set_variable", "enabled": True,
               "config": {"variableName": "v", "value": "${a}-b"}}  # fmt: skip
    step = http("s", config={"url": f"{URL}${{v}}"}, preProcessors=[setting])
    assert Ran(step, variables={"a": 1}).target.urls == [f"{URL}1-b"]


def test_what_is_not_enabled_does_not_run():
    assert after(assertion("status_code", "eq", 200) | {"enabled": False}).succeeded


def test_think_time():
    assert after({"type": "wait"}).slept == [1.0]


def test_no_processor_runs_without_an_answer():
    ran = after({"type": "wait"}, answer=TimeoutError())
    assert ran.slept == []
