"""What the client makes of answers that are refusals, rubbish, or none at all."""

from __future__ import annotations

import pickle
import socket
import threading
import traceback

import pytest
import requests
import responses
from client_kit import ID, QUICK, Waits, client_of, execution, page
from kit.ports import free_port
from kit.raw_server import HOLD, RawServer, answer, problem

import slipway
from slipway import (
    ApiKey,
    Client,
    Conflict,
    Execution,
    InvalidInput,
    Misused,
    NotAllowed,
    NotFound,
    NotOurs,
    NotSignedIn,
    NotSupported,
    Password,
    RateLimited,
    Refused,
    ServerFault,
    SlipwayError,
    TimedOut,
    Token,
    Unreachable,
    transport,
)
from slipway.attempts import Patience

SECRET = "s3cret-that-nobody-may-read"


def asking(url, waits=None, **more):
    return client_of(url, waits, **more).execution(ID)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidInput), (401, NotSignedIn), (403, NotAllowed), (404, NotFound),
        (409, Conflict), (410, NotFound), (412, Conflict), (413, InvalidInput),
        (418, InvalidInput), (422, InvalidInput), (500, ServerFault), (501, NotSupported),
        (502, ServerFault), (504, ServerFault),
    ],
)  # fmt: skip
def test_a_refusal_is_one_of_the_tree_and_asked_for_once(status, kind):
    with RawServer(lambda *_: problem(status, "Why it is so.", "word")) as server:
        with pytest.raises(kind, match=r"^Why it is so\.$") as caught:
            asking(server.url)
        assert len(server.asked) == 1
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.code) == (status, "word")
    assert caught.value.problem["detail"] == "Why it is so."
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.problem, again.args) == (kind, caught.value.problem,
                                                        caught.value.args)  # fmt: skip


def test_the_faults_of_inputs_are_named():
    body = {"detail": "No.", "fields": [{"path": "inputs.n", "message": "must be an integer"},
                                        "a word of a newer service"]}  # fmt: skip
    with (
        RawServer(lambda *_: answer(422, body, "application/problem+json")) as server,
        pytest.raises(InvalidInput) as caught,
    ):
        client_of(server.url).workflow("w").run(n="x")
    assert caught.value.fields == (("inputs.n", "must be an integer"),)


@pytest.mark.parametrize(
    "said",
    [
        answer(200, b"<html>Log in</html>", "text/html"),
        answer(200, b"rubbish"),
        answer(200, [1, 2]),
        answer(200, b"[" * 100_000 + b"]" * 100_000),
        answer(200, b'{"id": ' + b"7" * 10_000 + b"}"),
        answer(200, {"id": 7, "status": "RUNNING", "state": "RUNNING"}),
        answer(200, {"state": "RUNNING"}),
        answer(404, b"<html>nginx</html>", "text/html"),
        answer(500, b"Traceback", "text/plain"),
        answer(401, b""),
        answer(302, b"", "", Location="https://login.example.org/?next=secret"),
        answer(301, b"", "", Location="/login"),
        answer(307, b"", ""),
    ],
)  # fmt: skip
def test_what_is_no_answer_of_the_service_is_not_ours(said):
    with RawServer(lambda *_: said) as server:
        waits = Waits()
        with pytest.raises((NotOurs, Unreachable)) as caught:
            asking(server.url, waits)
    assert "secret" not in str(caught.value)
    assert sum(waits.slept) <= Patience().cut


def test_a_redirect_is_not_followed_and_no_credential_goes_there():
    with RawServer(lambda *_: answer(200, execution())) as elsewhere:
        to = f"{elsewhere.url}/login"
        with RawServer(lambda *_: answer(303, b"", "", Location=to)) as server:
            client = client_of(server.url, auth=ApiKey(SECRET))
            with pytest.raises(NotOurs, match="login"):
                client.workflow("w").run()
            with pytest.raises(NotOurs), Execution(client, ID).follow() as follow:
                next(follow)
        assert elsewhere.asked == []


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 3000, b"\x1b[2J hello\n"])
def test_a_server_that_does_not_speak_http_is_asked_once(said):
    with RawServer(lambda *_: said) as server:
        with pytest.raises(NotOurs, match="does not speak HTTP"):
            asking(server.url)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "said",
    [
        answer(200, b"<html>Log in</html>", framing="close"),
        answer(200, b'{"id": nope}', framing="close"),
        answer(404, b"<html>nginx</html>", "application/problem+json", "close"),
        answer(200, b"what", Content_Encoding="gzip"),
    ],
)  # fmt: skip
def test_what_can_be_no_half_of_an_answer_is_asked_for_once(said):
    with RawServer(lambda *_: said) as server:
        with pytest.raises(NotOurs):
            asking(server.url)
        assert len(server.asked) == 1


