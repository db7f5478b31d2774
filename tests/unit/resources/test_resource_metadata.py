"""Where programs sign in elsewhere, as the answers and the challenges say it (RFC 9728)."""

import pytest
from kit.tokens import SECRET, claims, sign
from service_kit import basic, open_service, users

PATH = "/.well-known/oauth-protected-resource"
ISSUER = "https://id.example.org/realm"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    auth = {**users(), "type": ["basic", "jwt"], "secret": SECRET, "cli_client_id": "cli",
            "jwt": {"issuer": ISSUER, "secret_issuer": "by-secret"}}  # fmt: skip
    made = open_service(
        tmp_path_factory.mktemp("service"), api__auth=auth, api__trusted_proxies=["10.0.0.1"],
        api__allowed_hosts=["hpc.example.org"],
    )  # fmt: skip
    yield made
    made.close()


def bearer_of(answer):
    return next(c for c in answer.headers.getlist("WWW-Authenticate") if c.startswith("Bearer"))


def test_it_names_the_issuer_and_the_scopes(service):
    found = service.client.get(PATH).json
    assert found["resource"] == "http://localhost"
    assert found["authorization_servers"] == [ISSUER]
    assert "executions:run" in found["scopes_supported"]
    assert found["bearer_methods_supported"] == ["header"]
    assert found["slipway_client_id"] == "cli"


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Bearer nothing"},
        basic("ada", "wrong"),
    ],
)  # fmt: skip
def test_each_401_says_where_that_is_told(service, headers):
    answer = service.client.get("/workflows", headers=headers)
    assert answer.status_code == 401
    assert f'resource_metadata="http://localhost{PATH}"' in bearer_of(answer)
    assert "resource_metadata" not in str([
        c for c in answer.headers.getlist("WWW-Authenticate") if not c.startswith("Bearer")
    ])  # fmt: skip


def test_a_403_for_want_of_a_scope_says_it_too(service):
    token = sign(claims(iss="by-secret", scope="keys:read"))
    answer = service.client.get("/workflows", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    assert f'resource_metadata="http://localhost{PATH}"' in bearer_of(answer)


@pytest.mark.parametrize(
    ("fields", "here"),
    [
        ({"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https",
          "X-Forwarded-Host": "hpc.example.org", "X-Forwarded-Prefix": "/slipway"},
         "https://hpc.example.org/slipway"),
        ({"Forwarded": 'for=192.0.2.1;proto=https;host="hpc.example.org:8443"'},
         "https://hpc.example.org:8443"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_trusted", [True, False])
def test_behind_a_proxy_the_addresses_are_those_that_clients_use(service, fields, here, is_trusted):
    base = {"REMOTE_ADDR": "10.0.0.1" if is_trusted else "10.0.0.2"}
    here = here if is_trusted else "http://localhost"
    allowed = {**base, "HTTP_HOST": "localhost"}
    found = service.client.get(PATH, headers=fields, environ_base=allowed)
    assert found.json["resource"] == here
    refused = service.client.get("/workflows", headers=fields, environ_base=allowed)
    assert f'resource_metadata="{here}{PATH}"' in bearer_of(refused)


@pytest.mark.parametrize("auth", [{"type": "none"}, users(), {"type": "jwt", "secret": SECRET}])
def test_without_an_issuer_there_is_none(tmp_path, auth):
    made = open_service(tmp_path, api__auth=auth)
    assert made.client.get(PATH).status_code == 404
    assert "resource_metadata" not in str(made.client.get("/workflows").headers)
    made.close()


def test_the_names_of_secrets_are_no_issuers(service):
    assert "by-secret" not in service.client.get(PATH).text
