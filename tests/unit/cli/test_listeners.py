"""The sockets of the web processes, which share their port with each other and with nobody else."""

from __future__ import annotations

from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from app.cli._listener import listen
from app.cli._serving import _listeners

HOST = "127.0.0.1"


def settings(port: int, processes: int) -> Any:
    api = SimpleNamespace(enabled=True, host=HOST, port=port, wattle=SimpleNamespace(port=None))
    return SimpleNamespace(api=api, web_processes=processes)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("shared", [False, True])
def test_a_port_of_another_service_is_refused(processes: int, shared: bool) -> None:
    with closing(listen(HOST, 0, shared=shared)) as other:
        with pytest.raises(OSError, match="in use"):
            _listeners(settings(other.getsockname()[1], processes))


@pytest.mark.parametrize("processes", [1, 3])
def test_each_process_has_one_on_the_same_port(processes: int) -> None:
    made = _listeners(settings(0, processes))
    try:
        ports = {listener.getsockname()[1] for each in made for listener in each}
        assert (len(made), len(ports)) == (processes, 1)
        assert ports != {0}
    finally:
        for each in made:
            for listener in each:
                listener.close()
