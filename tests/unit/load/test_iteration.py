import pytest
from iteration_kit import URL, Counted, Ran, Target, http, script

from app.load import iteration
from app.load.definition import Timeouts
from app.load.exchange import Answer, Cut, TimedOut, TransportFailed
from app.load.parsing import parse

OK, BAD = Answer(200, 1000), Answer(503, 1000)
REFUSED = TransportFailed("CONNECTION_ERROR", "connection refused", 10)
LATE = TimedOut("TIMEOUT_ERROR", "no answer in time", 60_000_000)


def branch(kind, expression, *steps):
    more = {} if expression is None else {"expression": expression}
    return {"kind": kind, "steps": list(steps)} | more


def condition(step_id, *branches, **fields):
    return {"id": step_id, "type": "condition", "branches": list(branches)} | fields


def loop(step_id, *steps, timeout=None, on_error="abort", **fields):
    more = {} if timeout is None else {"timeout": timeout}
    return {"id": step_id, "type": "loop", "on_error": on_error} | more | {
        "loop": {"steps": list(steps)} | fields
    }  # fmt: skip


def asked(step_id, expression, **fields):
    """A step whose request tells what an expression becomes."""
    return http(step_id, config={"url": f"{URL}{expression}"}, **fields)


class TestOutcomes:
    @pytest.mark.parametrize(
        ("answer", "step", "request_failed", "error"),
        [
            (OK, "success", False, None),
            (Answer(399, 1), "success", False, None),
            (Answer(404, 1), "failure", True, ("VALIDATION_ERROR", "answered with status 404")),
            (BAD, "failure", True, ("VALIDATION_ERROR", "answered with status 503")),
            (REFUSED, "failure", True, ("CONNECTION_ERROR", "connection refused")),
            (LATE, "timeout", True, ("TIMEOUT_ERROR", "no answer in time")),
        ],
    )
    def test_of_a_request(self, answer, step, request_failed, error):
        ran = Ran(http(), target=Target(answer))
        assert ran.steps == [("s", step)]
        assert ran.counted.requests == [("s", request_failed)]
        assert ran.counted.errors == ([(*error, "s")] if error else [])
        assert ran.succeeded == (step == "success")

    @pytest.mark.parametrize(
        ("expected", "status", "outcome"),
        [(404, 404, "success"), ([200, 503], 503, "success"), (404, 200, "failure"),
         ([302], 302, "success")],
    )  # fmt: skip
    def test_expected_status(self, expected, status, outcome):
        ran = Ran(http(config={"expected_status": expected}), target=Target(Answer(status, 1)))
        assert ran.steps == [("s", outcome)]
        assert ran.counted.requests == [("s", outcome == "failure")]

    def test_what_is_cut_counts_neither_way(self):
        plan = iteration.compile(parse({"id": "w", "steps": [http("a"), http("b")],
                              "post_hook": {"type": "http", "config": {"url": URL}}}))  # fmt: skip
        target, counted = Target(OK, Cut()), Counted()
        with pytest.raises(Cut):
            iteration.run_iteration(plan, target, counted, 1, 0)
        assert (counted.steps, counted.requests) == ([("a", "success")], [("a", False)])
        assert (counted.errors, len(target.requests)) == ([], 2)

    def test_a_fault_of_ours_ends_the_iteration_only(self):
        ran = Ran(http(), target=Target(KeyError("x")))
        assert not ran.succeeded
        assert ran.counted.errors == [("EXECUTION_ERROR", "unforeseen fault: KeyError", "")]


