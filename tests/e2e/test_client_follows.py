"""The Python client follows the real service through all that happens to connections."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from kit.bad_network import BadNetwork, random_budgets
from kit.following import Relay
from kit.service import Service

from slipway import Client, Execution
from slipway.attempts import Patience

LINES = 1000
CUTS = 30
HASTY = Patience(buffered=1.0, quiet=2.0, notice=0.5)
"""Notices a proxy sooner than people need; whatever it thinks, no line may be lost by it."""


def follow(url: str, relay: Relay, patience: Patience | None = None, trace=None):
    client = Client(url, patience=patience, trace=trace)
    # Pauses that are shorter than those of people; what they are is tried elsewhere.
    client.transport.sleep = lambda seconds: time.sleep(seconds / 10)
    return Execution(client, relay.id).follow()


def numbers(entries):
    """The numbers of the lines of the task, in the order in which they came."""
    return [
        int(each.content.split()[0]) for each in entries if each.task and each.content[0].isdigit()
    ]


def in_order(entries):
    indices = [each.index for each in entries]
    return indices == sorted(set(indices))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_line_comes_once_through_thirty_cuts(client, tmp_path, seed):
    relay = Relay(client, tmp_path)
    with BadNetwork(client.url, random_budgets(seed, CUTS, 4000)) as network:
        entries = []
        relay.write(LINES // 2)
        for entry in follow(network.url, relay):
            entries.append(entry)
            if len(entries) == LINES // 4:
                relay.write(LINES // 2)
                relay.end()
        assert network.cuts == CUTS
    assert numbers(entries) == list(range(LINES))
    assert in_order(entries)


@pytest.mark.parametrize("end", ["SIGTERM", "kill -9"])
def test_each_line_comes_once_through_a_restart_of_the_service(new_service, tmp_path, end):
    service: Service = new_service().start()
    relay = Relay(service.client(), tmp_path)
    with BadNetwork(service.url) as network:
        entries = []
        relay.write(100)
        for entry in follow(network.url, relay):
            entries.append(entry)
            if len(numbers(entries)) == 100 and network.to == service.url:
                service.stop() if end == "SIGTERM" else service.kill_all()
                relay.write(100)
                network.to = f"{service.start().url}/"  # another one from here on
                relay.write(100)
                relay.end()
    assert numbers(entries) == list(range(300))
    assert in_order(entries)


def test_a_proxy_that_holds_streams_back_is_gone_round(client, tmp_path):
    relay = Relay(client, tmp_path)
    told = []
    with BadNetwork(client.url, holds=lambda head: b"x-ndjson" in head) as network:
        relay.write(100)
        entries = []
        for entry in follow(network.url, relay, HASTY, told.append):
            entries.append(entry)
            if len(entries) == 50:
                relay.write(100)
                relay.end()
    assert numbers(entries) == list(range(200))
    assert any("holds the log back" in line for line in told)


def test_an_execution_is_waited_for_through_a_restart(new_service, tmp_path: Path):
    service: Service = new_service().start()
    relay = Relay(service.client(), tmp_path)
    with BadNetwork(service.url) as network, Client(network.url) as client:
        client.transport.sleep = lambda seconds: time.sleep(seconds / 10)
        execution = client.execution(relay.id)
        seen = []

        def looked(state):
            seen.append(state.state)
            if len(seen) == 1:
                service.kill_all()
                network.to = service.start().url
                relay.end()

        assert execution.wait(on_status=looked) is execution
    assert (seen[0], seen[-1]) == ("RUNNING", "SUCCESS")
    assert execution.status == "SUCCESS"


def test_a_launch_happens_once_however_often_its_answer_is_cut(client):
    with BadNetwork(client.url, lambda number: 40 * number if number < 5 else None) as network:
        slipway = Client(network.url)
        slipway.transport.sleep = lambda seconds: time.sleep(seconds / 10)
        before = {each.id for each in slipway.executions(workflow="hello")}
        launched = slipway.workflow("hello").run(idempotency_key=None)
        after = {each.id for each in slipway.executions(workflow="hello")}
        assert after - before == {launched.id}
        assert network.cuts == 5
        launched.wait(check=True)
