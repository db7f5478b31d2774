import pytest

from app.domain import ExecutionStatus
from app.resources.root.statuses import STATES, STATUSES, states_of, status_and_state, status_word

DOCUMENTED = {"RUNNING", "SUCCESS", "FAILED", "CANCELLING", "CANCELLED"}


def test_the_words_are_those_of_the_document():
    assert set(STATUSES) == DOCUMENTED
    assert set(STATES) == {str(state) for state in ExecutionStatus}


@pytest.mark.parametrize("state", ExecutionStatus)
def test_what_has_not_ended_reads_so_for_a_client_that_looks_at_the_end_of_the_word(state):
    assert status_word(state).endswith("ING") is not state.final
    assert status_and_state(state) == {"status": status_word(state), "state": str(state)}


@pytest.mark.parametrize("state", ["RUNNING", "CANCELLING", "SUCCESS", "FAILED", "CANCELLED"])
def test_a_state_that_the_document_knows_keeps_its_word(state):
    assert status_word(ExecutionStatus(state)) == state


@pytest.mark.parametrize("state", ExecutionStatus)
def test_each_word_that_an_execution_shows_finds_it(state):
    assert state in states_of([status_word(state)])
    assert state in states_of([str(state)])


@pytest.mark.parametrize("word", ["PENDING", "PAUSED", "UNKNOWN", "SUCCESS", "CANCELLING"])
def test_an_exact_word_finds_nothing_else(word):
    assert states_of([word]) == {ExecutionStatus(word)}


def test_several_words_are_alternatives():
    assert states_of(["PAUSED", "FAILED"]) == {ExecutionStatus.PAUSED, ExecutionStatus.FAILED}