class TestOnError:
    def steps(self, on_error, *answers):
        return Ran(http("a", on_error=on_error), http("b"), target=Target(*answers))

    def test_abort_ends_the_iteration(self):
        ran = self.steps("abort", BAD, OK)
        assert (ran.steps, ran.succeeded) == ([("a", "failure")], False)
        assert Ran(http("a"), http("b"), target=Target(BAD, OK)).steps == ran.steps

    @pytest.mark.parametrize("on_error", ["continue", "skip"])
    def test_continue_and_skip_go_on_at_the_top(self, on_error):
        ran = self.steps(on_error, BAD, OK)
        assert (ran.steps, ran.succeeded) == ([("a", "failure"), ("b", "success")], True)

    def test_retry_tries_three_times_and_counts_each(self):
        ran = self.steps("retry", BAD)
        assert (ran.steps, ran.succeeded) == ([("a", "failure")] * 3, False)
        assert ran.counted.requests == [("a", True)] * 3
        assert ran.slept == [0.1, 0.1]

    def test_retry_goes_on_when_one_succeeds(self):
        ran = self.steps("retry", REFUSED, OK)
        assert ran.steps == [("a", "failure"), ("a", "success"), ("b", "success")]
        assert ran.succeeded

    def nested(self, on_error):
        inner = condition("c", branch("if", "true", http("a", on_error=on_error), http("b")))
        return Ran(inner, http("z"), target=Target(BAD, OK))

    def test_skip_leaves_out_the_rest_of_a_nested_list(self):
        ran = self.nested("skip")
        assert ran.steps == [("a", "failure"), ("c", "success"), ("z", "success")]
        assert ran.succeeded

    def test_continue_does_not(self):
        assert [name for name, _ in self.nested("continue").steps] == ["a", "b", "c", "z"]

    @pytest.mark.parametrize("outer", ["abort", "continue", "skip", "retry"])
    def test_abort_ends_all_that_is_around(self, outer):
        inner = condition("c", branch("if", "true", http("a")), on_error=outer)
        ran = Ran(inner, http("z"), target=Target(BAD, OK))
        assert (ran.steps, ran.succeeded) == ([("a", "failure"), ("c", "failure")], False)
        assert ran.messages == ["answered with status 503"]

    def test_a_disabled_step_is_left_out(self):
        ran = Ran(http("a", disabled=True), http("b"))
        assert ran.steps == [("b", "success")]


class TestHooks:
    def hook(self, path):
        return {"type": "http", "config": {"url": f"{URL}{path}"}}

    def test_around_steps_and_iterations_and_in_no_metric(self):
        ran = Ran(
            http("s", pre_hook=self.hook("c"), post_hook=self.hook("d")),
            pre_hook=self.hook("a"),
            post_hook=self.hook("z"),
        )
        assert ran.target.urls == [f"{URL}{path}" for path in ("a", "c", "", "d", "z")]
        assert (ran.steps, ran.counted.requests) == ([("s", "success")], [("s", False)])

    def test_a_pre_hook_that_fails_skips_the_step_and_is_its_error(self):
        step = http("s", pre_hook=self.hook("a"), post_hook=self.hook("z"))
        ran = Ran(step, http("t"), target=Target(BAD, OK))
        assert ran.target.urls == [f"{URL}a", f"{URL}z"]
        assert (ran.steps, ran.succeeded) == ([], False)
        message = "pre_hook: answered with status 503"
        assert ran.counted.errors == [("VALIDATION_ERROR", message, "s")]

    def test_it_can_be_gone_on_from(self):
        step = http("s", pre_hook=self.hook("a"), on_error="continue")
        ran = Ran(step, asked("t", "${s.status}"), target=Target(BAD, OK))
        assert (ran.steps, ran.succeeded) == ([("t", "success")], True)
        assert ran.target.urls[-1] == f"{URL}skipped"

    def test_a_post_hook_runs_whatever_became_of_the_step(self):
        ran = Ran(http("s", post_hook=self.hook("z")), target=Target(BAD, OK))
        assert ran.target.urls == [URL, f"{URL}z"]

    def test_a_post_hook_that_fails_is_an_error_and_no_failure(self):
        ran = Ran(http("s", post_hook=self.hook("z")), target=Target(OK, BAD))
        assert (ran.steps, ran.succeeded) == ([("s", "success")], True)
        assert ran.messages == ["post_hook: answered with status 503"]

    def test_of_the_iteration(self):
        ran = Ran(http(), pre_hook=self.hook("a"), post_hook=self.hook("z"),
                  target=Target(BAD, OK))  # fmt: skip
        assert ran.target.urls == [f"{URL}a", f"{URL}z"]
        assert (ran.steps, ran.succeeded) == ([], False)
        assert ran.counted.errors == [
            ("VALIDATION_ERROR", "pre_hook: answered with status 503", "")
        ]


