import pytest
from follow_kit import Log, service_in

from app.domain import Level
from app.errors import LimitExceeded
from app.services import grep, stretches
from app.services import tallies as counting
from app.services.tallies import Sieve, Tallies
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
    monkeypatch.setattr(counting, "_STRETCH", 8)
    return parts


@pytest.fixture
def tallies(service):
    return Tallies(service.services.follow.stretches)


def of(service, tallies, log, levels=BOTH, *, task="split", grep=None):
    return tallies.of(service.store.get(log.id), Sieve(levels, task, grep), "ada")


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
    assert tallies.of(earlier, Sieve(BOTH, "split"), "ada").total == 4


def test_an_older_look_at_the_journal_costs_one_stretch_and_leaves_what_is_known(
    service, tallies, counted
):
    log = Log(service).write(20)
    earlier = service.store.get(log.id)
    log.write(20)
    assert of(service, tallies, log).total == 14
    for _ in range(2):
        del counted[:]
        assert tallies.of(earlier, Sieve(BOTH, "split"), "ada").total == 7
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
        behind = tallies.before(execution, Sieve(BOTH, task), place, "ada")
        assert behind == sum(each < place for each in places)


def test_levels_count_apart(service, tallies, counted):
    log = Log(service).write([I, W, W, W, I, I, W])
    assert of(service, tallies, log, W).total == 2
    assert of(service, tallies, log, I).total == 1
    assert of(service, tallies, log).total == 3


@pytest.mark.parametrize("task", [None, "split", "", "nobody"])
def test_what_a_pattern_matches_is_counted_once_and_found_by_its_index(
    service, tallies, counted, task
):
    """Of 40 lines 3, 13, 23 and 33 end in a three; each third one is of the task."""
    log = Log(service).write(40)
    places = [n for n in (3, 13, 23, 33) if task is None or (n % 3 == 0) == (task == "split")]
    places = [] if task == "nobody" else places
    tally = of(service, tallies, log, task=task, grep="3$")
    assert tally.total == len(places)
    execution, sieve = service.store.get(log.id), Sieve(BOTH, task, "3$")
    for index, place in enumerate(places):
        start, skip = tally.seek(index)
        assert start <= place
        assert skip == sum(start <= each < place for each in places)
        assert tallies.before(execution, sieve, place, "ada") == index
        assert tallies.before(execution, sieve, place + 1, "ada") == index + 1
    log.write(10)  # of which the line 43 ends so, too
    assert of(service, tallies, log, task=task, grep="3$").total - tally.total == (
        task in (None, "")
    )
    assert not counted  # that is for what the database counts alone


def test_what_lies_far_apart_is_read_once(service, tallies, counted, monkeypatch):
    read, since = [], Journal.since

    def noting(journal, *args, **kwargs):
        found = since(journal, *args, **kwargs)
        read.extend(entry.sequence for entry in found)
        return found

    monkeypatch.setattr(Journal, "since", noting)
    log = Log(service).write([I, *[I] * 20, W, *[I] * 10, W, I])
    execution, sieve = service.store.get(log.id), Sieve(W, None, "")
    tally = tallies.of(execution, sieve, "ada")
    assert (tally.total, tally.place) == (2, 34)
    assert read == [21, 32]
    assert [tally.seek(index) for index in range(2)] == [(16, 0), (32, 0)]


def test_what_was_found_out_within_the_time_of_one_request_is_where_the_next_one_goes_on(
    service, tallies, counted, monkeypatch
):
    monkeypatch.setattr(grep, "SEARCH_SECONDS", -1.0)
    monkeypatch.setattr(stretches, "STRETCH", 8)
    log = Log(service).write(20)
    for _ in range(2):
        with pytest.raises(LimitExceeded, match="Ask again to go on"):
            of(service, tallies, log, task=None, grep="1")
    assert of(service, tallies, log, task=None, grep="1").total == 11
