"""Topics that share a stream, before they are written on any wire."""

import threading

import pytest
from follow_kit import PATIENCE, await_that

from app.domain import Identity, Role
from app.errors import NotAuthenticated, NotFound
from app.services.follow import Expired, Heartbeat, Moved
from app.services.idle import Idle, waited
from app.services.topics import AllEnded, OfTopic, Opened, Refused, TopicService

ADA = Identity("ada", frozenset({Role.USER}))


@pytest.fixture
def changes(service):
    return service.web.changes


@pytest.fixture
def access():
    return Access()


class Access:
    """Says who a reader is, as often as it is asked."""

    def __init__(self):
        self.asked = 0
        self.failure = None

    def caller(self, identity):
        def ask():
            self.asked += 1
            if self.failure:
                raise self.failure
            return identity

        return ask


def topics(changes, access, heartbeat=PATIENCE, recheck=0.0):
    return TopicService(changes, access, heartbeat_seconds=heartbeat, recheck_seconds=recheck)


def plainly(*events):
    def source(_):
        yield from events

    return source


def waiting(changes, topic, *events):
    """Make a source that tells each event after a change of an execution."""

    def source(_):
        with changes.subscribe(topic) as subscription:
            for event in events:
                yield Idle(subscription, PATIENCE)
                subscription.has_changed()
                yield event

    return source


def test_one_event_of_each_in_turn(changes, access):
    sources = [("a", plainly(1, 2, 3)), ("b", plainly(4)), ("c", plainly(5, 6))]
    seen = list(waited(topics(changes, access, 9.0).steps(sources, ADA)))
    assert seen == [
        Opened(9.0), OfTopic("a", 1), OfTopic("b", 4), OfTopic("c", 5), OfTopic("a", 2),
        OfTopic("c", 6), OfTopic("a", 3), AllEnded(),
    ]  # fmt: skip


def test_it_is_idle_once_all_are_and_goes_on_with_the_one_that_is_woken(changes, access):
    resumed = []

    def counted(name):
        source = waiting(changes, name, name)

        def tell(caller):
            for each in source(caller):
                resumed.append(name)
                yield each

        return tell

    steps = topics(changes, access).steps([(n, counted(n)) for n in "abc"], ADA)
    assert next(steps) == Opened(PATIENCE)
    idle = next(steps)
    assert isinstance(idle, Idle)
    assert not idle.subscription.is_behind()
    woken = []
    idle.subscription.call(lambda: woken.append(1))
    changes.publish(["b"])
    await_that(lambda: woken)
    resumed.clear()
    assert idle.subscription.is_behind()
    assert next(steps) == OfTopic("b", "b")
    assert resumed == ["b"]
    steps.close()
    assert changes.waiting == 0


def test_who_waits_in_a_thread_is_woken_by_any_of_them(changes, access):
    events = waited(topics(changes, access).steps([(n, waiting(changes, n, n)) for n in "ab"], ADA))
    assert next(events) == Opened(PATIENCE)
    threading.Timer(0.05, changes.publish, [["b"]]).start()
    assert next(events) == OfTopic("b", "b")
    threading.Timer(0.05, changes.publish, [["a"]]).start()
    assert list(events) == [OfTopic("a", "a"), AllEnded()]


def test_a_topic_that_works_without_a_word_keeps_nobody_waiting(changes, access):
    def searching(_):
        with changes.subscribe("x") as subscription:
            for _ in range(100):
                yield Idle(subscription, 0.0)
            yield "found"

    steps = topics(changes, access).steps([("a", searching), ("b", plainly(1, 2))], ADA)
    seen = list(waited(steps))
    assert seen[1:] == [OfTopic("b", 1), OfTopic("b", 2), OfTopic("a", "found"), AllEnded()]


def test_there_is_one_heartbeat_for_all(changes, access):
    def beating(_):
        with changes.subscribe("x") as subscription:
            while True:
                yield Heartbeat()
                yield Idle(subscription, 0.02)

    events = waited(topics(changes, access, 0.1).steps([(n, beating) for n in "ab"], ADA))
    assert [next(events) for _ in range(3)] == [Opened(0.1), Heartbeat(), Heartbeat()]


def test_what_fails_is_told_and_the_others_go_on(changes, access):
    error = NotFound("There is no such execution.")

    def failing(_):
        yield 1
        raise error

    events = waited(topics(changes, access).steps([("a", failing), ("b", plainly(2, 3))], ADA))
    assert list(events)[1:] == [
        OfTopic("a", 1), OfTopic("b", 2), OfTopic("a", Refused(error)), OfTopic("b", 3), AllEnded(),
    ]  # fmt: skip


def test_topics_that_check_the_reader_at_once_share_the_check(changes, access):
    def checking(caller):
        for _ in range(5):
            yield caller()

    sources = [(str(n), checking) for n in range(10)]
    assert OfTopic("3", ADA) in list(
        waited(topics(changes, access, recheck=600).steps(sources, ADA))
    )
    assert access.asked == 0
    list(waited(topics(changes, access).steps(sources, ADA)))
    assert access.asked == 50


def test_who_may_not_read_any_more_hears_it_once_and_nothing_else(changes, access):
    def checking(caller):
        yield 1
        try:
            caller()
        except NotAuthenticated as exc:
            yield Expired(exc.message)

    access.failure = NotAuthenticated("You are gone.")
    sources = [("a", checking), ("b", waiting(changes, "b", 2)), ("c", checking)]
    events = list(waited(topics(changes, access).steps(sources, ADA)))
    assert events[1:] == [OfTopic("a", 1), OfTopic("c", 1), Expired("You are gone.")]
    assert changes.waiting == 0


def test_a_process_that_stops_ends_it(changes, access):
    def following(_):
        with changes.subscribe("x") as subscription:
            while not changes.closing:
                yield Idle(subscription, PATIENCE)
            yield Moved(7)

    events = waited(topics(changes, access).steps([("a", following)], ADA))
    next(events)
    threading.Timer(0.05, changes.close).start()
    assert list(events) == [OfTopic("a", Moved(7)), Moved(0)]
