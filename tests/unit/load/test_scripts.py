"""Scripts: what they find, and what they cannot do to others."""

import base64
import hashlib
import os
import signal
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from iteration_kit import URL, Ran, Target, http, script

from app.load import iteration, script_host
from app.load.exchange import Answer, Cut
from app.load.faults import StepFailed, StepTimedOut
from app.load.parsing import parse
from app.load.scripts import MAX_GIVEN_LENGTH, Scripts
from app.load.variables import MAX_LENGTH


@pytest.fixture(scope="module")
def scripts():
    made = Scripts(seconds=0.1)
    yield made
    made.close()


def run(scripts, source, answer=None, **variables):
    return scripts.run(source, variables, answer, 60)


def result(scripts, expression, answer=None, **variables):
    """What an expression is, as it comes out of a script."""
    return run(scripts, f"vars.set('r', {expression})", answer, **variables).set["r"]


class TestVariables:
    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("vars.get('a')", 1),
            ("vars.get('o').b[1]", 3),
            ("vars.get('nobody')", None),
            ("vars.has('a')", True),
            ("vars.has('nobody')", False),
            ("vars.all()", {"a": 1, "o": {"b": [2, 3]}, "env.host": "h"}),
            ("env.get('host')", "h"),
            ("env.all()", {"host": "h"}),
            ("ctx.GetVariable('a')", 1),
            ("undefined", None),
            ("null", None),
            ("1.5", 1.5),
            ("'\\u00fc'", "\u00fc"),
            ("[1, {a: true}]", [1, {"a": True}]),
        ],
    )
    def test_what_is_found(self, scripts, expression, expected):
        variables = {"a": 1, "o": {"b": [2, 3]}, "env.host": "h"}
        assert result(scripts, expression, **variables) == expected

    def test_both_spellings_set(self, scripts):
        changes = run(scripts, "vars.set('a', 1); ctx.SetVariable('b', 2); env.set('c', 3)")
        assert changes.set == {"a": 1, "b": 2, "env.c": 3}

    def test_what_is_deleted_is_gone(self, scripts):
        changes = run(scripts, "vars.set('a', 1); vars.del('a'); env.del('b'); vars.del('c')", c=1)
        assert (changes.set, set(changes.removed)) == ({}, {"a", "env.b", "c"})

    def test_what_is_changed_without_being_set_stays(self, scripts):
        assert run(scripts, "vars.get('o').x = 1", o={}).set == {}

    @pytest.mark.parametrize("source", ["vars.set('', 1)", "vars.set(5, 1)", "vars.get()",
                                        "vars.set('x'.repeat(201), 1)", "vars.set('f', () => 1)",
                                        "const o = {}; o.o = o; vars.set('o', o)"])  # fmt: skip
    def test_what_cannot_be_kept_throws(self, scripts, source):
        with pytest.raises(StepFailed, match="TypeError"):
            run(scripts, source)

    def test_a_script_has_a_context_of_its_own(self, scripts):
        run(scripts, "globalThis.left = 1; Array.prototype.map = null; vars = null")
        assert result(scripts, "[typeof left, typeof [].map, typeof vars]") == [
            "undefined", "function", "object",
        ]  # fmt: skip

    @pytest.mark.parametrize("source", ["let vars = 1", "const response = 1; let console = 2"])
    def test_its_own_names_go_before(self, scripts, source):
        assert run(scripts, source).set == {}

    def test_an_iteration_goes_on_with_them(self):
        ran = Ran(
            script("a", "vars.set('x', vars.get('n') + 1); vars.del('gone'); env.set('h', 'e')"),
            http("b", config={"url": f"{URL}${{x}}${{gone}}${{env.h}}"}),
            variables={"n": 1, "gone": "here"},
        )
        assert ran.target.urls == [f"{URL}2${{gone}}e"]
        assert ran.steps == [("a", "success"), ("b", "success")]


