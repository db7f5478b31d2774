"""Which workflows are listed, to whom, and how often Alien4Cloud is asked."""

from __future__ import annotations

import threading

import pytest
import structlog
from fakes.alien4cloud import Kind
from fakes.alien4cloud.driver import ALICE, ManualClock
from kit.patience import PATIENCE_SECONDS

from app.clients.alien4cloud.api import Alien4CloudApi
from app.clients.alien4cloud.catalogue import Catalogue
from app.clients.alien4cloud.refresh import Refresher
from app.clients.alien4cloud.session import Alien4CloudSession
from app.domain import Identity, Role, Workflow
from app.errors import NotFound, UpstreamError, UpstreamUnreachable

BOB = Identity("bob", frozenset({Role.ADMIN}))
WORKFLOWS = {"hpcwaas-workflows": "exec_job"}


@pytest.fixture
def seconds():
    return ManualClock()


@pytest.fixture
def make_catalogue(make_options, seconds):
    def make(timeout):
        session = Alien4CloudSession("The orchestrator 'hpc'", make_options(timeout=timeout))
        return Catalogue("hpc", Alien4CloudApi(session), 30.0, seconds)

    return make


@pytest.fixture
def catalogue(make_catalogue):
    return make_catalogue("20s")


def names(catalogue, identity=ALICE):
    return [workflow.id.rpartition("@")[2] for workflow in catalogue.workflows(identity)]


def test_a_workflow_is_listed_once_for_each_environment_in_which_it_can_run(server, catalogue):
    application = server.application(
        "covid", tags={"hpcwaas-workflows": " exec_job , other,, exec_job"}, description="Spread"
    )
    environment = application.environment("prod")
    application.environment("test")
    found = catalogue.workflows(ALICE)
    assert len(found) == 4
    assert found[0] == Workflow(
        id=f"covid@{environment.id}@exec_job",
        name="exec_job",
        application_id="covid",
        environment_id=environment.id,
        environment_name="prod",
        orchestrator="hpc",
        description="Spread",
    )


@pytest.mark.parametrize(
    ("status", "listed"),
    [
        ("DEPLOYED", True),
        ("UPDATED", True),
        ("WARNING", True),
        ("UNKNOWN", True),
        ("UNDEPLOYED", False),
        ("INIT_DEPLOYMENT", False),
        ("DEPLOYMENT_IN_PROGRESS", False),
        ("UPDATE_IN_PROGRESS", False),
        ("UPDATE_FAILURE", False),
        ("FAILURE", False),
        ("UNDEPLOYMENT_IN_PROGRESS", False),
        ("A_WORD_OF_VERSION_FOUR", False),
    ],
)
def test_only_where_workflows_can_run(server, catalogue, status, listed):
    server.application("covid", tags=WORKFLOWS).environment("prod", status=status)
    assert bool(catalogue.workflows(ALICE)) is listed


def test_an_environment_whose_status_cannot_be_computed_is_shown_as_such(
    server, catalogue, seconds
):
    environment = server.application("covid", tags=WORKFLOWS).environment(status="UNKNOWN")
    assert [w.stale for w in catalogue.workflows(ALICE)] == [True]
    environment.undeploy()
    environment.status = "UNKNOWN"
    seconds.advance(1)
    catalogue.expire(0.0)
    assert catalogue.workflows(ALICE) == []


@pytest.mark.parametrize(
    ("users", "alice", "bob"),
    [
        (None, True, True),
        ("alice,bob", True, True),
        ("alice, bob", True, True),
        (" bob ", False, True),
        ("Alice", False, False),
        ("", False, False),
        (" , ", False, False),
    ],
)
def test_the_users_tag_decides_whatever_the_role(server, catalogue, users, alice, bob):
    tags = WORKFLOWS if users is None else {**WORKFLOWS, "hpcwaas-authorized-users": users}
    environment = server.application("covid", tags=tags).environment()
    for identity, allowed in ((ALICE, alice), (BOB, bob)):
        assert bool(catalogue.workflows(identity)) is allowed
        if allowed:
            assert catalogue.find(environment.workflow_id("exec_job"), identity)
        else:
            with pytest.raises(NotFound):
                catalogue.find(environment.workflow_id("exec_job"), identity)


def test_an_application_without_the_tag_is_invisible(server, catalogue):
    environment = server.application("covid").environment()
    assert catalogue.workflows(ALICE) == []
    assert catalogue.visible("covid", ALICE) is None
    with pytest.raises(NotFound):
        catalogue.find(environment.workflow_id("exec_job"), ALICE)


def test_a_name_that_would_launch_another_workflow_is_neither_listed_nor_found(server, catalogue):
    tags = {"hpcwaas-workflows": "exec.job, a/b, a b, exec_job"}
    environment = server.application("covid", tags=tags).environment()
    assert names(catalogue) == ["exec_job"]
    for name in ("exec.job", "a/b", "a b", "..", ""):
        with pytest.raises(NotFound):
            catalogue.find(environment.workflow_id(name), ALICE)


