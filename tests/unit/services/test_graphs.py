"""Which steps a graph has: those of what was launched, or none where nobody knows them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.graphs import fan, lattice
from service_kit import signed_in

from app.domain import ExecutionStatus, Observation, Step, Task, TaskStatus
from app.isolation import OverBudget
from app.services.graphs import PLAIN, Missing, View, worst_of

ADA = signed_in("ada")


@pytest.fixture
def service(make_service):
    """One whose orchestrator keeps nothing of what was launched."""
    return make_service(fake="Obedient")


@pytest.fixture
def steps(service, monkeypatch):
    """Have its workflow some steps."""
    orchestrator = service.services.graphs._orchestrators["remote"]
    described = orchestrator.describe("remote", ADA)

    def have(*found):
        monkeypatch.setattr(
            orchestrator, "describe", lambda *_: replace(described, steps=tuple(found))
        )

    return have


def launched(service, *names):
    execution = service.add_execution("ada", workflow_id="remote", steps=names)
    tasks = tuple(Task(name, TaskStatus.RUNNING) for name in names)
    service.record(execution, Observation(ExecutionStatus.RUNNING, None, tasks=tasks))
    return service.store.get(execution.id)


def names_of(graph):
    return [[graph.steps[place].name for place in box.steps] for box in graph.layout.boxes]


class TestOfWhatIsDefinedElsewhere:
    def test_the_workflow_as_it_is_now_tells_where_it_has_all_tasks(self, service, steps):
        steps(Step("a", "job"), Step("b", "job", ("a",)))
        found = service.services.graphs.of_launched(launched(service, "a", "b"), ADA)
        assert names_of(found) == [["a"], ["b"]]
        assert [task.name for task in found.tasks] == ["a", "b"]

    def test_it_does_not_where_it_was_another_one(self, service, steps):
        steps(Step("a", "job"), Step("new", "job", ("a",)))
        found = service.services.graphs.of_launched(launched(service, "a", "b"), ADA)
        assert (found.missing, found.layout) == (Missing.UNKNOWN, None)
        assert [step.name for step in found.steps] == ["a", "b"]

    def test_nor_where_it_is_gone(self, service):
        execution = replace(launched(service, "a"), workflow_id="gone")
        assert service.services.graphs.of_launched(execution, ADA).missing is Missing.UNKNOWN

    def test_what_it_needs_of_nobody_and_what_goes_round_is_drawn_without(self, service, steps):
        steps(Step("a", "job", ("b", "nobody")), Step("b", "job", ("a",)))
        found = service.services.graphs.of_workflow("remote", ADA)
        assert names_of(found) == [["a"], ["b"]]


class TestLayingOut:
    def test_it_is_done_once_for_all_who_look_at_the_same(self, service, steps, monkeypatch):
        graphs = service.services.graphs
        steps(
            *(Step(f"s{n}", "job", tuple(f"s{m}" for m in needs)) for n, needs in enumerate(fan(3)))
        )
        calls = []
        monkeypatch.setattr(
            graphs, "_laid_out", lambda work, _: calls.append(work) or b'"too_large"'
        )
        for view in (PLAIN, PLAIN, View(("s1",))):
            assert graphs.of_workflow("remote", ADA, view=view).missing is Missing.TOO_LARGE
        assert len(calls) == 2

    def test_a_large_one_is_laid_out_in_another_process_and_given_up_in_time(
        self, service, steps, monkeypatch
    ):
        class Worker:
            def run(self, owner, function, argument):
                assert (owner, function) == ("ada", "app.services.graph_layout:laid_out")
                raise OverBudget

        needs = lattice(10, 10, 200)
        steps(*(Step(f"s{n}", "job", tuple(f"s{m}" for m in each)) for n, each in enumerate(needs)))
        monkeypatch.setattr(service.services.graphs, "_isolated", Worker())
        found = service.services.graphs.of_workflow("remote", ADA)
        assert found.missing is Missing.TOO_LARGE


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        ((), "PENDING"), (("SUCCESS", "FAILED", "RUNNING"), "FAILED"),
        (("SUCCESS", "PENDING"), "PENDING"), (("SKIPPED", "SUCCESS"), "SKIPPED"),
        (("PAUSED", "CANCELLED"), "PAUSED"),
    ],
)  # fmt: skip
def test_what_went_wrong_tells_most_and_then_what_is_not_done(statuses, worst):
    assert worst_of([TaskStatus(status) for status in statuses]) == worst
