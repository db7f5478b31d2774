"""How large the logs of a user are."""

from store_kit import entries

from app.domain import ExecutionStatus, Level
from app.store.log_sizes import log_bytes_of


def test_all_logs_of_a_user_count_with_all_levels_whatever_became_of_them(kit):
    lines = entries([Level.DEBUG, Level.INFO, Level.WARN, Level.ERROR])
    for owner, logs in {"ada": [lines], "bob": [lines[1:]], "eve": [lines, lines[1:], []]}.items():
        for log in logs:
            execution = kit.append(kit.held(owner=owner), log)
            kit.see(execution, ExecutionStatus.SUCCESS, log_complete=True)
    owners = ("ada", "bob", "eve", "nobody")
    ada, bob, eve, nobody = (log_bytes_of(kit.database, owner) for owner in owners)
    assert ada > bob > sum(len(line.content) for line in lines[1:])
    assert (eve, nobody) == (ada + bob, 0)
