import hashlib
import time
from types import SimpleNamespace

import pytest
from kit.clock import Clock
from kit.tokens import SECRET, claims, key, part, public, running_issuer, sign

from app.clients.key_sets import KeySetClient
from app.domain import Role
from app.errors import NotAuthenticated, UpstreamUnreachable
from app.identity.jwt import Jwt, Trusted
from app.identity.jwt_claims import ClaimRules
from app.identity.jwt_keys import FetchedKeys, FixedKeys, VerifyingKey, secret_key
from app.identity.port import Claim
from app.identity.scopes import permissions_of

PUBLISHED = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")


class Users:
    def __init__(self):
        self.shut_out = set()

    def is_shut_out(self, username):
        return username in self.shut_out


def by_secret(rules=None, issuer=None):
    keys = FixedKeys(secret_key(SECRET))
    return Trusted(issuer, frozenset({"HS256"}), keys, rules or ClaimRules())


def verified(jwt, token):
    request = SimpleNamespace(header=lambda name: f"Bearer {token}")
    claim = jwt.claim(request)
    assert claim is not None
    return jwt.verify(claim)


def refusal(jwt, token):
    with pytest.raises(NotAuthenticated) as caught:
        verified(jwt, token)
    return caught.value.message


def of_secret(**rules):
    return Jwt([by_secret(ClaimRules(**rules))], Users())


@pytest.fixture
def issuer():
    with running_issuer() as running:
        yield running


def published_by(issuer, clock=None, name="https://issuer.example", algorithms=PUBLISHED):
    fetch = KeySetClient(None, f"{issuer.url}/keys").fetch
    keys = FetchedKeys(fetch, algorithms, clock or Clock())
    return Trusted(name, frozenset(algorithms), keys, ClaimRules())


def of_issuer(**more):
    return claims(iss="https://issuer.example", **more)


class TestClaims:
    def test_a_token_of_the_secret_belongs_to_its_subject(self):
        identity = verified(of_secret(), sign(claims(roles=["operator", "unheard of"])))
        assert (identity.username, identity.roles) == ("ada", {Role.OPERATOR})
        assert identity.scopes is None
        assert identity.credential.authenticator == "jwt"

    @pytest.mark.parametrize("aud", ["slipway", ["x", "slipway"]])
    def test_one_audience_that_fits_is_enough(self, aud):
        assert verified(of_secret(audience=("slipway",)), sign(claims(aud=aud)))

    @pytest.mark.parametrize(
        "aud",
        [["x"], [], 7, ["slipway", 7], None, "slipway-dev", "SLIPWAY", "", {}, {"slipway": 1}, True,
         [["slipway"]], "slipway x"],
    )  # fmt: skip
    def test_any_other_audience_is_refused_and_not_told(self, aud):
        message = refusal(of_secret(audience=("slipway",)), sign(claims(aud=aud)))
        assert "'aud'" in message
        assert "slipway" not in message.lower()

    @pytest.mark.parametrize("aud", ["any", ["x"], 7, None])
    def test_without_an_audience_of_ours_all_are_taken(self, aud):
        assert verified(of_secret(), sign(claims(aud=aud)))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("exp", value) for value in (None, "soon", True, [], {}, -1, 0, "1e400")),
            *(("nbf", value) for value in ("x", False, 4e9, 10**30)),
            *(("iat", value) for value in ("x", [], 4e9)),
            *(("sub", value) for value in (None, "", 7, ["ada"], "a b", "a:b", "a\n", "x" * 101)),
            *(("roles", value) for value in (7, {}, ["user", 7], True)),
            *(("scope", value) for value in (7, {}, ["x", None])),
        ],
    )
    def test_a_claim_that_does_not_hold_is_named(self, name, value):
        assert f"'{name}'" in refusal(of_secret(), sign(claims(**{name: value})))

    def test_clocks_may_differ_a_little(self):
        now = time.time()
        assert verified(of_secret(), sign(claims(exp=now - 20, nbf=now + 20, iat=now + 20)))
        assert "'exp'" in refusal(of_secret(), sign(claims(exp=now - 31)))
        assert "'nbf'" in refusal(of_secret(), sign(claims(nbf=now + 60)))

    @pytest.mark.parametrize("exp", [1e18, 10**30, 2**63, 253402300799])
    def test_a_token_may_end_in_the_far_future(self, exp):
        assert verified(of_secret(), sign(claims(exp=exp))).credential.expires_at.year == 9999

    def test_words_are_mapped_to_roles(self):
        rules = {"roles": "realm_access.roles", "role_words": {"hpc": (Role.DEVELOPER,)}}
        token = sign(claims(realm_access={"roles": ["hpc", "admin"]}))
        assert verified(of_secret(**rules), token).roles == {Role.DEVELOPER}
        assert verified(of_secret(**rules), sign(claims())).roles == {Role.USER}
        assert verified(of_secret(), sign(claims(roles=[]))).roles == frozenset()

    @pytest.mark.parametrize(
        "said", [{"scope": "openid keys:read"}, {"scp": ["keys:read", "unheard:of"]}]
    )
    def test_scopes_narrow(self, said):
        assert verified(of_secret(), sign(claims(**said))).scopes == permissions_of(["keys:read"])

    def test_scopes_that_are_about_the_token_do_not(self):
        assert verified(of_secret(), sign(claims(scope="openid profile"))).scopes is None
        assert verified(of_secret(), sign(claims(scope="api:other"))).scopes == frozenset()


