"""Names of executions: each is given once, whoever launches at the same time."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text
from store_kit import StoreKit, together

from app.domain import ExecutionStatus
from app.errors import NotFound
from app.store.database import Database
from app.store.launches import UsedKey

MOMENT = datetime(2023, 12, 9, 14, 30, 22, 774_000, tzinfo=UTC)
STEM = "flow-20231209-143022"
CROWD = 16
PROCESSES = 4
THOUSAND = 1008  # so many for each of the crowd


@pytest.fixture
def standing(monkeypatch):
    """A second that does not pass."""
    monkeypatch.setattr("app.store.launches.now", lambda: MOMENT)


def numbered(number):
    """The names that so many launches of one second get, in order."""
    return [STEM, *(f"{STEM}-{n}" for n in range(2, number + 1))]


def test_the_name_tells_the_second_at_which_the_launch_was_written_down(kit):
    execution = kit.create()
    assert execution.awf_name == f"flow-{execution.created_at:%Y%m%d-%H%M%S}"
    assert kit.executions.get(execution.id).awf_name == execution.awf_name


def test_launches_of_one_second_are_numbered(kit, standing):
    assert [kit.create().awf_name for _ in range(12)] == numbered(12)


def test_other_workflows_and_other_seconds_have_numbers_of_their_own(kit, standing, monkeypatch):
    kit.create()
    assert kit.create(workflow_id="flo").awf_name == "flo-20231209-143022"
    assert kit.create(workflow_id="flow-2").awf_name == "flow-2-20231209-143022"
    assert kit.create(workflow_id="flow.x").awf_name == "flow.x-20231209-143022"
    assert kit.create(workflow_id="Flow").awf_name == "Flow-20231209-143022"
    monkeypatch.setattr("app.store.launches.now", lambda: MOMENT + timedelta(seconds=1))
    assert kit.create().awf_name == "flow-20231209-143023"


def test_workflows_that_differ_in_what_no_name_holds_stay_apart(kit, standing):
    ids = ["a/b", "a b", "a-b", "aéb", "a\nb"]
    names = [kit.create(workflow_id=id_).awf_name for id_ in ids]
    assert names == ["a-b-20231209-143022", *(f"a-b-20231209-143022-{n}" for n in range(2, 6))]


def test_workflows_that_begin_alike_for_long_stay_apart(kit, standing):
    names = [kit.create(workflow_id="w" * 100 + end).awf_name for end in ("", "1", "2" * 400)]
    stem = f"{'w' * 100}-20231209-143022"
    assert names == [stem, f"{stem}-2", f"{stem}-3"]


def test_a_thousand_launches_at_once_by_several_processes_get_names_without_a_gap(kit, standing):
    stores = [Database(kit.database.url) for _ in range(PROCESSES)]

    def work(index):
        mine = StoreKit(stores[index % PROCESSES])
        return [mine.create(execution_id=f"{index}-{n}").awf_name for n in range(THOUSAND // CROWD)]

    given = [name for names in together(CROWD, work) for name in names]
    for store in stores:
        store.dispose()
    assert sorted(given) == sorted(numbered(THOUSAND))


def test_launches_at_the_same_time_lose_a_name_to_another_once_each(kit, standing):
    kit.create()
    attempts = []

    def note(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO executions"):
            attempts.append(statement)

    event.listen(kit.database.engine(), "before_cursor_execute", note)
    intents = [kit.intent() for _ in range(CROWD)]
    together(CROWD, lambda i: kit.launches.create(intents[i]))
    # A name is lost only to one that was given in the moment between a look and its lock.
    assert CROWD <= len(attempts) <= 2 * CROWD


def test_a_launch_that_failed_keeps_no_other_from_a_name(kit, standing):
    kit.create()

    def fail(connection):
        kit.launches._create(connection, kit.intent())
        raise NotFound("It fails after it was given a name.")

    with pytest.raises(NotFound):
        kit.database.write(fail)
    assert [kit.create().awf_name for _ in range(2)] == [f"{STEM}-2", f"{STEM}-3"]


def test_a_name_is_not_given_again_after_its_launch_was_withdrawn(kit, standing):
    first, second = kit.create(), kit.create()
    for execution in (second, first):
        kit.launches.withdraw(execution)
        assert kit.executions.id_named(execution.awf_name) is None
    assert [kit.create().awf_name for _ in range(2)] == [f"{STEM}-3", f"{STEM}-4"]


def test_a_withdrawal_that_comes_too_late_spends_no_name(kit, standing):
    execution = kit.launched()
    kit.launches.withdraw(execution)
    assert kit.executions.id_named(STEM) == execution.id
    with kit.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM spent_names")).scalar_one() == 0


def test_the_same_key_gives_the_same_name(kit, standing):
    first, new = kit.launches.create(kit.intent(used=UsedKey("ada", "mine", "d")))
    again, newer = kit.launches.create(kit.intent(used=UsedKey("ada", "mine", "d")))
    assert (new, newer) == (True, False)
    assert again.awf_name == first.awf_name == STEM
    assert kit.create().awf_name == f"{STEM}-2"


def test_what_runs_already_is_called_after_its_start(kit, standing):
    began = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)

    def adopt(reference, started_at):
        intent = kit.intent(owner="")
        return kit.launches.adopt(intent, reference, ExecutionStatus.RUNNING, started_at)

    adopted = [adopt({"job": n}, began) for n in (1, 2, 1)]
    stem = "flow-20010203-040506"
    assert [execution.awf_name for execution in adopted] == [stem, f"{stem}-2", stem]
    assert adopt({"job": 3}, None).awf_name == STEM


def test_an_execution_is_found_by_its_name(kit, standing):
    first, second = kit.create(), kit.create()
    assert kit.executions.id_named(STEM) == first.id
    assert kit.executions.id_named(f"{STEM}-2") == second.id
    for unknown in (f"{STEM}-3", f"{STEM}-", STEM.upper(), STEM[:-1], f"{STEM}%", "", first.id):
        assert kit.executions.id_named(unknown) is None
    assert kit.steered.find(f"{STEM}-2").id == kit.steered.find(second.id).id == second.id
    with pytest.raises(NotFound):
        kit.steered.find(f"{STEM}-3")


def test_no_two_executions_can_have_one_name(kit, standing):
    kit.create()
    second = kit.create()
    take = text("UPDATE executions SET awf_name = :name WHERE id = :id")
    with pytest.raises(Exception, match=r"(?i)unique"):
        kit.database.write(lambda c: c.execute(take, {"name": STEM, "id": second.id}))
    assert kit.executions.get(second.id).awf_name == f"{STEM}-2"
