from __future__ import annotations

import gzip
import os
import socket
import zlib
from contextlib import ExitStack

import gevent
import pytest
from cryptography import x509
from raw_server import serving

from app.load.definition import Timeouts, Tls
from app.load.exchange import Cut, Request, TimedOut, TransportFailed
from app.load.slave.client import Client
from app.load.slave.http_connection import MOST_BODY
from app.load.slave.networks import Networks
from tests.fakes.load_target import Answer, LoadTarget
from tests.kit.certificates import Authority

MS = 1000


@pytest.fixture(scope="module")
def shared_target():
    with LoadTarget() as target:
        yield target


@pytest.fixture
def target(shared_target):
    shared_target.drop_connections()
    shared_target.forget()
    yield shared_target
    for path in ("/slow", "/x"):
        shared_target.answer(path)


@pytest.fixture
def client():
    made = Client(Networks(), lambda: None)
    yield made
    made.close()


def get(url, **more):
    return Request("GET", url, **more)


def within(**limits):
    return Timeouts(**limits)


def test_one_connection_serves_one_request_after_the_other(client, target):
    for _ in range(5):
        assert client.send(get(f"{target.url}/a")).status == 200
    assert len({seen.connection for seen in target.requests("/a")}) == 1


def test_those_who_ask_at_once_have_connections_of_their_own(client, target):
    target.answer("/slow", Answer(delay=0.05))
    before = target.now().accepted
    for _ in range(2):
        asking = [gevent.spawn(client.send, get(f"{target.url}/slow")) for _ in range(8)]
        gevent.joinall(asking, raise_error=True)
    assert target.now().most == 8
    assert target.now().accepted - before == 8


def test_what_is_written_arrives(client, target):
    client.send(
        Request(
            "POST",
            f"{target.url}/x?a=1&b=%20",
            (("X-One", "1"), ("Content-Length", "999"), ("Connection", "close"), ("X-U", "\xe9")),
            b"body",
        )
    )
    seen = target.requests("/x")[0]
    assert seen.head.startswith(b"POST /x?a=1&b=%20 HTTP/1.1\r\n")
    assert (seen.headers["x-one"], seen.headers["x-u"]) == ("1", "\xe9")
    assert (seen.headers["content-length"], seen.body) == ("4", b"body")
    assert seen.headers["host"] == target.host
    assert "connection" not in seen.headers


def test_headers_of_the_definition_take_the_place_of_our_own(client, target):
    client.send(get(f"{target.url}/x", headers=(("host", "other"), ("USER-AGENT", "me"))))
    headers = target.requests("/x")[0].headers
    assert (headers["host"], headers["user-agent"], headers["accept"]) == ("other", "me", "*/*")


def test_credentials_of_an_address_are_sent(client, target):
    client.send(get(f"http://a:b%20c@{target.host}/x"))
    seen = target.requests("/x")[0]
    assert seen.headers["authorization"] == "Basic YTpiIGM="
    assert seen.headers["host"] == target.host


def test_a_large_body_is_sent_whole(client, target):
    body = os.urandom(8_000_000)
    assert client.send(Request("PUT", f"{target.url}/x", body=body)).status == 200
    assert target.requests("/x")[0].body == body


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [200, 204, 304, 404, 500])
def test_answers_without_a_body_keep_the_connection(client, target, method, status):
    target.answer("/x", Answer(status=status, body="some"))
    for _ in range(2):
        answer = client.send(Request(method, f"{target.url}/x", wants_body=True))
        assert answer.status == status
        bare = method == "HEAD" or status in {204, 304}
        assert answer.body == (b"" if bare else b"some")
    assert len({seen.connection for seen in target.requests("/x")}) == 1


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_is_kept_where_somebody_looks_at_it(client, target, chunked):
    text = "x" * 10_000
    target.answer("/x", Answer(body=text, chunked=chunked))
    assert client.send(get(f"{target.url}/x", wants_body=True)).body == text.encode()
    assert client.send(get(f"{target.url}/x")).body == b""


