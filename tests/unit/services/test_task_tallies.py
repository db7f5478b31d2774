import pytest
from follow_kit import Log, service_in

from app.domain import Level
from app.services import task_tallies
from app.services.task_tallies import TaskTallies
from app.store.journal import Journal

I, W = Level.INFO, Level.WARN  # noqa: E741
BOTH = I | W


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with service_in(tmp_path_factory) as made:
        yield made


@pytest.fixture
def counted(monkeypatch):
    """The parts of journals that were gone through."""
    parts = []
    count = Journal.count_of_task

    def noting(journal, number, levels, first, last, *, task):
        parts.append((first, last))
        return count(journal, number, levels, first, last, task=task)

    monkeypatch.setattr(Journal, "count_of_task", noting)
    monkeypatch.setattr(task_tallies, "_STRETCH", 8)
    return parts


@pytest.fixture
def tallies(service):
    return TaskTallies(service.services.follow.stretches)


def of(service, tallies, log, levels=BOTH, task="split"):
    return tallies.of(service.store.get(log.id), levels, task, "ada")


def test_what_was_counted_is_not_counted_again(service, tallies, counted):
    log = Log(service).write(20)
    assert of(service, tallies, log).total == 7
    assert counted == [(0, 8), (8, 16), (16, 20)]
    assert of(service, tallies, log).total == 7
    log.write(10)
    assert of(service, tallies, log).total == 10
    assert counted[3:] == [(20, 24), (24, 30)]


def test_an_older_look_at_the_journal_counts_no_more_than_it_saw(service, tallies, counted):
    log = Log(service).write(10)
    earlier = service.store.get(log.id)
    log.write(10)
    assert of(service, tallies, log).total == 7
    assert tallies.of(earlier, BOTH, "split", "ada").total == 4


def test_an_older_look_at_the_journal_costs_one_stretch_and_leaves_what_is_known(
    service, tallies, counted
):
    log = Log(service).write(20)
    earlier = service.store.get(log.id)
    log.write(20)
    assert of(service, tallies, log).total == 14
    for _ in range(2):
        del counted[:]
        assert tallies.of(earlier, BOTH, "split", "ada").total == 7
        assert counted == [(16, 20)]
        assert of(service, tallies, log).total == 14
        assert counted == [(16, 20)]


@pytest.mark.parametrize(("task", "places"), [("split", range(0, 40, 3)), ("nobody", [])])
def test_each_entry_is_found_by_its_index_and_the_other_way_round(
    service, tallies, counted, task, places
):
    log = Log(service).write(40)
    execution = service.store.get(log.id)
    tally = of(service, tallies, log, task=task)
    assert tally.total == len(places)
    for index, place in enumerate(places):
        begin, skip = tally.seek(index)
        assert begin <= place < begin + 16
        assert skip == sum(begin <= each < place for each in places)
    for place in range(50):
        behind = tallies.before(execution, BOTH, task, place, "ada")
        assert behind == sum(each < place for each in places)


def test_levels_count_apart(service, tallies, counted):
    log = Log(service).write([I, W, W, W, I, I, W])
    assert of(service, tallies, log, W).total == 2
    assert of(service, tallies, log, I).total == 1
    assert of(service, tallies, log).total == 3
