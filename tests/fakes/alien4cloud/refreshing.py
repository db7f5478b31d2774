"""What refreshes catalogues in the background, ended with the test that began it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import pytest
from kit.patience import join

from app.clients.alien4cloud import catalogue
from app.clients.alien4cloud.refresh import Refresher


class Over(BaseException):
    """There is nobody for whom to refresh anything."""


class Ending(Refresher):
    """A refresher whose ``sleep`` may end it."""

    def _run(self) -> None:
        with suppress(Over):
            super()._run()


@contextmanager
def ended_refreshers() -> Iterator[None]:
    """End what refreshes the catalogues that are made meanwhile; it would go on for minutes."""
    over, threads = threading.Event(), set[threading.Thread]()

    def sleep(seconds: float) -> None:
        threads.add(threading.current_thread())
        if over.wait(seconds):
            raise Over

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "Refresher", partial(Ending, sleep=sleep))
        yield
    over.set()
    join(*threads)
