"""How executions stand, for Prometheus."""

from __future__ import annotations

from typing import Any

from app.errors import StoreUnavailable
from app.store.standings import ExecutionStandings


def figures(client: Any, name: str) -> dict[str, float]:
    """Read the samples of a metric, by what stands in braces."""
    found = {}
    for line in client.get("/metrics").text.splitlines():
        if line.startswith((f"{name} ", f"{name}{{")):
            what, _, value = line.rpartition(" ")
            found[what.removeprefix(name)] = float(value)
    return found


def test_executions_are_counted_by_state(service, client, write_workflow):
    write_workflow("id: flow\nsteps: [{id: a, type: command, config: {command: 'true'}}]")
    for _ in range(2):
        assert client.post("/workflows/flow").status_code == 201
    states = figures(client, "slipway_executions")
    assert (states['{state="PENDING"}'], states['{state="FAILED"}']) == (2.0, 0.0)
    [age] = figures(client, "slipway_oldest_poll_seconds").values()
    assert age >= 0
    assert figures(client, "slipway_conductors") == {"": 0.0}


def test_whoever_asks_again_at_once_costs_the_store_nothing(service, client, monkeypatch):
    asked = []
    read = "app.store.standings.ExecutionStandings.read"
    original = ExecutionStandings.read
    monkeypatch.setattr(read, lambda self: asked.append(1) or original(self))
    for _ in range(5):
        client.get("/metrics")
    assert len(asked) == 1


def test_without_the_store_the_others_are_told_all_the_same(service, client, monkeypatch):
    def fail(self: Any) -> None:
        raise StoreUnavailable("It is away.")

    monkeypatch.setattr("app.store.standings.ExecutionStandings.read", fail)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert "slipway_requests_total" in answer.text
    assert "slipway_executions" not in answer.text
