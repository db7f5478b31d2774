"""Every fact of the format of definitions, and every fault with its place."""

import json
import pickle
from fractions import Fraction

import pytest
import yaml

from app.errors import InvalidDefinition
from app.load import definition as d
from app.load.parsing import MAX_BYTES, Parser, parse, work

URL = "http://h/"
HTTP = {"id": "s", "type": "http", "config": {"url": URL}}
SCRIPT = {"id": "s", "type": "script", "config": {"script": "1"}}


def document(*steps, **fields):
    return {"id": "w", "steps": list(steps) or [HTTP]} | fields


def http(**config):
    return HTTP | {"config": {"url": URL} | config}


def config_of(**config):
    return parse(document(http(**config))).steps[0].config


def options_of(**options):
    return parse(document(options=options)).options


def faults(source):
    with pytest.raises(InvalidDefinition) as caught:
        parse(source)
    return {field.path: field.message for field in caught.value.fields}


def test_the_two_forms_are_one_schema():
    source = document(
        HTTP
        | {"timeout": "1m30s", "on_error": "continue", "pre_hook": {"type": "script", "config": {
            "script": "1"}}},
        {"id": "c", "type": "condition", "branches": [
            {"id": "b", "kind": "if", "expression": "${s.status_code} == 200", "steps": [
                SCRIPT | {"id": "n"}]}]},
        options={"vus": 2, "duration": "5m"}, variables={"a": 1, "b": {"c": [1.5, None, True]}},
    )  # fmt: skip
    assert parse(yaml.dump(source)) == parse(json.dumps(source)) == parse(source)


def test_names_are_those_that_are_written_or_the_ids():
    parsed = parse(document(HTTP, HTTP | {"id": "t", "name": "Tee"}))
    assert (parsed.name, [step.name for step in parsed.steps]) == ("w", ["s", "Tee"])
    assert parse(document(name="Work")).name == "Work"


def test_texts_in_yaml_are_as_they_are_written():
    parsed = parse(
        "id: 2024\nsteps:\n- id: 007\n  type: http\n  config:\n    url: http://h/\n"
        "    headers: {x: 1.10, y: true}\n    params: [{key: n, value: 1e3}]\n"
        "    body: {type: x-www-form-urlencoded, urlencoded: {a: 0x1F, b: 1.0}}\n"
        "variables: {id: 5, headers: {x: 1.5}}\noptions: {tags: {v: 1.10}}"
    )
    config = parsed.steps[0].config
    assert (parsed.id, parsed.steps[0].id) == ("2024", "007")
    assert config.headers == (("x", "1.10"), ("y", "true"))
    assert config.params == (("n", "1e3"),)
    assert config.body.fields == (("a", "0x1F"), ("b", "1.0"))
    assert parsed.variables == {"id": 5, "headers": {"x": 1.5}}
    assert parsed.options.tags == {"v": "1.10"}


@pytest.mark.parametrize(
    ("written", "microseconds"),
    [
        ("5m", 300_000_000),
        ("1m30s", 90_000_000),
        ("300ms", 300_000),
        ("1.5h", 5_400_000_000),
        ("250us", 250),
        ("250\N{MICRO SIGN}s", 250),
        ("1500000ns", 1_500),
    ],
)
def test_durations_are_text_everywhere(written, microseconds):
    assert options_of(duration=written).duration_us == microseconds
    step = parse(document(HTTP | {"timeout": written})).steps[0]
    assert (step.timeout_us, step.config.timeouts.request_us) == (microseconds,) * 2
    assert config_of(timeout={"connect": written}).timeouts.connect_us == microseconds


@pytest.mark.parametrize("value", [5, 5e9, -1, "5", "-5s", "0s", "5 minutes", None, True, "", []])
def test_other_durations_are_faults(value):
    found = faults(document(HTTP | {"timeout": value}, options={"duration": value}))
    assert set(found) == {"steps[0].timeout", "options.duration"}


