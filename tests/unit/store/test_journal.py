import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from store_kit import entries

from app.domain import ALL_LEVELS, DEFAULT_LEVELS, Level, NewLogEntry
from app.store.journal import BLOCK, LEVELS, content_bytes, count

# Each example has a journal of its own in the one database of the test.
in_one_database = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Runs of one level, so that some blocks hold no line of a level at all.
LOGS = st.lists(st.tuples(st.sampled_from(LEVELS), st.integers(1, 2 * BLOCK)), max_size=8).map(
    lambda runs: [level for level, length in runs for _ in range(length)]
)
MASKS = st.integers(1, int(ALL_LEVELS)).map(Level)


def let_through(log, levels):
    """The naive model: the places of the entries that a filter lets through."""
    return [place for place, level in enumerate(log) if level & levels]


def read(kit, execution, levels, start, size):
    page = kit.journal.page(execution.number, execution.log_counts, levels, start, size)
    return [entry.sequence for entry in page]


@in_one_database
@given(log=LOGS, levels=MASKS, data=st.data())
def test_any_page_of_any_levels_is_that_of_the_naive_model(kit, log, levels, data):
    execution = kit.append(kit.held(), entries(log))
    places = let_through(log, levels)
    assert count(execution.log_counts, levels) == len(places)
    edges = st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1, len(places) - 1, len(places)])
    for _ in range(5):
        start = data.draw(st.integers(0, len(log) + 10) | edges.map(lambda n: max(n, 0)))
        size = data.draw(st.integers(0, len(log) + 10))
        assert read(kit, execution, levels, start, size) == places[start : start + size]


@in_one_database
@given(log=LOGS, levels=MASKS, data=st.data())
def test_a_log_that_arrives_in_pieces_reads_like_one_that_arrived_at_once(kit, log, levels, data):
    execution = kit.held()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=4)))
    for first, last in zip([0, *cuts], [*cuts, len(log)], strict=True):
        execution = kit.append(execution, entries(log[first:last], first))
    assert read(kit, execution, levels, 0, len(log)) == let_through(log, levels)


@in_one_database
@given(log=LOGS, more=LOGS, levels=MASKS, data=st.data())
def test_what_a_reader_saw_never_changes_when_the_log_grows(kit, log, more, levels, data):
    execution = kit.append(kit.held(), entries(log))
    start = data.draw(st.integers(0, len(log)))
    before = kit.journal.page(execution.number, execution.log_counts, levels, start, 50)
    grown = kit.append(execution, entries(more, len(log)))
    again = kit.journal.page(grown.number, grown.log_counts, levels, start, len(before))
    assert again == before
    # Whoever still knows the old totals sees the old end.
    old_end = kit.journal.page(execution.number, execution.log_counts, levels, start, 10**6)
    assert [e.sequence for e in old_end] == let_through(log, levels)[start:]


@in_one_database
@given(log=LOGS, levels=MASKS, data=st.data())
def test_a_read_ends_with_the_entry_that_makes_it_enough(kit, log, levels, data):
    execution = kit.append(kit.held(), entries(log))
    start, most = data.draw(st.integers(0, len(log))), data.draw(st.integers(1, 3_000))
    more = {"most_bytes": most}
    pages = [
        kit.journal.page(execution.number, execution.log_counts, levels, start, 300, **more),
        kit.journal.since(execution.number, execution.log_counts, levels, start, 300, **more),
    ]
    places = let_through(log, levels)
    for got, all_ in zip(pages, (places[start:], [p for p in places if p >= start]), strict=True):
        assert [entry.sequence for entry in got] == all_[: len(got)]
        assert content_bytes(got[:-1]) < most
        if len(got) < min(300, len(all_)):
            assert content_bytes(got) >= most


@in_one_database
@given(log=LOGS, levels=MASKS, data=st.data())
def test_the_index_of_a_place_is_the_number_of_entries_before_it(kit, log, levels, data):
    execution = kit.append(kit.held(), entries(log))
    place = data.draw(st.integers(0, len(log) + 10))
    expected = sum(p < place for p in let_through(log, levels))
    found = kit.journal.index_of(execution.number, execution.log_counts, levels, place)
    assert found == expected


@in_one_database
@given(content=st.text())
def test_any_text_comes_back_but_for_what_no_database_keeps(kit, content):
    entry = NewLogEntry(Level.INFO, 0, content)
    execution = kit.append(kit.held(), [entry])
    [stored] = kit.journal.page(execution.number, execution.log_counts, ALL_LEVELS, 0, 1)
    kept = content.replace("\x00", "\ufffd")
    assert stored.content == "".join("?" if "\ud800" <= c <= "\udfff" else c for c in kept)


def test_an_entry_keeps_all_that_it_came_with(kit):
    execution = kit.append(kit.held(), [NewLogEntry(Level.ERROR, 1_666_269_149_774, "x", "join")])
    [entry] = kit.journal.page(execution.number, execution.log_counts, ALL_LEVELS, 0, 10)
    assert (entry.sequence, entry.level, entry.timestamp_ms, entry.task, entry.content) == (
        0, Level.ERROR, 1_666_269_149_774, "join", "x",
    )  # fmt: skip