def test_what_a_server_says_moves_no_cursor():
    told = []
    with (
        RawServer(
            lambda *_: answer(200, b"x", "text/\x1b[2Jhtml", X_Request_ID="\x1b]0;x")
        ) as server,
        pytest.raises(NotOurs) as caught,
    ):
        asking(server.url, trace=told.append)
    assert "text/ [2jhtml" in str(caught.value)
    assert "\x1b" not in str(caught.value) + "".join(told)


def test_a_launch_that_may_have_happened_is_said_to():
    """It is cut, and then there is nobody any more."""
    waits = Waits()
    server = RawServer(lambda *_: [b"", server.__exit__])
    with pytest.raises(Unreachable, match=r"Nothing listens .* may have been done\.$"):
        client_of(server.url, waits).workflow("w").run()
    assert sum(waits.slept) > Patience().refused


@pytest.mark.parametrize("rubbish", [b"", b"HTTP/1.1 20", b"\r\n" * 500, b"HTTP/9 what\r\n\r\n"])
def test_a_server_of_something_else_is_given_up(rubbish):
    with RawServer(lambda *_: rubbish) as server:
        waits = Waits()
        with pytest.raises((Unreachable, NotOurs)):
            asking(server.url, waits)
    assert sum(waits.slept) <= Patience().cut


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, ServerFault)])
def test_a_busy_service_is_asked_again_for_a_minute(status, kind):
    waits = Waits()
    with RawServer(lambda *_: problem(status, "Too busy.")) as server:
        with pytest.raises(kind, match=r"^Too busy\. So it was for \d\d s\.$"):
            asking(server.url, waits)
        assert len(server.asked) == len(waits.slept) + 1
    assert 50 < sum(waits.slept) <= 60
    assert waits.slept[0] <= 0.1
    assert all(2.5 <= seconds <= 5 for seconds in waits.slept[6:])


def test_what_a_busy_service_asks_for_is_obeyed():
    waits = Waits()
    busy = problem(429, Retry_After="7")
    with RawServer(lambda _, number: busy if number < 3 else answer(200, execution())) as server:
        assert asking(server.url, waits).id == ID
    assert waits.slept == [7, 7, 7]


def test_a_service_that_asks_to_come_back_much_later_is_not_waited_for():
    waits = Waits()
    with RawServer(lambda *_: problem(503, Retry_After="3600")) as server:
        with pytest.raises(ServerFault) as caught:
            asking(server.url, waits)
    assert waits.slept == []
    assert caught.value.retry_after == 3600
    assert str(caught.value) == "It is so. It asks to come back in 3600 s."


def test_a_date_to_come_back_at_is_understood():
    waits = Waits()
    busy = problem(503, Retry_After="Sat, 01 Jan 2000 00:00:00 GMT")
    with RawServer(lambda _, number: answer(200, execution()) if number else busy) as server:
        asking(server.url, waits)
    assert len(waits.slept) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_proxy_without_a_service_is_not_ours(status):
    waits = Waits()
    with RawServer(lambda *_: answer(status, b"<h1>Bad</h1>", "text/html")) as server:
        with pytest.raises(NotOurs, match=str(status)):
            asking(server.url, waits)
    assert sum(waits.slept) <= 60


def test_a_launch_is_not_repeated_where_the_service_refuses_it():
    with RawServer(lambda *_: problem(409)) as server:
        with pytest.raises(Conflict):
            client_of(server.url).workflow("w").run()
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "said", [b"", answer(503, b"", "text/html"), answer(502, b"x", "text/html")]
)
def test_a_key_is_made_once_where_nobody_knows_if_it_was(said):
    with RawServer(lambda *_: said) as server:
        with pytest.raises(SlipwayError, match="may have been done"):
            client_of(server.url).create_ssh_key()
        assert len(server.asked) == 1


def test_a_launch_whose_first_attempt_is_not_certain_yet_is_asked_for_again():
    waits = Waits()
    busy = problem(409, "It is still under way.", Retry_After="10")
    with RawServer(lambda _, number: answer(201, execution()) if number else busy) as server:
        assert client_of(server.url, waits).workflow("w").run().id == ID
    assert waits.slept == [10]


def test_an_answer_is_read_once():
    with RawServer(lambda *_: answer(200, execution())) as server:
        given = client_of(server.url).request("GET", "/x")
    assert given.json() is given.json()
    assert given.json() == execution()


