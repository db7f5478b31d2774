"""What is kept has a bound in bytes, and what many want at once is made once."""

import threading
import tracemalloc
from dataclasses import dataclass, field

import pytest

from app.caching import LruCache, SharedReads, weight


@dataclass(frozen=True)
class Thing:
    name: str
    parts: dict[str, list[str]] = field(default_factory=dict)


@pytest.mark.parametrize(
    "make",
    [
        lambda text: text,
        lambda text: [[text]],
        lambda text: {"a": {"b": (text, 1, None)}},
        lambda text: {text: 1},
        Thing,
        lambda text: [Thing("x", {"y": [text]})],
    ],
)
def test_a_weight_counts_what_lies_within(make):
    assert 100_000 <= weight(make("x" * 100_000)) < 102_000
    assert weight(make("x")) < 2_000


def test_many_small_values_weigh_what_they_are():
    assert weight([{"n": float(i)} for i in range(1000)]) > 200_000


def test_what_was_not_used_for_longest_makes_room():
    cache = LruCache(10_000, len)
    for key in "abc":
        cache.put(key, "x" * 3000)
    cache.get("a")
    cache.put("d", "x" * 3000)
    assert [cache.get(key) is not None for key in "abcd"] == [True, False, True, True]
    assert cache.size <= 10_000


def test_a_value_that_is_put_again_is_counted_once():
    cache = LruCache(10_000, len)
    for _ in range(100):
        cache.put("a", "x" * 3000)
    assert 3000 <= cache.size < 3100
    cache.clear()
    assert (cache.size, len(cache)) == (0, 0)


def test_the_newest_is_kept_however_large_and_alone():
    cache = LruCache(1000, len)
    cache.put("a", "x")
    cache.put("b", "x" * 5000)
    assert (cache.get("a"), len(cache.get("b"))) == (None, 5000)
    cache.put("c", "x")
    assert (cache.get("b"), cache.get("c")) == (None, "x")


def test_two_hundred_who_want_the_same_have_it_made_once():
    made, begun, go_on, got = [], threading.Event(), threading.Event(), []

    def make(key):
        made.append(key)
        begun.set()
        assert go_on.wait(30)
        return [key]

    shared = SharedReads(make, 10_000)
    threads = [threading.Thread(target=lambda: got.append(shared.get("k"))) for _ in range(200)]
    for thread in threads:
        thread.start()
    assert begun.wait(30)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert (made, got) == (["k"], [["k"]] * 200)


def test_a_failure_is_told_to_all_who_share_it_and_not_kept():
    attempts = []

    def make(key):
        attempts.append(key)
        if len(attempts) == 1:
            raise ValueError(key)
        return key

    shared = SharedReads(make, 10_000)
    with pytest.raises(ValueError, match="k"):
        shared.get("k")
    assert shared.get("k") == "k"


class News:
    """A change feed that a test tells what to say."""

    def __init__(self):
        self.proves, self.stamps = True, {}

    def prove(self):
        return self.proves

    def stamp(self, topic):
        return self.stamps.get(topic, 0)

    def change(self, topic):
        self.stamps[topic] = self.stamp(topic) + 1


class Source:
    """Something that is read, and how often."""

    def __init__(self):
        self.news, self.value, self.reads = News(), 0, 0
        self.shared = SharedReads(self.read, 100_000, news=self.news)

    def read(self, _key):
        self.reads += 1
        return self.value


def test_what_was_read_is_given_until_a_change_is_told():
    source = Source()
    assert [source.shared.get("k") for _ in range(5)] == [0] * 5
    source.value = 1
    source.news.change("other")
    assert source.shared.get("k") == 0
    source.news.change("k")
    assert [source.shared.get("k") for _ in range(5)] == [1] * 5
    assert source.reads == 2


def test_who_was_woken_gets_what_is_as_new_as_the_change():
    source = Source()
    source.shared.get("k")
    source.value = 1
    source.news.change("k")
    assert [source.shared.latest("k") for _ in range(5)] == [1] * 5
    assert source.reads == 2


def test_while_nothing_can_be_proved_each_call_reads_for_itself():
    source = Source()
    source.shared.get("k")
    source.news.proves = False
    for source.value in range(1, 5):
        assert source.shared.get("k") == source.value
    assert source.reads == 5


def test_a_change_during_a_reading_makes_it_outdated():
    source = Source()
    old = source.shared

    def read(key):
        value = source.read(key)
        if source.reads == 1:
            source.value = 1
            source.news.change(key)
        return value

    source.shared = SharedReads(read, 100_000, news=source.news)
    assert source.shared is not old
    assert [source.shared.get("k") for _ in range(3)] == [0, 1, 1]


def test_who_comes_during_a_reading_that_may_be_outdated_shares_the_next():
    source = Source()
    source.news.proves = False
    begun, all_asked, got = threading.Event(), threading.Event(), []

    def prove():
        asked.append(1)
        if len(asked) == 101:
            all_asked.set()
        return False

    def read(key):
        value = source.read(key)
        begun.set()
        assert all_asked.wait(30)
        return value

    asked, source.news.prove = [], prove
    shared = SharedReads(read, 100_000, news=source.news)
    first = threading.Thread(target=lambda: got.append(shared.get("k")))
    first.start()
    assert begun.wait(30)
    source.value = 1  # after it was read, before the others ask
    others = [threading.Thread(target=lambda: got.append(shared.get("k"))) for _ in range(100)]
    for each in others:
        each.start()
    for each in [*others, first]:
        each.join(30)
    assert sorted(got) == [0] + [1] * 100
    assert source.reads <= 3


def test_who_comes_during_a_reading_that_is_proved_to_be_new_shares_it():
    source = Source()
    begun, go_on, got = threading.Event(), threading.Event(), []

    def read(key):
        begun.set()
        assert go_on.wait(30)
        return source.read(key)

    shared = SharedReads(read, 100_000, news=source.news)
    threads = [threading.Thread(target=lambda: got.append(shared.get("k"))) for _ in range(50)]
    for each in threads:
        each.start()
    assert begun.wait(30)
    go_on.set()
    for each in threads:
        each.join(30)
    assert (source.reads, got) == (1, [0] * 50)


def test_what_is_not_there_is_looked_for_every_time():
    looked = []

    def read(key):
        looked.append(key)
        raise KeyError(key)

    shared = SharedReads(read, 100_000, news=News())
    for _ in range(2):
        with pytest.raises(KeyError):
            shared.get("k")
    assert looked == ["k", "k"]


def test_many_small_values_take_no_more_memory_than_they_may():
    shared = SharedReads(lambda key: (key[1] * 1.5,), 500_000)
    tracemalloc.start()
    try:
        for number in range(20_000):
            shared.get((f"execution {number}", number))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 100_000 < taken < 600_000