def test_journals_do_not_mix(kit):
    one, two = kit.held(), kit.held()
    one = kit.append(one, entries([Level.INFO] * 3))
    two = kit.append(two, entries([Level.WARN] * 2))
    assert read(kit, one, DEFAULT_LEVELS, 0, 10) == [0, 1, 2]
    assert read(kit, two, DEFAULT_LEVELS, 0, 10) == [0, 1]
    assert (one.log_total, two.log_total) == (3, 2)


@pytest.mark.parametrize("length", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_each_block_has_a_checkpoint_of_what_stands_before_it(kit, length):
    log = [LEVELS[i % 3] for i in range(length)]
    execution = kit.append(kit.held(), entries(log))
    with kit.database.read() as connection:
        rows = connection.execute(
            text(
                "SELECT block, n_debug, n_info, n_warn, n_error FROM log_checkpoints"
                " WHERE execution = :number ORDER BY block"
            ),
            {"number": execution.number},
        ).all()
    expected = [
        (start // BLOCK, *(log[:start].count(level) for level in LEVELS))
        for start in range(0, length, BLOCK)
    ]
    assert [tuple(row) for row in rows] == expected


def with_ids(*ids):
    return [NewLogEntry(Level.INFO, 0, f"{id_}", upstream_id=id_) for id_ in ids]


def contents(kit, execution):
    page = kit.journal.page(execution.number, execution.log_counts, ALL_LEVELS, 0, 10_000)
    assert [entry.sequence for entry in page] == list(range(len(page)))
    return [entry.content for entry in page]


def test_an_upstream_id_is_stored_once_whenever_it_comes_again(kit):
    execution = kit.append(kit.held(), with_ids("a", "b", "a"))
    execution = kit.append(execution, with_ids("b", "c"))
    execution = kit.append(execution, with_ids("c", "a", "b"))
    assert contents(kit, execution) == ["a", "b", "c"]
    assert execution.log_counts == (0, 3, 0, 0)


def test_entries_without_an_upstream_id_are_never_taken_for_the_same(kit):
    execution = kit.append(kit.held(), with_ids(None, "a", None))
    execution = kit.append(execution, with_ids(None, "a"))
    assert contents(kit, execution) == ["None", "a", "None", "None"]


def test_the_same_upstream_id_may_stand_in_two_executions(kit):
    one = kit.append(kit.held(), with_ids("a"))
    two = kit.append(kit.held(), with_ids("a"))
    assert contents(kit, one) == contents(kit, two) == ["a"]


def test_a_thousand_known_ids_and_one_new_one_add_one_entry(kit):
    known = [f"id-{i}" for i in range(1200)]
    execution = kit.append(kit.held(), with_ids(*known))
    execution = kit.append(execution, with_ids(*known, "new"))
    assert contents(kit, execution) == [*known, "new"]


@in_one_database
@given(batches=st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", None])), max_size=5))
def test_only_the_first_of_each_upstream_id_is_kept(kit, batches):
    execution = kit.held()
    expected = []
    for batch in batches:
        execution = kit.append(execution, with_ids(*batch))
        for id_ in batch:
            if id_ is None or str(id_) not in expected:
                expected.append(str(id_))
    assert contents(kit, execution) == expected


@in_one_database
@given(
    lines=st.lists(
        st.tuples(st.sampled_from(LEVELS), st.sampled_from(["a", "b", ""])), max_size=60
    ),
    levels=MASKS,
    most=st.tuples(st.integers(1, 20), st.integers(1, 10)),
    data=st.data(),
)
def test_one_task_from_any_place_on_is_that_of_the_naive_model(kit, lines, levels, most, data):
    log = [NewLogEntry(level, 0, f"line {i}", task) for i, (level, task) in enumerate(lines)]
    execution = kit.append(kit.held(), log)
    looked_through, size = most
    first = data.draw(st.integers(0, len(lines) + 3))
    expected = [
        place
        for place, (level, task) in enumerate(lines)
        if place >= first and task == "a" and level & levels
    ]
    found, place = [], first
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.store.journal._LOOKED_THROUGH", looked_through)
        while True:
            page, behind = kit.journal.of_task(
                execution.number, execution.log_counts, levels, place, size, task="a"
            )
            assert len(page) <= size
            if behind == place:
                break
            found += [entry.sequence for entry in page]
            place = behind
    assert found == expected
    assert place == max(first, len(lines))


def test_of_one_task_no_more_is_read_than_is_enough(kit):
    execution = kit.append(kit.held(), entries([Level.INFO] * 5))
    page, place = kit.journal.of_task(
        execution.number, execution.log_counts, ALL_LEVELS, 0, 500, task="task", most_bytes=7
    )
    assert ([entry.sequence for entry in page], place) == ([0, 1], 2)
