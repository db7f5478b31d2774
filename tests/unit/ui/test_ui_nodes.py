"""``/ui/nodes``: machines, those first that need somebody."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from admin_kit import ask, assert_led
from service_kit import signed_in, users
from sqlalchemy import update

from app.clients.slurm.nodes import ClusterNode, dump
from app.store.clusters import Clusters
from app.store.conductors import Conductors, Node, OwnProcess
from app.store.execution_rows import now
from app.store.operations import Operations, Room
from app.store.schema import slaves

ROOM = Room(9, 9, {}, 60.0, repeatable=True)


@pytest.mark.parametrize("name", ["ada", "dev"])
def test_it_is_for_operators(guarded, name):
    node = guarded.add_slave()
    assert ask(guarded, name, "/ui/nodes").status_code == 403
    assert ask(guarded, name, f"/ui/nodes/{node}/drain", {}).status_code == 403
    assert guarded.services.nodes.all(signed_in("ops"))[0].state != "draining"


def test_without_nodes_it_says_how_one_joins(guarded):
    text = ask(guarded, "ops", "/ui/nodes").text
    assert "No slave has joined" in text
    assert "No conductor works" in text


def test_a_node_is_drained_and_works_again(guarded):
    node = guarded.add_slave()
    for verb, offered in (("drain", "Undrain"), ("undrain", "Drain")):
        assert_led(ask(guarded, "ops", f"/ui/nodes/{node}/{verb}", {}), "/ui/nodes")
        text = ask(guarded, "ops", "/ui/nodes").text
        assert f"<button>{offered}<" in text or "Gone" in text
    assert ask(guarded, "ops", "/ui/nodes/none/drain", {}).status_code == 404


@pytest.fixture
def cluster(make_service):
    launcher = {
        "type": "slurm", "host": "login.example", "user": "shared", "key": "a-pair",
        "host_keys": ["SHA256:" + "A" * 43], "admin": {"user": "chief"},
    }  # fmt: skip
    service = make_service(
        api__auth=users(),
        orchestrators=[
            {"name": name, "type": "engine", "launcher": {**launcher, **more}}
            for name, more in (("hpc", {}), ("other", {"admin": {}}))
        ],
    )
    nodes = dump([ClusterNode("node1", ("main",), "idle", 4, 1, gres=("gpu:2",))])
    for name in ("hpc", "other"):
        Clusters(service.web.database).note(name, [], nodes)
    return service


def test_nodes_of_clusters_are_drained_by_conductors_where_there_is_an_administrator(cluster):
    text = ask(cluster, "ops", "/ui/nodes").text
    assert "hpc~node1" in text
    assert "gres=gpu:2" in text
    assert "/ui/nodes/hpc~node1/drain" in text
    assert "/ui/nodes/other~node1/drain" not in text
    assert_led(ask(cluster, "ops", "/ui/nodes/hpc~node1/drain", {}), "/ui/nodes")
    (filed,) = Operations(cluster.web.database).claim("one", {"nodes.drain": ROOM}, 15.0)
    assert (filed.subject, filed.arguments) == ("hpc~node1", {"orchestrator": "hpc"})
    assert ask(cluster, "ops", "/ui/nodes/other~node1/drain", {}).status_code == 501


def test_the_worst_come_first(guarded):
    for name in ("a-good", "b-gone", "c-good"):
        guarded.add_slave(name)
    gone = (
        update(slaves)
        .where(slaves.c.id == "b-gone")
        .values(connection=None, seen_at=now() - timedelta(hours=1), seen=None)
    )
    guarded.web.database.write(lambda c: c.execute(gone))
    text = ask(guarded, "ops", "/ui/nodes").text
    assert re.findall(r'<th scope="row" class="name">([^<]+)', text)[0] == "b-gone"


def test_machines_of_conductors_are_shown(guarded):
    known = Conductors(guarded.web.database)
    known.register("c", Node("n7.example/mark", "boot"), OwnProcess(42))
    text = ask(guarded, "ops", "/ui/nodes").text
    assert "n7.example" in text
    assert "Alive" in text


def test_hostile_names_are_text(guarded):
    Conductors(guarded.web.database).register("c", Node("<img src=x>/mark", "boot"), OwnProcess(42))
    answer = ask(guarded, "ops", "/ui/nodes")
    assert "<img" not in answer.text
    assert "&lt;img src=x&gt;" in answer.text