class TestHttp:
    def test_what_stands_where_nothing_is_written(self):
        assert config_of() == d.HttpConfig(
            URL,
            method="GET",
            max_redirects=10,
            tls=d.Tls(verify=True),
            timeouts=d.Timeouts(10_000_000, 30_000_000, 30_000_000, 60_000_000),
        )

    def test_methods_in_any_case(self):
        assert config_of(method="post").method == "POST"

    @pytest.mark.parametrize("field", ["params", "query"])
    def test_params_are_called_query_too(self, field):
        assert config_of(**{field: {"a": "1"}}).params == (("a", "1"),)

    def test_both_names_of_params_are_one_too_many(self):
        assert set(faults(document(http(params={}, query={})))) == {"steps[0].config.query"}

    @pytest.mark.parametrize("field", ["headers", "params"])
    def test_values_are_an_object_or_a_list_that_can_be_switched(self, field):
        items = [
            {"key": "a", "value": "1"},
            {"key": "a", "value": "2", "enabled": True},
            {"key": "b", "value": "3", "enabled": False},
            {"key": "c"},
        ]
        assert getattr(config_of(**{field: items}), field) == (("a", "1"), ("a", "2"), ("c", ""))
        assert getattr(config_of(**{field: {"a": "x"}}), field) == (("a", "x"),)

    @pytest.mark.parametrize("field", ["headers", "params"])
    def test_numbers_are_written_as_text(self, field):
        values = {"i": 5, "f": 1.5, "b": True}
        expected = (("i", "5"), ("f", "1.5"), ("b", "true"))
        assert getattr(config_of(**{field: values}), field) == expected

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (None, d.Body(d.BodyType.NONE)),
            ({"type": "none"}, d.Body(d.BodyType.NONE)),
            ("text", d.Body(d.BodyType.JSON, raw="text")),
            ({"type": "json", "raw": "{}"}, d.Body(d.BodyType.JSON, raw="{}")),
            ({"type": "json", "raw": {"a": 1}}, d.Body(d.BodyType.VALUE, value={"a": 1})),
            ({"type": "xml", "raw": "<a/>"}, d.Body(d.BodyType.XML, raw="<a/>")),
            ({"type": "text", "raw": "t"}, d.Body(d.BodyType.TEXT, raw="t")),
            ({"type": "graphql", "raw": "{a}"}, d.Body(d.BodyType.GRAPHQL, raw="{a}")),
            (
                {"type": "x-www-form-urlencoded", "urlencoded": {"a": 1}},
                d.Body(d.BodyType.URLENCODED, fields=(("a", "1"),)),
            ),
            (
                {"type": "form-data", "formData": [{"key": "a", "value": "1"}]},
                d.Body(d.BodyType.FORM_DATA, fields=(("a", "1"),)),
            ),
            ({"a": 1}, d.Body(d.BodyType.VALUE, value={"a": 1})),
            ({"type": "order"}, d.Body(d.BodyType.VALUE, value={"type": "order"})),
            ([1, "${a}"], d.Body(d.BodyType.VALUE, value=[1, "${a}"])),
        ],
    )
    def test_bodies_of_each_type(self, body, expected):
        assert config_of(body=body).body == expected

    def test_redirects_are_followed_or_not(self):
        assert config_of(redirect={"max_redirects": 3}).max_redirects == 3
        assert config_of(redirect={"follow": False, "max_redirects": 3}).max_redirects == 0

    def test_certificates_stand_in_the_definition(self):
        pem = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
        tls = {"verify": False, "cert": pem, "key": pem, "ca": pem}
        assert config_of(ssl=tls).tls == d.Tls(verify=False, cert=pem, key=pem, ca=pem)
        assert set(faults(document(http(ssl={"ca": "/etc/passwd", "cert": pem})))) == {
            "steps[0].config.ssl.ca",
            "steps[0].config.ssl",
        }

    def test_timeouts(self):
        timeout = {"connect": "1s", "read": "2s", "write": "3s", "request": "4s"}
        assert config_of(timeout=timeout).timeouts == d.Timeouts(
            1_000_000, 2_000_000, 3_000_000, 4_000_000
        )
        longer = parse(document(HTTP | {"timeout": "2m"})).steps[0].config.timeouts
        assert longer == d.Timeouts(10_000_000, *[120_000_000] * 3)

    def test_expected_status(self):
        assert config_of(expected_status=404).expected_status == (404,)
        assert config_of(expected_status=[200, 503]).expected_status == (200, 503)

    @pytest.mark.parametrize(
        "url",
        [
            "h",
            "/path",
            "ftp://h/",
            "http://",
            "http:///x",
            "http://h:x/",
            "http://h:99999/",
            "http://u:p@h/",
        ],
    )
    def test_addresses_are_http(self, url):
        assert set(faults(document(http(url=url)))) == {"steps[0].config.url"}

    @pytest.mark.parametrize(
        "url", ["HTTP://h", "https://h:1/x?y", "http://[::1]:80/", "${base}/x", "http://${host}/"]
    )
    def test_addresses_that_will_do(self, url):
        assert config_of(url=url).url == url

    def test_short_addresses_stand_behind_their_base(self):
        config = config_of(url="/x", domain_base_url="http://h")
        assert (config.url, config.base_url) == ("/x", "http://h")
        assert set(faults(document(http(domain_base_url="h")))) == {
            "steps[0].config.domain_base_url"
        }

    @pytest.mark.parametrize(
        ("config", "place"),
        [
            ({"method": "BREW"}, "method"),
            ({"method": "CONNECT"}, "method"),
            ({"url": ""}, "url"),
            ({"url": "http://h/\r\nX: y"}, "url"),
            ({"headers": {"a b": "c"}}, "headers.a b"),
            ({"headers": {"a": "b\r\nc: d"}}, "headers.a"),
            ({"headers": {"Content-Length": "5"}}, "headers.Content-Length"),
            ({"headers": {"transfer-encoding": "chunked"}}, "headers.transfer-encoding"),
            ({"headers": [{"key": "a", "on": True}]}, "headers[0].on"),
            ({"headers": "a: b"}, "headers"),
            ({"params": {"a": {}}}, "params.a"),
            ({"body": {"type": "json", "formData": {}}}, "body.formData"),
            ({"body": {"type": "json", "rwa": ""}}, "body.rwa"),
            ({"body": {"type": "form-data", "raw": ""}}, "body.raw"),
            ({"body": {"type": "xml", "raw": {}}}, "body.raw"),
            ({"redirect": {"max_redirects": -1}}, "redirect.max_redirects"),
            ({"timeout": "5s"}, "timeout"),
            ({"timeout": {"idle": "5s"}}, "timeout.idle"),
            ({"ssl": {"cert": "-----BEGIN CERTIFICATE-----"}}, "ssl"),
            ({"expected_status": 99}, "expected_status"),
            ({"expected_status": []}, "expected_status"),
            ({"retries": 3}, "retries"),
        ],
    )
    def test_faults_of_a_request(self, config, place):
        assert set(faults(document(http(**config)))) == {f"steps[0].config.{place}"}


