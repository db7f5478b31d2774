"""What steps ask for, and what their cluster was last known to have."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app.clients.slurm.partitions import Partition
from app.engine.launchers.base import LauncherContext
from app.engine.launchers.slurm.fit import Fit
from app.engine.launchers.slurm.launcher import SlurmLauncher
from app.engine.launchers.slurm.options import SlurmOptions
from app.job_resources import Asked, Resources
from app.settings.schema import load_section
from app.store.execution_rows import now
from app.store.schema import clusters

MAIN = Partition("main", default=True, nodes=2, cpus_per_node=4)
WIDE = [
    Asked("steps[0].resources", Resources(cpus=4)),
    Asked("steps[7].resources", Resources(cpus=5)),
]


@pytest.fixture
def fit(database):
    return Fit(database, "hpc", None)


def paths(fit):
    return [fault.path for fault in fit.faults(WIDE)]


def test_where_nothing_is_known_of_the_cluster_nothing_is_refused(fit, database):
    Fit(database, "another", None).note([MAIN])
    assert paths(fit) == []


def test_what_it_does_not_have_is_named_by_its_path(fit):
    fit.note([MAIN])
    (fault,) = fit.faults(WIDE)
    assert fault.path == "steps[7].resources.cpus"
    assert fault.message.startswith("asks for 5 processors for each task")


def test_what_was_noted_last_counts(fit):
    fit.note([MAIN])
    fit.note([Partition("main", default=True, cpus_per_node=64)])
    assert paths(fit) == []


def test_the_partition_of_the_settings_is_that_of_steps_that_name_none(fit, database):
    fit.note([MAIN, Partition("large", cpus_per_node=64)])
    assert paths(Fit(database, "hpc", "large")) == []
    assert paths(Fit(database, "hpc", "none")) == [f"{each.path}.partition" for each in WIDE]


def test_what_was_noted_long_ago_refuses_nothing(fit, database):
    fit.note([MAIN])
    assert paths(fit)
    old = update(clusters).values(noted_at=now() - timedelta(days=8))
    database.write(lambda connection: connection.execute(old))
    assert paths(fit) == []


def test_the_launcher_asks_what_was_noted_and_no_cluster(database, tmp_path):
    options, faults = load_section(SlurmOptions, {"host": "no.such.host", "user": "ada",
        "host_keys": ["SHA256:" + "A" * 43]}, "")  # fmt: skip
    assert not faults
    context = LauncherContext(
        tmp_path, executions_dir=tmp_path, orchestrator="hpc", database=database
    )
    launcher = SlurmLauncher.create(options, context)
    assert launcher.faults(WIDE) == []
    Fit(database, "hpc", None).note([MAIN])
    assert [fault.path for fault in launcher.faults(WIDE)] == ["steps[7].resources.cpus"]
