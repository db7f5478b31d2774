"""Workflows that are a definition and a run in one, in the store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from store_kit import let_through

from app.domain import (
    Carried,
    CommandTask,
    ExecutionFilter,
    ExecutionStatus,
    NewStandingWorkflow,
    Task,
    TaskStatus,
)
from app.errors import Conflict, NameTaken, Taken, TaskOpen
from app.store.execution_rows import now
from app.store.launches import Continued
from app.store.standing import Outdated, StandingWorkflows, adding, deleting
from app.store.uploads import Quota, Upload, UploadedDefinitions

ROOM = Quota(100, 10**6)
TASKS = [CommandTask("größe", "true", args=["a"], env={"A": "b"}), CommandTask("b", "false")]


def made(name="a name", workflow_id="a-name", owner="ada", tasks=TASKS):
    return NewStandingWorkflow(name, workflow_id, "local", owner, "/srv", tasks)


def upload_of(new, kept_by="ada"):
    words = {"id": new.workflow_id, "name": new.name, "description": "", "digest": "d"}
    return Upload(new.workflow_id, "key", {**words, "kept_by": kept_by}, new.owner, now())


def put(database, new, **more):
    along = adding(new, [f"t{i}" for i in range(len(new.tasks))])
    uploads = UploadedDefinitions(database)
    uploads.put(upload_of(new), "text", ROOM, replace=False, along=along, **more)


def test_it_is_found_by_its_name_with_its_tasks_as_they_were_given(kit):
    put(kit.database, made())
    known = StandingWorkflows(kit.database)
    found = known.find("a name")
    assert (found.workflow_id, found.owner, found.working_dir) == ("a-name", "ada", "/srv")
    assert found.execution is None
    assert [task.spec for task in known.tasks(found)] == TASKS
    assert [task.task_id for task in known.tasks(found)] == ["t0", "t1"]
    assert [task.state for task in known.tasks(found)] == [None, None]
    assert known.all("ada") == known.all(None) == [found]
    assert known.all("bob") == []


def test_of_many_that_want_a_name_one_gets_it(kit):
    number = 8
    through = let_through(
        number, lambda i: put(kit.database, made(workflow_id=f"id-{i}", owner=f"u{i}")), NameTaken
    )
    assert len(through) == 1
    (found,) = StandingWorkflows(kit.database).all(None)
    assert found.owner == f"u{through[0]}"
    (upload,) = UploadedDefinitions(kit.database).all()
    assert upload.workflow_id == found.workflow_id, "the others left nothing behind"


def test_a_definition_that_cannot_be_kept_takes_no_name(kit):
    put(kit.database, made("first", "same"))
    with pytest.raises(Taken) as refused:
        put(kit.database, made("second", "same"))
    assert not isinstance(refused.value, NameTaken)
    assert not StandingWorkflows(kit.database).is_taken("second")


def test_a_name_stays_taken_when_the_definition_is_gone(kit):
    put(kit.database, made())
    assert UploadedDefinitions(kit.database).remove("a-name")
    known = StandingWorkflows(kit.database)
    assert known.find("a name") is None
    assert known.is_taken("a name")
    with pytest.raises(NameTaken):
        put(kit.database, made())


def test_nothing_else_takes_the_place_of_its_definition(kit):
    put(kit.database, made())
    uploads = UploadedDefinitions(kit.database)
    with pytest.raises(Conflict, match="made of single tasks"):
        uploads.put(upload_of(made(), kept_by=""), "text", ROOM)
    uploads.put(upload_of(made()), "other", ROOM)
    assert uploads.text("a-name") == "other"


class TestItsExecution:
    def launched(self, kit, **more):
        return kit.held(workflow_id="a-name", steps=["t0", "t1"], **more)

    def test_is_the_last_that_leads(self, kit):
        put(kit.database, made())
        known = StandingWorkflows(kit.database)
        first = self.launched(kit, leads=True)
        assert known.find("a name").execution.id == first.id
        self.launched(kit, owner="bob")
        assert known.find("a name").execution.id == first.id
        third = self.launched(kit, owner="ops", leads=True)
        assert known.find("a name").execution.id == third.id
        kit.see(third, tasks=(Task("t1", TaskStatus.FAILED, error="no"),))
        states = [task.state.status for task in known.tasks(known.find("a name"))]
        assert states == [TaskStatus.PENDING, TaskStatus.FAILED]

    def test_is_what_goes_on_from_it_and_from_no_other(self, kit):
        put(kit.database, made())
        known = StandingWorkflows(kit.database)
        current, other = self.launched(kit, leads=True), self.launched(kit)
        for execution in (current, other):
            kit.see(execution, ExecutionStatus.FAILED, log_complete=True)
        version = known.find("a name").version

        def goes_on(execution):
            continued = Continued(execution.id, ["t0"], Carried({}))
            return kit.create(workflow_id="a-name", reference={"job": 1}, continued=continued)

        goes_on(other)
        assert known.find("a name").execution.id == current.id
        new = goes_on(current)
        found = known.find("a name")
        assert (found.execution.id, found.version) == (new.id, version + 1)

    def test_of_many_that_begin_the_next_one_does(self, kit):
        put(kit.database, made())
        version = StandingWorkflows(kit.database).find("a name").version
        through = let_through(
            8,
            lambda _: kit.create(workflow_id="a-name", leads=True, version=version),
            Outdated,
        )
        assert len(through) == 1
        assert len(kit.executions.find(ExecutionFilter())[0]) == 1

    def test_keeps_a_task_that_is_to_run_from_being_deleted(self, kit):
        put(kit.database, made())
        known = StandingWorkflows(kit.database)
        execution = self.launched(kit, leads=True)
        kit.see(execution, tasks=(Task("t0", TaskStatus.SUCCESS),))
        workflow = known.find("a name")
        done, open_ = known.tasks(workflow)
        withdraw = UploadedDefinitions(kit.database).withdraw
        with pytest.raises(TaskOpen):
            withdraw("a-name", deleting(workflow, open_))
        assert UploadedDefinitions(kit.database).get("a-name") is not None
        withdraw("a-name", deleting(workflow, done))
        assert [task.task_id for task in known.tasks(known.find("a name"))] == ["t1"]

    def test_lets_go_of_its_tasks_at_its_end(self, kit):
        put(kit.database, made())
        known = StandingWorkflows(kit.database)
        kit.see(self.launched(kit, leads=True), ExecutionStatus.CANCELLED)
        workflow = known.find("a name")
        task = known.tasks(workflow)[1]
        UploadedDefinitions(kit.database).withdraw("a-name", deleting(workflow, task))
        with pytest.raises(Outdated):
            UploadedDefinitions(kit.database).withdraw("a-name", deleting(workflow, task))
        with pytest.raises(Outdated):
            self.launched(kit, leads=True, version=workflow.version)
        again = replace(workflow, version=workflow.version + 1)
        assert known.find("a name").version == again.version
