import pytest
from service_kit import users

from app.domain import ExecutionStatus, Observation
from app.store.launches import UsedKey

FLOW = "id: flow\nsteps: [{id: a, type: command, config: {command: 'true'}}]\n"


@pytest.fixture
def make(make_service, write_workflow):
    def made(**settings):
        write_workflow(FLOW)
        return make_service(api__auth=users(), **settings)

    return made


def launch(service, as_user, name="ada", key=None):
    headers = as_user(name) | ({"Idempotency-Key": key} if key else {})
    return service.client.post("/workflows/flow", headers=headers)


def test_no_more_executions_are_open_than_a_user_may_have(make, as_user):
    service = make(quotas__running_executions=2)
    first = launch(service, as_user, key="k1")
    assert [first.status_code, launch(service, as_user).status_code] == [201, 201]
    refused = launch(service, as_user, key="k3")
    assert refused.status_code == 429
    assert refused.json["violated-policies"] == ["running-executions"]
    assert "2 executions" in refused.json["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert launch(service, as_user, "bob").status_code == 201
    again = launch(service, as_user, key="k1")
    assert (again.status_code, again.location) == (201, first.location)
    execution = service.store.get(first.location.rpartition("/")[2])
    service.record(execution, Observation(ExecutionStatus.SUCCESS, None))
    assert launch(service, as_user, key="k3").status_code == 201


def test_a_refused_launch_leaves_its_key_free(make, as_user):
    service = make(quotas__running_executions=1)
    launch(service, as_user)
    assert launch(service, as_user, key="k").status_code == 429
    assert service.launches.launched_with(UsedKey("ada", "k", "any digest")) is None


@pytest.mark.parametrize(("name", "most"), [("ada", 1), ("dev", 3), ("ops", 0)])
def test_a_role_may_have_another_number(make, as_user, name, most):
    service = make(
        quotas__running_executions=1,
        quotas__developer__running_executions=3,
        quotas__operator__running_executions=0,
    )
    seen = [launch(service, as_user, name).status_code for _ in range(most + 1)]
    assert seen == [201] * most + [429]


def test_keys_definitions_and_followers_follow_the_role(make, as_user):
    service = make(
        ssh_keys__max_per_user=1,
        quotas__developer__ssh_keys=2,
        quotas__developer__definitions=1,
        quotas__developer__followers=0,
    )
    client, dev = service.client, as_user("dev")
    made = {name: [client.post("/ssh_keys", headers=as_user(name), json={}).status_code
                   for _ in range(3)] for name in ("ada", "dev")}  # fmt: skip
    assert made == {"ada": [201, 409, 409], "dev": [201, 201, 409]}
    uploads = [
        client.post(
            "/workflows", data=FLOW.replace("flow", name), headers=dev,
            content_type="application/yaml",
        ).status_code
        for name in ("one", "two")
    ]  # fmt: skip
    assert uploads == [201, 409]
    refused = client.get("/executions/events", headers=dev)
    assert (refused.status_code, refused.json["violated-policies"]) == (429, ["followers"])
    with client.get("/executions/events", headers=as_user("ada")) as stream:
        assert stream.status_code == 200


def test_the_size_of_definitions_follows_the_role(make, as_user):
    service = make(quotas__developer__definition_bytes=10)
    answer = service.client.post(
        "/workflows", data=FLOW.replace("flow", "one"), headers=as_user("dev"),
        content_type="application/yaml",
    )  # fmt: skip
    assert answer.status_code == 409
    assert "10 is the most" in answer.json["detail"]