class TestScript:
    @pytest.mark.parametrize(
        ("written", "microseconds"),
        [(None, None), (5, 5_000_000), (0.5, 500_000), ("300ms", 300_000)],
    )
    def test_its_timeout_is_in_seconds_or_text(self, written, microseconds):
        config = {"script": "1", "language": "javascript"}
        config |= {} if written is None else {"timeout": written}
        parsed = parse(document(SCRIPT | {"config": config})).steps[0].config
        assert parsed == d.ScriptConfig("1", microseconds)

    @pytest.mark.parametrize(
        ("config", "place"),
        [
            ({}, "script"),
            ({"script": " "}, "script"),
            ({"script": "1", "language": "python"}, "language"),
            ({"script": "1", "timeout": 0}, "timeout"),
            ({"script": "1", "timeout": "0s"}, "timeout"),
            ({"script": "1" * 65_537}, "script"),
            ({"script": "1", "file": "/etc/passwd"}, "file"),
        ],
    )
    def test_faults(self, config, place):
        found = faults(document(SCRIPT | {"config": config}))
        assert set(found) == {f"steps[0].config.{place}"}


class TestCondition:
    def step(self, *branches, **fields):
        return {"id": "c", "type": "condition", "branches": list(branches)} | fields

    def branch(self, kind, expression=None, **fields):
        more = {} if expression is None else {"expression": expression}
        return {"kind": kind, "steps": []} | more | fields

    def test_branches(self):
        source = self.step(
            self.branch("if", "a == 1", id="x", name="X", steps=[HTTP]),
            self.branch("else_if", "b"),
            self.branch("else"),
        )
        first, second, third = parse(document(source)).steps[0].config.branches
        assert (first.id, first.name, first.kind, first.expression) == ("x", "X", "if", "a == 1")
        assert [step.id for step in first.steps] == ["s"]
        assert (second.kind, second.expression) == ("else_if", "b")
        assert (third.kind, third.expression) == ("else", "")

    def test_the_older_form(self):
        old = {"type": "condition", "children": [HTTP]}
        source = document(
            old | {"id": "c", "config": {"type": "if", "expression": "a"}},
            old | {"id": "e", "config": {"type": "else"}, "children": [HTTP | {"id": "t"}]},
        )
        first, second = (step.config for step in parse(source).steps)
        assert (first.branches[0].expression, first.follows) == ("a", False)
        assert (second.branches[0].kind, second.follows) == ("else", True)
        assert d.step_ids(parse(source)) == ["c", "s", "e", "t"]

    @pytest.mark.parametrize(
        ("step", "places"),
        [
            ({"branches": []}, {"branches"}),
            ({}, {"branches"}),
            ({"condition": {"expression": "a", "then": [], "else": []}}, {"branches", "condition"}),
            ({"branches": [{"kind": "if", "steps": []}]}, {"branches[0].expression"}),
            ({"branches": [{"kind": "else", "steps": []}]}, {"branches[0].kind"}),
            (
                {"branches": [{"kind": "if", "expression": "a ==", "steps": []}]},
                {"branches[0].expression"},
            ),
            (
                {"branches": [{"kind": "if", "expression": "a"}]},
                {"branches[0].steps"},
            ),
            (
                {"branches": [{"kind": "if", "expression": "a", "steps": []}] * 2},
                {"branches[1].kind"},
            ),
            (
                {"branches": [{"kind": "if", "expression": "a", "steps": []}], "children": []},
                {"branches", "children"},
            ),
            ({"children": [HTTP], "config": {"type": "if"}}, {"config.expression"}),
            ({"children": [HTTP], "config": {"type": "else"}}, {"config.type"}),
        ],
    )
    def test_faults(self, step, places):
        found = faults(document({"id": "c", "type": "condition"} | step))
        assert set(found) == {f"steps[0].{place}" for place in places}

    def test_nothing_stands_behind_else(self):
        found = faults(
            document(
                self.step(self.branch("if", "a"), self.branch("else"), self.branch("else_if", "b"))
            )
        )
        assert set(found) == {"steps[0].branches[2].kind"}


