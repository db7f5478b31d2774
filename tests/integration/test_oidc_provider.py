"""What the provider of the tests does, on which tests of the service with it rest."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet
from kit.servers.oidc import AUDIENCE, CLI, WEB, WEB_SECRET, OidcProvider
from kit.visitor import Visitor

_VERIFIER = "v" * 43
_CHALLENGE = "7w_YNF9DSfIdPf_pRjSq646_kPr-2-o9NAl16JGghdM"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    made = OidcProvider(
        tmp_path_factory.mktemp("provider"),
        claims={"ada": {"roles": ["developer"]}},
        scopes=["executions:read"],
    )
    made.start()
    yield made
    made.stop()


def _claims(provider: OidcProvider, token: str) -> dict[str, object]:
    jwks = requests.get(provider.metadata()["jwks_uri"], timeout=30).json()
    return jwt.decode(token, KeySet.import_key_set(jwks), algorithms=["RS256"]).claims


def test_the_code_flow_gives_tokens_with_the_claims_of_the_account(provider: OidcProvider) -> None:
    [callback] = provider.redirect_uris
    query = {
        "client_id": WEB, "redirect_uri": callback, "response_type": "code", "state": "s",
        "scope": "openid executions:read", "nonce": "n", "code_challenge_method": "S256",
        "code_challenge": _CHALLENGE,
    }  # fmt: skip
    asked = f"{provider.metadata()['authorization_endpoint']}?{urlencode(query)}"

    back = Visitor("ada").sign_in(asked, until=callback)

    answered = parse_qs(urlsplit(back.headers["Location"]).query)
    assert answered["state"] == ["s"]
    assert answered["iss"] == [provider.issuer]
    given = provider.token(
        client_id=WEB, client_secret=WEB_SECRET, grant_type="authorization_code",
        code=answered["code"][0], redirect_uri=callback, code_verifier=_VERIFIER,
    ).json()  # fmt: skip
    identity, access = (
        _claims(provider, given["id_token"]),
        _claims(provider, given["access_token"]),
    )
    assert (identity["sub"], identity["roles"], identity["nonce"]) == ("ada", ["developer"], "n")
    assert (access["sub"], access["roles"], access["aud"]) == ("ada", ["developer"], AUDIENCE)
    assert access["scope"] == "executions:read"


def _device(provider: OidcProvider) -> dict[str, str]:
    url = provider.metadata()["device_authorization_endpoint"]
    return requests.post(url, data={"client_id": CLI, "scope": "openid"}, timeout=30).json()


def _poll(provider: OidcProvider, device_code: str) -> requests.Response:
    return provider.token(grant_type=_DEVICE_GRANT, client_id=CLI, device_code=device_code)


def test_the_device_flow_waits_for_the_user(provider: OidcProvider) -> None:
    device = _device(provider)
    assert _poll(provider, device["device_code"]).json()["error"] == "authorization_pending"

    Visitor("ada").sign_in(device["verification_uri_complete"])

    token = _poll(provider, device["device_code"]).json()["access_token"]
    assert _claims(provider, token)["sub"] == "ada"


def test_opaque_tokens_are_introspected_and_revoked(provider: OidcProvider) -> None:
    provider.jwts = False
    provider.restart()
    device = _device(provider)
    Visitor("ada").sign_in(device["verification_uri_complete"])
    token = _poll(provider, device["device_code"]).json()["access_token"]
    client = (WEB, WEB_SECRET)
    about = provider.metadata()

    def introspect() -> dict[str, object]:
        url = about["introspection_endpoint"]
        return requests.post(url, data={"token": token}, auth=client, timeout=30).json()

    assert introspect()["active"] is True
    assert introspect()["sub"] == "ada"
    revoke = {"token": token, "client_id": CLI}
    assert requests.post(about["revocation_endpoint"], data=revoke, timeout=30).ok
    assert introspect() == {"active": False}
    provider.jwts = True
    provider.restart()


def test_a_new_key_signs_and_the_old_one_is_still_published(provider: OidcProvider) -> None:
    before = provider.sign(sub="ada")
    provider.rotate()

    assert _claims(provider, before)["sub"] == "ada"
    assert _claims(provider, provider.sign(sub="bob"))["sub"] == "bob"
