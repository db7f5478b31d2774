import pytest
from kit.tokens import SECRET

from app.assembly import read_settings
from app.errors import ConfigError

SEED = """
api:
  enabled: true
  port: 8080
  auth:
    type: jwt  # or api_key
    secret: ${API_SECRET}
"""


@pytest.fixture
def read(tmp_path):
    def read(text, **environ):
        file = tmp_path / "slipway.yaml"
        file.write_text(text, encoding="utf-8")
        return read_settings(file, {}, environ)

    return read


@pytest.fixture
def faults(read):
    def faults(text, **environ):
        with pytest.raises(ConfigError) as caught:
            read(text, **environ)
        return {fault.path: fault.message for fault in caught.value.fields}

    return faults


def block(**options):
    return f"api: {{auth: {{type: jwt, jwt: {options}}}}}"


def test_the_block_with_a_secret_is_taken(read):
    auth = read(SEED, API_SECRET=SECRET).api.auth
    assert (auth.types, auth.secret) == (("jwt",), SECRET)
    assert SECRET not in repr(auth)
    assert auth.options["jwt"].audience == ()


@pytest.mark.parametrize("environ", [{}, {"API_SECRET": ""}, {"API_SECRET": "x" * 31}])
def test_a_secret_that_is_none_starts_nothing(faults, environ):
    assert list(faults(SEED, **environ)) == ["api.auth.secret"]


def test_without_a_secret_there_must_be_an_issuer(faults, read):
    assert "32 bytes" in faults("api: {auth: {type: [basic, jwt]}}")["api.auth.secret"]
    assert read(block(issuer="https://id.example"))
    assert read(block(issuers=[{"issuer": "https://a.example"}, {"issuer": "https://b.example"}]))


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"issuer": "http://id.example"}, "api.auth.jwt.issuer"),
        ({"issuer": "id.example"}, "api.auth.jwt.issuer"),
        ({"jwks_url": "http://10.0.0.1/keys"}, "api.auth.jwt.jwks_url"),
        ({"issuers": [{"audience": "x"}]}, "api.auth.jwt.issuers[0]"),
        ({"issuers": [{"issuer": "https://a.b"}] * 2}, "api.auth.jwt.issuers"),
        ({"issuer": "https://a.b", "algorithms": ["none"]}, "api.auth.jwt.algorithms"),
        ({"issuer": "https://a.b", "algorithms": ["HS256"]}, "api.auth.jwt.algorithms"),
        ({"issuer": "https://a.b", "algorithms": []}, "api.auth.jwt.algorithms"),
        ({"issuer": "https://a.b", "audience": 7}, "api.auth.jwt.audience"),
        ({"issuer": "https://a.b", "roles": {"x": ["king"]}}, "api.auth.jwt.roles"),
        ({"issuer": "https://a.b", "default_roles": ["king"]}, "api.auth.jwt.default_roles"),
    ],
)
def test_faults_are_named(faults, options, path):
    found = faults(block(**options))
    assert path in found