class TestVariables:
    def test_each_iteration_begins_with_those_of_the_definition(self):
        setting = {"id": "p", "type": "set_variable", "enabled": True,
                   "config": {"variableName": "a", "value": "changed"}}  # fmt: skip
        source = {"id": "w", "variables": {"a": "first"},
                  "steps": [asked("s", "${a}", postProcessors=[setting])]}  # fmt: skip
        plan, target = iteration.compile(parse(source)), Target()
        for number in range(2):
            assert iteration.run_iteration(plan, target, Counted(), 1, number)
        assert target.urls == [f"{URL}first"] * 2

    def test_who_runs_is_known(self):
        assert Ran(asked("s", "${__VU}-${__ITER}")).target.urls == [f"{URL}3-7"]

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (OK, "success,,200"),
            (BAD, "failed,answered%20with%20status%20503,503"),
            (REFUSED, "failed,connection%20refused,0"),
            (LATE, "timeout,no%20answer%20in%20time,0"),
        ],
    )
    def test_what_became_of_a_step(self, answer, expected):
        step = asked("t", "${a.status},${a.error},${a.status_code}")
        ran = Ran(http("a", on_error="continue"), step, target=Target(answer, OK))
        assert ran.target.urls[-1] == f"{URL}{expected}"

    def test_what_an_answer_was(self):
        answer = Answer(200, 1, [(b"X-Id", b"7")], b"hello")
        ran = Ran(http("a"), asked("t", "${a.body}/${a.headers.x-id}/${a.duration}"),
                  target=Target(answer))  # fmt: skip
        body, header, duration = ran.target.urls[-1].removeprefix(URL).split("/")
        assert (body, header, float(duration) >= 0) == ("hello", "7", True)

    def test_only_what_an_expression_needs_is_wanted(self):
        plain = {"config": {"redirect": {"follow": False}}}
        ran = Ran(http("a", **plain), http("b", **plain), http("c", **plain), http("d", **plain),
                  condition("x", branch("if", "a.body == '' OR ${b.headers.x} == ''",
                                        asked("y", "${c.status}"))),
                  target=Target(Answer(200, 1, [(b"x", b"")])))  # fmt: skip
        wanted = [(request.wants_body, request.wants_headers) for request in ran.target.requests]
        assert wanted[:4] == [(True, False), (False, True), (False, False), (False, False)]

    def test_processors_see_the_whole_answer(self):
        wait = {"type": "wait", "enabled": True}
        request = Ran(http(postProcessors=[wait])).target.requests[0]
        assert (request.wants_body, request.wants_headers) == (True, True)


class TestConditions:
    @pytest.mark.parametrize(("n", "expected"), [(1, "a"), (2, "b"), (3, "c")])
    def test_the_first_that_holds_runs(self, n, expected):
        ran = Ran(
            condition(
                "x",
                branch("if", "n < 2", http("a")),
                branch("else_if", "n < 3", http("b")),
                branch("else", None, http("c")),
            ),
            variables={"n": n},
        )
        assert ran.steps == [(expected, "success"), ("x", "success")]

    def test_none_is_no_failure(self):
        assert Ran(condition("x", branch("if", "false", http("a")))).steps == [("x", "success")]

    def test_an_unknown_name_fails_the_step(self):
        ran = Ran(condition("x", branch("if", "nobody == 1", http("a"))))
        assert ran.counted.errors == [("EXECUTION_ERROR", "there is no variable 'nobody'", "x")]
        assert (ran.steps, ran.succeeded) == ([("x", "failure")], False)

    def old(self, step_id, kind, expression, *steps, **fields):
        config = {"type": kind} | ({"expression": expression} if expression else {})
        return {"id": step_id, "type": "condition", "config": config, "children": list(steps)
                } | fields  # fmt: skip

    @pytest.mark.parametrize(
        ("n", "expected"), [(1, ["a", "x"]), (2, ["b", "x", "y"]), (3, ["c", "x", "y", "z"])]
    )
    def test_the_older_form_goes_on_in_the_steps_behind(self, n, expected):
        ran = Ran(
            self.old("x", "if", "n == 1", http("a")),
            self.old("y", "else_if", "n == 2", http("b")),
            self.old("z", "else", None, http("c")),
            variables={"n": n},
        )
        assert sorted(name for name, _ in ran.steps) == expected

    def test_else_does_not_follow_an_if_that_failed_or_is_disabled(self):
        otherwise = self.old("z", "else", None, http("c"))
        ran = Ran(self.old("x", "if", "nobody", http("a"), on_error="continue"), otherwise)
        assert ran.steps == [("x", "failure")]
        ran = Ran(self.old("x", "if", "false", http("a"), disabled=True), otherwise, http("e"))
        assert ran.steps == [("e", "success")]