class TestAnswers:
    ANSWER = Answer(201, 1, [(b"X-Id", b"7"), (b"Via", b"a"), (b"via", b"b")], b'{"a": [1]}')

    @pytest.mark.parametrize(
        ("expression", "expected"),
        [
            ("response.code", 201),
            ("response.status", 201),
            ("response.headers['X-Id']", "7"),
            ("response.headers['x-id']", "7"),
            ("response.headers.via", "a, b"),
            ("response.headers.nobody", None),
            ("response.body", '{"a": [1]}'),
            ("response.text", '{"a": [1]}'),
            ("response.json().a[0]", 1),
        ],
    )
    def test_what_is_found(self, scripts, expression, expected):
        assert result(scripts, expression, self.ANSWER) == expected

    def test_a_step_of_its_own_has_none(self, scripts):
        assert result(scripts, "[response.code, response.body]") == [0, ""]

    def test_in_a_processor(self):
        source = "vars.set('x', response.json().a[0]); if (response.code !== 201) throw 1"
        processor = {"type": "js_script", "enabled": True, "config": {"script": source}}
        ran = Ran(
            http("a", postProcessors=[processor]),
            http("b", config={"url": f"{URL}${{x}}"}),
            target=Target(self.ANSWER, Answer(200, 1)),
        )
        assert ran.target.urls == [URL, f"{URL}1"]

    def test_a_processor_that_throws_fails_the_step(self):
        source = {"script": "if (response.code) throw new TypeError('bad')"}
        processor = {"type": "js_script", "enabled": True, "config": source}
        ran = Ran(http("a", postProcessors=[processor]))
        assert ran.steps == [("a", "failure")]
        assert ran.messages == ["the script failed: TypeError: bad"]


