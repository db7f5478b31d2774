"""What is kept has a bound in bytes, and what many want at once is made once."""

import threading
from dataclasses import dataclass, field

import pytest

from app.caching import LruCache, Shared, weight


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

    shared = Shared(make, 10_000)
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

    shared = Shared(make, 10_000)
    with pytest.raises(ValueError, match="k"):
        shared.get("k")
    assert shared.get("k") == "k"
