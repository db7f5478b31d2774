"""Alien4Cloud fails in every way it can: nothing is lost, nothing happens twice, nothing leaks."""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.alien4cloud import Alien4Cloud, Kind, script
from fakes.alien4cloud.driver import (
    ALICE,
    Driver,
    FastClock,
    in_doubt,
    make_execution,
    make_launch,
)
from kit.patience import await_that, join

from app.clients.alien4cloud import Alien4CloudOptions, Alien4CloudOrchestrator
from app.domain import ExecutionStatus, Launch
from app.errors import (
    SlipwayError,
    UpstreamError,
    UpstreamGarbled,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from app.settings.schema import load_section

HOURS = 4 * 3600.0
ROOT = Path(__file__).parents[2]
READING = [
    "search_applications", "search_environments", "get_application", "get_environment",
    "runtime_topology", "informations", "last_inputs", "get_execution", "search_executions",
    "get_deployment", "search_deployments", "workflow_execution", "search_tasks", "search_logs",
]  # fmt: skip
GARBAGE = [
    b"",
    b"<html>It works!</html>",
    b"[" * 50_000,
    b"[1, 2]",
    b'{"data": "text", "error": null}',
    b'{"data": 5, "error": null}',
    b'{"data": {"data": 5, "totalResults": "x"}}',
    b'{"data": {"data": [null], "totalResults": 1}}',
    b'{"data": {"data": [{"id": 5}], "totalResults": 1}}',
    b'{"data": {"id": "x", "deploymentId": "d", "startDate": "soon", "status": []}}',
    b'{"data": {"id": "x", "deploymentId": "d", "startDate": 1e300}}',
    b'{"data": {"topology": {"workflows": {"exec_job": {"steps": 5}}}}}',
    b'{"data": {"topology": {"workflows": {"exec_job": {"inputs": {"n": {}}}}}}}',
    b'{"data": {"execution": 5, "stepStatus": [1]}}',
]


@pytest.fixture
def clock() -> FastClock:
    """Ten seconds for one; only the timeouts of HTTP are what they say."""
    return FastClock(10)


@pytest.fixture
def server(clock) -> Iterator[Alien4Cloud]:
    with Alien4Cloud(start_delay=1.0, clock=clock) as server:
        yield server


@pytest.fixture
def environment(server):
    application = server.application("covid", tags={"hpcwaas-workflows": "exec_job"})
    environment = application.environment("prod").attribute("Job", "url", "http://x")
    return environment.workflow("exec_job", script=script.simple(2))


@pytest.fixture
def make_orchestrator(server, clock) -> Callable[..., Alien4CloudOrchestrator]:
    def make(*, budget: int = 10_000, **more: object) -> Alien4CloudOrchestrator:
        poll = {"min": "500ms", "max": "3s", "budget_per_second": budget}
        values = {"url": server.url, "user": "admin", "password": "secret", "poll": poll,
                  "timeout": "300ms", "cache_ttl": "0s", "grace": "6s", "launch_limit": "0s",
                  **more}  # fmt: skip
        options, faults = load_section(Alien4CloudOptions, values, "")
        assert options is not None, faults
        return Alien4CloudOrchestrator("hpc", options, clock=clock)

    return make


@pytest.fixture
def orchestrator(make_orchestrator):
    return make_orchestrator()


@pytest.fixture
def wanted(environment, clock) -> Launch:
    """A launch that is written down, and not asked for yet."""
    return make_launch(environment.workflow_id("exec_job"), clock=clock)


@pytest.fixture
def drive(environment, clock) -> Callable[..., Driver]:
    """Launch the workflow, and return the driver of an execution that is followed."""

    def launch(orchestrator: Alien4CloudOrchestrator, workflow: str = "exec_job") -> Driver:
        wanted = make_launch(environment.workflow_id(workflow), clock=clock)
        execution = make_execution(wanted, orchestrator.trigger(wanted))
        driver = Driver(orchestrator, execution, clock, clock.sleep)
        driver.follow()
        return driver

    return launch


def together(functions: list[Callable[[], object]]) -> list[object]:
    """Call functions in threads, and return what they returned or raised."""
    results: list[object] = []

    def call(function: Callable[[], object]) -> None:
        try:
            results.append(function())
        except Exception as exc:  # noqa: BLE001  (the test looks at it)
            results.append(exc)

    threads = [threading.Thread(target=call, args=(f,)) for f in functions]
    for thread in threads:
        thread.start()
    join(*threads)
    assert len(results) == len(functions)
    return results


@pytest.mark.parametrize("how", ["expiry", "restart"])
def test_many_requests_that_find_the_session_ended_log_in_once(
    server, make_orchestrator, environment, how
):
    orchestrator = make_orchestrator(timeout="1m")  # for fifty at once on a slow machine
    orchestrator.health()
    server.latency = 0.05
    if how == "expiry":
        server.advance(1801)
    else:
        server.sessions.clear()
    results = together([orchestrator.health] * 50)
    assert results == [None] * 50
    assert server.logins == 2
    assert server.requests["get_execution"] <= 1 + 2 * 50


def test_wrong_credentials_are_tried_once_by_all(server, make_orchestrator):
    orchestrator = make_orchestrator(password="wrong")
    results = together([orchestrator.health] * 50)
    assert all(isinstance(result, UpstreamError) for result in results)
    assert server.logins == 1


def test_a_server_that_is_away_for_a_minute_costs_no_status_and_no_line(
    server, orchestrator, environment, drive, clock
):
    """Twenty followed executions write and end in the meantime, hours of their own time."""
    lines = [f"line {index}" for index in range(100)]
    environment.workflow("exec_job", script=script.simple(HOURS, lines))
    drivers = [drive(orchestrator) for _ in range(20)]
    threads = [threading.Thread(target=d.until_complete, args=(10 * HOURS,)) for d in drivers]
    for thread in threads:
        thread.start()
    await_that(lambda: all(d.status is ExecutionStatus.RUNNING for d in drivers))
    clock.advance(HOURS / 2)
    await_that(lambda: all("line 20" in d.lines for d in drivers))
    server.down()
    clock.advance(HOURS)
    await_that(lambda: all(d.failures for d in drivers))
    assert all(d.status is ExecutionStatus.RUNNING for d in drivers)
    server.up()
    join(*threads)
    for driver in drivers:
        assert driver.execution.log_complete
        assert driver.statuses[-2:] == [ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS]
        assert [line for line in driver.lines if line.startswith("line")] == lines
        assert driver.repeated == []
        assert {type(e) for e in driver.failures} <= {UpstreamUnreachable, UpstreamTimeout}
        assert driver.failures


def test_a_server_that_drops_every_third_request_costs_no_line(
    server, orchestrator, environment, drive, clock
):
    environment.workflow("exec_job", script=script.simple(10, [f"line {i}" for i in range(50)]))
    driver = drive(orchestrator)
    stop = threading.Event()

    def disturb() -> None:
        kinds = [Kind.DROP_BEFORE, Kind.DROP_AFTER, Kind.CUT]
        while not stop.wait(0.03):
            server.fault(kinds[server.requests.total() % 3], times=3)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    driver.look_for(15)
    stop.set()
    disturber.join()
    server.faults.clear()
    driver.until_complete(100)
    assert driver.status is ExecutionStatus.SUCCESS
    assert Counter(driver.lines).most_common(1)[0][1] == 1
    assert (len(driver.lines), driver.repeated) == (53, [])


def test_a_server_that_hangs_holds_nobody_for_longer_than_the_timeout(
    server, orchestrator, wanted, drive
):
    driver = drive(orchestrator)
    orchestrator.workflows(ALICE)
    server.fault(Kind.HANG_BEFORE)
    asked = len(server.history)
    for call in (driver.look, orchestrator.health):
        with pytest.raises(UpstreamTimeout):
            call()
    assert [w.stale for w in orchestrator.workflows(ALICE)] == [True]
    with pytest.raises(UpstreamUnreachable):
        orchestrator.trigger(wanted)
    assert len(server.history) - asked <= 4, "each waits for one answer"
    server.faults.clear()
    assert driver.until_complete(100).status is ExecutionStatus.SUCCESS


def test_an_answer_that_trickles_holds_nobody_either(server, orchestrator, drive, clock):
    server.fault(Kind.TRICKLE, "get_execution")
    driver = drive(orchestrator)
    clock.sleep(2)
    with pytest.raises(UpstreamTimeout):
        driver.look()


@pytest.fixture
def calls(server, orchestrator, environment, drive, clock) -> list[Callable[[], object]]:
    """Everything that the adapter does."""
    environment.application.tags["hpcwaas-workflows"] += ",endless"
    environment.workflow("endless", script=script.endless())
    inputs = {"n": {"type": "integer", "required": False}}
    environment.workflow("exec_job", inputs=inputs, script=script.simple(2))
    ended, running = drive(orchestrator).execution, drive(orchestrator, "endless").execution
    clock.advance(3)
    wanted = make_launch(environment.workflow_id("exec_job"), clock=clock)
    other = make_launch(environment.workflow_id("endless"), clock=clock)
    server.world.launch(environment, environment.workflows["exec_job"], {})
    clock.advance(7)  # beyond the grace, so that inputs are compared
    return [
        lambda: orchestrator.workflows(ALICE),
        lambda: orchestrator.describe(wanted.workflow_id, ALICE),
        lambda: orchestrator.find(in_doubt(wanted)),
        lambda: orchestrator.trigger(other),
        lambda: orchestrator.adopt(ended.reference["execution"], ALICE),
        lambda: orchestrator.observe(ended),
        lambda: orchestrator.observe(running),
        lambda: orchestrator.cancel(running),
        orchestrator.health,
    ]


def outcome(call: Callable[[], object]) -> str:
    """Return what a caller could see of a call."""
    try:
        return repr(call())
    except SlipwayError as exc:
        return f"{exc.message} {exc.fields}"


@pytest.mark.parametrize("endpoint", READING)
def test_garbage_of_any_kind_is_never_more_than_an_error_of_the_upstream(server, calls, endpoint):
    for body in GARBAGE:
        server.fault(Kind.REPLY, endpoint, body=body)
        for call in calls:
            outcome(call)
        server.faults.clear()
    assert server.requests[endpoint] > 0


@pytest.mark.parametrize("endpoint", [*READING, "launch", "cancel"])
def test_a_stack_trace_is_shown_to_nobody(server, calls, endpoint):
    server.stack_trace(endpoint)
    seen = [outcome(call) for call in calls]
    assert not [text for text in seen if "java" in text or "\tat " in text]


# The outcome of a launch, in all three ways in which it can be unknown.


def settled(orchestrator, wanted, seconds=5.0):
    """Look a launch up until it is settled, as the conductor does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return orchestrator.find(in_doubt(wanted))
        except UpstreamError:
            time.sleep(0.05)
    raise AssertionError("never settled")


def test_a_refused_launch_is_known_not_to_have_happened(server, orchestrator, wanted):
    orchestrator.describe(wanted.workflow_id, ALICE)
    server.down()
    with pytest.raises(UpstreamUnreachable):
        orchestrator.trigger(wanted)
    server.up()
    assert settled(orchestrator, wanted) is None
    assert server.runs == []


@pytest.mark.parametrize("kind", [Kind.DROP_BEFORE, Kind.HANG_BEFORE])
def test_a_launch_that_was_lost_before_is_settled_as_lost(server, orchestrator, wanted, kind):
    server.fault(kind, "launch", times=1)
    with pytest.raises(UpstreamTimeout):
        orchestrator.trigger(wanted)
    assert settled(orchestrator, wanted) is None
    assert (server.requests["launch"], server.runs) == (1, [])


@pytest.mark.parametrize(
    "kind", [Kind.DROP_AFTER, Kind.HANG_AFTER, Kind.CUT, Kind.REPLY_AFTER, Kind.TRICKLE]
)
def test_a_launch_whose_answer_was_lost_is_found_and_followed(
    server, orchestrator, wanted, clock, kind
):
    server.fault(kind, "launch", times=1, body=b"<html>Bad Gateway</html>")
    with pytest.raises((UpstreamTimeout, UpstreamGarbled)):
        orchestrator.trigger(wanted)
    reference = settled(orchestrator, wanted)
    assert reference["execution"] == server.runs[0].id
    assert len(server.runs) == 1
    driver = Driver(orchestrator, make_execution(wanted, reference), clock, clock.sleep)
    assert driver.until_complete(100).status is ExecutionStatus.SUCCESS


def test_two_lost_launches_are_followed_as_two_executions(server, orchestrator, environment, clock):
    """Each is looked up by itself, and what it is given depends on the other."""
    server.fault(Kind.DROP_AFTER, "launch", times=2)
    launches = [make_launch(environment.workflow_id("exec_job"), clock=clock) for _ in range(2)]
    for launch in launches:
        with pytest.raises(UpstreamTimeout):
            orchestrator.trigger(launch)
        clock.sleep(0.1)
    clock.sleep(2)
    first, second = launches
    found = [
        orchestrator.find(in_doubt(first, second)),
        orchestrator.find(in_doubt(second, first)),
    ]
    assert [reference["execution"] for reference in found] == [run.id for run in server.runs]
    for launch, reference in zip(launches, found, strict=True):
        driver = Driver(orchestrator, make_execution(launch, reference), clock, clock.sleep)
        assert driver.until_complete(100).status is ExecutionStatus.SUCCESS


# Load.


def test_many_executions_stay_within_the_budget_and_none_starves(
    server, make_orchestrator, environment, drive
):
    """Forty executions of which one is followed, eight threads, 200 requests a second."""
    environment.workflow("exec_job", script=script.endless())
    orchestrator = make_orchestrator(budget=200)
    drivers = [drive(orchestrator) for _ in range(40)]
    for driver in drivers[1:]:
        driver.follow(-1)
    queue = [(0.0, index) for index in range(len(drivers))]
    looks: Counter[int] = Counter()
    lock, begun = threading.Lock(), time.monotonic()

    def conduct() -> None:
        while time.monotonic() < begun + 2:
            with lock:
                due, index = heapq.heappop(queue)
            time.sleep(max(0.0, min(due - time.monotonic(), 0.01)))
            if due <= time.monotonic():
                due = time.monotonic() + drivers[index].look().poll_after_seconds
                looks[index] += 1
            with lock:
                heapq.heappush(queue, (due, index))

    assert together([conduct] * 8) == [None] * 8
    asked_at = [at - begun for at, _ in server.history if at >= begun]
    assert len(asked_at) <= 200 * max(asked_at) + 200 + 8, "a second's worth may come at once"
    assert len(looks) == len(drivers)
    assert min(looks.values()) >= 2
    assert looks[0] == max(looks.values())
