"""Stretches of a journal, bounded by bytes before they are read."""

import pytest
from follow_kit import Log, service_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain import ALL_LEVELS, Level, LogEntry
from app.services import stretches as module
from app.services.stretches import Stretches, StretchKey
from app.services.turns import Turns
from app.store.journal import Journal, content_bytes

SIZES = (0, 1, 100, 5_000, 40_000, 65_536, 300_000)
LEVELS = (Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with service_in(tmp_path_factory) as made:
        yield made


@pytest.fixture
def stretches(service):
    return Stretches(Journal(service.web.database), Turns())


def key_of(log, service, levels=ALL_LEVELS, place=0, **more):
    execution = service.store.get(log.id)
    return StretchKey(execution.number, execution.log_counts, levels, place, **more)


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    lines=st.lists(
        st.tuples(st.sampled_from(LEVELS), st.sampled_from(SIZES)),
        max_size=40,
    ),
    levels=st.integers(1, 15).map(Level),
    data=st.data(),
)  # fmt: skip
def test_all_of_them_are_all_of_the_log_and_none_is_large(service, stretches, lines, levels, data):
    character = data.draw(st.sampled_from(["x", "é", "\U0001f600"]))
    contents = [character * (size // len(character.encode())) for _, size in lines]
    log = Log(service).write([level for level, _ in lines], contents)
    expected = log.places(levels)
    within = data.draw(st.booleans())
    place, size = data.draw(st.integers(0, len(lines) + 1)), data.draw(st.integers(0, 50))
    wanted = expected[place:] if within else [p for p in expected if p >= place]
    key = key_of(log, service, levels, place, within=within)
    got = list(stretches.all(key, size))
    assert [e.sequence for s in got for e in s.entries] == wanted[:size]
    for stretch in got:
        assert stretch.entries
        assert content_bytes(stretch.entries[:-1]) < 128 * 1024


def test_many_short_lines_are_bounded_by_their_number(service, stretches):
    log = Log(service).write(1_200)
    got = list(stretches.all(key_of(log, service), 1_100))
    assert [len(s.entries) for s in got] == [500, 500, 100]


@pytest.mark.parametrize("levels", [Level(15), Level(14), Level.INFO])
def test_what_is_too_much_is_not_read_from_the_database_either(
    service, stretches, levels, monkeypatch
):
    log = Log(service).write([Level.INFO, Level.DEBUG] * 100, ["x" * 65_000] * 200)
    made = []
    monkeypatch.setattr("app.store.journal.LogEntry", lambda *row: made.append(1) or LogEntry(*row))
    stretch = stretches.read(key_of(log, service, levels))
    assert len(made) == len(stretch.entries) == 3


def test_what_many_want_is_read_once_and_a_download_shares_with_nobody(service, stretches):
    log = Log(service).write(3)
    key, same = (key_of(log, service, owner=owner) for owner in ("ada", "bob"))
    assert stretches.get(key) is stretches.get(same)
    assert stretches.read(key) is not stretches.read(key)


def test_a_turn_is_taken_by_who_reads_and_by_nobody_who_gets_what_was_read(
    service, stretches, monkeypatch
):
    taken = []
    turn = stretches.turns.turn
    monkeypatch.setattr(stretches.turns, "turn", lambda owner: taken.append(owner) or turn(owner))
    log = Log(service).write(3)
    for owner in ("ada", "bob", "eve"):
        stretches.get(key_of(log, service, owner=owner))
    assert taken == ["ada"]
    monkeypatch.setattr(Journal, "blocks", False)
    stretches.read(key_of(log, service, owner="bob"))
    assert taken == ["ada"], "who waits for a database must not keep others waiting"


def test_the_size_of_a_stretch_is_that_of_one_short_turn():
    assert module.STRETCH * 1000 <= 1 << 20
    assert module._STRETCH_BYTES <= 1 << 20