class TestForgeries:
    @pytest.fixture
    def both(self, issuer):
        issuer.keys = {"keys": [public(key("RSA"), kid="1", use="sig")]}
        return Jwt([published_by(issuer), by_secret(issuer="by-secret")], Users())

    def test_each_signs_its_own(self, both):
        assert verified(both, sign(of_issuer(), key("RSA"), "RS256", kid="1"))
        assert verified(both, sign(claims(iss="by-secret")))

    def test_a_public_key_is_no_secret(self, both, issuer):
        pem = key("RSA").as_pem(private=False)
        der = key("RSA").as_der(private=False)
        texts = [pem, pem.rstrip(), der, str(issuer.keys["keys"][0]), part(issuer.keys["keys"][0])]
        said = {
            refusal(both, sign(claims(iss=iss), secret, kid="1"))
            for secret in texts
            for iss in ("https://issuer.example", "by-secret")
        }
        assert said == {"The token is not valid."}

    @pytest.mark.parametrize("alg", ["none", "None", "nOnE", "hs256", "HS384", "RS256 ", 7, None])
    @pytest.mark.parametrize("iss", ["https://issuer.example", "by-secret"])
    def test_no_other_algorithm_is_taken(self, both, alg, iss):
        _, payload, signature = sign(claims(iss=iss)).split(".")
        for tail in ("", signature):
            token = f"{part({'alg': alg, 'kid': '1'})}.{payload}.{tail}"
            assert refusal(both, token) == "The token is not valid."

    def test_a_token_cannot_bring_its_key(self, both, issuer):
        mine = key("RSA", 2)
        asked = list(issuer.paths)
        for header in (
            {"jwk": public(mine)}, {"jku": f"{issuer.url}/evil"}, {"x5u": f"{issuer.url}/evil"},
        ):  # fmt: skip
            refusal(both, sign(of_issuer(), mine, "RS256", kid="1", **header))
        assert not [path for path in issuer.paths[len(asked) :] if "evil" in path]

    def test_issuers_do_not_stand_in_for_each_other(self, both):
        token = sign(claims(iss="by-secret"), key("RSA"), "RS256", kid="1")
        assert refusal(both, token) == "The token is not valid."
        assert refusal(both, sign(of_issuer())) == "The token is not valid."
        assert "'iss'" in refusal(both, sign(claims(iss="https://else.example")))
        assert "'iss'" in refusal(both, sign(claims()))
        assert "'iss'" in refusal(both, sign(claims(iss=["by-secret"])))

    @pytest.mark.parametrize(
        "header",
        [{"crit": ["x"], "x": 1}, {"crit": []}, {"b64": False}, {"typ": "logout+jwt"}, {"kid": 7}],
    )
    def test_what_is_not_understood_is_refused(self, header):
        assert refusal(of_secret(), sign(claims(), **header)) == "The token is not valid."

    @pytest.mark.parametrize(
        "token",
        ["..", "a.b.c", "a.b.", f"{part([])}.{part([])}.x", f"{part({})}.{part(7)}.x",
         f"{part({'alg': 'HS256'})}.{part(b'[' * 5000)}.x", "é.é.é", "e30=.e30=.e30=",
         f"{part({'alg': 'HS256'})}.{part({'x': 'y' * 20_000})}.x"],
    )  # fmt: skip
    def test_rubbish_is_refused(self, token):
        assert refusal(of_secret(), token) == "The token is not valid."

    def test_whatever_is_wrong_costs_the_same(self, both, issuer, monkeypatch):
        """As many signatures are verified, with the same keys: one of each who may sign."""
        assert verified(both, sign(of_issuer(), key("RSA"), "RS256", kid="1"))
        counted = []
        verifies = VerifyingKey.verifies

        def count(self, algorithm, signed, signature):
            counted.append(algorithm)
            return verifies(self, algorithm, signed, signature)

        monkeypatch.setattr(VerifyingKey, "verifies", count)
        pem = key("RSA").as_pem(private=False)
        good = sign(claims(iss="by-secret")).rpartition(".")[0]
        foreign = {"iss": "https://else.example"}
        wrong = [
            sign(of_issuer(), key("RSA", 2), "RS256", kid="1"),
            sign(of_issuer(), pem, kid="1"), sign(of_issuer(), pem.rstrip(), kid="1"),
            sign(claims(iss="by-secret"), pem), sign(claims(iss="by-secret"), "x" * 40),
            sign(claims(iss="by-secret"), key("RSA"), "RS256", kid="1"),
            sign(claims(**foreign)), sign(claims(**foreign), key("RSA"), "RS256", kid="1"),
            sign(claims()), f"{good}.", f"{good}.AAAA", f"{good}.!", "a.b.c", "..",
            f"{part({'alg': 'none'})}.{part(of_issuer())}.",
            f"{part({'alg': 'nOnE', 'kid': '1'})}.{part(of_issuer())}.AAAA",
            sign(of_issuer(), key("RSA", 2), "RS256", kid="1", jku=f"{issuer.url}/evil"),
            sign(of_issuer(), key("RSA", 2), "RS256", kid="1", jwk=public(key("RSA", 2))),
            sign(of_issuer(), key("RSA"), "RS256", kid="1", crit=["x"]),
            sign(of_issuer(), key("RSA"), "RS256", kid="unknown"),
            sign(of_issuer(), key("P-256"), "ES256", kid="1"),
        ]  # fmt: skip
        for token in wrong:
            counted.clear()
            refusal(both, token)
            kinds = sorted("HMAC" if each == "HS256" else "RSA" for each in counted)
            assert kinds == ["HMAC", "RSA"], token


