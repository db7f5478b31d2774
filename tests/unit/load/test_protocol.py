import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.slave_messages import desired, register, report

from app.load.messages import (
    Forget,
    Heartbeat,
    HeartbeatAck,
    Leave,
    RegisterAck,
    TaskReport,
)
from app.load.protocol import LARGEST_TEXT, Malformed, from_master, from_slave, written
from app.load.segments import WHOLE

FROM_SLAVE = [
    register(),
    register(tasks=("t1", "t2")),
    Heartbeat(
        4, "draining", 0.25, 2, (TaskReport("t1", 0, report()), TaskReport("t2", 9, report(3)))
    ),
    Leave(),
]
FROM_MASTER = [
    RegisterAck(True, "slave-1", master_id="web-1", version="1"),
    RegisterAck(False, "slave-1", "that id is taken"),
    RegisterAck(True, "slave-1", allowed_networks=("10.0.0.0/8", "::1"), denied_networks=()),
    HeartbeatAck(4),
    desired(),
    desired(quota=0, scaled=7, paused=True, stop="gently", definition={"id": "w"}),
    Forget("t1"),
]  # fmt: skip


@pytest.mark.parametrize("message", FROM_SLAVE, ids=lambda each: type(each).__name__)
def test_what_a_slave_writes_is_read_as_it_was(message):
    assert from_slave(written(message)) == message


@pytest.mark.parametrize("message", FROM_MASTER, ids=lambda each: type(each).__name__)
def test_what_a_master_writes_is_read_as_it_was(message):
    assert from_master(written(message)) == message


@given(
    weights=st.lists(st.integers(0, 1000), min_size=1).filter(any),
    elapsed=st.integers(0, 2**53 - 1),
)
def test_shares_and_times_travel_exactly(weights, elapsed):
    for segment in WHOLE.split(weights):
        sent = desired(segment=segment.split([1, 1])[0], elapsed_us=elapsed)
        assert from_master(written(sent)) == sent


def test_each_side_refuses_what_only_the_other_says():
    for message in FROM_MASTER:
        with pytest.raises(Malformed, match="type must be one of register"):
            from_slave(written(message))
    for message in FROM_SLAVE:
        with pytest.raises(Malformed, match="type must be one of"):
            from_master(written(message))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"", 1007),
        (b"\xff", 1007),
        (b"{", 1007),
        (b'{"type": NaN}', 1007),
        (b"[]", 1002),
        (b"1", 1002),
        (b'{"type": ["leave"]}', 1002),
        (b'{"type": "leave"', 1007),
        (b'{"data": {}}', 1002),
        (b'{"type": "heartbeat"}', 1002),
        (b"[" * 2000, 1007),
        (b" " * (LARGEST_TEXT + 1), 1009),
    ],
)
def test_what_is_no_message_is_refused_with_the_code_of_the_standard(text, code):
    with pytest.raises(Malformed) as refused:
        from_slave(text)
    assert refused.value.code == code


def changed(message, **fields):
    whole = json.loads(written(message))
    for path, value in fields.items():
        *inner, last = path.split("__")
        place = whole["data"]
        for name in inner:
            place = place[int(name) if name.isdigit() else name]
        place[last] = value
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"protocol": 2}, "data.protocol"),
        ({"protocol": None}, "data.protocol"),
        ({"slave_id": ""}, "data.slave_id"),
        ({"slave_id": "a" * 101}, "data.slave_id"),
        ({"slave_id": "../x"}, "data.slave_id"),
        ({"slave_id": "a\n"}, "data.slave_id"),
        ({"slave_id": 7}, "data.slave_id"),
        ({"incarnation": None}, "data.incarnation"),
        ({"type": "boss"}, "data.type"),
        ({"address": "a\x00"}, "data.address"),
        ({"address": "a" * 256}, "data.address"),
        ({"capabilities": "http"}, "data.capabilities"),
        ({"capabilities": [1]}, "data.capabilities"),
        ({"capabilities": ["x"] * 101}, "data.capabilities"),
        ({"labels": {"region": 1}}, "data.labels"),
        ({"labels": []}, "data.labels"),
        ({"resources": None}, "data.resources"),
        ({"resources__max_vus": 0}, "data.resources.max_vus"),
        ({"resources__max_vus": 10**10}, "data.resources.max_vus"),
        ({"resources__cpu_cores": 1.5}, "data.resources.cpu_cores"),
        ({"resources__cpu_cores": True}, "data.resources.cpu_cores"),
        ({"tasks": [{}]}, "data.tasks"),
        ({"tasks": {}}, "data.tasks"),
        ({"tasks": ["a b"]}, "data.tasks"),
        ({"tasks": ["t"] * 1001}, "data.tasks"),
    ],
)
def test_a_registration_says_what_is_wrong_with_it(fields, place):
    with pytest.raises(Malformed) as refused:
        from_slave(changed(register(), **fields))
    assert refused.value.reason.startswith(f"{place} must be")
    assert refused.value.code == 1002


@pytest.mark.parametrize(
    "value", [[], [[0, 1]], [[0, 2, 1]], [0, 1, 1], [[0, 1, 1.0]], "0/1", None]
)
def test_a_share_lies_within_the_whole(value):
    with pytest.raises(Malformed, match=r"data\.segment must be a share of the whole"):
        from_master(changed(desired(), segment=value))


REPORT = "tasks__0__report"
BEAT = Heartbeat(1, "online", 0.5, 1, (TaskReport("t1", 1, report(3)),))


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"sequence": -1}, "data.sequence"),
        ({"sequence": 2**53}, "data.sequence"),
        ({"status__state": "offline"}, "data.status.state"),
        ({"status__load": 1.01}, "data.status.load"),
        ({"status__load": True}, "data.status.load"),
        ({"status__active_tasks": 1001}, "data.status.active_tasks"),
        ({REPORT: None}, "data.tasks[].report"),
        ({f"{REPORT}__iterations": -1}, "data.tasks[].report"),
        ({f"{REPORT}__claimed": 1.0}, "data.tasks[].report"),
        ({f"{REPORT}__ended": 0}, "data.tasks[].report"),
        ({f"{REPORT}__steps": []}, "data.tasks[].report"),
        ({f"{REPORT}__steps__s1": 1}, "data.tasks[].report"),
        ({f"{REPORT}__requests__failed": None}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__max": "7"}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__b": {"1": 2}}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__b": {"": 3}}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__b": {"-1": 3}}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__b": {"\u0663": 3}}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__b": {"100000": 3}}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__b": {"1": 3.0}}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__b": {"1": True, "2": 2}}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__b": {"1": -1, "2": 4}}, "data.tasks[].report"),
        ({f"{REPORT}__iteration__b": None}, "data.tasks[].report"),
        ({f"{REPORT}__errors": [{}] * 21}, "data.tasks[].report"),
        ({f"{REPORT}__errors": [{"code": 1}]}, "data.tasks[].report"),
    ],
)
def test_a_report_says_what_is_wrong_with_it(fields, place):
    with pytest.raises(Malformed) as refused:
        from_slave(changed(BEAT, **fields))
    assert refused.value.reason.startswith(f"{place} must")


def test_a_task_is_reported_once_in_a_message():
    twice = Heartbeat(1, "online", 0, 1, (TaskReport("t1", 1, report()),) * 2)
    with pytest.raises(Malformed, match="name each task once"):
        from_slave(written(twice))


def test_what_is_not_known_is_left_out():
    assert from_slave(changed(register(), more=1)) == register()
    assert from_master(changed(desired(), more=1)) == desired()
