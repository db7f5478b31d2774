"""Records of jobs that somebody damaged."""

import errno
import gc
import json
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from app.engine.launchers.job_records import Process, read_claim, read_result
from app.engine.launchers.shim import records
from app.engine.launchers.shim.reading import Damaged

CLAIM = {"pid": 1, "start_time": "1", "boot_id": "b", "hostname": "h", "started_at": 2.5}
RESULT = {
    "exit_code": 0, "started_at": 1.5, "finished_at": 2, "timed_out": False, "cancelled": False,
    "reason": None,
    "fault": None,
    "usage": None,
    "losses": (),
}  # fmt: skip
NO_RECORDS = [
    b"", b"{", b'{"pid": 1', b"\xff\0", b"null", b"[]", b"0", b"{}", b"[" * 60_000, b" " * 100_000,
    b'"\xed\xa0\x80"',
]  # fmt: skip
MOMENTS = ["soon", float("nan"), float("inf"), 1e300, -1, True, [], 10**400]


@pytest.fixture(autouse=True)
def nothing_is_collected():
    """Keep what other tests left from being finalised where a nested record leaves no stack."""
    gc.disable()
    yield
    gc.enable()


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


@pytest.mark.parametrize(
    "content",
    [
        *NO_RECORDS,
        *({**CLAIM, "pid": pid} for pid in (0, -1, 1.5, "1", None, 10**30, float("inf"))),
        *({**CLAIM, name: value} for name in ("start_time", "boot_id", "hostname")
          for value in ("", None, 1, "x" * 256, "a\0", "\ud800")),
        *({**CLAIM, "started_at": moment} for moment in MOMENTS),
        *({k: v for k, v in CLAIM.items() if k != name} for name in CLAIM if name != "started_at"),
    ],
)  # fmt: skip
def test_a_damaged_claim_is_named(tmp_path, content):
    write(tmp_path / records.CLAIM, content)
    with pytest.raises(Damaged, match=r"claim\.json"):
        read_claim(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *NO_RECORDS,
        *({k: v for k, v in RESULT.items() if k != name} for name in ("exit_code", "cancelled")),
        *({**RESULT, "exit_code": code} for code in ("0", None, 0.5, True, -1, 10**30)),
        *({**RESULT, name: moment} for name in ("started_at", "finished_at") for moment in MOMENTS),
        *({**RESULT, name: 1} for name in ("timed_out", "cancelled", "reason", "fault")),
    ],
)  # fmt: skip
def test_a_damaged_result_is_named(tmp_path, content):
    write(tmp_path / records.EXIT, content)
    with pytest.raises(Damaged, match=r"exit\.json"):
        read_result(tmp_path)


@pytest.mark.parametrize(
    "make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")],
)  # fmt: skip
@pytest.mark.parametrize(("name", "read"), [("claim.json", read_claim), ("exit.json", read_result)])
def test_something_else_in_the_place_of_a_record_holds_nobody_up(tmp_path, make, name, read):
    make(tmp_path / name)
    with pytest.raises(Damaged, match=name):
        read(tmp_path)


def test_whole_records_are_read(tmp_path):
    assert read_claim(tmp_path) is None
    assert read_result(tmp_path / "nowhere") is None
    write(tmp_path / records.CLAIM, CLAIM)
    write(tmp_path / records.EXIT, RESULT)
    claim = read_claim(tmp_path)
    assert (claim.process, claim.started_at) == (Process(1, "1", "b", "h"), 2.5)
    assert Process.load(claim.process.dump()) == claim.process
    assert read_result(tmp_path) == RESULT
    earlier = {name: RESULT[name] for name in RESULT if name not in ("fault", "usage")}
    write(tmp_path / records.EXIT, earlier)
    assert read_result(tmp_path) == RESULT
    write(tmp_path / records.CLAIM, {**records.REFUSAL, "cancelled": True})
    refusal = read_claim(tmp_path)
    assert (refusal.process, refusal.cancelled) == (None, True)


@pytest.mark.parametrize("stored", [None, {}, [], "x", {"pid": "x"}])
def test_a_process_that_was_not_stored_well_is_none(stored):
    assert Process.load(stored) is None


@pytest.mark.parametrize("name", ["reason", "fault"])
def test_a_reason_is_made_fit_to_be_kept(tmp_path, name):
    write(tmp_path / records.EXIT, {**RESULT, name: "a\0\ud800" + "x" * 60_000})
    assert read_result(tmp_path)[name] == "a\ufffd\ufffd" + "x" * 997


def test_a_claim_is_on_the_disk_with_its_name_before_anything_is_done_about_it(
    tmp_path, monkeypatch
):
    synced = []

    def fsync(fd):
        status = os.fstat(fd)
        synced.append((status.st_ino, sorted(path.name for path in tmp_path.iterdir())))

    monkeypatch.setattr(os, "fsync", fsync)
    assert records.claim(str(tmp_path), {"pid": 1})
    file, folder = (tmp_path / records.CLAIM).stat().st_ino, tmp_path.stat().st_ino
    # Both once it has its name alone, so that the second finds nothing left to write.
    assert synced == [(file, [records.CLAIM]), (folder, [records.CLAIM])]
    assert not records.claim(str(tmp_path), {"pid": 2})
    assert json.loads((tmp_path / records.CLAIM).read_text()) == {"pid": 1}


def test_a_claim_whose_name_was_given_although_the_answer_was_lost_is_taken(tmp_path, monkeypatch):
    """A file server does what it is asked again, and finds what it did before."""
    link = os.link

    def link_twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", link_twice)
    assert records.claim(str(tmp_path), {"pid": 1})
    assert not records.claim(str(tmp_path), {"pid": 2})
    assert json.loads((tmp_path / records.CLAIM).read_text()) == {"pid": 1}


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_a_claim_is_taken_once_where_no_file_has_two_names(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "link", Mock(side_effect=OSError(number, "no links")))
    assert records.claim(str(tmp_path), {"pid": 1})
    assert not records.claim(str(tmp_path), {"pid": 2})
    assert json.loads((tmp_path / records.CLAIM).read_text()) == {"pid": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        records.CLAIM,
        f"{records.CLAIM}.taken",
    ]


def test_a_claim_that_the_disk_refuses_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.EIO, "the disk")))
    with pytest.raises(OSError, match="the disk"):
        records.claim(str(tmp_path), {"pid": 1})
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (["3 bytes are missing"], ("3 bytes are missing",)),
        (None, ()),
        ("3 bytes", ()),
        ([3, None, ["x"]], ()),
        (["x" * 5000], ("x" * 1000,)),
        (["\ud800\0"], ("\ufffd\ufffd",)),
        (["x"] * 50, ("x",) * 10),
    ],
)
def test_losses_that_somebody_may_have_made_up_are_read_within_bounds(tmp_path, told, expected):
    write(tmp_path / records.EXIT, {**RESULT, "losses": told})
    assert read_result(tmp_path)["losses"] == expected