class TestPublishedKeys:
    @pytest.mark.parametrize(
        ("kind", "alg"),
        [("RSA", "RS256"), ("RSA", "PS256"), ("P-256", "ES256"), ("Ed25519", "EdDSA"),
         ("Ed25519", "Ed25519")],
    )  # fmt: skip
    def test_tokens_without_a_name_of_their_key(self, issuer, kind, alg):
        issuer.keys = {"keys": [
            {"kty": "unheard of"}, 7, None, {"kty": "RSA"}, public(key("RSA", 3), use="enc"),
            public(key("RSA", 2)), public(key("RSA"), kid="r"), public(key("P-256")),
            public(key("Ed25519"), kid="o"),
        ]}  # fmt: skip
        jwt = Jwt([published_by(issuer)], Users())
        assert verified(jwt, sign(of_issuer(), key(kind), alg))
        refusal(jwt, sign(of_issuer(), key("RSA", 3), "RS256"))

    def test_a_key_of_another_algorithm_does_not_count(self, issuer):
        issuer.keys = {"keys": [public(key("RSA"), kid="1", alg="RS256")]}
        jwt = Jwt([published_by(issuer)], Users())
        assert verified(jwt, sign(of_issuer(), key("RSA"), "RS256", kid="1"))
        refusal(jwt, sign(of_issuer(), key("RSA"), "PS256", kid="1"))

    def test_an_unknown_key_is_asked_for_once_in_half_a_minute(self, issuer):
        clock = Clock()
        issuer.keys = {"keys": [public(key("RSA"), kid="1")]}
        jwt = Jwt([published_by(issuer, clock)], Users())
        verified(jwt, sign(of_issuer(), key("RSA"), "RS256", kid="1"))
        assert issuer.fetches == 1
        issuer.keys = {"keys": [public(key("RSA", 2), kid="2")]}
        assert verified(jwt, sign(of_issuer(), key("RSA", 2), "RS256", kid="2"))
        for n in range(5):
            refusal(jwt, sign(of_issuer(), key("RSA"), "RS256", kid=f"made up {n}"))
        assert issuer.fetches == 2
        clock.now += 31
        refusal(jwt, sign(of_issuer(), key("RSA"), "RS256", kid="made up"))
        assert issuer.fetches == 3

    def test_another_key_of_the_same_name_is_taken_within_five_minutes(self, issuer):
        clock = Clock()
        issuer.keys = {"keys": [public(key("RSA"), kid="1")]}
        jwt = Jwt([published_by(issuer, clock)], Users())
        verified(jwt, sign(of_issuer(), key("RSA"), "RS256", kid="1"))
        issuer.keys = {"keys": [public(key("RSA", 2), kid="1")]}
        clock.now += 301
        assert verified(jwt, sign(of_issuer(), key("RSA", 2), "RS256", kid="1"))

    @pytest.mark.parametrize(
        "keys", [{"keys": []}, {}, [], {"keys": 7}, b"<html>", b"", b" " * 300_000]
    )
    def test_old_keys_are_kept_where_no_new_ones_come(self, issuer, keys):
        clock = Clock()
        issuer.keys = {"keys": [public(key("RSA"), kid="1")]}
        jwt = Jwt([published_by(issuer, clock)], Users())
        verified(jwt, sign(of_issuer(), key("RSA"), "RS256", kid="1"))
        issuer.keys = keys
        clock.now += 400
        assert verified(jwt, sign(of_issuer(jti="2"), key("RSA"), "RS256", kid="1"))

    def test_known_keys_do_not_wait_for_an_issuer_that_hangs(self, issuer):
        clock = Clock()
        issuer.keys = {"keys": [public(key("RSA"), kid="1")]}
        jwt = Jwt([published_by(issuer, clock)], Users())
        verified(jwt, sign(of_issuer(), key("RSA"), "RS256", kid="1"))
        clock.now += 400
        issuer.hold.clear()
        for n in range(20):
            assert verified(jwt, sign(of_issuer(jti=str(n)), key("RSA"), "RS256", kid="1"))
        assert issuer.fetches == 2

    def test_an_issuer_that_was_never_there_is_no_fault_of_the_token(self, issuer):
        issuer.status = 500
        jwt = Jwt([published_by(issuer)], Users())
        for _ in range(3):
            with pytest.raises(UpstreamUnreachable):
                verified(jwt, sign(of_issuer(), key("RSA"), "RS256"))
        assert issuer.fetches == 1

    def test_the_metadata_of_an_issuer_say_where_its_keys_are(self, issuer):
        issuer.keys = {"keys": [public(key("RSA"))]}
        assert len(KeySetClient(issuer.url, None).fetch()) == 1


class TestUsers:
    def test_a_user_who_is_shut_out_is_so_at_once(self):
        users = Users()
        jwt = Jwt([by_secret()], users)
        token = sign(claims())
        identity = verified(jwt, token)
        users.shut_out.add("ada")
        assert "may not sign in" in refusal(jwt, token)
        with pytest.raises(NotAuthenticated):
            jwt.recheck(identity)

    def test_only_tokens_are_claimed(self):
        jwt = of_secret()
        for header in (None, "", "Basic a.b.c", "Bearer abc", "Bearer a.b", "Bearer a.b.c.d"):
            assert jwt.claim(SimpleNamespace(header=lambda _, header=header: header)) is None

    def test_the_token_is_not_what_it_is_known_by(self):
        token = sign(claims())
        claim = of_secret().claim(SimpleNamespace(header=lambda _: f"bearer {token}"))
        assert claim == Claim(hashlib.sha256(token.encode()).hexdigest(), token)
        assert token not in repr(claim)
