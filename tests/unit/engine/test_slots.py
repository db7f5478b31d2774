"""The processors and the memory that running tasks share."""

from __future__ import annotations

import threading
import time

import pytest

from app.engine.slots import Lack, Slots
from app.job_resources import Resources

ONE = Resources(cpus=1)


def take(slots, task, wanted=ONE, *, execution="e1", running=False, owner=""):
    if running:
        slots.confirm(execution, {task: wanted}, owner=owner)
        return True
    return task in slots.take(execution, {task: wanted}, owner=owner)


def test_processors_are_handed_out_until_none_is_left():
    slots = Slots(2, None)
    assert take(slots, "a")
    assert take(slots, "b")
    assert not take(slots, "c")
    slots.give_back("e1", "a")
    assert take(slots, "c")


def test_memory_is_handed_out_until_none_is_left():
    slots = Slots(100, 1000)
    assert take(slots, "a", Resources(memory_bytes=600))
    assert not take(slots, "b", Resources(memory_bytes=600))
    assert take(slots, "c", Resources(memory_bytes=400))


def test_without_a_limit_memory_does_not_count():
    slots = Slots(2, None)
    assert take(slots, "a", Resources(memory_bytes=10**18))
    assert take(slots, "b", Resources(memory_bytes=10**18))


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (Resources(cpus=3), "it asks for 3 processors, and all tasks together have 2"),
        (Resources(cpus=1, tasks=3), "it asks for 3 processors"),
        (Resources(memory_bytes=1001), "it asks for 1001 bytes of memory"),
    ],
)
def test_more_than_there_is_is_never_given(wanted, reason):
    slots = Slots(2, 1000)
    assert slots.beyond(wanted).startswith(reason)
    assert not take(slots, "greedy", wanted)
    assert take(slots, "next", Resources(cpus=2, memory_bytes=1000)), "nobody waits for it"


def test_what_fits_alone_is_never_beyond():
    assert Slots(2, 1000).beyond(Resources(cpus=2, memory_bytes=1000)) is None
    assert Slots(2, None).beyond(Resources(memory_bytes=10**18)) is None
    assert Slots(2, None, by_job=True).beyond(Resources(cpus=99, memory_bytes=10**18)) is None


def test_what_stands_still_has_its_memory_and_no_processor():
    slots, both = Slots(1, 1000), Resources(memory_bytes=600)
    assert take(slots, "first", both)
    slots.stop("e1", {"first": both})
    assert not take(slots, "second", both), "its memory is not free"
    assert slots.lack("e1", "second", both)[0] is Lack.MEMORY
    assert take(slots, "third", Resources(memory_bytes=400))
    assert not slots.take("e1", {"first": both}, stopped=["first"])
    assert slots.lack("e1", "first", both)[0] is Lack.PROCESSORS
    slots.give_back("e1", "third")
    assert slots.take("e1", {"first": both}, stopped=["first"]) == ["first"]
    slots.keep_only("e1", ["first"])
    slots.give_back("e1", "first")
    assert take(slots, "last", Resources(memory_bytes=1000)), "all of it came back"


def test_what_stands_still_gives_way_to_who_waits_and_comes_back_in_turn():
    woken = []
    slots = Slots(1, None)
    slots.listen(woken.append)
    one = Resources()
    assert slots.take("e1", {"a": one}, owner="alice") == ["a"]
    assert slots.take("e2", {"b": one}, owner="bob") == []
    slots.stop("e1", {"a": one}, owner="alice")
    assert woken == ["e2"]
    assert slots.take("e2", {"b": one}, owner="bob") == ["b"]
    assert slots.take("e1", {"a": one}, owner="alice", stopped=["a"]) == []
    slots.give_back("e2", "b")
    assert woken == ["e2", "e1"]
    assert slots.take("e1", {"a": one}, owner="alice", stopped=["a"]) == ["a"]
    slots.confirm("e1", {"a": one}, owner="alice")
    assert slots.take("e2", {"c": one}, owner="bob") == []