class TestLoops:
    def test_for(self):
        inner = asked("a", "${loop.index},${loop.iteration},${loop.count}")
        ran = Ran(loop("l", inner, mode="for", count=3))
        assert ran.target.urls == [f"{URL}{i},{i + 1},3" for i in range(3)]
        assert ran.steps == [("a", "success")] * 3 + [("l", "success")]

    @pytest.mark.parametrize(("count", "turns"), [("${n}", 2), (0, 0), ("1", 1)])
    def test_the_count_may_be_a_variable(self, count, turns):
        ran = Ran(loop("l", http("a"), mode="for", count=count), variables={"n": 2})
        assert len(ran.target.requests) == turns

    @pytest.mark.parametrize("count", ["${nobody}", "-1", "1.5", "many", "${t}", "1e99"])
    def test_what_is_no_count_fails_the_step(self, count):
        ran = Ran(loop("l", http("a"), mode="for", count=count), variables={"t": True})
        assert (ran.steps, ran.succeeded) == ([("l", "failure")], False)

    @pytest.mark.parametrize("items", [["x", "y"], "${list}", '["x", "y"]', "${text}"])
    def test_foreach(self, items):
        variables = {"list": ["x", "y"], "text": '["x", "y"]'}
        inner = asked("a", "${item}${loop.item}${loop.count}")
        ran = Ran(loop("l", inner, mode="foreach", items=items), variables=variables)
        assert ran.target.urls == [f"{URL}xx2", f"{URL}yy2"]

    def test_foreach_over_objects_with_a_name_of_its_own(self):
        items = [{"id": 1}, {"id": 2}]
        inner = asked("a", "${user.id}${item}")
        ran = Ran(loop("l", inner, mode="foreach", items=items, item_var="user"))
        assert ran.target.urls == [f"{URL}1${{item}}", f"{URL}2${{item}}"]

    def test_what_is_no_list_fails_the_step(self):
        assert Ran(loop("l", http("a"), mode="foreach", items="${x}")).steps == [("l", "failure")]

    def test_while(self):
        ran = Ran(loop("l", http("a"), mode="while", condition="${loop.index} < 3"))
        assert len(ran.target.requests) == 3

    def test_while_can_wait_for_an_answer(self):
        target = Target(*[Answer(202, 1)] * 3, OK)
        ran = Ran(loop("l", http("a"), mode="while", condition="a.status_code != 200"),
                  target=target)  # fmt: skip
        assert len(target.requests) == 4
        assert ran.succeeded

    def test_break_and_continue(self):
        inner = asked("a", "${loop.index}")
        ran = Ran(loop("l", inner, mode="for", count=9, break_condition="loop.index == 4",
                       continue_condition="loop.index == 1"))  # fmt: skip
        assert ran.target.urls == [f"{URL}{i}" for i in (0, 2, 3)]
        ran = Ran(loop("l", inner, mode="for", count=9, break_condition="a.status == 'success'"))
        assert ran.target.urls == [f"{URL}0"]

    @pytest.mark.parametrize(
        "turns",
        [{"mode": "for", "count": 9}, {"mode": "while", "condition": "true"},
         {"mode": "foreach", "items": [0] * 9}],
    )  # fmt: skip
    def test_too_many_turns_are_a_failure(self, turns):
        ran = Ran(loop("l", http("a"), max_iterations=4, on_error="continue", **turns),
                  asked("z", "${loop.index}"))  # fmt: skip
        assert ran.messages == ["the loop ran 4 times"]
        assert ran.steps == [("a", "success")] * 4 + [("l", "failure"), ("z", "success")]
        assert ran.target.urls[-1] == f"{URL}${{loop.index}}"

    def test_as_many_as_are_allowed_are_none(self):
        assert Ran(loop("l", http("a"), mode="for", count=4, max_iterations=4)).succeeded
        assert Ran(loop("l", http("a"), mode="for", count=1000)).succeeded
        assert not Ran(loop("l", http("a"), mode="for", count=1001)).succeeded

    def test_variables_of_an_outer_loop_are_back_after_an_inner_one(self):
        inner = loop("i", asked("a", "${item}${loop.index}"), mode="foreach", items=["x", "y"])
        outer = loop("o", inner, asked("b", "${item}${loop.index}"), mode="foreach", items=[1, 2])
        assert [url.removeprefix(URL) for url in Ran(outer).target.urls] == [
            "x0", "y1", "10", "x0", "y1", "21",
        ]  # fmt: skip

    def test_a_loop_that_never_waits_lets_others_go_on(self):
        inner = condition("c", branch("if", "false"))
        ran = Ran(loop("l", inner, mode="for", count=200))
        assert ran.slept == [0] * 4