class TestLoop:
    def step(self, **loop):
        return {"id": "l", "type": "loop", "loop": {"steps": [HTTP]} | loop}

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ({"mode": "for", "count": 3}, {"count": 3}),
            ({"mode": "for", "count": "${n}"}, {"count": "${n}"}),
            ({"mode": "foreach", "items": [1, "a"]}, {"items": [1, "a"]}),
            (
                {"mode": "foreach", "items": "${list}", "item_var": "x"},
                {"items": "${list}", "item_var": "x"},
            ),
            ({"mode": "while", "condition": "a < 3"}, {"condition": "a < 3"}),
            (
                {
                    "mode": "for", "count": 1, "max_iterations": 5, "break_condition": "a",
                    "continue_condition": "b",
                },
                {"count": 1, "max_iterations": 5, "break_condition": "a",
                 "continue_condition": "b"},
            ),
        ],
    )  # fmt: skip
    def test_each_mode(self, written, expected):
        loop = parse(document(self.step(**written))).steps[0].config
        steps = parse(document()).steps
        assert loop == d.Loop(**({"mode": d.LoopMode(written["mode"]), "steps": steps} | expected))

    def test_usual_values(self):
        loop = parse(document(self.step(mode="for", count=1))).steps[0].config
        assert (loop.item_var, loop.max_iterations) == ("item", 1000)

    @pytest.mark.parametrize(
        ("loop", "place"),
        [
            ({"mode": "for"}, "count"),
            ({"mode": "foreach"}, "items"),
            ({"mode": "while"}, "condition"),
            ({"mode": "until"}, "mode"),
            ({"mode": "for", "count": 1, "items": []}, "items"),
            ({"mode": "for", "count": -1}, "count"),
            ({"mode": "for", "count": 1, "max_iterations": 0}, "max_iterations"),
            ({"mode": "while", "condition": "${loop.index} % 2 == 1"}, "condition"),
            ({"mode": "for", "count": 1, "break_condition": "("}, "break_condition"),
            ({"mode": "for", "count": 1, "steps": []}, "steps"),
            ({"mode": "for", "count": 1, "sleep": "1s"}, "sleep"),
        ],
    )
    def test_faults(self, loop, place):
        assert set(faults(document(self.step(**loop)))) == {f"steps[0].loop.{place}"}

    def test_a_loop_needs_one(self):
        assert set(faults(document({"id": "l", "type": "loop"}))) == {"steps[0].loop"}
        assert set(faults(document(HTTP | {"loop": {"mode": "for", "count": 1, "steps": [SCRIPT |
            {"id": "n"}]}}))) == {"steps[0].loop"}  # fmt: skip


