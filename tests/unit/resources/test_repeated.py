import pytest
from service_kit import users

KNOWN = {
    "/executions": ["workflow", "continues", "page", "page_size"],
    "/executions/{id}": ["wait", "until"],
    "/executions/{id}/logs": ["from", "size", "timeout", "levels", "after", "task", "follow"],
    "/workflows": ["name", "q", "page", "page_size"],
    "/workflows/flow": ["orchestrator"],
    "/audit": ["page_size"],
    "/users": ["page"],
}


@pytest.fixture
def execution(quiet):
    [found] = quiet.client.get("/executions").json["executions"]
    return found["id"]


@pytest.fixture
def client(quiet):
    return quiet.client


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in KNOWN.items() for name in names]
)
@pytest.mark.parametrize("values", [("1", "2"), ("1", "1"), ("", "")], ids=" ".join)
def test_what_may_stand_only_once_is_named(client, execution, path, name, values):
    query = "&".join(f"{name}={value}" for value in values)
    response = client.get(f"{path.format(id=execution)}?{query}")
    faults = {fault["path"] for fault in response.json["fields"]}
    assert (response.status_code, faults) == (422, {name})


@pytest.mark.parametrize("method", ["post", "get"])
def test_also_where_something_is_changed(client, assert_problem, method):
    call = getattr(client, method)
    response = call("/workflows/flow?orchestrator=local&orchestrator=local")
    assert assert_problem(response, 422, "invalid_request", "orchestrator")
    encoded = call("/workflows/flow?orchestrator=local&%6frchestrator=local")
    assert_problem(encoded, 422, "invalid_request", "orchestrator")


def test_an_api_with_a_form_of_its_own_has_it_there(client):
    response = client.get("/api/v1/executions?page=1&page=2")
    assert response.status_code == 400
    assert response.json["error"] == "invalid_request"
    assert "page must stand only once" in response.json["message"]


def test_what_nobody_knows_may_be_repeated(client):
    assert client.get("/executions?_=1&_=2").status_code == 200


def test_lists_are_of_all_that_were_named(make_service, as_user):
    service = make_service(api__auth=users())
    ids = {name: service.add_execution(name).id for name in ("ada", "bob", "dev")}

    def listed(query, who):
        answer = service.client.get(f"/executions?{query}", headers=as_user(who)).json
        return {execution["id"] for execution in answer["executions"]}

    assert listed("owner=ada&owner=bob", "ops") == {ids["ada"], ids["bob"]}
    assert listed("owner=bob&owner=bob", "ops") == {ids["bob"]}
    assert listed("owner=ada&owner=bob", "ada") == {ids["ada"]}
    assert listed("owner=bob&owner=dev", "ada") == set()
    assert listed("status=RUNNING&status=FAILED&owner=dev", "ops") == {ids["dev"]}
    assert listed("status=SUCCESS&status=FAILED", "ops") == set()


def test_a_ticket_that_is_given_twice_is_not_used_up(service, assert_problem):
    client = service.client
    given = client.post("/executions/events/tickets").json["ticket"]
    twice = client.get(f"/executions/events?ticket={given}&ticket=other")
    assert_problem(twice, 422, "invalid_request", "ticket")
    service.web.changes.close()
    assert client.get(f"/executions/events?ticket={given}").status_code == 200
