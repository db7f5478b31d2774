from kit.clock import Clock

from app.domain import Level, NewLogEntry
from app.engine.log_room import LogRoom


def test_without_limits_there_is_always_room():
    assert LogRoom().full("ada", 10**15) is None


def test_an_execution_has_so_much_room():
    room = LogRoom(100)
    assert room.full("ada", 99) is None
    assert room.full("ada", 100) == "100 bytes of one execution"


def test_a_user_has_so_much_room_and_is_asked_for_now_and_then():
    clock, used, asked = Clock(), {"ada": 99, "bob": 0}, []

    def ask(owner):
        asked.append(owner)
        return used[owner]

    room = LogRoom(None, 100, ask, clock)
    assert room.full("ada", 0) is room.full("bob", 0) is room.full("ada", 0) is None
    assert asked == ["ada", "bob"]
    used["ada"] = 100
    clock.now += 60
    assert room.full("ada", 0) == "100 bytes of all logs of 'ada'"
    assert room.full("bob", 0) is None


def test_what_is_kept_meanwhile_counts_at_once_and_only_until_all_of_it_is_asked_for():
    clock, used = Clock(), {"ada": 0, "bob": 0}
    room = LogRoom(None, 200, used.__getitem__, clock)
    entries = [NewLogEntry(Level.INFO, 0, "x" * 100, "a")] * 2
    room.note("bob", entries)  # of whom nothing is known, so all is asked for
    assert room.full("ada", 0) is room.full("bob", 0) is None
    room.note("ada", entries)
    assert room.full("ada", 0) == "200 bytes of all logs of 'ada'"
    clock.now += 60
    assert room.full("ada", 0) is None, "some logs were purged"
    LogRoom(100).note("ada", entries)
