"""Usable cores: those of the process, or fewer where a control group has a quota."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cores import find_cores, usable_cores


@pytest.fixture
def cores(tmp_path, monkeypatch):
    """Return the usable cores of a process on ``number`` processors, in some control groups."""

    def tell(number, membership="", **files):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(number)))
        monkeypatch.setattr(os, "cpu_count", lambda: 4)
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
    [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("100001 100000", 2),
     ("1000 500", 2),
     ("99999999 100000", 8), ("max 100000", 8), ("rubbish", 8), ("", 8), ("1 0", 8)],
)  # fmt: skip
def test_a_quota_makes_them_fewer(cores, quota, usable):
    assert cores(8, "0::/a/b\n", a__b__cpu_max=quota) == usable


def test_the_least_of_all_groups_around_counts(cores):
    assert cores(8, "0::/a/b/c\n", a__cpu_max="300000 100000", a__b__cpu_max="max 100000") == 3
    assert cores(8, "0::/elsewhere\n", cpu_max="200000 100000") == 2, "a container's own root"


@pytest.mark.parametrize(("quota", "usable"), [("250000", 3), ("-1", 8), ("0", 8), ("x", 8)])
def test_quotas_of_the_first_version_count_too(cores, tmp_path, quota, usable):
    folder = tmp_path / "cpu" / "a"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000")
    assert cores(8, "5:memory:/a\n4:cpu,cpuacct:/a\n0::/x\n") == usable


@pytest.mark.parametrize(
    ("line", "folder"),
    [("4:cpu:/a", "cpu/a"), ("4:cpu,cpuacct:/a", "cpu,cpuacct/a"), ("4:cpu,cpuacct:/a", "cpu/a")],
)
def test_the_controller_of_the_first_version_is_found_where_it_is_mounted(
    cores, tmp_path, line, folder
):
    group = tmp_path / folder
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("300000")
    (group / "cpu.cfs_period_us").write_text("100000")
    assert cores(8, f"{line}\n") == 3


def test_nested_groups_of_both_versions_count_together(cores, tmp_path):
    group = tmp_path / "cpu" / "a"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("200000")
    (group / "cpu.cfs_period_us").write_text("100000")
    membership = "4:cpu:/a/b\n0::/c/d\n"
    assert cores(8, membership, unified__c__d_cpu_max="max 100000") == 2
    assert cores(8, membership, unified__c__cpu_max="100000 100000") == 1


@pytest.mark.parametrize(
    ("number", "quota", "source"),
    [
        (4, "max 100000", "all processors of the machine"),
        (1, "max 100000", "the affinity of the process: it may run on 1 of 4"),
        (4, "150000 100000", "/a, 1.5, rounded up"),
        (4, "50000 100000", "/a, 0.5, rounded up"),
        (4, "400000 100000", "all processors of the machine"),
    ],
)
def test_it_is_said_where_the_number_comes_from(cores, tmp_path, number, quota, source):
    cores(number, "0::/a\n", a__cpu_max=quota)
    assert source in find_cores(tmp_path, tmp_path / "membership").source


def test_where_nothing_is_shown_of_groups_they_are_those_of_the_process(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5})
    assert usable_cores(Path("/nowhere"), Path("/nowhere")) == 2
    assert usable_cores() in (1, 2)


def test_a_process_that_was_bound_to_one_processor_has_one():
    """As taskset(1), AllowedCPUs of systemd, and the cpuset of a batch job do it."""
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from app.cores import find_cores; found = find_cores(); print(found.number, found.source)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split(" ", 1)
    assert said[0] == "1"
    assert os.cpu_count() == 1 or "it may run on 1 of" in said[1] or "quota" in said[1]