def test_what_stood_still_before_a_restart_has_its_memory_from_the_first_question():
    slots, large = Slots(1, 1000), Resources(memory_bytes=900)
    assert take(slots, "other")
    assert not slots.take("e1", {"a": large}, stopped=["a"])
    assert slots.lack("e1", "b", Resources(memory_bytes=200))[0] is Lack.PROCESSORS
    slots.give_back("e1", "other")
    assert slots.take("e1", {"a": large}, stopped=["a"]) == ["a"]
    assert not take(slots, "b", Resources(cpus=0, memory_bytes=200))


def test_who_only_has_what_stands_still_counts_as_one_who_has_nothing():
    slots, one = Slots(2, None), Resources()
    assert slots.take("e1", {"a": one, "b": one}, owner="alice") == ["a", "b"]
    slots.stop("e1", {"a": one, "b": one}, owner="alice")
    assert slots.take("e2", {"c": one, "d": one}, owner="alice") == ["c", "d"]


@pytest.mark.parametrize(
    ("slots", "wanted", "lack", "words"),
    [
        (Slots(2, None), Resources(cpus=2), Lack.PROCESSORS, "2 processors; 1 of 2 are taken"),
        (Slots(1, None), Resources(), Lack.PROCESSORS, "a processor; 1 of 1 are taken"),
        (
            Slots(3, 100),
            Resources(memory_bytes=51),
            Lack.MEMORY,
            "51 bytes of memory; 50 of 100 are taken",
        ),
        (
            Slots(1, None, by_job=True),
            Resources(cpus=9),
            Lack.POOL,
            "room for another job where it runs; 1 of 1 are taken",
        ),
        (Slots(3, None), Resources(), Lack.TURN, "its turn; tasks of others come first"),
    ],
)
def test_it_is_told_what_a_task_waits_for(slots, wanted, lack, words):
    assert take(slots, "other", Resources(memory_bytes=50))
    assert slots.lack("e1", "task", wanted) == (lack, words)


def test_taking_again_confirms_and_takes_no_more():
    slots = Slots(1, None)
    assert take(slots, "a")
    assert take(slots, "a")
    slots.give_back("e1", "a")
    assert take(slots, "b")


def test_tasks_of_two_executions_do_not_mix():
    slots = Slots(2, None)
    assert take(slots, "a", execution="e1")
    assert take(slots, "a", execution="e2")
    slots.give_back("e1", "a")
    assert not take(slots, "b", Resources(cpus=2))


def test_what_runs_already_has_what_it_takes_even_if_that_is_too_much():
    """After a restart the running tasks are found again; they cannot be told to wait."""
    slots = Slots(1, None)
    assert take(slots, "a", running=True)
    assert take(slots, "b", running=True)
    assert not take(slots, "c")
    slots.give_back("e1", "a")
    assert not take(slots, "c")
    slots.give_back("e1", "b")
    assert take(slots, "c")


def test_only_who_gets_it_is_woken_when_something_is_given_back():
    slots, woken = Slots(1, None), []
    slots.listen(woken.append)
    take(slots, "a")
    take(slots, "b", execution="e2")
    take(slots, "c", execution="e2")
    take(slots, "d", execution="e3")
    assert woken == []
    slots.give_back("e1", "a")
    assert woken == ["e2"]
    slots.give_back("e1", "a")
    assert woken == ["e2"], "giving back twice gives nothing back"
    assert not take(slots, "d", execution="e3"), "it is offered to another"
    for task in "bc":
        assert take(slots, task, execution="e2")
        slots.give_back("e2", task)
    assert woken == ["e2", "e2", "e3"]


def served(slots, number, held):
    """Return back what is held, so many times; return the executions that get it, in order."""
    order = []
    slots.listen(order.append)
    for _ in range(number):
        slots.give_back(*held)
        held = (order[-1], "task")
        assert take(slots, "task", execution=order[-1])
    return order


def test_owners_get_their_turns_however_many_tasks_one_of_them_has():
    slots = Slots(1, None)
    take(slots, "task", execution="ada-0", owner="ada")
    for i in range(1, 2000):
        assert not take(slots, "task", execution=f"ada-{i}", owner="ada")
    for owner in ("bob", "cyd"):
        for i in range(2):
            assert not take(slots, "task", execution=f"{owner}-{i}", owner=owner)
    order = served(slots, 7, ("ada-0", "task"))
    assert order == ["ada-1", "bob-0", "cyd-0", "ada-2", "bob-1", "cyd-1", "ada-3"]


