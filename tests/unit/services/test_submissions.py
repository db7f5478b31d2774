"""Definitions that are submitted: checked, offered and launched, and what is refused."""

import pytest

from app.domain import ExecutionStatus, Identity, Role
from app.errors import (
    Conflict,
    InvalidDefinition,
    InvalidRequest,
    NodesMissing,
    NotAllowed,
    NotFound,
)

DEV = Identity("dev", frozenset({Role.DEVELOPER}))
ADA = Identity("ada", frozenset({Role.USER}))
OPERATOR = Identity("ops", frozenset({Role.OPERATOR}))
STEP = {"id": "s1", "type": "http", "config": {"url": "http://127.0.0.1:1/"}}
FLOW = {"id": "flow", "options": {"vus": 5, "duration": "10s"}, "steps": [STEP]}


@pytest.fixture
def quotas():
    return {}


@pytest.fixture
def kit(make_service, quotas):
    made = make_service(**quotas)
    made.add_slave()
    return made


@pytest.fixture
def submit(kit):
    return kit.services.submissions.submit


def test_what_is_submitted_runs_under_three_ids_and_stands_among_the_workflows(kit, submit):
    execution = submit(FLOW, DEV)
    assert execution.status is ExecutionStatus.PENDING
    assert execution.upstream_id == f"exec-{execution.id.replace('-', '')[:12]}"
    for name in (execution.id, execution.awf_name, execution.upstream_id):
        assert kit.services.executions.get(name, DEV).id == execution.id
    [offered] = [w for w in kit.services.workflows.find(ADA).workflows if w.id == "flow"]
    assert offered.orchestrator == kit.services.submissions.orchestrator == "load"
    again = kit.services.launching.launch("flow", {}, ADA)
    assert (again.owner, again.workflow_id) == ("ada", "flow")
    metrics = kit.services.load_metrics.get(str(execution.upstream_id), DEV)[1]
    assert (metrics.iterations, metrics.final) == (0, False)


def test_text_and_object_are_the_same_definition(submit, kit):
    text = (
        "id: flow\noptions: {vus: 5, duration: 10s}\n"
        "steps:\n  - {id: s1, type: http, config: {url: 'http://127.0.0.1:1/'}}\n"
    )
    first, second = submit(text, DEV), submit(FLOW, DEV)
    driving = kit.driving
    assert driving.get(first.id).reference == driving.get(second.id).reference


def test_a_key_launches_once(submit):
    first = submit(FLOW, DEV, key="k")
    assert submit(FLOW, DEV, key="k").id == first.id
    with pytest.raises(Conflict):
        submit({**FLOW, "id": "other"}, DEV, key="k")


def test_only_who_may_upload_submits(submit):
    with pytest.raises(NotAllowed):
        submit(FLOW, ADA)


def test_faults_are_told_and_nothing_is_kept(submit, kit):
    with pytest.raises(InvalidDefinition) as caught:
        submit({**FLOW, "steps": [{**STEP, "type": "grpc"}]}, DEV)
    assert caught.value.fields
    with pytest.raises(NotFound):
        kit.services.workflows.describe("flow", DEV)


@pytest.mark.parametrize(
    "options",
    [
        {"vus": 101, "duration": "1s"},
        {"vus": 1, "target_slaves": {"mode": "manual", "slave_ids": ["slave-2"]}},
        {"vus": 1, "target_slaves": {"mode": "label", "labels": {"x": "y"}}},
    ],
    ids=["no-room", "not-there", "no-label"],
)
def test_what_no_slave_can_carry_is_not_launched(submit, kit, options):
    with pytest.raises(NodesMissing):
        submit({**FLOW, "options": options}, DEV)
    assert kit.store.known_upstream_as("exec-") == []


def test_inputs_are_the_variables_and_nothing_else(submit, kit):
    submit({**FLOW, "variables": {"host": "a", "n": 3}}, DEV)
    described = kit.services.workflows.describe("flow", ADA)
    assert {p.name: (p.type, p.default, p.required) for p in described.inputs} == {
        "host": ("string", "a", False), "n": ("integer", 3, False),
    }  # fmt: skip
    launched = kit.services.launching.launch("flow", {"n": "4"}, ADA)
    assert kit.store.get(launched.id).inputs == {"host": "a", "n": 4}
    for inputs in ({"n": "x"}, {"other": 1}):
        with pytest.raises(InvalidRequest):
            kit.services.launching.launch("flow", inputs, ADA)


def test_a_definition_is_removed_and_executions_of_it_stay(submit, kit):
    execution = submit(FLOW, DEV)
    kit.services.workflows.remove("flow", DEV)
    with pytest.raises(NotFound):
        kit.services.workflows.describe("flow", DEV)
    assert kit.services.executions.get(execution.id, DEV).workflow_id == "flow"


def test_nodes_are_seen_and_drained_by_operators(kit):
    nodes = kit.services.nodes
    with pytest.raises(NotAllowed):
        nodes.all(ADA)
    assert [(node.id, str(node.state)) for node in nodes.all(OPERATOR)] == [("slave-1", "online")]
    nodes.drain("slave-1", OPERATOR)
    assert str(nodes.get("slave-1", OPERATOR).state) == "draining"
    nodes.undrain("slave-1", OPERATOR)
    assert str(nodes.get("slave-1", OPERATOR).state) == "online"
    with pytest.raises(NotFound):
        nodes.drain("slave-2", OPERATOR)


def test_prometheus_is_told_of_nodes_and_virtual_users(kit):
    text = kit.client.get("/metrics").text
    assert 'slipway_nodes{state="online"} 1.0' in text
    assert "slipway_load_vus 0.0" in text


class TestLimits:
    @pytest.fixture
    def quotas(self):
        return {
            "quotas__load_vus": 10, "quotas__load_rate": 50, "quotas__load_duration": "1m",
            "quotas__operator": {"load_vus": 50},
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("options", "place"),
        [
            ({"vus": 11, "duration": "1s"}, "options.vus"),
            ({"vus": 1, "duration": "61s"}, "options.duration"),
            (
                {"mode": "constant-arrival-rate", "rate": 51, "duration": "1s", "max_vus": 5},
                "options.rate",
            ),
        ],
        ids=["users", "time", "rate"],
    )
    def test_beyond_what_a_role_may_have_is_refused_with_its_place(self, submit, options, place):
        with pytest.raises(InvalidDefinition) as caught:
            submit({**FLOW, "options": options}, DEV)
        assert [fault.path for fault in caught.value.fields] == [place]

    def test_who_launches_counts_and_not_who_submitted(self, submit, kit):
        submit({**FLOW, "options": {"vus": 10, "iterations": 10}}, DEV)
        execution = kit.services.launching.launch("flow", {}, ADA)
        reference = kit.driving.get(execution.id).reference
        assert reference["longest_us"] == 60_000_000
        scale = kit.services.steering.scale
        with pytest.raises(InvalidRequest, match="scaled"):
            scale(execution.id, 11, ADA)
        scale(execution.id, 11, OPERATOR)
        with pytest.raises(InvalidRequest):
            scale(execution.id, 51, OPERATOR)


class TestManyDefinitions:
    @pytest.fixture
    def quotas(self):
        return {"engine__max_uploads_per_user": 2}

    def test_of_too_many_the_oldest_are_offered_no_more(self, submit, kit):
        for number in range(4):
            submit({**FLOW, "id": f"flow-{number}"}, DEV)
        offered = {workflow.id for workflow in kit.services.workflows.find(DEV).workflows}
        assert offered == {"flow-2", "flow-3"}
