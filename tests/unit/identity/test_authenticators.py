"""Several ways to sign in at once, and what happens when a credential ends; with a toy of one."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from follow_kit import PATIENCE, Log, await_that, open_stream
from service_kit import PASSWORDS, basic, open_service, settings_in, users
from toy_authenticator import StaticTokens, digest

from app.assembly import read_settings
from app.domain import Credential, Identity, Role
from app.errors import ConfigError, LimitExceeded, NotAuthenticated
from app.identity.authenticators import Authenticators
from app.identity.basic import Basic
from app.identity.checking import Checker
from app.identity.port import Challenge, Claim
from app.resources._auth import challenge_text
from app.services.access import Watch
from app.settings.manual import manual

TOY = "toy_authenticator:StaticTokens"
BASIC = 'Basic realm="Slipway", charset="UTF-8"'


class Tokens:
    """The file of the toy."""

    def __init__(self, path):
        self.path = path
        self.entries = {}
        self.write()

    def write(self):
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.entries))
        new.replace(self.path)

    def add(self, id_, user="ada", roles=("user",), **more):
        self.entries[id_] = {"digest": digest("s"), "user": user, "roles": list(roles), **more}
        self.write()
        return {"Authorization": f"Bearer {id_}.s"}

    def revoke(self, id_):
        del self.entries[id_]
        self.write()


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return Tokens(tmp_path_factory.mktemp("tokens") / "tokens.json")


@pytest.fixture(scope="module")
def service(tmp_path_factory, tokens):
    auth = {**users(), "type": ["basic", TOY], "static": {"file": str(tokens.path)},
            "recheck": "100ms"}  # fmt: skip
    made = open_service(tmp_path_factory.mktemp("service"), api__auth=auth, streams__heartbeat="5s")
    yield made
    made.close()


def ask(service, headers=None, path="/executions"):
    return service.client.get(path, headers=headers)


class TestSeveralAtOnce:
    def test_each_lets_in_who_is_its_own(self, service, tokens):
        assert ask(service, basic("bob", PASSWORDS["bob"])).status_code == 200
        assert ask(service, tokens.add("one")).status_code == 200

    def test_without_credentials_all_are_offered(self, service):
        response = ask(service)
        assert response.status_code == 401
        assert response.headers.getlist("WWW-Authenticate") == [BASIC, 'Bearer realm="Slipway"']
        assert response.json["detail"] == "This needs a user name and a password or a token."

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ("Bearer nobody.x", "The token is wrong."),
            ("Bearer", "The token cannot be read."),
            ("bearer ..", "The token cannot be read."),
        ],
    )
    def test_the_one_that_refuses_says_why_and_comes_first(self, service, header, message):
        response = ask(service, {"Authorization": header})
        assert response.status_code == 401
        assert response.headers.getlist("WWW-Authenticate") == [
            f'Bearer realm="Slipway", error="invalid_token", error_description="{message}"', BASIC
        ]  # fmt: skip

    def test_what_is_right_for_another_does_not_help(self, service, tokens):
        tokens.add("two")
        for header in ("Basic two.s", "Token two.s", "two.s", "Bearer YWRhOmFkYQ=="):
            assert ask(service, {"Authorization": header}).status_code == 401

    def test_quotes_in_a_challenge_are_escaped(self):

        made = Challenge("X", {"a": 'b"c\\d'})
        assert challenge_text(made) == 'X a="b\\"c\\\\d"'
        assert challenge_text(Challenge("Negotiate")) == "Negotiate"


class TestRights:
    def test_the_roles_and_scopes_are_those_of_the_credential(self, service, tokens):
        narrow = tokens.add("narrow", "dev", ["developer"], scopes=["workflows:read"])
        assert ask(service, narrow, "/workflows").status_code == 200
        refused = ask(service, narrow)
        assert (refused.status_code, refused.json["code"]) == (403, "not_allowed")
        assert "executions:read" in refused.json["detail"]
        wide = tokens.add("wide", "ada", scopes=["workflows:write", "workflows:read"])
        assert service.client.post("/workflows", json={}, headers=wide).status_code == 403

    def test_a_user_is_one_whatever_they_sign_in_with(self, service, tokens):
        log = Log(service, owner="ada")
        for headers in (basic("ada", PASSWORDS["ada"]), tokens.add("three", "ada")):
            assert ask(service, headers, f"/executions/{log.id}").json["owner"] == "ada"


def wrong(service, number, id_="four", address="10.1.1.1"):
    codes = []
    for i in range(number):
        response = service.client.get(
            "/executions",
            headers={"Authorization": f"Bearer {id_}.wrong{i}"},
            environ_overrides={"REMOTE_ADDR": address},
        )
        codes.append(response.status_code)
    return codes


def test_wrong_credentials_slow_down_the_next_whoever_checks_them(service, tokens):
    right = tokens.add("four")
    assert wrong(service, 7)[:5] == [401] * 5
    here, elsewhere = ({"REMOTE_ADDR": f"10.1.1.{n}"} for n in (1, 2))
    refused = service.client.get("/executions", headers=right, environ_overrides=here)
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    let_in = service.client.get("/executions", headers=right, environ_overrides=elsewhere)
    assert let_in.status_code == 200


def in_future(seconds):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


class TestAnEnd:
    """What ends a credential ends what was begun with it, on every transport."""

    FORMS = ("text/event-stream", "application/x-ndjson", "text/plain")

    @pytest.fixture
    def log(self, service):
        return Log(service, owner="ada").write(1)

    @pytest.fixture
    def held(self, service, log):
        """Return requests that are held, by a name, as functions for what they ended with."""

        def get(path, headers):
            def ask():
                return service.client.get(path, headers=headers).data.decode()

            return ask

        def follow(path, accept, headers):
            def read():
                with open_stream(service.client, path, accept, **headers) as stream:
                    return stream.read().decode()

            return read

        def all_of(headers):
            execution = f"/executions/{log.id}"
            return {
                "events": follow("/executions/events", self.FORMS[0], headers),
                "wait": get(f"{execution}?wait=5m", headers),
                "poll": get(f"{execution}/logs?from=1&timeout=5m", headers),
                **{
                    form: follow(f"{execution}/logs?follow=1", form, headers) for form in self.FORMS
                },
            }

        return all_of

    def outcomes(self, service, requests, end):
        """Begin requests, end the credential once all are held, and return what they ended with."""
        ended, threads = {}, []
        for name, request in requests.items():

            def run(name=name, request=request):
                ended[name] = request()

            threads.append(threading.Thread(target=run))
            threads[-1].start()
        await_that(lambda: service.web.changes.waiting == len(threads))
        end()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert service.web.changes.waiting == 0
        return ended

    def test_what_is_revoked_ends_all_that_is_held(self, service, tokens, held):
        requests = held(tokens.add("five"))
        ended = self.outcomes(service, requests, lambda: tokens.revoke("five"))
        assert all("The token was revoked." in text for text in ended.values()), ended
        for name in ("wait", "poll"):
            assert json.loads(ended[name])["code"] == "not_authenticated"
        for name in ("events", "text/event-stream", "application/x-ndjson"):
            assert "expired" in ended[name]

    def test_others_go_on(self, service, tokens, log, held):
        requests = held(tokens.add("six"))
        tokens.add("seven")
        with open_stream(
            service.client, f"/executions/{log.id}/logs", Authorization="Bearer seven.s"
        ) as other:
            other.read_until(lambda got: b"line 0" in got)
            ended = self.outcomes_beside(service, requests, lambda: tokens.revoke("six"))
            assert all("revoked" in text for text in ended.values())
            log.write(1)
            other.read_until(lambda got: b"line 1" in got)

    def outcomes_beside(self, service, requests, end):
        ended = {}
        threads = [
            threading.Thread(target=lambda n=name, r=request: ended.update({n: r()}))
            for name, request in requests.items()
        ]
        for thread in threads:
            thread.start()
        await_that(lambda: service.web.changes.waiting >= len(threads) + 1)
        end()
        for thread in threads:
            thread.join(PATIENCE)
        return ended

    def test_what_expires_ends_then_and_not_at_the_next_check(self, make_service, tmp_path, tokens):
        auth = {**users(), "type": [TOY], "static": {"file": str(tokens.path)}, "recheck": "1h"}
        service = make_service(api__auth=auth, streams__heartbeat="1h")
        log = Log(service, owner="ada").write(1)
        headers = tokens.add("eight", expires_at=in_future(1.0))
        with open_stream(service.client, f"/executions/{log.id}/logs", **headers) as stream:
            assert b"The credential has expired." in stream.read()
        response = service.client.get("/executions", headers=headers)
        assert (response.status_code, response.json["detail"]) == (
            401, "The credential has expired."
        )  # fmt: skip

    def test_what_has_expired_is_no_guess(self, service, tokens):
        headers = tokens.add("nine", expires_at=in_future(-1))
        assert {ask(service, headers).status_code for _ in range(10)} == {401}

    def test_a_long_poll_of_somebody_who_loses_a_role_ends_with_404(self, service, tokens):
        log = Log(service, owner="bob").write(1)
        headers = tokens.add("ten", "ops", ["operator"])
        path = f"/executions/{log.id}"
        requests = {
            name: lambda p=p: service.client.get(p, headers=headers).status_code
            for name, p in (("wait", f"{path}?wait=5m"), ("poll", f"{path}/logs?from=1&timeout=5m"))
        }
        ended = self.outcomes(service, requests, lambda: tokens.add("ten", "ops", ["user"]))
        assert ended == {"wait": 404, "poll": 404}

    def test_a_ticket_is_as_good_as_the_credential_behind_it(self, service, tokens, log):
        headers = tokens.add("eleven", scopes=["executions:read"])
        path = f"/executions/{log.id}"

        def ticket():
            response = service.client.post(f"{path}/tickets", headers=headers)
            assert response.status_code == 201
            return response.json["ticket"]

        first, second, third = ticket(), ticket(), ticket()
        read = service.client.get(f"{path}/logs?timeout=0&ticket={first}")
        assert read.json["total_results"] == 1
        with open_stream(service.client, f"{path}/logs?ticket={second}") as stream:
            stream.read_until(lambda got: b"line 0" in got)
            tokens.revoke("eleven")
            assert b"The token was revoked." in stream.read()
        assert service.client.get(f"{path}/logs?ticket={third}").status_code == 401


class TestSettings:
    @pytest.fixture
    def faults(self, tmp_path):
        def faults(**auth):
            with pytest.raises(ConfigError) as caught:
                settings_in(tmp_path, api__auth=auth)
            return {fault.path: fault.message for fault in caught.value.fields}

        return faults

    def test_options_of_a_way_are_checked_as_all_settings_are(self, faults):
        assert faults(type=[TOY], static={"fiel": "x"}) == {
            "api.auth.static.file": "is missing", "api.auth.static.fiel": "is not a setting"
        }  # fmt: skip
        assert faults(type=TOY, static=7) == {
            "api.auth.static": "must be a mapping", "api.auth.static.file": "is missing"
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("type_", "path", "message"),
        [
            ([], "api.auth.type", "must be a name, or a list of names"),
            ([1], "api.auth.type", "must be a name, or a list of names"),
            ({"a": 1}, "api.auth.type", "must be a name, or a list of names"),
            (
                ["basic", "magic"],
                "api.auth.type[1]",
                "must be one of: none, basic, api_key, jwt, oidc, introspection, certificate",
            ),
            (
                "json:loads",
                "api.auth.type",
                "must be one of: none, basic, api_key, jwt, oidc, introspection, certificate",
            ),
            (
                "no.such:Thing",
                "api.auth.type",
                "must be one of: none, basic, api_key, jwt, oidc, introspection, certificate",
            ),
            (
                "a:b:c",
                "api.auth.type",
                "must be one of: none, basic, api_key, jwt, oidc, introspection, certificate",
            ),
            (["basic", "basic"], "api.auth.type[1]", "'basic' is used twice"),
            (["none", "basic"], "api.auth.type", "cannot be combined"),
        ],
    )
    def test_a_way_that_makes_no_sense_is_refused(self, faults, type_, path, message):
        found = faults(**{**users(), "type": type_})
        assert list(found) == [path]
        assert message in found[path]

    def test_options_of_a_way_that_is_not_used_are_none(self, faults):
        found = faults(**{**users(), "static": {"file": "x"}})
        assert found == {"api.auth.static": "is not a setting"}

    def test_they_can_be_overridden_and_their_secrets_are_known(self, tmp_path, make_file):
        text = f"api: {{auth: {{type: '{TOY}', static: {{file: a, pepper: p}}}}}}"

        settings = read_settings(
            make_file(text), {"data_dir": str(tmp_path)}, {"SLIPWAY_API__AUTH__STATIC__FILE": "b"}
        )
        options = settings.api.auth.options["static"]
        assert (options.file, options.pepper) == ("b", "p")
        assert settings.secrets_in_file == ("api.auth.static.pepper",)

    @pytest.fixture
    def make_file(self, tmp_path):
        def make(text):
            path = tmp_path / "slipway.yaml"
            path.write_text(text)
            return path

        return make


class TestAlone:
    """Without any transport."""

    def test_an_identity_of_another_way_does_not_hold(self, tokens):
        all_ = Authenticators([StaticTokens(Path(tokens.path))], Checker(0.0, None))
        for credential in (Credential("", ""), Credential("basic", "ada")):
            stranger = Identity("ada", frozenset({Role.USER}), credential=credential)
            with pytest.raises(NotAuthenticated, match="not offered any more"):
                all_.recheck(stranger)

    def test_identities_are_compared_by_who_may_what(self):
        one = Identity("ada", frozenset({Role.USER}), credential=Credential("basic", "ada"))
        assert one == Identity("ada", frozenset({Role.USER}), credential=Credential("x", "y"))
        assert one != Identity("ada", frozenset({Role.USER}), scopes=frozenset())

    def test_no_more_than_a_claim_says_is_shown(self):

        assert "hunter2" not in repr(Claim("ada", "hunter2"))

    def test_a_check_is_due_at_intervals_and_when_the_credential_ends(self, monkeypatch):
        clock = [100.0]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])
        asked = []
        identity = Identity("ada", frozenset())

        def caller():
            asked.append(clock[0])
            return identity

        watch = Watch(identity, caller, 60.0)
        assert watch.seconds_left() == 60
        assert not watch.check()
        clock[0] += 60
        assert watch.check()
        assert asked == [160.0]
        assert watch.seconds_left() == 60
        ends = datetime.now(UTC) + timedelta(seconds=10)
        identity = Identity("ada", frozenset(), credential=Credential("x", "y", ends))
        watch.renew()
        assert 9 < watch.seconds_left() <= 10

    def test_a_check_that_cannot_be_made_is_made_again_later(self, monkeypatch):
        clock = [100.0]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])

        def caller():
            raise LimitExceeded("not now")

        watch = Watch(Identity("ada", frozenset()), caller, 60.0)
        clock[0] += 60
        with pytest.raises(LimitExceeded):
            watch.check()
        assert watch.seconds_left() == 60


def test_the_manual_shows_the_options_of_each_way_that_has_some():
    text = manual({}, {"static": StaticTokens.Options, "basic": Basic.Options})
    assert "## Signing in by `static`" in text
    assert "| `api.auth.static.pepper` | text | none | Goes into each digest. Secret. |" in text
    assert "Signing in by `basic`" not in text
