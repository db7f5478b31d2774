"""What is of a web process, made within the process of the tests."""

from __future__ import annotations

from kit.patience import join

from app.factory import Web
from app.store._commits import log_of, tell
from app.store.changes import ChangeFeed
from app.store.database import Database


def end(web: Web) -> None:
    """Have a web process end as one does, and close all that it holds open."""
    web.release()
    web.close()
    await_end(web.changes._feed, web.database)
    if web.slaves is not None:
        await_end(web.slaves._feed, web.database)
    web.database.dispose()


def await_end(feed: ChangeFeed | None, database: Database) -> None:
    """Wait until a feed that was closed has closed its connection."""
    if feed is not None and feed._thread.ident is not None:
        tell(log_of(database.url))  # else it sees within a second that it is over
        join(feed._thread)