def test_a_text_whose_end_nobody_can_tell_is_none():
    whole = answer(200, b"id: w\nsteps: []\n", "application/yaml")
    cut = answer(200, b"id: w\nst", "application/yaml", "close")
    with RawServer(lambda _, number: whole if number else cut) as server:
        assert client_of(server.url).definition("w").text == "id: w\nsteps: []\n"


def test_a_key_is_made_after_the_service_was_too_busy_for_it():
    made = answer(201, {"id": ID, "public_key": "ssh-ed25519 AAAA slipway"})
    with RawServer(lambda _, number: made if number else problem(429)) as server:
        assert client_of(server.url).create_ssh_key().id == ID


def test_a_key_whose_revocation_was_cut_is_revoked_although_it_is_gone():
    with RawServer(lambda _, number: problem(404) if number else b"") as server:
        client_of(server.url).revoke_ssh_key("6fa459ea")
    with RawServer(lambda *_: problem(404)) as server, pytest.raises(NotFound):
        client_of(server.url).revoke_ssh_key("6fa459ea")
    page_of_a_proxy = answer(404, b"<html>", "text/html")
    with (
        RawServer(lambda _, number: page_of_a_proxy if number else b"") as server,
        pytest.raises(NotOurs),
    ):
        client_of(server.url).revoke_ssh_key("6fa459ea")


def test_a_server_that_is_silent_is_given_up_after_its_time():
    with RawServer(lambda *_: [HOLD]) as server:
        client = Client(server.url, patience=QUICK)
        with pytest.raises(TimedOut, match="is silent"):
            client.version()
        assert len(server.asked) == 1


def test_a_server_that_is_silent_in_the_midst_of_an_answer_is_given_up():
    with RawServer(lambda *_: [answer(200, execution())[:-5], HOLD]) as server:
        with pytest.raises(TimedOut, match="is silent"):
            Client(server.url, patience=QUICK).execution(ID)


def test_a_server_that_says_a_byte_now_and_then_is_given_up():
    """Time passes with each byte, as the server says it."""
    waits = Waits()

    def drip(*_):
        yield answer(200, execution(), framing="close")[:-50]
        while True:
            yield b" "
            yield lambda: waits.sleep(10)

    with RawServer(drip) as server, pytest.raises(TimedOut, match="is silent"):
        asking(server.url, waits)


def test_a_port_that_nobody_listens_at_is_given_up_soon():
    waits = Waits()
    with pytest.raises(Unreachable, match="Nothing listens at"):
        asking(f"http://127.0.0.1:{free_port()}", waits)
    assert 0 < sum(waits.slept) <= Patience().refused


def test_a_host_that_does_not_exist_is_given_up_at_once(monkeypatch):
    def unknown(*_args, **_more):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    waits = Waits()
    with pytest.raises(Unreachable, match=r"There is no host slipway\.test\."):
        asking("http://slipway.test", waits)
    assert waits.slept == []


def test_no_text_of_a_connection_error_gets_out():
    lines = []
    client = client_of(f"http://127.0.0.1:{free_port()}", auth=Token(SECRET), trace=lines.append)
    with pytest.raises(Unreachable) as caught:
        client.request("GET", "/executions", params={"ticket": SECRET, "api_key": SECRET})
    with RawServer(lambda *_: answer(204, kind="")) as server:
        client = client_of(server.url, auth=Password("ana", SECRET), trace=lines.append)
        client.request("DELETE", f"/ssh_keys/{SECRET}", params={"ticket": SECRET})
    told = "".join(traceback.format_exception(caught.value)) + "".join(lines) + repr(client)
    assert SECRET not in told
    assert SECRET[9:] not in told
    assert any("GET /executions?ticket=...&api_key=..." in line for line in lines)


