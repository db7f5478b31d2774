"""Which service is meant, and who signs in to it."""

import json

import pytest

from slipway.cli.codes import Failure
from slipway.cli.options import Connection
from slipway.cli.profiles import (
    DEFAULT_URL,
    Login,
    Profile,
    config_folder,
    profile_document,
    read_profiles,
    resolve,
    same_service,
)

HOME, AWAY = "https://home.example", "https://away.example/slipway"


@pytest.fixture
def keep(person):
    """Keep profiles, of which ``home`` counts."""
    kept = {
        "home": Profile("home", HOME, Login("password", "ana", "of-home")),
        "away": Profile("away", AWAY, Login("token", secret="of-away")),
    }
    document = {"current": "home", "profiles": {k: profile_document(v) for k, v in kept.items()}}
    config_folder().mkdir(parents=True)
    (config_folder() / "profiles.json").write_text(json.dumps(document))


def found(environ=None, **asked):
    target = resolve(Connection(**asked), environ or {})
    login = target.login
    return target.url, target.source, login.kind, login.user or login.secret, login.source


def test_without_anything_it_is_the_service_of_this_machine(person):
    assert found() == (DEFAULT_URL, "the default", "none", None, "")


@pytest.mark.usefixtures("keep")
class TestInTheirOrder:
    def test_a_profile_settles_both(self):
        assert found() == (HOME, "profile home", "password", "ana", "profile home")

    @pytest.mark.parametrize(
        ("environ", "kind", "who", "source"),
        [
            ({"SLIPWAY_TOKEN": "t"}, "token", "t", "SLIPWAY_TOKEN"),
            ({"SLIPWAY_API_KEY": "k"}, "api_key", "k", "SLIPWAY_API_KEY"),
            ({"SLIPWAY_USER": "bo"}, "password", "bo", "SLIPWAY_USER"),
            ({"HW_ACCESS_TOKEN": "h"}, "token", "h", "HW_ACCESS_TOKEN"),
            ({"HW_USER": "cy:pw"}, "password", "cy", "HW_USER"),
            ({"SLIPWAY_TOKEN": "t", "SLIPWAY_API_KEY": "k"}, "token", "t", "SLIPWAY_TOKEN"),
            ({"SLIPWAY_USER": "bo", "HW_ACCESS_TOKEN": "h"}, "password", "bo", "SLIPWAY_USER"),
        ],
    )
    def test_variables_win_over_it(self, environ, kind, who, source):
        assert found(environ) == (HOME, "profile home", kind, who, source)

    def test_options_win_over_variables(self):
        environ = {"SLIPWAY_TOKEN": "t", "SLIPWAY_URL": HOME}
        assert found(environ, user="bo:pw")[2:] == ("password", "bo", "-u")
        assert found(environ, token="o")[2:] == ("token", "o", "-t")
        assert found(environ, url=AWAY)[:3] == (AWAY, "--url", "token")

    def test_a_profile_that_is_asked_for_wins_over_variables(self):
        environ = {"SLIPWAY_TOKEN": "t", "SLIPWAY_URL": HOME}
        assert found(environ, profile="away") == (
            AWAY, "profile away", "token", "of-away", "profile away",
        )  # fmt: skip

    def test_a_variable_chooses_a_profile(self):
        assert found({"SLIPWAY_PROFILE": "away"})[0] == AWAY
        assert found({"SLIPWAY_PROFILE": "away"}, profile="home")[0] == HOME

    @pytest.mark.parametrize("name", ["SLIPWAY_URL", "HW_API_URL"])
    def test_what_is_kept_for_one_address_is_sent_to_no_other(self, name):
        assert found({name: "https://stranger.example"}) == (
            "https://stranger.example", name, "none", None, "",
        )  # fmt: skip
        assert found(url="https://stranger.example")[2] == "none"
        environ = {"SLIPWAY_PROFILE": "home"}
        assert found(environ, url="https://stranger.example")[2] == "none"

    def test_a_profile_is_found_by_its_address(self):
        assert found({"SLIPWAY_URL": f"{AWAY}/"})[2:] == ("token", "of-away", "profile away")
        assert found(url="https://home.example:443/")[3] == "ana"

    def test_a_profile_for_another_address_is_refused(self):
        with pytest.raises(Failure, match=r"Profile home is for https://home\.example, and not"):
            found(profile="home", url=AWAY)
        assert found(profile="home", url=AWAY, token="t")[2:] == ("token", "t", "-t")

    def test_a_profile_that_there_is_not_is_refused(self):
        with pytest.raises(Failure, match=r"no profile 'x' \(--profile\); there are: home, away"):
            found(profile="x")
        with pytest.raises(Failure, match=r"no profile 'x' \(SLIPWAY_PROFILE\)"):
            found({"SLIPWAY_PROFILE": "x"})