def test_what_does_not_fit_keeps_nobody_elses_turn():
    slots = Slots(2, None)
    take(slots, "long")
    assert not take(slots, "large", Resources(cpus=2), owner="ada")
    assert take(slots, "small", owner="bob")


def test_who_waits_no_more_is_offered_nothing():
    slots, woken = Slots(1, None), []
    slots.listen(woken.append)
    take(slots, "a")
    take(slots, "b", execution="e2")
    take(slots, "c", execution="e3")
    slots.give_back("e2", "b")
    slots.give_back("e1", "a")
    assert woken == ["e3"]
    slots.give_back("e3", "c")
    assert take(slots, "d"), "what was offered and not taken is free again"


def test_an_offer_that_nobody_takes_goes_to_the_next(monkeypatch):
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    slots, woken = Slots(1, None), []
    slots.listen(woken.append)
    take(slots, "a")
    take(slots, "b", execution="gone")
    take(slots, "c", execution="here")
    slots.give_back("e1", "a")
    moment[0] += 6
    assert take(slots, "c", execution="here")
    assert woken == ["gone"]


def test_giving_back_what_was_never_taken_wakes_nobody():
    slots, woken = Slots(1, None), []
    slots.listen(woken.append)
    take(slots, "a")
    take(slots, "b", execution="e2")
    slots.give_back("e9", "stray")
    assert woken == []


def test_a_waker_may_take_at_once():
    slots = Slots(1, None)
    taken = []
    slots.listen(lambda execution: taken.append(take(slots, "b", execution=execution)))
    take(slots, "a")
    take(slots, "b", execution="e2")
    slots.give_back("e1", "a")
    assert taken == [True]


def test_what_nobody_confirms_is_dropped(monkeypatch):
    """The reservations of an execution that moved to another conductor must not stay for ever."""
    moment = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: moment[0])
    slots = Slots(2, None)
    take(slots, "gone")
    take(slots, "here")
    moment[0] += 50
    take(slots, "here", running=True)
    moment[0] += 50
    assert take(slots, "new")
    assert not take(slots, "newer"), "what was confirmed stays"


