"""``/system`` of a service of several processes: each tells of all."""

from __future__ import annotations

from collections.abc import Callable

from kit.patience import await_that
from kit.service import Service


def alive(service: Service) -> set[int]:
    """Return the web processes that are told to be alive."""
    found = service.client().get("/system")["web_processes"]
    return {each["pid"] for each in found if each["alive"]}


def test_whichever_process_answers_it_tells_of_all_and_of_none_that_has_ended(
    start: Callable[..., Service],
) -> None:
    service = start(WEB__PROCESSES="2")
    first = {*service.children("web")}
    assert len(first) == 2
    await_that(lambda: alive(service) == first, "both have told of themselves")
    [conductor] = service.client().get("/system")["conductors"]
    assert (conductor["alive"], conductor["pid"]) == (True, service.child("conductor"))
    service.stop()
    service.start()
    await_that(lambda: alive(service) == {*service.children("web")}, "the new ones have")
    told = {each["pid"] for each in service.client().get("/system")["web_processes"]}
    assert not told & first, "who has ended as they should is told of no more"