class TestProcessors:
    def step(self, processor, field="postProcessors"):
        return HTTP | {field: [{"id": "p", "enabled": True} | processor]}

    def built(self, processor):
        return parse(document(self.step(processor))).steps[0].post_processors

    @pytest.mark.parametrize(
        ("type_", "config", "expected"),
        [
            ("js_script", {"script": "1"}, d.RunScript("p", "1")),
            (
                "set_variable",
                {"variableName": "a", "value": 5, "scope": "temp"},
                d.SetVariable("p", "a", 5),
            ),
            (
                "set_variable",
                {"variableName": "a", "value": "x", "scope": "env"},
                d.SetVariable("p", "env.a", "x"),
            ),
            ("wait", {}, d.Wait("p", 1_000_000)),
            ("wait", {"duration": 250}, d.Wait("p", 250_000)),
            ("wait", {"duration": "2s"}, d.Wait("p", 2_000_000)),
            (
                "assertion",
                {"assertType": "status_code", "operator": "lt", "expected": 400},
                d.Assertion("p", "status_code", "lt", "", "400"),
            ),
            (
                "assertion",
                {"assertType": "jsonpath", "expression": "$.a", "expected": "x"},
                d.Assertion("p", "jsonpath", "eq", "$.a", "x"),
            ),
            (
                "extract_param",
                {"extractType": "header", "expression": "X-Id", "variableName": "id"},
                d.Extraction("p", "header", "X-Id", "id"),
            ),
            (
                "extract_param",
                {
                    "extractType": "cookie", "expression": "sid", "variableName": "s",
                    "scope": "env",
                },
                d.Extraction("p", "cookie", "sid", "env.s"),
            ),
        ],
    )  # fmt: skip
    def test_each_type(self, type_, config, expected):
        assert self.built({"type": type_, "config": config}) == (expected,)

    def test_they_are_off_unless_enabled(self):
        assert self.built({"type": "wait", "enabled": False}) == ()
        step = HTTP | {"preProcessors": [{"id": "p", "type": "wait"}]}
        assert parse(document(step)).steps[0].pre_processors == ()

    @pytest.mark.parametrize("operator", ["eq", "ne", "contains", "not_contains", *d.Operator])
    @pytest.mark.parametrize("kind", ["status_code", "response_body", "response_time"])
    def test_operators(self, kind, operator):
        config = {"assertType": kind, "operator": operator, "expected": "1"}
        assert self.built({"type": "assertion", "config": config})[0].operator == operator

    @pytest.mark.parametrize(
        ("processor", "place"),
        [
            ({"type": "sql_query"}, "type"),
            ({"type": "js_script"}, "config"),
            ({"type": "js_script", "config": {}}, "config.script"),
            ({"type": "set_variable", "config": {"value": 1}}, "config.variableName"),
            ({"type": "set_variable", "config": {"variableName": "${a}", "value": 1}},
             "config.variableName"),
            ({"type": "wait", "config": {"duration": -1}}, "config.duration"),
            ({"type": "assertion", "config": {"assertType": "body", "expected": ""}},
             "config.assertType"),
            ({"type": "assertion", "config": {"assertType": "header", "expected": ""}},
             "config.expression"),
            ({"type": "assertion", "config": {"assertType": "status_code"}}, "config.expected"),
            ({"type": "assertion", "config": {"assertType": "status_code", "expected": 1,
              "operator": "like"}}, "config.operator"),
            ({"type": "assertion", "config": {"assertType": "jsonpath", "expected": 1,
              "expression": "$..a"}}, "config.expression"),
            ({"type": "assertion", "config": {"assertType": "status_code", "expected": 1,
              "expression": "a"}}, "config.expression"),
            ({"type": "extract_param", "config": {"extractType": "regex", "expression": "a",
              "variableName": "b"}}, "config.extractType"),
            ({"type": "extract_param", "config": {"extractType": "jsonpath", "expression": "$.*",
              "variableName": "b"}}, "config.expression"),
            ({"type": "wait", "enable": True}, "enable"),
        ],
    )  # fmt: skip
    def test_faults(self, processor, place):
        assert set(faults(document(self.step(processor)))) == {
            f"steps[0].postProcessors[0].{place}"
        }

    def test_before_the_request_there_is_no_answer(self):
        config = {"assertType": "status_code", "expected": 200}
        step = self.step({"type": "assertion", "config": config}, "preProcessors")
        assert set(faults(document(step))) == {"steps[0].preProcessors[0].type"}

    def test_they_are_for_requests_only(self):
        assert set(faults(document(SCRIPT | {"preProcessors": []}))) == {"steps[0].preProcessors"}


class TestHooks:
    def test_of_both_types_at_both_places(self):
        script = {"type": "script", "config": {"script": "1"}}
        request = {"type": "http", "config": {"url": URL}}
        parsed = parse(document(HTTP | {"pre_hook": script}, post_hook=request))
        assert parsed.steps[0].pre_hook == d.Hook(d.ScriptConfig("1"))
        assert parsed.post_hook == d.Hook(d.HttpConfig(URL))

    @pytest.mark.parametrize(
        ("hook", "place"),
        [
            ({"type": "wait", "config": {}}, "type"),
            ({"type": "script"}, "config"),
            ({"type": "script", "config": {"url": URL}}, "config.script"),
            ({"type": "http", "config": {"url": "ftp://h/"}}, "config.url"),
        ],
    )
    def test_faults(self, hook, place):
        found = faults(document(HTTP | {"pre_hook": hook}, post_hook=hook))
        assert {f"steps[0].pre_hook.{place}", f"post_hook.{place}"} <= set(found)