class TestOfTheClientOfBefore:
    def test_its_file_is_read(self, person):
        (person.home / ".waas").write_text("api_url: https://old.example/\nuser: ana:pw:x\n")
        assert found() == ("https://old.example", "~/.waas", "password", "ana", "~/.waas")
        assert resolve(Connection(), {}).login.secret == "pw:x"

    def test_a_token_in_it_wins_over_a_user(self, person):
        (person.home / ".waas").write_text("access_token: abc\nuser: ana\n")
        assert found() == (DEFAULT_URL, "~/.waas", "token", "abc", "~/.waas")

    @pytest.mark.usefixtures("keep")
    def test_a_profile_wins_over_it(self, person):
        (person.home / ".waas").write_text("api_url: https://old.example\n")
        assert found()[0] == HOME

    @pytest.mark.parametrize(
        "text",
        ["[", "- a", "api_url: 7", "api_url: nowhere", "user: 2026-13-45", "user: !!int x",
         pytest.param("[" * 5000, id="deep")],
    )  # fmt: skip
    def test_what_is_no_such_file_is_a_sentence(self, person, text):
        (person.home / ".waas").write_text(text)
        with pytest.raises(Failure, match=r"~/\.waas"):
            found()


@pytest.mark.parametrize(
    "text", ["x", "{}", '{"current": 7, "profiles": []}', '{"current": "a", "profiles": {"a": {}}}',
             '{"current": "a", "profiles": {"../a": {"url": "http://x"}}}',
             '{"current": "a", "profiles": {"a": {"url": "http://x", "kind": "magic"}}}',
             '{"current": "a", "profiles": {"a": {"url": "http://x", "user": 7}}}',
             '{"current": "a", "profiles": {"a": {"url": "http://x", "secret": ["s"]}}}',
             '{"current": "a", "profiles": {"a": {"url": "http://x", "ca": 7}}}',
             pytest.param("[" * 200_000, id="deep")],
)  # fmt: skip
def test_a_file_of_profiles_that_is_none_is_a_sentence(person, text):
    config_folder().mkdir(parents=True)
    (config_folder() / "profiles.json").write_text(text)
    with pytest.raises(Failure, match=r"profiles\.json is no list of profiles"):
        read_profiles()


@pytest.mark.parametrize(
    "url", ["", "home.example", "ftp://x", "http://", "http://x:y", "http://a:b@x", "http://x?a=b",
            "http://x#a", "http://x:0", "http://[::1"],
)  # fmt: skip
def test_what_is_no_address_is_refused(person, url):
    with pytest.raises(Failure, match="--url"):
        found(url=url)


def test_a_password_in_an_address_that_is_none_is_not_shown(person):
    with pytest.raises(Failure, match="--url: that is no address") as caught:
        found(url="https://ana:s3cret@home.example:port")
    assert "s3cret" not in str(caught.value) + caught.value.hint


def test_either_a_user_or_a_token(person):
    with pytest.raises(Failure, match="not both"):
        found(user="ana", token="t")
    with pytest.raises(Failure, match="USER:PASSWORD"):
        found(user=":pw")


def test_a_password_of_a_variable_is_that_of_the_user_of_the_option(person):
    assert resolve(Connection(user="ana"), {"SLIPWAY_PASSWORD": "pw"}).login.secret == "pw"
    assert resolve(Connection(user="ana"), {}).login.secret is None
    assert resolve(Connection(user="ana:"), {}).login.secret == ""


def test_no_secret_stands_in_what_is_logged():
    assert "pw" not in repr(Login("password", "ana", "pw"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("http://x", "http://x/", True), ("http://x", "http://X:80", True),
        ("http://x", "https://x", False), ("http://x/a", "http://x/b", False),
        ("http://x:1", "http://x:2", False),
    ],
)  # fmt: skip
def test_addresses_of_the_same_service(one, other, same):
    assert same_service(one, other) is same