class TestTimes:
    def test_a_request_has_no_more_time_than_its_step(self):
        request = Ran(http(timeout="2s")).target.requests[0]
        assert request.timeouts == Timeouts(10_000_000, 30_000_000, 30_000_000, 2_000_000)

    def test_nor_than_the_step_around_it(self):
        ran = Ran(loop("l", http("a"), mode="for", count=1, timeout="1s"))
        timeouts = ran.target.requests[0].timeouts
        assert timeouts.connect_us == timeouts.read_us == timeouts.request_us <= 1_000_000

    def test_steps_within_one_end_with_its_time(self, monkeypatch):
        clock = iter(range(0, 10**9, 300_000))
        for module in ("run", "flow", "compiling"):
            monkeypatch.setattr(f"app.load.{module}.now_us", lambda: next(clock))
        ran = Ran(loop("l", http("a"), mode="while", condition="true", timeout="5s",
                       on_error="continue"), http("z"))  # fmt: skip
        assert 2 <= len(ran.target.requests) <= 6
        assert ran.steps[-2:] == [("l", "timeout"), ("z", "success")]
        assert ran.succeeded

    def test_think_time_is_waited_beside_the_time_of_the_step(self):
        wait = {"type": "wait", "enabled": True, "config": {"duration": 90_000}}
        ran = Ran(http(preProcessors=[wait], postProcessors=[wait]))
        assert (ran.slept, ran.succeeded) == ([90, 90], True)


class TestRedirects:
    def redirect(self, status, location="/next", **more):
        return Answer(status, 1, [(b"Location", location.encode())], **more)

    def test_each_is_a_request_that_counts(self):
        ran = Ran(http(), target=Target(self.redirect(302), self.redirect(301, "a?b#c"), OK))
        assert ran.target.urls == [URL, f"{URL}next", f"{URL}a?b"]
        assert ran.counted.requests == [("s", False)] * 3
        assert ran.steps == [("s", "success")]

    def test_they_may_be_left_alone(self):
        step = http(config={"redirect": {"follow": False}})
        ran = Ran(step, target=Target(self.redirect(302)))
        assert (len(ran.target.requests), ran.succeeded) == (1, True)

    def test_too_many_are_a_failure(self):
        step = http(config={"redirect": {"max_redirects": 2}})
        ran = Ran(step, target=Target(self.redirect(302)))
        assert len(ran.target.requests) == 3
        assert ran.messages == ["was redirected more than 2 times"]

    @pytest.mark.parametrize(
        ("status", "method", "expected"),
        [
            (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"),
            (307, "POST", "POST"), (308, "POST", "POST"), (303, "PUT", "GET"),
            (302, "PUT", "PUT"), (303, "HEAD", "HEAD"), (302, "GET", "GET"),
        ],
    )  # fmt: skip
    def test_methods(self, status, method, expected):
        step = http(config={"method": method, "body": "{}"})
        second = Ran(step, target=Target(self.redirect(status), OK)).target.requests[1]
        assert second.method == expected
        kept = expected == method
        assert second.body == (b"{}" if kept else b"")
        assert any(name == "Content-Type" for name, _ in second.headers) == kept

    def test_secrets_stay_with_their_origin(self):
        headers = {"Authorization": "x", "X-Api-Key": "y", "Accept": "z"}
        answers = Target(self.redirect(302), self.redirect(302, "http://other/"), OK)
        first, second, third = Ran(
            http(config={"headers": headers}), target=answers
        ).target.requests
        assert first.headers == second.headers
        assert {name for name, _ in third.headers} == {"Accept", "User-Agent"}

    @pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://h/"])
    def test_only_to_http(self, location):
        ran = Ran(http(), target=Target(self.redirect(302, location)))
        assert (len(ran.target.requests), ran.steps) == (1, [("s", "failure")])

    def test_without_a_place_it_is_an_answer(self):
        assert Ran(http(), target=Target(Answer(302, 1))).succeeded


def test_a_script_that_throws_first_leaves_nothing_to_measure():
    ran = Ran(script("a", "throw new Error('no')"), http("b"))
    assert (ran.steps, ran.counted.requests) == ([("a", "failure")], [])
    assert ran.counted.errors == [("EXECUTION_ERROR", "the script failed: Error: no", "a")]