class TestOptions:
    def test_nothing_is_one_user_and_one_iteration(self):
        assert options_of() == d.Options(d.Mode.SHARED_ITERATIONS, vus=1, iterations=1)
        assert parse(document()).options == options_of()

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ({"vus": 5, "iterations": 10}, {"mode": "shared-iterations", "vus": 5,
             "iterations": 10}),
            ({"vus": 5, "iterations": 10, "mode": "constant-vus"}, {"mode": "shared-iterations",
             "vus": 5, "iterations": 10}),
            ({"vus": 5}, {"mode": "shared-iterations", "vus": 5, "iterations": 5}),
            ({"vus": 100, "duration": "5m"}, {"mode": "constant-vus", "vus": 100,
             "duration_us": 300_000_000}),
            ({"iterations": 7, "duration": "1s"}, {"mode": "shared-iterations", "iterations": 7,
             "duration_us": 1_000_000}),
            ({"mode": "shared-iterations", "vus": 3}, {"mode": "shared-iterations", "vus": 3,
             "iterations": 1}),
            ({"mode": "per-vu-iterations", "vus": 3}, {"mode": "per-vu-iterations", "vus": 3,
             "iterations": 1}),
            ({"mode": "per-vu-iterations", "iterations": 4}, {"mode": "per-vu-iterations",
             "iterations": 4}),
            ({"mode": "externally-controlled", "vus": 2, "max_vus": 9},
             {"mode": "externally-controlled", "vus": 2, "max_vus": 9}),
            ({"mode": "constant-arrival-rate", "vus": 20, "duration": "3s"},
             {"mode": "constant-arrival-rate", "rate": Fraction(20), "duration_us": 3_000_000,
              "pre_allocated_vus": 20, "max_vus": 40}),
            ({"mode": "constant-arrival-rate", "rate": 0.1, "duration": "3s"},
             {"mode": "constant-arrival-rate", "rate": Fraction(1, 10), "duration_us": 3_000_000,
              "pre_allocated_vus": 1, "max_vus": 10}),
            ({"rate": 30, "time_unit": "1m", "duration": "3s", "vus": 7, "max_vus": 8},
             {"mode": "constant-arrival-rate", "rate": Fraction(30), "duration_us": 3_000_000,
              "time_unit_us": 60_000_000, "pre_allocated_vus": 7, "max_vus": 8}),
            ({"mode": "constant-arrival-rate", "rate": 100, "duration": "1s", "max_vus": 10},
             {"mode": "constant-arrival-rate", "rate": Fraction(100), "duration_us": 1_000_000,
              "pre_allocated_vus": 10, "max_vus": 10}),
        ],
    )  # fmt: skip
    def test_each_mode(self, written, expected):
        assert options_of(**written) == d.Options(**expected)

    def test_ramps(self):
        stages = [{"duration": "2s", "target": 10, "name": "up"}, {"duration": "0s", "target": 3}]
        built = (
            d.Stage(2_000_000, Fraction(10), "up"),
            d.Stage(0, Fraction(3)),
        )
        for written in ({}, {"mode": "ramping-vus"}, {"mode": "ramping-vus", "vus": 1}):
            ramp = options_of(stages=stages, **written)
            assert ramp == d.Options(d.Mode.RAMPING_VUS, stages=built)
        rates = options_of(stages=stages, mode="ramping-arrival-rate")
        assert rates == d.Options(
            d.Mode.RAMPING_ARRIVAL_RATE, stages=built, pre_allocated_vus=10, max_vus=20
        )

    def test_slaves(self):
        asked = {"mode": "label", "labels": {"region": "eu", "n": 1}, "min_slaves": 2}
        assert options_of(target_slaves=asked).target == d.TargetSlaves(
            d.TargetMode.LABEL, labels={"region": "eu", "n": "1"}, min_slaves=2
        )
        asked = {"mode": "manual", "slave_ids": ["a", "b"], "max_slaves": 3}
        assert options_of(target_slaves=asked).target == d.TargetSlaves(
            d.TargetMode.MANUAL, slave_ids=("a", "b"), max_slaves=3
        )
        asked = {"mode": "capability", "capabilities": ["http_executor"]}
        assert options_of(target_slaves=asked).target.capabilities == ("http_executor",)
        for mode in ("auto", "local"):
            assert options_of(target_slaves={"mode": mode}).target.mode == mode
        assert options_of(target_slaves={}).target == d.TargetSlaves()

    def test_thresholds(self):
        asked = [
            {"metric": "http_req_duration", "condition": "p(95) < 500"},
            {"metric": "http_reqs{step:s}", "condition": "count>1"},
            {"metric": "s.duration", "condition": "avg<5"},
        ]
        built = tuple(d.Threshold(**threshold) for threshold in asked)
        assert options_of(thresholds=asked).thresholds == built

    @pytest.mark.parametrize(
        ("options", "places"),
        [
            ({"vus": 0}, {"vus"}),
            ({"vus": -5}, {"vus"}),
            ({"vus": 1.5}, {"vus"}),
            ({"vus": "5"}, {"vus"}),
            ({"iterations": 0}, {"iterations"}),
            ({"mode": "constant"}, {"mode"}),
            ({"http_engine": "fasthttp"}, {"http_engine"}),
            ({"ramp_up": "5s"}, {"ramp_up"}),
            ({"mode": "ramping-vus"}, {"stages"}),
            ({"mode": "ramping-vus", "stages": []}, {"stages"}),
            ({"stages": [{"duration": "0s", "target": 5}]}, {"stages"}),
            ({"stages": [{"duration": "1s", "target": 0.5}]}, {"stages[0].target"}),
            ({"stages": [{"duration": "1s"}]}, {"stages[0].target"}),
            ({"stages": [{"duration": 5, "target": 1}]}, {"stages[0].duration"}),
            ({"stages": [{"duration": "1s", "target": 1}], "duration": "5s"}, {"duration"}),
            ({"mode": "constant-vus", "stages": [{"duration": "1s", "target": 1}]}, {"stages"}),
            ({"mode": "constant-vus", "rate": 5}, {"rate"}),
            ({"mode": "constant-arrival-rate"}, {"rate", "duration"}),
            ({"rate": 0, "duration": "1s"}, {"rate"}),
            ({"rate": 1, "duration": "1s", "iterations": 5}, {"iterations"}),
            ({"rate": 1, "duration": "1s", "pre_allocated_vus": 5, "max_vus": 4}, {"max_vus"}),
            ({"mode": "externally-controlled", "vus": 5, "max_vus": 4}, {"max_vus"}),
            ({"mode": "externally-controlled", "iterations": 4}, {"iterations"}),
            ({"target_slaves": {"mode": "some"}}, {"target_slaves.mode"}),
            ({"target_slaves": {"mode": "manual"}}, {"target_slaves.slave_ids"}),
            ({"target_slaves": {"mode": "label", "labels": {}}}, {"target_slaves.labels"}),
            ({"target_slaves": {"slave_ids": ["a"]}}, {"target_slaves.slave_ids"}),
            ({"target_slaves": {"min_slaves": 2, "max_slaves": 1}}, {"target_slaves.max_slaves"}),
            ({"thresholds": [{"metric": "cpu", "condition": "avg<5"}]}, {"thresholds[0].metric"}),
            ({"thresholds": [{"metric": "nobody.duration", "condition": "avg<5"}]},
             {"thresholds[0].metric"}),
            ({"thresholds": [{"metric": "http_reqs{step:nobody}", "condition": "count<5"}]},
             {"thresholds[0].metric"}),
            ({"thresholds": [{"metric": "http_req_duration", "condition": "p(95) is fine"}]},
             {"thresholds[0].condition"}),
            ({"thresholds": [{"metric": "http_req_duration"}]}, {"thresholds[0].condition"}),
        ],
    )  # fmt: skip
    def test_faults(self, options, places):
        found = faults(document(options=options))
        assert set(found) == {f"options.{place}" for place in places}