def test_nothing_of_the_http_library_gets_out():
    kinds = [each for each in vars(requests.exceptions).values()
             if isinstance(each, type) and issubclass(each, requests.RequestException)
             and each is not requests.JSONDecodeError]  # fmt: skip
    assert len(kinds) > 15
    for kind in kinds:
        with responses.RequestsMock() as mock:
            mock.get(f"http://slipway.test/executions/{ID}", body=kind("secret text"))
            with pytest.raises(Unreachable) as caught:
                asking("http://slipway.test", patience=Patience(cut=0, refused=0, silence=0))
        assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_what_stands_in_netrc_is_never_sent(tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with RawServer(lambda *_: answer(200, execution())) as server:
        asking(server.url)
        asking(server.url, auth=Token(SECRET))
        asking(server.url, auth=("añá", "pä:ss"))
        asking(server.url, auth=ApiKey(SECRET))
        sent = [each.headers for each in server.asked]
    assert "authorization" not in sent[0]
    assert sent[1]["authorization"] == f"Bearer {SECRET}"
    assert sent[2]["authorization"] == "Basic YcOxw6E6cMOkOnNz"
    assert "authorization" not in sent[3]
    assert sent[3]["x-api-key"] == SECRET


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_this_machine_is_reached_without_a_proxy(name, monkeypatch):
    monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for unset in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(unset, raising=False)
    with RawServer(lambda *_: answer(200, execution())) as server:
        assert asking(server.url).id == ID
        assert asking(server.url.replace("127.0.0.1", "localhost")).id == ID


def test_others_are_reached_by_a_proxy(monkeypatch):
    with RawServer(lambda *_: answer(200, execution())) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert asking("http://slipway.test").id == ID
        assert proxy.asked[0].target == f"http://slipway.test/executions/{ID}"


def test_a_proxy_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://ana:{SECRET}@127.0.0.1:{free_port()}")
    with pytest.raises(Unreachable, match="proxy") as caught:
        asking("http://slipway.test")
    assert SECRET not in str(caught.value)


def test_the_certificates_are_those_of_the_profile_else_those_of_the_variable(monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    seen = []

    class Answers(requests.Session):
        def request(self, *args, **more):
            seen.append(more["verify"])
            raise requests.ConnectionError

    monkeypatch.setattr(requests, "Session", Answers)
    with pytest.raises(Unreachable):
        client_of("https://slipway.test").version()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/variable.pem")
    for file in (None, "/profile.pem"):
        with pytest.raises(Unreachable):
            client_of("https://slipway.test", ca_file=file).version()
    assert list(dict.fromkeys(seen)) == [True, "/variable.pem", "/profile.pem"]


def test_certificates_that_are_not_there_are_named(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(Unreachable, match=r"/nowhere/ca\.pem"):
        client_of("https://slipway.test").version()


@pytest.mark.parametrize(
    "url",
    [
        "", "slipway.example.org", "localhost:8080", "ftp://x", "https://", "http://[::1",
        "http://x:port", "https://ana:pw@x", "https://x/?a=b", "https://x/#top",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_service_is_said_at_once(url):
    with pytest.raises(Misused) as caught:
        Client(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("auth", ["token", ("a",), ("a:b", "c"), 7, ("a", None)])
def test_what_is_no_credential_is_said_at_once(auth):
    with pytest.raises(Misused):
        Client("http://x", auth)


@pytest.mark.parametrize("text", ["", "two words", "line\r\nX: y", "ключ"])
def test_a_token_is_what_can_be_sent(text):
    with pytest.raises(Misused, match=r"^A token is made of visible"):
        Token(text)
    with pytest.raises(Misused, match=r"^An API key is made of visible"):
        ApiKey(text)


@pytest.mark.parametrize("name", ["", ".", "..", "\ud800"])
def test_a_name_that_leads_elsewhere_is_never_sent(name):
    client = client_of("http://127.0.0.1:1")
    for ask in (client.workflow, client.execution, client.definition, client.revoke_ssh_key):
        with pytest.raises(Misused):
            ask(name)


def test_a_name_is_one_part_of_the_path():
    with RawServer(lambda *_: problem(404)) as server:
        for name in ("a/b", "../x", "a?b#c", "ä b", "%2e%2e"):
            with pytest.raises(NotFound):
                client_of(server.url).execution(name)
        assert [each.target for each in server.asked] == [
            f"/executions/{name}" for name in ("a%2Fb", "..%2Fx", "a%3Fb%23c", "%C3%A4%20b",
                                               "%252e%252e")
        ]  # fmt: skip


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), float("inf"), b"x", "\ud800"])
def test_what_is_no_json_is_said_before_it_is_sent(value):
    with pytest.raises(Misused):
        client_of("http://127.0.0.1:1").workflow("w").run(n=value)


@pytest.mark.parametrize("filters", [{"status": "a\x1bb"}, {"state": ["FAILED", "\n"]}])
def test_a_word_that_is_none_is_said_before_it_is_sent(filters):
    with pytest.raises(Misused, match="is not a valid status"):
        client_of("http://127.0.0.1:1").executions(**filters)


@pytest.mark.parametrize("key", ["ключ", "\ud800", "a\r\nX: y"])
def test_a_key_that_cannot_be_sent_is_said_before_it_is(key):
    with pytest.raises(SlipwayError):
        client_of("http://127.0.0.1:1").workflow("w").run(idempotency_key=key)
    with pytest.raises(SlipwayError):
        client_of("http://127.0.0.1:1").request("GET", "/x", params={"q": "\ud800"})


def test_a_number_of_numpy_is_a_number():
    class Like:
        def tolist(self):
            return [1, 2]

    with RawServer(lambda *_: answer(201, execution())) as server:
        client_of(server.url).workflow("w").run({"inputs": 1, "n": 2}, n=Like(), name="night",
                                                labels={"grid": "fine"})  # fmt: skip
        assert server.asked[0].json() == {
            "inputs": {"inputs": 1, "n": [1, 2]}, "name": "night", "labels": {"grid": "fine"},
        }  # fmt: skip
        assert server.asked[0].headers["prefer"] == "return=representation"


def test_each_thread_has_a_session_of_its_own(monkeypatch):
    made = []
    session = requests.Session
    monkeypatch.setattr(requests, "Session", lambda: made.append(1) or session())
    with RawServer(lambda *_: answer(200, execution())) as server, client_of(server.url) as client:
        threads = [threading.Thread(target=client.execution, args=[ID]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.execution(ID)
        client.execution(ID)
    assert len(made) == 5


def test_pages_are_asked_for_when_they_are_needed_and_nothing_comes_twice():
    others = [execution(id=f"id-{number}") for number in range(5)]

    def talk(asked, _):
        number = int(asked.query["page"])
        # One came in between, so that the last one of the first page moved to the second.
        shown = others[:2] if number == 1 else others[1:3] if number == 2 else others[3:]
        return answer(200, {"executions": shown, "total": 5, "next": "/x" if number < 3 else None})

    with RawServer(talk) as server:
        pages = client_of(server.url).executions(workflow="w", status=["running", "FAILED"])
        assert server.asked == []
        assert next(pages).id == "id-0"
        assert len(server.asked) == 1
        assert pages.total == 5
        assert [each.id for each in pages] == ["id-1", "id-2", "id-3", "id-4"]
        assert len(server.asked) == 3
        assert "status=RUNNING&status=FAILED" in server.asked[0].target
        with pytest.raises(TypeError):
            len(pages)


def test_a_page_that_failed_is_not_the_end():
    def talk(_, number):
        if number == 1:
            return problem(500)
        return answer(200, {"executions": [execution(id=f"id-{number}")], "total": 2,
                            "next": None if number else "/x"})  # fmt: skip

    with RawServer(talk) as server:
        pages = client_of(server.url).executions()
        assert next(pages).id == "id-0"
        with pytest.raises(ServerFault):
            next(pages)
        assert [each.id for each in pages] == ["id-2"]


def test_the_log_is_read_page_by_page_at_one_cursor():
    def talk(asked, _):
        after = int(asked.query["after"])
        found = [
            {
                "index": i,
                "level": "INFO",
                "task": "",
                "content": "x",
                "timestamp": "2026-01-31T12:00:00Z",
            }
            for i in range(after + 1, min(after + 3, 7))
        ]
        return answer(200, page(*found, complete=after >= 4))  # fmt: skip

    with RawServer(talk) as server:
        logs = Execution(client_of(server.url), ID).logs(level="warn", step="a", after=1)
        assert [each.index for each in logs] == [2, 3, 4, 5, 6]
        assert [each.query["after"] for each in server.asked] == ["1", "3", "5"]
        assert {each.query["levels"] for each in server.asked} == {"12"}
        assert {each.query["task"] for each in server.asked} == {"a"}


def test_one_tree_holds_all_exceptions():
    for name in slipway.__all__:
        thing = getattr(slipway, name)
        if isinstance(thing, type) and issubclass(thing, Exception):
            assert issubclass(thing, SlipwayError)
    assert issubclass(TimedOut, Unreachable)
    assert issubclass(RateLimited, Refused)


@pytest.mark.parametrize("kind", ["application/json", "application/zip"])
def test_an_answer_without_an_end_does_not_fill_the_memory(kind, monkeypatch):
    monkeypatch.setattr(transport, "_MOST_BYTES", 100_000)
    with (
        RawServer(lambda *_: answer(200, b"0" * 300_000, kind)) as server,
        pytest.raises(NotOurs, match="without an end"),
    ):
        client_of(server.url).request("GET", "/x", accept=kind)


def test_a_bundle_that_comes_little_by_little_for_ever_is_given_up():
    waits = Waits()

    def drip(*_):
        yield answer(200, b"P" * 9999, "application/zip")[:-9000]
        while True:
            yield b"P"
            yield lambda: waits.sleep(10)

    with RawServer(drip) as server, pytest.raises(TimedOut, match="is silent"):
        client_of(server.url, waits).request("GET", "/x", accept="application/zip")
