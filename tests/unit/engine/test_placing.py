"""Whose an execution is, which its launcher learns before anything of it is made."""

import pytest
from engine_kit import GONE, REASON, ScriptedLauncher, diamond

from app.domain import DesiredState, ExecutionStatus, TaskStatus
from app.errors import InvalidRequest, UpstreamRefused

NO_ACCOUNT = "User 'ada' has no account on cluster 'hpc'."


class Placing(ScriptedLauncher):
    """Notes whose each execution is, unless a test says that it cannot."""

    here = False

    def __init__(self):
        super().__init__()
        self.placed = []
        self.refusal = None

    def place(self, folder, owner):
        if self.refusal:
            raise self.refusal
        self.placed.append((folder.name, owner))

    def make_work_folder(self, folder, files, *, begun):
        assert folder.parent.name in dict(self.placed)


@pytest.fixture
def placed(bench):
    return bench(diamond(), launcher=Placing())


def test_it_learns_whose_an_execution_is_once(placed):
    placed.launcher.on_start = placed.launcher.finish
    assert placed.finish().status is ExecutionStatus.SUCCESS
    assert placed.launcher.placed == [("e1", "ada")]


def test_one_that_goes_on_has_a_folder_and_works_in_another_one(placed):
    placed.launcher.on_start = lambda name: placed.launcher.finish(name, 1)
    assert placed.finish().status is ExecutionStatus.FAILED
    placed.launcher.placed.clear()
    again = placed.goes_on("split", "left", "right", "join")
    again.look()
    assert again.launcher.placed == [("e1", "ada"), ("e1+", "ada")]
    assert again.launcher["split"].job.working_dir.parent.name == "e1"


@pytest.mark.parametrize("kind", [InvalidRequest, UpstreamRefused])
def test_what_it_refuses_fails_at_once_and_says_why(placed, kind):
    placed.launcher.refusal = kind(NO_ACCOUNT)
    seen = placed.finish(most=1)
    assert (seen.status, seen.error) == (ExecutionStatus.FAILED, NO_ACCOUNT)
    assert set(placed.shown.values()) == {TaskStatus.SKIPPED}
    assert placed.tasks["split"].error == NO_ACCOUNT
    assert placed.texts() == [f"Execution ended with status FAILED: {NO_ACCOUNT}"]
    assert not placed.launcher.calls


def test_what_was_refused_can_go_on_once_it_is_not(placed):
    placed.launcher.refusal = InvalidRequest(NO_ACCOUNT)
    placed.finish(most=1)
    placed.launcher.refusal = None
    again = placed.goes_on("split", "left", "right", "join")
    again.launcher.on_start = again.launcher.finish
    assert again.finish().status is ExecutionStatus.SUCCESS


def test_what_cannot_be_told_now_is_asked_again(placed):
    placed.launcher.refusal = GONE
    placed.look()
    assert placed.tasks["split"].waits_for == {"kind": "launcher", "reason": REASON}
    assert not placed.launcher.running
    placed.launcher.refusal = None
    placed.look()
    assert placed.launcher.running == {"split"}


@pytest.mark.parametrize("refusal", [GONE, InvalidRequest(NO_ACCOUNT)])
def test_what_is_cancelled_before_it_begins_asks_for_no_place(placed, refusal):
    placed.launcher.refusal = refusal
    placed.want(DesiredState.CANCEL)
    assert placed.finish().status is ExecutionStatus.CANCELLED
    assert not placed.launcher.placed