class TestDocuments:
    @pytest.mark.parametrize(
        ("source", "places"),
        [
            ({"steps": [HTTP]}, {"id"}),
            ({"id": "w"}, {"steps"}),
            ({"id": "w", "steps": []}, {"steps"}),
            ({"id": 5, "steps": [HTTP]}, {"id"}),
            ({"id": "a b", "steps": [HTTP]}, {"id"}),
            (document({"type": "http", "config": {"url": URL}}), {"steps[0].id"}),
            (document({"id": "s", "config": {}}), {"steps[0].type"}),
            (document({"id": "s", "type": "http"}), {"steps[0].config"}),
            (document({"id": "s", "type": "grpc", "config": {}}), {"steps[0].type"}),
            (document({"id": "s", "type": "mq", "config": {}}), {"steps[0].type"}),
            (document({"id": "s s", "type": "script", "config": {"script": "1"}}), {"steps[0].id"}),
            (document(HTTP, SCRIPT), {"steps[1].id"}),
            (document(HTTP | {"retry": 3}), {"steps[0].retry"}),
            (document(HTTP | {"on_error": "ignore"}), {"steps[0].on_error"}),
            (document(HTTP | {"disabled": "yes"}), {"steps[0].disabled"}),
            (document(Name="x"), {"Name"}),
            (document(variables=[]), {"variables"}),
            (document(variables={"a}": 1}), {"variables.a}"}),
            ([], {""}),
        ],
    )
    def test_faults(self, source, places):
        assert set(faults(source)) == places

    def test_an_id_stands_once_in_the_whole_tree(self):
        loop = {"id": "l", "type": "loop", "loop": {"mode": "for", "count": 1, "steps": [HTTP]}}
        branch = {"kind": "if", "expression": "a", "steps": [loop]}
        condition = {"id": "c", "type": "condition", "branches": [branch]}
        found = faults(document(HTTP, condition))
        assert set(found) == {"steps[1].branches[0].steps[0].loop.steps[0].id"}

    def test_all_faults_are_told_with_their_lines(self):
        text = "id: w\nsteps:\n- id: s\n  type: grpc\n- id: s\n  type: http\nwhat: 1\n"
        found = faults(text)
        assert set(found) == {"steps[0].type", "steps[1].id", "steps[1].config", "what"}
        assert [found[place][-9:] for place in ("steps[0].type", "steps[1].id", "what")] == [
            " (line 4)",
            " (line 5)",
            " (line 7)",
        ]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "- a",
            "id: [",
            "id: w\nid: x\nsteps: []",
            "id: w\nsteps: &a [*a]",
            "a: &a {b: 1}\nsteps: *a",
            "id: !!python/object:os.system x\nsteps: []",
            "id: w\n---\nid: x",
            "id: w\nsteps: " + "[" * 100 + "]" * 100,
            "id: w\nvariables: {a: 123456789012345678901234567890}\nsteps: []",
            "id: \x00",
        ],
    )
    def test_what_is_no_document_is_a_fault(self, text):
        assert faults(text)

    def test_nesting_is_bounded(self):
        step = HTTP
        for depth in range(11):
            loop = {"mode": "for", "count": 1, "steps": [step]}
            step = {"id": f"l{depth}", "type": "loop", "loop": loop}
        assert any("nested more than 10 levels" in message
                   for message in faults(document(step)).values())  # fmt: skip
        assert parse(document(step["loop"]["steps"][0]))

    def test_the_number_of_steps_is_bounded(self):
        steps = [HTTP | {"id": f"s{number}"} for number in range(600)]
        inner = [HTTP | {"id": f"i{number}"} for number in range(401)]
        loop = {"id": "l", "type": "loop", "loop": {"mode": "for", "count": 1, "steps": inner}}
        assert set(faults(document(*steps, loop))) == {"steps"}

    def test_what_a_slave_prepares_is_bounded(self):
        body = {"type": "text", "raw": "${a}" * 5000}
        steps = [http(body=body) | {"id": f"s{number}"} for number in range(3)]
        assert parse(document(*steps[:2]))
        assert set(faults(document(*steps))) == {""}
        assert set(faults(document(variables={"a": ["${a}"] * 10_001}))) == {""}
        branch = {"kind": "if", "expression": "a or " * 800 + "a", "steps": []}
        steps = [{"id": f"c{number}", "type": "condition", "branches": [branch]}
                 for number in range(33)]  # fmt: skip
        assert parse(document(*steps[:32]))
        assert set(faults(document(*steps))) == {"steps"}

    @pytest.mark.parametrize("deep", [[], {}])
    def test_an_object_is_bounded_in_depth(self, deep):
        for _ in range(70):
            deep = [deep]
        assert faults(document(variables={"a": deep}))