def test_headers_come_as_they_are(client, target):
    target.answer("/x", Answer(headers=(("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))))
    headers = client.send(get(f"{target.url}/x", wants_headers=True)).headers
    assert [value for name, value in headers if name == b"Set-Cookie"] == [b"a=1", b"b=2"]


@pytest.mark.parametrize("then", ["close", "drop"])
def test_a_connection_that_the_server_closes_is_not_used_again(client, target, then):
    target.answer("/x", Answer(then=then))
    for method in ("GET", "POST", "POST", "GET"):
        assert client.send(Request(method, f"{target.url}/x")).status == 200
        while any(kept.open for origin in client._places.origins() for kept in origin.idle):
            gevent.sleep(0.001)  # until it is noticed
    assert len(target.requests("/x")) == 4


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_what_is_safe_to_repeat_is_sent_once_more_where_a_kept_connection_closes(client, method):
    fine = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with serving(fine, None, fine) as server:
        assert client.send(get(server.url)).status == 200
        assert client.send(Request(method, server.url)).status == 200
        assert (len(server.heads), server.connections) == (3, 2)


def test_what_is_not_safe_to_repeat_is_sent_once(client):
    fine = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with serving(fine, None, fine) as server:
        client.send(get(server.url))
        with pytest.raises(TransportFailed, match="closed") as caught:
            client.send(Request("POST", server.url))
        assert caught.value.kind == "CONNECTION_ERROR"
        assert len(server.heads) == 2


def test_nothing_is_repeated_once_a_byte_of_the_answer_came(client):
    fine = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with serving(fine, b"H", closes=True) as server:
        client.send(get(server.url))
        with pytest.raises(TransportFailed, match="before the end"):
            client.send(get(server.url))
        assert len(server.heads) == 2


def test_a_new_connection_that_closes_is_no_reason_to_try_again(client):
    with serving(None, None) as server:
        with pytest.raises(TransportFailed, match="before the end"):
            client.send(get(server.url))
        assert len(server.heads) == 1


def test_interim_answers_are_passed_over(client):
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    fine = b"HTTP/1.1 201 Created\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi"
    with serving(interim + fine, fine) as server:
        for _ in range(2):
            answer = client.send(get(server.url, wants_body=True))
            assert (answer.status, answer.body) == (201, b"hi")
            assert answer.headers[0] == (b"X-A", b"1")
        assert server.connections == 1


def test_a_body_may_end_with_the_connection(client):
    with serving(b"HTTP/1.1 200 OK\r\n\r\nall of it", closes=True) as server:
        assert client.send(get(server.url, wants_body=True)).body == b"all of it"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n",
        b"HTTP/1.1 2",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x00\x01\x02\x03" * 10,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: 1\r\n" * 100_000,
    ],
)
def test_a_broken_answer_is_none(client, answer):
    with serving(answer, closes=True) as server:
        with pytest.raises(TransportFailed) as caught:
            client.send(get(server.url, wants_body=True))
        assert caught.value.kind == "CONNECTION_ERROR"
        assert not isinstance(caught.value, TimedOut)


@pytest.mark.parametrize(
    "more", [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"garbage", b"HTTP/1.1 500 No\r\n"]
)
def test_an_answer_that_nobody_asked_for_is_nobody_s(client, more):
    fine = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    with serving(fine + more, fine) as server:
        for _ in range(2):
            answer = client.send(get(server.url, wants_body=True))
            assert (answer.status, answer.body) == (200, b"hi")
        assert server.connections == 2


def test_a_body_behind_a_head_that_has_none_is_nobody_s(client):
    fine = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    with serving(fine + b"hi", fine + b"hi") as server:
        assert client.send(Request("HEAD", server.url)).status == 200
        assert client.send(get(server.url, wants_body=True)).body == b"hi"
        assert server.connections == 2


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        (b"gzip", gzip.compress(b"hello", mtime=0)),
        (b"deflate", zlib.compress(b"hello")),
        (b"deflate", zlib.compress(b"hello", wbits=-15)),
        (b"GZip", gzip.compress(b"hello", mtime=0)),
    ],
)
def test_a_packed_body_is_unpacked(client, coding, packed):
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    with serving(head % (coding, len(packed)) + packed) as server:
        assert client.send(get(server.url, wants_body=True)).body == b"hello"