class TestTools:
    @pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
    @settings(max_examples=15, deadline=None,
              suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
    @given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
    def test_digests(self, scripts, name, text):
        expected = hashlib.new(name, text.encode()).hexdigest()
        assert result(scripts, f"crypto.{name}(vars.get('t'))", t=text) == expected

    @pytest.mark.parametrize("length", [0, 55, 56, 63, 64, 65, 111, 112, 119, 120, 127, 128, 129])
    def test_digests_at_the_ends_of_blocks(self, scripts, length):
        text = "a" * length
        names = ["md5", "sha1", "sha256", "sha512"]
        expected = [hashlib.new(name, text.encode()).hexdigest() for name in names]
        written = ", ".join(f"crypto.{name}(vars.get('t'))" for name in names)
        assert result(scripts, f"[{written}]", t=text) == expected

    @pytest.mark.parametrize("text", ["", "a", "ab", "abc", "abcd", "\x00\xff\x80"])
    def test_base64(self, scripts, text):
        encoded = base64.b64encode(text.encode("latin-1")).decode()
        assert result(scripts, "btoa(vars.get('t'))", t=text) == encoded
        assert result(scripts, "atob(vars.get('t'))", t=encoded) == text
        assert result(scripts, "atob(vars.get('t'))", t=encoded.rstrip("=")) == text

    @pytest.mark.parametrize(
        "source", ["btoa('\\u0100')", "atob('a')", "atob('*')", "atob('a===')"]
    )
    def test_what_is_no_base64_throws(self, scripts, source):
        with pytest.raises(StepFailed, match=r"btoa takes|atob takes"):
            run(scripts, source)

    def test_texts_of_addresses(self, scripts):
        assert result(scripts, "encodeURIComponent('a b') + decodeURI('%20')") == "a%20b "

    def test_timers_run_at_once(self, scripts):
        assert run(scripts, "setTimeout((x) => vars.set('a', x), 5000, 7)").set == {"a": 7}

    def test_promises_are_kept(self, scripts):
        assert run(scripts, "(async () => { await 1; vars.set('a', 2) })()").set == {"a": 2}

    def test_the_console_takes_anything(self, scripts):
        source = """
            for (const level of ["log", "info", "warn", "error"])
              console[level]("a", {b: 1}, undefined, new Error("e"), Symbol("s"), 1n);
            const o = {}; o.o = o; console.log(o, "x".repeat(1e5));
        """
        assert run(scripts, source).set == {}


class TestFaults:
    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("throw new Error('no')", "the script failed: Error: no"),
            ("throw 5", "the script failed: 5"),
            ("\n\nlet x = ;", "SyntaxError: .* \\(line 3\\)"),
            ("\nnull.x", "TypeError: cannot read property 'x' of null \\(line 2\\)"),
            ("nobody()", "ReferenceError: 'nobody' is not defined"),
            ("\n\nhttp.get('http://h/')", "scripts have no network.*\\(line 3\\)"),
            ("throw new Error('a\\x1bc\\u200b')", "Error: a\\?c\\?$"),
            ("throw new Error('a\\ud800c')", "Error: a[^\\ud800]+c$"),
            ("JSON.parse = JSON.stringify = null; JSON.parse('')", "TypeError: not a function"),
        ],
    )
    def test_say_what_and_where(self, scripts, source, message):
        with pytest.raises(StepFailed, match=message):
            run(scripts, source)

    def test_what_is_done_to_the_language_does_not_matter(self, scripts):
        source = """
            for (const thing of [Array, Map, Object, String, Function])
              for (const name of Object.getOwnPropertyNames(thing.prototype))
                try { thing.prototype[name] = null; } catch (error) {}
            JSON.parse = JSON.stringify = null;
            vars.set("a", [1, {b: 2}]);
        """
        assert run(scripts, source).set == {"a": [1, {"b": 2}]}

    @pytest.mark.parametrize("name", ["fetch", "XMLHttpRequest", "require", "process", "std", "os",
                                      "WebAssembly", "Worker", "import.meta", "open"])  # fmt: skip
    def test_there_is_no_way_out(self, scripts, name):
        with pytest.raises(StepFailed, match=r"ReferenceError|SyntaxError"):
            run(scripts, f"{name}.anything")

    def test_nothing_can_be_imported(self, scripts):
        with pytest.raises(StepFailed):
            run(scripts, "import x from 'os'")
        assert run(scripts, "import('os').then(() => vars.set('a', 1), () => 0)").set == {}

    def test_its_process_knows_nothing(self, monkeypatch, scripts):
        monkeypatch.setenv("SECRET", "x")
        made = Scripts()
        made.start()
        try:
            run(made, "1")
            environment = _environment(made)
        finally:
            made.close()
        assert "SECRET" not in environment
        assert not any(name.startswith("SLIPWAY") for name in environment)


def _environment(made):
    pid = made._host._process.pid
    text = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8")
    return dict(pair.split("=", 1) for pair in text.split("\0") if pair)