def test_what_is_not_exposed_cannot_be_found(server, catalogue):
    environment = server.application("covid", tags=WORKFLOWS).environment().workflow("install")
    with pytest.raises(NotFound):
        catalogue.find(environment.workflow_id("install"), ALICE)


def test_an_environment_of_another_application_cannot_be_borrowed(server, catalogue):
    closed = {**WORKFLOWS, "hpcwaas-authorized-users": "bob"}
    environment = server.application("closed", tags=closed).environment()
    server.application("open", tags=WORKFLOWS)
    with pytest.raises(NotFound):
        catalogue.find(f"open@{environment.id}@exec_job", ALICE)


@pytest.mark.parametrize(
    "workflow_id", ["", "exec_job", "a@b", "a@b@c@d", "..@..@..", "covid@@exec_job", "none@x@y"]
)
def test_an_id_that_is_none_is_not_found(server, catalogue, workflow_id):
    with pytest.raises(NotFound):
        catalogue.find(workflow_id, ALICE)


def test_all_pages_are_read_past_the_cap(server, catalogue):
    for index in range(1005):
        server.application(f"app{index}", tags=WORKFLOWS)
    application = server.world.applications["app1004"]
    for index in range(1002):
        application.environment(f"e{index}")
    assert len(catalogue.workflows(ALICE)) == 1002
    assert server.requests["search_applications"] == 2
    assert server.requests["search_environments"] == 1006


def test_environments_are_asked_for_side_by_side(server, catalogue):
    for index in range(32):
        server.application(f"app{index}", tags=WORKFLOWS).environment()
    catalogue._api._session.get("auth", "status")
    server.latency = 0.1
    begun = server.history[-1][0]
    catalogue.workflows(ALICE)
    # One after the other, they would take a multiple on the fastest machine.
    assert server.history[-1][0] - begun < 32 * server.latency