@pytest.mark.parametrize("packed", [True, False])
def test_of_a_long_body_a_part_is_kept(client, packed):
    body = b"\0" * (MOST_BODY + 1_000_000)
    data = gzip.compress(body) if packed else body
    coding = b"Content-Encoding: gzip\r\n" if packed else b""
    head = b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (coding, len(data))
    with serving(head + data, head + data) as server:
        assert len(client.send(get(server.url, wants_body=True)).body) == MOST_BODY
        assert client.send(get(server.url)).status == 200
        assert server.connections == 1


def test_a_server_that_does_not_answer_is_left(client, target):
    target.answer("/slow", Answer(delay=60))
    for timeouts in (within(request_us=30 * MS), within(read_us=30 * MS)):
        with pytest.raises(TimedOut) as caught:
            client.send(get(f"{target.url}/slow", timeouts=timeouts))
        assert caught.value.kind == "TIMEOUT_ERROR"
        assert caught.value.microseconds > 5 * MS
    target.answer("/slow", Answer())
    assert client.send(get(f"{target.url}/slow")).status == 200


def test_a_server_that_takes_nothing_is_left(client, target):
    with target.frozen(), pytest.raises(TimedOut):
        client.send(
            Request(
                "PUT",
                f"{target.url}/x",
                body=b"x" * 50_000_000,
                timeouts=within(write_us=50 * MS),
            )
        )


def test_an_answer_before_the_end_of_a_request_is_taken(client):
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with serving(refusal) as server:
        answer = client.send(Request("POST", server.url, body=b"x" * 50_000_000))
        assert answer.status == 413


def test_nobody_listens(client):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    with pytest.raises(TransportFailed, match="refused") as caught:
        client.send(get(url))
    assert caught.value.kind == "CONNECTION_ERROR"


def test_a_name_without_an_address(client):
    with pytest.raises(TransportFailed, match="has no address"):
        client.send(get("http://nowhere.invalid/"))


@pytest.fixture
def full():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(3):
            each = waiting.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.mark.parametrize("limits", [{"connect_us": 30 * MS}, {"request_us": 30 * MS}])
def test_a_connection_that_does_not_come_about_takes_no_longer_than_it_may(client, full, limits):
    with pytest.raises(TimedOut, match="no connection in time"):
        client.send(get(full, timeouts=within(**limits)))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "0", "[::ffff:127.0.0.1]"])
def test_an_address_that_is_denied_is_not_connected_to(target, host):
    client = Client(Networks.of(None, ["127.0.0.0/8", "::1"]), lambda: None)
    before = target.now().accepted
    with pytest.raises(TransportFailed, match="not an allowed target") as caught:
        client.send(get(f"http://{host}:{target.port}/x"))
    assert caught.value.kind == "NOT_ALLOWED"
    assert target.now().accepted == before


def test_metadata_services_are_denied_without_being_told():
    with pytest.raises(TransportFailed, match="not an allowed target"):
        Client(Networks(), lambda: None).send(get("http://169.254.169.254/latest/meta-data/"))


