"""What was written of a log is kept for others, in a bounded memory."""

from contextlib import contextmanager, nullcontext

import pytest

from app.domain import LogEntry
from app.resources._written import Written
from app.resources.root.encoders import RootMessages, RootNdjson, RootPage, RootSse, RootText
from app.services.stretches import Stretch

FORMS = [
    RootText.entries, RootPage.entries, RootSse.entries, RootNdjson.entries, RootMessages.entries,
]  # fmt: skip


def stretch(characters=10, number=1):
    return Stretch([LogEntry(i, 2, 0, "", "x" * characters) for i in range(number)], number)


class Turns:
    """Counts the turns that are taken."""

    taken = 0

    def __call__(self):
        self.taken += 1
        return nullcontext()


@pytest.fixture
def turn():
    return Turns()


@pytest.mark.parametrize("write", FORMS)
def test_it_is_written_once_for_all(turn, write):
    written, one = Written(), stretch()
    first = written.get(write, one, turn)
    assert first == write(one)
    assert written.get(write, one, turn) is first
    assert turn.taken == 1


def test_who_had_to_wait_for_his_turn_gets_what_another_wrote_meanwhile(turn):
    written, one, wrote = Written(), stretch(), []

    def write(each):
        wrote.append(each)
        return b"written"

    @contextmanager
    def late():
        written.get(write, one, turn)
        yield

    assert written.get(write, one, late) == b"written"
    assert wrote == [one]


def test_each_form_of_each_stretch_is_one_of_its_own(turn):
    written, one = Written(), stretch()
    forms = {written.get(write, one, turn) for write in FORMS}
    assert len(forms) == len(FORMS)
    assert written.get(RootText.entries, stretch(), turn) == written.get(
        RootText.entries, stretch(), turn
    )
    assert turn.taken == len(FORMS) + 2


def test_what_is_kept_is_bounded_by_its_bytes(turn):
    written = Written(most_bytes=10_000)
    stretches = [stretch(900) for _ in range(100)]
    for each in stretches:
        written.get(RootText.entries, each, turn)
        assert written._kept.size <= 10_000
    assert written.get(RootText.entries, stretches[-1], turn)
    assert turn.taken == 100
    written.get(RootText.entries, stretches[0], turn)
    assert turn.taken == 101


def test_the_newest_is_kept_however_large(turn):
    written, large = Written(most_bytes=10), stretch(1_000)
    assert written.get(RootText.entries, large, turn) is written.get(RootText.entries, large, turn)