def test_the_list_is_kept_and_asked_for_once_by_many(server, catalogue, seconds):
    server.application("covid", tags=WORKFLOWS).environment()
    server.latency = 0.05
    threads = [threading.Thread(target=catalogue.workflows, args=(ALICE,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.requests["search_applications"] == 1
    seconds.advance(31)
    catalogue.workflows(ALICE)
    assert server.requests["search_applications"] == 2


def test_what_was_known_is_served_as_stale_while_the_server_is_away(server, catalogue, seconds):
    server.application("covid", tags=WORKFLOWS).environment()
    assert [w.stale for w in catalogue.workflows(ALICE)] == [False]
    server.down()
    seconds.advance(31)
    assert [w.stale for w in catalogue.workflows(ALICE)] == [True]
    server.up()
    seconds.advance(6)
    assert [w.stale for w in catalogue.workflows(ALICE)] == [False]


def test_a_server_that_is_away_is_not_asked_by_every_caller(server, make_catalogue, seconds):
    catalogue = make_catalogue("1s")
    server.application("covid", tags=WORKFLOWS).environment()
    catalogue.workflows(ALICE)
    server.fault(Kind.HANG_BEFORE)
    seconds.advance(31)
    before = server.requests.total()
    for _ in range(5):
        catalogue.workflows(ALICE)
    assert server.requests.total() == before + 1


def test_without_any_knowledge_the_failure_is_told(server, catalogue):
    server.down()
    with pytest.raises(UpstreamUnreachable):
        catalogue.workflows(ALICE)


def test_one_application_that_fails_does_not_hide_the_others(server, catalogue, seconds):
    for name in ("a", "b"):
        server.application(name, tags=WORKFLOWS).environment()
    catalogue.workflows(ALICE)
    seconds.advance(31)
    server.stack_trace("search_environments", times=1)
    found = {w.application_id: w.stale for w in catalogue.workflows(ALICE)}
    assert sorted(found) == ["a", "b"]
    assert sorted(found.values()) == [False, True]


def test_records_of_another_shape_are_an_error_of_the_upstream(server, catalogue):
    server.fault(Kind.REPLY, "search_applications", body=b'{"data": {"data": [{}]}}')
    with pytest.raises(UpstreamError):
        catalogue.workflows(ALICE)


class TestInTheBackground:
    @pytest.fixture
    def pauses(self):
        return []

    @pytest.fixture
    def refreshed(self, make_options, seconds, pauses, monkeypatch):
        """A catalogue that is refreshed by the test, a round at a time, on its clock."""
        monkeypatch.setattr(Refresher, "runs", True)
        session = Alien4CloudSession("The orchestrator 'hpc'", make_options(timeout="20s"))
        catalogue = Catalogue("hpc", Alien4CloudApi(session), 60.0, seconds, refresh_per_second=200)

        def pause(length):
            pauses.append(length)
            seconds.advance(length)

        catalogue._refresher._sleep = pause
        return catalogue

    @pytest.fixture
    def many(self, server):
        for index in range(300):
            server.application(f"app{index}", tags=WORKFLOWS).environment()

    def test_a_round_asks_for_all_in_turns_and_within_the_time_of_an_answer(
        self, server, refreshed, seconds, pauses, many
    ):
        refreshed.workflows(ALICE)
        before = server.requests["search_environments"]
        began = seconds()
        refreshed._refresher.go_round()
        assert server.requests["search_environments"] == before + 300
        assert seconds() - began <= 60.0
        assert {round(pause, 6) for pause in pauses[1:-1]} == {48.0 / 300}

    def test_nobody_who_lists_asks_for_what_is_refreshed(self, server, refreshed, seconds, many):
        refreshed.workflows(ALICE)
        refreshed._refresher.go_round()
        seconds.advance(30)  # half of them are older than an answer is good for
        before = server.requests.total()
        found = refreshed.workflows(ALICE)
        assert len(found) == 300
        assert not any(workflow.stale for workflow in found)
        assert server.requests["search_environments"] == 600
        assert server.requests.total() <= before + 1

    def test_what_fails_is_stale_until_it_is_read_again(self, server, refreshed):
        for name in ("a", "b"):
            server.application(name, tags=WORKFLOWS).environment()
        refreshed.workflows(ALICE)
        server.stack_trace("search_environments", times=1)
        refreshed._refresher.go_round()
        server.stack_trace("search_environments", times=1)  # a reader tries it again
        assert sorted(w.stale for w in refreshed.workflows(ALICE)) == [False, True]
        refreshed._refresher.go_round()
        assert [w.stale for w in refreshed.workflows(ALICE)] == [False, False]

    def test_a_server_that_is_away_ends_the_round_at_once(self, server, refreshed, pauses, many):
        refreshed.workflows(ALICE)
        server.down()
        refreshed._refresher.go_round()
        assert pauses == [5.0]
        assert all(workflow.stale for workflow in refreshed.workflows(ALICE))

    def test_what_has_become_of_it_is_seen_without_a_reader(self, server, refreshed):
        environment = server.application("covid", tags=WORKFLOWS).environment()
        assert names(refreshed) == ["exec_job"]
        environment.undeploy()
        server.application("other", tags={"hpcwaas-workflows": "new"}).environment()
        refreshed._refresher.go_round()
        before = server.requests.total()
        assert names(refreshed) == ["new"]
        assert server.requests.total() == before


def test_those_that_there_was_no_time_for_are_not_stale(server, catalogue, seconds, monkeypatch):
    for index in range(40):
        server.application(f"app{index}", tags=WORKFLOWS).environment()
    catalogue.workflows(ALICE)
    seconds.advance(31)
    read = catalogue._api.environments

    def slow(application):
        seconds.advance(10)
        return read(application)

    monkeypatch.setattr(catalogue._api, "environments", slow)
    found = catalogue.workflows(ALICE)
    assert len(found) == 40
    assert not any(workflow.stale for workflow in found)


def test_refreshing_begins_with_the_first_reader_and_ends_when_none_comes():
    now, rounds, ended = [0.0], [], threading.Event()

    def sleep(length):
        now[0] += length

    def questions():
        rounds.append(now[0])
        return []

    refresher = Refresher("hpc", questions, 60.0, sleep=sleep, clock=lambda: now[0])
    run = refresher._run

    def running():
        run()
        ended.set()

    refresher._run = running
    assert not refresher.runs
    refresher.want()
    assert ended.wait(PATIENCE_SECONDS)
    assert not refresher.runs
    assert rounds[0] <= 60.0
    assert rounds[-1] < 600.0 <= now[0]
    assert len(rounds) >= 10


def test_without_a_time_nothing_is_refreshed():
    refresher = Refresher("hpc", list, 0.0)
    refresher.want()
    assert not refresher.runs


class TestRounds:
    """On a clock that only pauses move; what is asked for takes as long as a test wants."""

    @pytest.fixture
    def pauses(self):
        return []

    @pytest.fixture
    def make(self, seconds, pauses):
        def make(questions, ttl=15.0, **more):
            def pause(length):
                pauses.append(length)
                seconds.advance(length)

            return Refresher("hpc", lambda: questions, ttl, sleep=pause, clock=seconds, **more)

        return make

    def test_questions_are_spread_over_the_time_of_an_answer(self, make, seconds):
        asked = []
        questions = [lambda: asked.append(seconds())] * 1500
        began = seconds()
        make(questions, most_per_second=200).go_round()
        assert len(asked) == 1500
        assert seconds() - began == pytest.approx(12.0)

    def test_they_come_no_faster_than_a_bound(self, make, seconds, pauses):
        began = seconds()
        make([lambda: None] * 41, most_per_second=0.5).go_round()
        assert {round(pause, 6) for pause in pauses[1:-1]} == {2.0}
        assert seconds() - began == pytest.approx(80.0)

    def test_a_round_that_takes_too_long_is_told_once_and_so_is_its_end(self, make):
        questions = [lambda: None] * 41
        refresher = make(questions, most_per_second=0.5)
        with structlog.testing.capture_logs() as told:
            refresher.go_round()
            refresher.go_round()
            del questions[5:]
            refresher.go_round()
            refresher.go_round()
        assert [(line["log_level"], line["applications"]) for line in told] == [
            ("warning", 41), ("info", 5),
        ]  # fmt: skip
        assert (told[0]["seconds"], told[0]["cache_ttl"]) == (80.0, 15.0)

    @pytest.mark.parametrize(("others", "most"), [(0, 4), (3, 1), (100, 1)])
    def test_a_few_are_under_way_and_those_of_others_take_their_places(self, make, others, most):
        begun, go_on, lock = threading.Semaphore(0), threading.Semaphore(0), threading.Lock()
        now, peak = [0], [0]

        def question():
            with lock:
                now[0] += 1
                peak[0] = max(peak[0], now[0])
            begun.release()
            go_on.acquire()
            with lock:
                now[0] -= 1

        refresher = make([question] * 12, most_at_once=4, others=lambda _: others)
        round_ = threading.Thread(target=refresher.go_round)
        round_.start()
        for _ in range(most):
            assert begun.acquire(timeout=PATIENCE_SECONDS)
        for _ in range(12):
            go_on.release()
        round_.join(PATIENCE_SECONDS)
        assert not round_.is_alive()
        assert peak[0] == most

    def test_what_was_slow_is_not_made_up_for_in_a_burst(self, make, seconds, pauses):
        def slow():
            seconds.advance(100.0)

        make([slow, *[lambda: None] * 20], most_at_once=1, most_per_second=2).go_round()
        # The first is only answered when the second is to begin, or before; then a few follow.
        assert sum(pause == 0 for pause in pauses[:-1]) <= 7

    def test_a_failure_ends_the_round(self, make, pauses):
        asked = []

        def fail():
            raise UpstreamUnreachable("away")

        def ask():
            asked.append(1)

        make([ask, fail, *[ask] * 500], most_at_once=1).go_round()
        assert len(asked) <= 2
        assert pauses[-1] == 5.0


def test_1500_applications_are_read_again_within_a_short_time(server, make_options, seconds):
    """As many questions as there are applications, and none of them is ever shown as stale."""
    for index in range(1500):
        server.application(f"app{index}", tags=WORKFLOWS).environment()
    session = Alien4CloudSession("The orchestrator 'hpc'", make_options(timeout="20s"))
    catalogue = Catalogue("hpc", Alien4CloudApi(session), 15.0, seconds, refresh_per_second=200)
    catalogue._refresher._sleep = seconds.advance
    catalogue._refresher.want = lambda: None
    catalogue.workflows(ALICE)
    before, began = server.requests["search_environments"], seconds()
    catalogue._refresher.go_round()
    assert server.requests["search_environments"] == before + 1500
    assert seconds() - began <= 15.0
    found = catalogue.workflows(ALICE)
    assert len(found) == 1500
    assert not any(workflow.stale for workflow in found)
    assert server.requests["search_environments"] == before + 1500, "all is fresh"


def test_a_server_that_goes_away_within_a_round_is_not_asked_on(server, make_options, seconds):
    for index in range(300):
        server.application(f"app{index}", tags=WORKFLOWS).environment()
    session = Alien4CloudSession("The orchestrator 'hpc'", make_options(timeout="20s"))
    catalogue = Catalogue("hpc", Alien4CloudApi(session), 15.0, seconds, refresh_per_second=200)
    catalogue._refresher.want = lambda: None
    catalogue.workflows(ALICE)
    questions = catalogue.refresh()
    server.down()
    with pytest.raises(UpstreamUnreachable):
        questions[0]()


def test_requests_that_wait_are_counted_for_all_who_share_the_session(
    server, make_options, monkeypatch
):
    session = Alien4CloudSession("The orchestrator 'hpc'", make_options(timeout="20s"))
    api, seen, send = Alien4CloudApi(session), [], session._send

    def noting(*args):
        seen.append(api.under_way)
        return send(*args)

    monkeypatch.setattr(session, "_send", noting)
    session.get("auth", "status")
    server.down()
    with pytest.raises(UpstreamUnreachable):
        session.get("auth", "status")
    assert (seen, api.under_way) == ([1, 1], 0)
