"""Usable cores: those of the process, or fewer where a control group has a quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.cores import usable_cores


@pytest.fixture
def cores(tmp_path, monkeypatch):
    """Return the usable cores of a process on ``number`` processors, in some control groups."""

    def tell(number, membership="", **files):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(number)))
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_max", ".max")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (tmp_path / "membership").write_text(membership)
        return usable_cores(tmp_path, tmp_path / "membership")

    return tell


@pytest.mark.parametrize("number", [1, 2, 64])
def test_without_a_quota_they_are_those_that_the_process_may_run_on(cores, number):
    assert cores(number) == number
    assert cores(number, "0::/a/b\n", a__b__cpu_max="max 100000\n") == number


@pytest.mark.parametrize(
    ("quota", "usable"),
    [("200000 100000", 2), ("150000 100000", 1), ("50000 100000", 1), ("1000 500", 2),
     ("99999999 100000", 8), ("max 100000", 8), ("rubbish", 8), ("", 8), ("1 0", 8)],
)  # fmt: skip
def test_a_quota_makes_them_fewer(cores, quota, usable):
    assert cores(8, "0::/a/b\n", a__b__cpu_max=quota) == usable


def test_the_least_of_all_groups_around_counts(cores):
    assert cores(8, "0::/a/b/c\n", a__cpu_max="300000 100000", a__b__cpu_max="max 100000") == 3
    assert cores(8, "0::/elsewhere\n", cpu_max="200000 100000") == 2, "a container's own root"


@pytest.mark.parametrize(("quota", "usable"), [("250000", 2), ("-1", 8), ("0", 8), ("x", 8)])
def test_quotas_of_the_first_version_count_too(cores, tmp_path, quota, usable):
    folder = tmp_path / "cpu" / "a"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000")
    assert cores(8, "5:memory:/a\n4:cpu,cpuacct:/a\n0::/x\n") == usable


def test_where_nothing_is_shown_of_groups_they_are_those_of_the_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5})
    assert usable_cores(Path("/nowhere"), Path("/nowhere")) == 2
    assert usable_cores() in (1, 2)
