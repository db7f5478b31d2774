"""How many requests may be held."""

import resource
import threading
from contextlib import ExitStack

import pytest

from app.domain import Identity, Role
from app.errors import LimitExceeded
from app.identity.anonymous import EVERYBODY
from app.metrics import Metrics
from app.services.places import SPARE_DESCRIPTORS, Places, places_within
from app.settings import StreamSettings

ADA, BOB = (Identity(name, frozenset({Role.USER})) for name in ("ada", "bob"))


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def limits(metrics):
    return Places(StreamSettings(max_total=5, max_per_user=3), metrics)


@pytest.fixture
def opened():
    with ExitStack() as stack:
        yield stack


def number(metrics, name, transport="sse"):
    return metrics.counted.get_sample_value(name, {"transport": transport})


def test_a_user_gets_as_many_as_he_may_and_no_more(limits, opened):
    for _ in range(3):
        opened.enter_context(limits.place(ADA, "sse"))
    with pytest.raises(LimitExceeded) as caught, limits.place(ADA, "sse"):
        pass
    assert caught.value.retry_after_seconds == 10
    assert "3 streams" in caught.value.message
    opened.enter_context(limits.place(BOB, "sse"))


def test_all_together_get_as_many_as_there_are(limits, opened):
    for identity in (ADA, ADA, ADA, BOB, BOB):
        opened.enter_context(limits.place(identity, "sse"))
    with pytest.raises(LimitExceeded) as caught:
        limits.check(BOB)
    assert caught.value.retry_after_seconds == 10
    with pytest.raises(LimitExceeded):
        limits.check(EVERYBODY)


def test_without_authentication_only_the_sum_is_limited(limits, opened):
    for _ in range(5):
        opened.enter_context(limits.place(EVERYBODY, "sse"))
    with pytest.raises(LimitExceeded):
        limits.check(EVERYBODY)


def test_a_place_is_free_again_when_its_stream_ends_however_it_does(limits):
    for _ in range(10):
        with limits.place(ADA, "sse"):
            pass
    for _ in range(10):
        with pytest.raises(BrokenPipeError), limits.place(ADA, "sse"):
            raise BrokenPipeError
    limits.check(ADA)
    assert not limits._open


def test_a_refused_stream_takes_no_place(limits, opened):
    for _ in range(3):
        opened.enter_context(limits.place(ADA, "sse"))
    for _ in range(10):
        with pytest.raises(LimitExceeded), limits.place(ADA, "sse"):
            pass
    opened.close()
    assert not limits._open


def test_the_metrics_tell_what_is_open_and_what_was_opened(limits, metrics, opened):
    opened.enter_context(limits.stream(ADA, "sse"))
    opened.enter_context(limits.stream(BOB, "sse"))
    with limits.stream(ADA, "websocket"):
        assert number(metrics, "slipway_streams_open", "websocket") == 1
    assert number(metrics, "slipway_streams_open") == 2
    assert number(metrics, "slipway_streams_open", "websocket") == 0
    assert number(metrics, "slipway_streams_opened_total", "websocket") == 1
    opened.close()
    assert number(metrics, "slipway_streams_open") == 0
    assert number(metrics, "slipway_streams_opened_total") == 2


def test_the_metrics_tell_what_is_held_and_polls_are_no_streams(limits, metrics, opened):
    def held(kind):
        return metrics.counted.get_sample_value("slipway_held_requests", {"kind": kind})

    opened.enter_context(limits.stream(ADA, "sse"))
    opened.enter_context(limits.place(ADA, "poll"))
    assert (held("stream"), held("poll")) == (1, 1)
    assert number(metrics, "slipway_streams_open", "poll") is None
    opened.close()
    assert (held("stream"), held("poll")) == (0, 0)


def test_streams_that_come_and_go_at_the_same_time_are_counted_right(metrics):
    limits = Places(StreamSettings(max_total=100, max_per_user=100), metrics)

    def come_and_go():
        for _ in range(200):
            with limits.stream(ADA, "sse"):
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert number(metrics, "slipway_streams_open") == 0
    assert not limits._open


@pytest.mark.parametrize(
    ("limits", "places"),
    [
        ((100, 3, 10_000), 3),
        ((100, 100, 10_000), 50),
        ((5, 100, 10_000), 3),
        ((1, 100, 10_000), 1),
        ((10_000, 10_000, 1024), (1024 - SPARE_DESCRIPTORS) // 2),
        ((10_000, 10_000, 8), 2),
        ((100, 100, resource.RLIM_INFINITY), 50),
    ],
)
def test_no_user_takes_all_the_places_that_the_process_can_give(metrics, opened, limits, places):
    most, of_one, descriptors = limits
    settings = StreamSettings(max_total=most, max_per_user=of_one)
    held = Places(settings, metrics, descriptors)
    for _ in range(places):
        opened.enter_context(held.place(ADA, "poll"))
    with pytest.raises(LimitExceeded, match="which is the most for one user"):
        held.check(ADA)
    if most > 1:
        held.check(BOB)


@pytest.mark.parametrize("descriptors", [1, 2, 64, 255, 256, 512, 1024, 20_000])
def test_descriptors_are_left_for_what_is_answered_at_once(metrics, opened, descriptors):
    limits = Places(StreamSettings(max_total=1_000_000, max_per_user=1), metrics, descriptors)
    left = descriptors - places_within(descriptors)
    assert left == SPARE_DESCRIPTORS or left * 2 >= descriptors
    for _ in range(places_within(descriptors)):
        opened.enter_context(limits.place(EVERYBODY, "poll"))
    with pytest.raises(LimitExceeded, match="as it can"):
        limits.check(EVERYBODY)
