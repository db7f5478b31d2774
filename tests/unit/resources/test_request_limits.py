import pytest
from service_kit import basic, users

from app.store.launches import UsedKey

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
FREE = ["/health", "/ready", "/metrics", "/openapi.json", "/openapi.yaml"]


@pytest.fixture
def limited(make_service):
    def make(requests=6, **more):
        return make_service(
            api__auth=users(), api__rate_limit__requests_per_minute=requests, **more
        )

    return make


def statuses(client, number, path="/workflows", **more):
    return [client.get(path, **more).status_code for _ in range(number)]


def test_a_user_gets_the_limit_and_is_told_what_is_left(limited, as_user):
    client = limited().client
    answers = [client.get("/workflows", headers=as_user("ada")) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 6 + [429]
    assert answers[0].headers["RateLimit-Policy"] == '"default";q=6;w=60'
    left = [answer.headers["RateLimit"].split(";")[:2] for answer in answers]
    assert left == [['"default"', f"r={n}"] for n in (5, 4, 3, 2, 1, 0, 0)]
    assert not any("Retry-After" in answer.headers for answer in answers[:6])


def test_the_refusal_is_a_problem_that_names_the_policy_and_tells_when_to_come_back(
    limited, as_user
):
    client = limited(requests=1).client
    client.get("/workflows", headers=as_user("ada"))
    refused = client.get("/workflows", headers=as_user("ada"))
    assert refused.status_code == 429
    assert refused.content_type == "application/problem+json"
    assert refused.json["type"] == QUOTA_EXCEEDED
    assert refused.json["violated-policies"] == ["default"]
    assert refused.json["code"] == "quota_exceeded"
    seconds = int(refused.headers["RateLimit"].rpartition("t=")[2])
    assert 1 <= seconds <= 61
    assert seconds <= int(refused.headers["Retry-After"]) <= 1.5 * seconds + 1


def test_users_do_not_eat_each_others_quota_nor_that_of_their_address(limited, as_user):
    client = limited().client
    assert statuses(client, 7, headers=as_user("ada"))[-1] == 429
    assert statuses(client, 6, headers=as_user("bob")) == [200] * 6
    assert statuses(client, 7, "/version") == [200] * 6 + [429]


@pytest.mark.parametrize("path", FREE)
def test_what_watches_the_service_is_free(limited, path):
    client = limited(requests=1).client
    assert 429 not in statuses(client, 5, path)
    assert "RateLimit" not in client.get(path).headers


def test_a_preflight_is_free_and_another_question_for_options_is_not(limited, as_user):
    client = limited(requests=1).client
    asks = {"Origin": "https://a.example", "Access-Control-Request-Method": "DELETE"}
    for _ in range(5):
        assert client.options("/executions/x", headers=asks).status_code != 429
    options = [client.options("/workflows").status_code for _ in range(2)]
    assert options == [200, 429]


def test_wrong_credentials_count_for_the_address_and_not_for_the_user(limited, as_user):
    client = limited(requests=3).client
    wrong = basic("ada", "wrong")
    assert statuses(client, 4, headers=wrong) == [401, 401, 401, 429]
    assert statuses(client, 3, headers=as_user("ada")) == [200] * 3


def test_addresses_that_nobody_knows_count_for_who_asks(limited):
    client = limited(requests=2).client
    assert statuses(client, 3, "/nowhere") == [404, 404, 429]
    assert client.get("/nowhere").json["violated-policies"] == ["default"]


def test_headers_of_proxies_that_nobody_trusts_change_nothing(limited):
    client = limited(requests=5).client
    seen = [
        client.get(
            "/version",
            headers={
                "X-Forwarded-For": f"10.1.{n}.1",
                "X-Real-IP": f"10.2.{n}.1",
                "Forwarded": f"for=10.3.{n}.1",
            },
        ).status_code
        for n in range(20)
    ]
    assert seen == [200] * 5 + [429] * 15


def test_long_polls_have_a_bucket_of_their_own(limited, as_user):
    service = limited(requests=2)
    execution = service.add_execution("ada")
    headers = as_user("ada")
    logs, wait = f"/executions/{execution.id}/logs", f"/executions/{execution.id}"
    held = [f"{logs}?timeout=1ms", f"{wait}?wait=1ms"] * 10
    seen = [service.client.get(path, headers=headers) for path in held]
    assert [answer.status_code for answer in seen] == [200] * 20
    assert seen[0].headers["RateLimit-Policy"] == '"polls";q=20;w=60'
    assert service.client.get(held[0], headers=headers).status_code == 429
    at_once = [f"{logs}?timeout=0s", wait, f"{logs}?timeout=0"]
    seen = [service.client.get(path, headers=headers) for path in at_once]
    assert [answer.status_code for answer in seen] == [200, 200, 429]
    assert seen[0].headers["RateLimit-Policy"] == '"default";q=2;w=60'


@pytest.mark.parametrize("accept", ["text/event-stream", "application/x-ndjson"])
def test_a_stream_costs_one_unit_to_open(limited, as_user, accept):
    service = limited(requests=3)
    execution = service.add_execution("ada")
    headers = {**as_user("ada"), "Accept": accept}
    many = f"/events?topics=executions,execution/{execution.id},log/{execution.id}"
    opened = [service.client.get(many, headers=headers)]
    opened += [service.client.get(f"/executions/{execution.id}/logs", headers=headers)]
    opened.append(service.client.get("/executions/events", headers=as_user("ada")))
    assert [stream.status_code for stream in opened] == [200, 200, 200]
    assert opened[2].headers["RateLimit"].startswith('"default";r=0;')
    for stream in opened:
        stream.close()
    assert service.client.get("/executions/events", headers=headers).status_code == 429


def test_a_form_that_cannot_be_had_is_still_refused_as_such(limited, as_user):
    service = limited(requests=5)
    path = f"/executions/{service.add_execution('ada').id}/logs"
    headers = {"Accept": "image/png"}
    assert service.client.get(path, headers={**headers, **as_user("ada")}).status_code == 406
    assert service.client.get(path, headers=headers).status_code == 401


def test_a_refused_launch_launches_nothing_and_leaves_its_key_free(
    limited, as_user, write_workflow
):
    write_workflow("id: flow\nsteps: [{id: a, type: command, config: {command: 'true'}}]\n")
    service = limited(requests=50, api__rate_limit__launches_per_minute=1)
    headers = {**as_user("ada"), "Idempotency-Key": "first"}
    first = service.client.post("/workflows/flow", headers=headers)
    assert first.status_code == 201
    refused = service.client.post("/workflows/flow", headers={**headers, "Idempotency-Key": "k"})
    assert refused.status_code == 429
    assert refused.json["violated-policies"] == ["launches"]
    assert len(service.client.get("/executions", headers=headers).json["executions"]) == 1
    assert service.launches.launched_with(UsedKey("ada", "k", "any digest")) is None


def test_what_is_dear_costs_more(limited, as_user):
    client = limited(requests=11).client
    headers = as_user("ada")
    made = [client.post("/ssh_keys", headers=headers, json={}).status_code for _ in range(3)]
    assert made == [201, 201, 429]
    assert statuses(client, 2, headers=headers) == [200, 429]


def test_what_was_refused_shows_in_the_metrics(limited):
    service = limited(requests=1)
    statuses(service.client, 3, "/version")
    text = service.client.get("/metrics").text
    assert 'slipway_limited_requests_total{policy="default"} 2.0' in text