@pytest.fixture(scope="module")
def parser():
    return Parser()


class TestParser:
    def test_long_ones_are_read_elsewhere_and_are_the_same(self, parser):
        source = document(HTTP, variables={"long": "x" * 5000})
        assert parser.parse(source, "ann") == parse(source)
        assert parser.parse(yaml.dump(source), "ann") == parse(source)
        assert parser.parse(document(), "ann") == parse(document())

    def test_and_so_are_their_faults(self, parser):
        source = document(HTTP, HTTP, variables={"long": "x" * 5000})
        with pytest.raises(InvalidDefinition) as caught:
            parser.parse(source, "ann")
        assert [field.path for field in caught.value.fields] == ["steps[1].id"]
        assert str(caught.value) == "The workflow definition has one fault."

    def test_the_size_is_bounded(self, parser):
        with pytest.raises(InvalidDefinition, match="one fault"):
            parser.parse("x" * MAX_BYTES, "ann")

    @pytest.mark.parametrize("depth", [100, 900, 5000])
    def test_the_depth_is_bounded(self, parser, depth):
        deep = []
        for _ in range(depth):
            deep = [deep]
        with pytest.raises(InvalidDefinition) as caught:
            parser.parse(document(variables={"a": deep}), "ann")
        assert "nested more than" in caught.value.fields[0].message

    def test_many_faults_are_counted(self):
        text = json.dumps(document(*[{}] * 300))
        with pytest.raises(InvalidDefinition, match=r"600 faults.*500 more"):
            parse(text)

    def test_what_a_worker_does_is_json(self):
        assert d.of_json(json.loads(work(pickle.dumps(document())))) == parse(document())