class TestBounds:
    """Pitfalls: scripts that loop, allocate or recurse without end."""

    @pytest.mark.parametrize(
        "source",
        [
            "while (true) {}",
            "try { while (true) {} } catch (e) { while (true) {} }",
            "try { while (true) {} } finally { while (true) {} }",
            "(async () => { while (true) await 1 })()",
            "function f() { Promise.resolve().then(f) } f()",
            "for (;;) vars.set('a', 1)",
            "vars.set('a', {toJSON() { while (true) {} }})",
            "/(a+)+b/.test('a'.repeat(50))",
            "'a'.repeat(1e6).match(/(.*)*x/)",
            "[3, 2, 1].sort(() => { for (;;); })",
        ],
    )
    def test_a_loop_takes_too_long(self, scripts, source):
        with pytest.raises(StepTimedOut, match=r"CPU time|too much time"):
            run(scripts, source)
        assert result(scripts, "1") == 1

    @pytest.mark.parametrize(
        "source",
        [
            "const a = []; for (;;) a.push(new Array(1000).fill(1))",
            "let s = 'a'; for (;;) s += s",
            "'x'.repeat(2 ** 28)",
            "new Uint8Array(2 ** 28)",
            "new ArrayBuffer(2 ** 30)",
            "JSON.stringify(new Array(1e7).fill('x'))",
            "vars.set('a', 'x'.repeat(3e6))",
            "for (let i = 0; i < 1e5; i++) vars.set('v' + i, 'x'.repeat(1000))",
        ],
    )
    def test_memory_is_bounded(self, scripts, source):
        with pytest.raises(StepFailed, match=r"out of memory|too long|invalid|CPU time|ended"):
            run(scripts, source)
        assert result(scripts, "1") == 1

    @pytest.mark.parametrize(
        "source",
        [
            "function f() { return f() + 1 } f()",
            "const f = () => [1].map(f); f()",
            "let o = {}; for (let i = 0; i < 1e5; i++) o = {o}; JSON.stringify(o)",
            "JSON.parse('['.repeat(1e5))",
            "eval('('.repeat(1e5))",
            "new RegExp('('.repeat(1e5))",
            "const o = {get x() { return this.x }}; o.x",
            "vars.set('a', {toJSON() { vars.set('a', this) }})",
        ],
    )
    def test_depth_is_bounded(self, scripts, source):
        with pytest.raises(StepFailed):
            run(scripts, source)
        assert result(scripts, "1") == 1

    def test_what_comes_out_of_one_is_bounded_for_the_iteration_too(self):
        source = "vars.set('a' + vars.get('__ITER') + Math.random(), 'x'.repeat(300000))"
        loop = {"id": "l", "type": "loop",
                "loop": {"mode": "for", "count": 9, "steps": [script("s", source)]}}  # fmt: skip
        ran = Ran(loop)
        assert ran.messages == [f"the variables are longer than {MAX_LENGTH} characters"]

    def test_what_goes_in_is_bounded(self, scripts):
        with pytest.raises(StepFailed, match="too long for a script"):
            run(scripts, "1", a="x" * MAX_GIVEN_LENGTH)

    def test_the_time_of_a_step_is_a_bound_too(self, scripts):
        with pytest.raises(StepTimedOut):
            scripts.run("while (true) {}", {}, None, 0.05)
        ran = Ran(script("a", "while (true) {}", timeout="50ms"))
        assert ran.steps == [("a", "timeout")]

    def test_whoever_waits_for_a_turn_waits_no_longer_than_that(self, scripts):
        scripts._turn.acquire()
        try:
            with pytest.raises(StepTimedOut, match="its turn"):
                scripts.run("1", {}, None, 0.05)
        finally:
            scripts._turn.release()

    def test_a_process_that_is_killed_is_replaced(self, scripts):
        run(scripts, "1")
        os.kill(scripts._host._process.pid, signal.SIGKILL)
        with pytest.raises(StepTimedOut, match="was ended"):
            run(scripts, "1")
        assert result(scripts, "1") == 1

    def test_one_that_is_interrupted_does_not_answer_the_next(self, scripts, monkeypatch):
        run(scripts, "1")
        host = scripts._host

        def cut(request, deadline):
            host._channel.settimeout(10)
            script_host.send(host._channel, request)
            raise Cut

        monkeypatch.setattr(host, "call", cut)
        with pytest.raises(Cut):
            run(scripts, "vars.set('r', 'old')")
        assert result(scripts, "'new'") == "new"

    def test_the_process_ends_with_who_started_it(self):
        made = Scripts()
        made.start()
        run(made, "1")
        process = made._host._process
        made._host._channel.close()
        assert process.wait(30) == 0
        made.close()

    def test_several_threads_have_their_turns(self, scripts):
        found = []
        threads = [
            threading.Thread(target=lambda n=n: found.append(result(scripts, str(n))))
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == list(range(8))


def test_the_process_is_begun_with_the_plan_and_ends_with_it():
    plain = iteration.compile(parse({"id": "w", "steps": [http()]}))
    assert plain.scripts._host is None
    plan = iteration.compile(parse({"id": "w", "steps": [script("a", "1")]}))
    process = plan.scripts._host._process
    plan.close()
    assert process.poll() is not None
