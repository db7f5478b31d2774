"""What a page costs on SQLite, in steps of its virtual machine: a clock would tell of the load."""

import pytest
from sqlalchemy import event
from store_kit import StoreKit, entries

from app.domain import Level
from app.store import migrate
from app.store.database import Database

LENGTH = 30_000
RARE = 5_000


@pytest.fixture(scope="module")
def long_log(tmp_path_factory):
    """A journal with an error in every five thousand lines, and a counter of steps."""
    steps = [0]

    def count(connection, _record):
        connection.set_progress_handler(lambda: steps.__setitem__(0, steps[0] + 1) or 0, 10)

    database = Database(f"sqlite:///{tmp_path_factory.mktemp('cost') / 'slipway.db'}")
    event.listen(database._reader, "connect", count)
    migrate.upgrade(database)
    kit = StoreKit(database)
    levels = [Level.ERROR if i % RARE == RARE - 1 else Level(1 << i % 3) for i in range(LENGTH)]
    yield kit, kit.append(kit.held(), entries(levels)), steps
    database.dispose()


@pytest.mark.parametrize("levels", [Level(mask) for mask in range(1, 16)])
def test_a_page_at_the_end_costs_what_one_at_the_start_costs(long_log, levels):
    kit, execution, steps = long_log
    total = sum(n for i, n in enumerate(execution.log_counts) if levels & (1 << i))

    def cost(start):
        steps[0] = 0
        page = kit.journal.page(execution.number, execution.log_counts, levels, start, 100)
        assert len(page) == min(100, total - start)
        return steps[0]

    # The bisection of the checkpoints and half a block to skip are a constant.
    assert cost(max(0, total - 100)) <= 2 * cost(0) + 100


def test_the_index_of_a_place_at_the_end_needs_no_scan(long_log):
    kit, execution, steps = long_log
    steps[0] = 0
    found = kit.journal.index_of(execution.number, execution.log_counts, Level.ERROR, LENGTH - 1)
    assert found == LENGTH // RARE - 1
    assert steps[0] < 100


def test_one_task_costs_at_the_end_what_it_costs_at_the_start(long_log):
    kit, execution, steps = long_log

    def cost(start, task):
        steps[0] = 0
        kit.journal.of_task(
            execution.number, execution.log_counts, Level(15), start, 100, task=task
        )
        return steps[0]

    for task in ("task", "another"):
        assert cost(LENGTH - 8192, task) <= cost(0, task) + 100