def test_many_threads_never_hold_more_than_there_is():
    slots, holding, most = Slots(3, None), set(), []
    lock = threading.Lock()

    def work(name):
        for _ in range(200):
            if take(slots, name):
                with lock:
                    holding.add(name)
                    most.append(len(holding))
                    holding.discard(name)
            slots.give_back("e1", name)

    threads = [threading.Thread(target=work, args=(str(i),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(most) <= 3
    assert all(take(slots, name) for name in ("x", "y", "z"))


def test_the_last_processor_is_kept_for_who_had_a_task_lately(monkeypatch):
    slots = Slots(3, None)
    assert take(slots, "short", execution="ada", owner="ada")
    slots.give_back("ada", "short")
    assert take(slots, "a", execution="m", owner="mallory")
    assert take(slots, "b", execution="m", owner="mallory")
    assert not take(slots, "c", execution="m", owner="mallory")
    assert take(slots, "again", execution="ada", owner="ada")
    # Both have something now, so what becomes free is for whoever wants it.
    slots.give_back("m", "b")
    assert take(slots, "c", execution="m", owner="mallory")
    slots.give_back("ada", "again")
    assert not take(slots, "d", execution="m", owner="mallory")
    monkeypatch.setattr("app.engine.slots._EXPECT_SECONDS", 0.0)
    assert take(slots, "d", execution="m", owner="mallory"), "ada has not come back"


def test_one_who_has_nothing_may_take_all_that_is_free():
    slots = Slots(2, None)
    for owner in ("ada", "bob"):
        assert take(slots, "short", execution=owner, owner=owner)
        slots.give_back(owner, "short")
    assert take(slots, "large", Resources(cpus=2), execution="cyd", owner="cyd")


def test_somebody_alone_has_all_of_them():
    slots = Slots(2, None)
    assert take(slots, "a", owner="ada")
    assert take(slots, "b", owner="ada")


def many(*names):
    return dict.fromkeys(names, ONE)


def test_of_many_those_get_something_for_which_there_is_room_in_the_order_given():
    slots = Slots(3, None)
    wanted = {**many("b", "a"), "wide": Resources(cpus=2), **many("c")}
    assert slots.take("e1", wanted) == ["b", "a", "c"]
    slots.give_back("e1", "b")
    slots.give_back("e1", "a")
    assert slots.take("e1", {"wide": Resources(cpus=2)}) == ["wide"]


def test_many_that_wait_are_offered_something_in_turns_with_others():
    slots, woken = Slots(1, None), []
    take(slots, "long", owner="cyd", execution="c")
    assert slots.take("a", many("1", "2", "3"), owner="ada") == []
    assert slots.take("b", many("1"), owner="bob") == []
    slots.listen(woken.append)
    for given_back in (("c", "long"), ("a", "1"), ("b", "1"), ("a", "2")):
        slots.give_back(*given_back)
    assert woken == ["a", "b", "a", "a"]


def test_asking_again_for_many_keeps_their_place_in_the_queue():
    slots, woken = Slots(1, None), []
    take(slots, "long", execution="c")
    assert slots.take("e1", many("a", "b")) == []
    assert slots.take("e2", many("x")) == []
    assert slots.take("e1", many("a", "b", "new")) == []
    slots.listen(woken.append)
    for given_back in (("c", "long"), ("e1", "a"), ("e1", "b"), ("e2", "x")):
        slots.give_back(*given_back)
    assert woken == ["e1", "e1", "e2", "e1"]
    assert slots.take("e1", many("new")) == ["new"]


def test_who_asks_for_many_is_not_woken_for_what_it_gets_there():
    slots, woken = Slots(2, None), []
    slots.listen(woken.append)
    assert slots.take("e1", many("a", "b", "c")) == ["a", "b"]
    assert woken == []


def test_an_execution_can_give_up_all_but_what_runs():
    slots = Slots(2, None)
    assert slots.take("e1", many("runs", "offered", "waits")) == ["runs", "offered"]
    slots.keep_only("e1", ["runs"])
    assert slots.take("e2", many("a", "b")) == ["a"]
    slots.keep_only("e1", [])
    assert slots.take("e2", many("a", "b")) == ["a", "b"]
    slots.keep_only("nobody", [])


def test_many_are_taken_with_one_offer_and_what_waits_already_is_not_queued_again(monkeypatch):
    slots, offers = Slots(1, None), []
    offer = slots._offer
    monkeypatch.setattr(slots, "_offer", lambda moment: offers.append(moment) or offer(moment))
    names = [f"t{i}" for i in range(2000)]
    for _ in range(3):
        assert slots.take("e1", many(*names)) == ["t0"]
    assert len(offers) == 3
    assert sum(len(queue) for queue in slots._queues.values()) == 1999


def test_nothing_is_left_of_what_has_ended():
    slots = Slots(2, None)
    slots.take("e1", many("a", "b", "c"), owner="ada")
    slots.confirm("e1", many("a", "b"), owner="ada")
    slots.confirm("e1", many("found", "c"), owner="ada")
    for name in ("a", "b", "c", "found"):
        slots.give_back("e1", name)
    assert (slots._parts, slots._queues, dict(slots._busy)) == ({}, {}, {})
    assert slots._used == Resources(0, 0)


def test_all_tasks_of_a_parallel_program_take_processors():
    slots = Slots(8, None)
    assert take(slots, "a", Resources(cpus=2, tasks=3))
    assert not take(slots, "b", Resources(cpus=3))
    assert take(slots, "c", Resources(cpus=2))


def test_a_pool_elsewhere_counts_jobs_whatever_they_ask_for():
    slots = Slots(2, None, by_job=True)
    assert take(slots, "a", Resources(cpus=64, memory_bytes=10**15))
    assert take(slots, "b", Resources(cpus=1), running=True)
    assert not take(slots, "c", Resources(cpus=1))
    slots.give_back("e1", "a")
    assert take(slots, "c", Resources(cpus=1))