@pytest.mark.parametrize(
    "request_",
    [
        get("ftp://127.0.0.1/"), get("http:///x"), get("http://127.0.0.1:0/"), get("/x"),
        get("http://127.0.0.1:99999/"), get("http://127.0.0.1/a b"),
        get("http://127.0.0.1/\r\nX: 1"),
        Request("GET /x HTTP/1.1\r\nX: 1\r\n", "http://127.0.0.1/"),
        get("http://127.0.0.1/", headers=(("X", "1\r\nY: 2"),)),
        get("http://127.0.0.1/", headers=(("X Y", "1"),)),
        get("http://127.0.0.1/", headers=(("X", "\u20ac"),)),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_not_sent(client, request_):
    with pytest.raises(TransportFailed) as caught:
        client.send(request_)
    assert caught.value.kind == "VALIDATION_ERROR"


def test_who_is_cut_is_gone_at_once_and_nobody_gets_their_answer(client, target):
    target.answer("/slow", Answer(delay=60))
    client.send(get(f"{target.url}/x"))
    ended = []

    def ask():
        try:
            client.send(get(f"{target.url}/slow"))
        except Cut:
            ended.append("cut")

    asking = gevent.spawn(ask)
    while not target.now().open:
        gevent.sleep(0.001)
    asking.kill(Cut)
    assert ended == ["cut"]
    target.answer("/slow", Answer(body="other"))
    assert client.send(get(f"{target.url}/slow", wants_body=True)).body == b"other"
    while not target.now().cut:
        gevent.sleep(0.001)


def test_who_is_cut_while_connecting_is_gone_too(client, full):
    ended = []

    def ask():
        try:
            client.send(get(full))
        except Cut:
            ended.append("cut")

    asking = gevent.spawn(ask)
    gevent.sleep(0.01)
    asking.kill(Cut)
    assert ended == ["cut"]


def test_it_is_asked_again_whether_a_request_may_be_sent_once_connected(target):
    asked = []
    client = Client(Networks(), lambda: asked.append(len(target.requests("/x"))))
    client.send(get(f"{target.url}/x"))
    client.send(get(f"{target.url}/x"))
    assert asked == [0, 0, 1]


def test_who_may_not_send_sends_nothing(target):
    def never():
        raise Cut

    with pytest.raises(Cut):
        Client(Networks(), never).send(get(f"{target.url}/x"))
    assert target.requests("/x") == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(authority):
    pair = authority.issue("localhost")
    with LoadTarget(tls=(pair.cert, pair.key)) as target:
        yield target


def test_a_server_that_is_trusted(client, secure, authority):
    tls = Tls(ca=authority.cert.read_text())
    for _ in range(3):
        answer = client.send(get(f"{secure.url}/t", tls=tls, wants_body=True))
        assert (answer.status, answer.body) == (200, b"{}")
    assert len({seen.connection for seen in secure.requests("/t")}) == 1


def test_a_large_exchange(client, secure, authority):
    body = os.urandom(3_000_000)
    secure.answer("/large", Answer(body="y" * 1_000_000))
    tls = Tls(ca=authority.cert.read_text())
    answer = client.send(
        Request("POST", f"{secure.url}/large", body=body, tls=tls, wants_body=True)
    )
    assert answer.body == b"y" * 1_000_000
    assert secure.requests("/large")[0].body == body


def test_a_server_that_nobody_vouches_for(client, secure):
    with pytest.raises(TransportFailed, match="certificate is not valid"):
        client.send(get(f"{secure.url}/u"))
    assert client.send(get(f"{secure.url}/u", tls=Tls(verify=False))).status == 200


def test_a_server_of_another_name(client, authority):
    pair = authority.issue("other", alternatives=(x509.DNSName("other"),))
    tls = Tls(ca=authority.cert.read_text())
    with LoadTarget(tls=(pair.cert, pair.key)) as target:
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(TransportFailed, match="certificate is not valid"):
                client.send(get(f"https://{host}:{target.port}/", tls=tls))


def test_connections_are_shared_by_equal_settings_only(client, secure, authority):
    trusting, not_looking = Tls(ca=authority.cert.read_text()), Tls(verify=False)
    for tls in (trusting, not_looking, Tls(verify=False), trusting):
        client.send(get(f"{secure.url}/s", tls=tls))
    assert len({seen.connection for seen in secure.requests("/s")}) == 2


def test_a_client_certificate_that_is_none(client, secure):
    tls = Tls(verify=False, cert="nonsense", key="nonsense")
    with pytest.raises(TransportFailed, match="TLS settings"):
        client.send(get(f"{secure.url}/c", tls=tls))


def test_a_key_behind_a_password_is_refused_without_asking(client, secure, authority):
    pair = authority.issue("locked", password=b"secret")
    tls = Tls(verify=False, cert=pair.cert.read_text(), key=pair.key.read_text())
    with pytest.raises(TransportFailed, match="TLS settings"):
        client.send(get(f"{secure.url}/c", tls=tls))


def test_a_server_without_tls(client):
    with serving(None, greeting=b"220 mail.example ready\r\n") as server:
        with pytest.raises(TransportFailed, match="TLS failed") as caught:
            client.send(get(server.url.replace("http", "https")))
        assert caught.value.kind == "CONNECTION_ERROR"
