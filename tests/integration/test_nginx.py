"""The real service behind a real nginx, with the configuration that the documentation gives."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest
import requests
import websocket
from kit.client import Client
from kit.following import Relay, each_exactly_once
from kit.patience import PATIENCE_SECONDS, await_that
from kit.servers.nginx import NginxServer
from kit.service import Service, metric
from urllib3.exceptions import ProtocolError

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
SSE, NDJSON, TEXT = "text/event-stream", "application/x-ndjson", "text/plain"
USER = ("alice", "alice's password")
SETTINGS = {
    "streams": {"heartbeat": "500ms"},
    "api": {
        "auth": {
            "type": "basic",
            "users": [{"username": USER[0], "password": USER[1], "roles": ["admin"]}],
        }
    },
}
READ_TIMEOUT_SECONDS = 2
QUIET_SECONDS = READ_TIMEOUT_SECONDS + 1
# What many operators have switched on for all of their sites.
COMPRESSION = f"gzip on; gzip_types {SSE} {NDJSON} {TEXT} application/json;\n"


def documented() -> str:
    """The configuration of ``docs/operations.md``."""
    text = OPERATIONS.read_text(encoding="utf-8")
    [block] = re.findall(r"^```nginx\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return str(block)


def adapted(config: str, **values: str) -> str:
    """Return directives, each of which must be there once, other values."""
    for name, value in values.items():
        config, count = re.subn(rf"(?<=\b{name} )[^;]+(?=;)", value, config)
        assert count == 1, name
    return config


@pytest.fixture(scope="module")
def nginx() -> Iterator[NginxServer]:
    server = NginxServer()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def service(nginx: NginxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with nginx before it."""
    folder = tmp_path_factory.mktemp("service")
    config = folder / "slipway.yaml"
    config.write_text(json.dumps({"data_dir": str(folder / "data"), **SETTINGS}))
    service = Service(folder, arguments=["--config", config])
    try:
        service.start()
        site = adapted(
            documented(),
            listen=nginx.address,
            proxy_pass=service.url,
            proxy_read_timeout=f"{READ_TIMEOUT_SECONDS}s",
        )
        nginx.configure(COMPRESSION + site)
        nginx.start()
        yield service
    finally:
        service.end()


@pytest.fixture
def client(service: Service, nginx: NginxServer) -> Client:
    """A user who comes through nginx."""
    return Client(nginx.url, USER)


@pytest.fixture
def relay(service: Service, tmp_path: Path) -> Iterator[Relay]:
    relay = Relay(service.client(*USER), tmp_path)
    yield relay
    relay.end()


class Stream:
    """A stream through nginx.

    Args:
        client: Who follows.
        path: What to follow.
        accept: In which form.
        headers: More headers, with ``_`` for ``-``.

    Attributes:
        seen: What came of it up to now.
    """

    def __init__(self, client: Client, path: str, accept: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Accept": accept, "Accept-Encoding": "identity", **named}
        self.response = client.send("GET", path, headers=named, stream=True)
        assert self.response.status_code == 200, self.response.text
        self.seen = ""
        self._chunks = self.response.raw.stream(decode_content=True)
        self._place = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.response.close()

    def until(self, wanted: str) -> str:
        """Read until some text comes, and return what is new up to there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        begin = self._place
        while (found := self.seen.find(wanted, begin)) < 0:
            assert time.monotonic() < deadline, f"{wanted!r} does not come: {self.seen!r}"
            self.seen += next(self._chunks).decode()
        self._place = found + len(wanted)
        return self.seen[begin : self._place]

    def rest(self) -> bool:
        """Read on, and return whether the stream came to its end or was cut off."""
        try:
            for chunk in self._chunks:
                self.seen += chunk.decode()
        except ProtocolError:
            return False
        return True


def logs(relay: Relay, more: str = "") -> str:
    return f"{relay.path}/logs?levels=15&follow=true{more}"


def ids(stream: Stream) -> list[int]:
    """The ids of the log events that came whole."""
    found = re.findall(r"^id: (\d+)\nevent: log\n.*\n\n", stream.seen, re.MULTILINE)
    return [int(number) for number in found]


def web_socket(nginx: NginxServer, client: Client, relay: Relay) -> websocket.WebSocket:
    path = f"{relay.path}/ws?levels=15&ticket={ticket(client, relay)}"
    url = nginx.url.replace("http", "ws", 1)
    return websocket.create_connection(url + path, timeout=PATIENCE_SECONDS)


def ticket(client: Client, relay: Relay) -> str:
    return str(client.send("POST", f"{relay.path}/tickets").json()["ticket"])


@contextmanager
def being_written(relay: Relay) -> Iterator[None]:
    """Write lines all the time."""
    enough = threading.Event()

    def write() -> None:
        while not enough.wait(0.02):
            relay.write(1, "written")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        enough.set()
        writer.join()


class TestStreams:
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    @pytest.mark.parametrize("accept", [SSE, NDJSON, TEXT])
    def test_each_line_comes_before_the_next_is_written(
        self, client: Client, relay: Relay, accept: str, encoding: str
    ) -> None:
        with Stream(client, logs(relay), accept, Accept_Encoding=encoding) as stream:
            assert stream.response.headers.get("Content-Encoding", "identity") == encoding
            for number in range(5):
                relay.write(1, "of five")
                stream.until(f"{number} of five")

    @pytest.mark.parametrize(("accept", "first"), [(SSE, "retry: "), (NDJSON, '{"type":"status"')])
    def test_they_speak_before_there_is_a_line(
        self, client: Client, relay: Relay, accept: str, first: str
    ) -> None:
        with Stream(client, logs(relay, "&after=1"), accept) as stream:
            assert stream.until("RUNNING").startswith(first)

    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    def test_text_is_answered_before_there_is_a_line(
        self, client: Client, relay: Relay, encoding: str
    ) -> None:
        log = logs(relay, "&after=1")
        with Stream(client, log, TEXT, Accept_Encoding=encoding) as stream:
            relay.write(1, "at last")
            assert stream.until("0 at last").count("\n") == 0

    def test_quiet_ones_outlive_the_read_timeout(self, client: Client, relay: Relay) -> None:
        log, events = logs(relay, "&after=1"), "/executions/events"
        began = time.monotonic()
        quiet = [Stream(client, log, accept) for accept in (SSE, NDJSON)]
        quiet += [
            Stream(client, log, accept, Accept_Encoding="gzip") for accept in (SSE, NDJSON, TEXT)
        ]
        of_all = Stream(client, events, SSE)
        cut = client.send("GET", f"{relay.path}/logs", params={"after": 1, "timeout": "1m"})
        assert cut.status_code == 504, "without a heartbeat"
        time.sleep(max(0.0, began + QUIET_SECONDS - time.monotonic()))
        relay.write(1, "at last")
        for stream in quiet:
            assert stream.until("0 at last").count(" at last") == 1
        relay.end()
        for stream in quiet:
            assert stream.rest()
            assert "SUCCESS" in stream.seen
        of_all.until('"SUCCESS"')
        of_all.response.close()

    def test_who_comes_back_after_a_restart_of_nginx_loses_and_repeats_nothing(
        self, client: Client, nginx: NginxServer, relay: Relay
    ) -> None:
        with being_written(relay):
            before = Stream(client, logs(relay), SSE)
            before.until("20 written")
            nginx.stop()
            assert not before.rest()
            written = relay.written
            await_that(lambda: relay.written > written + 10, "lines are written meanwhile")
            nginx.start()
            after = Stream(client, logs(relay), SSE, Last_Event_ID=str(ids(before)[-1]))
            after.until(f"{relay.written} written")
        relay.end()
        assert after.rest()
        assert each_exactly_once(ids(before) + ids(after), relay.written + 4)

    def test_a_client_that_hangs_up_is_noticed(
        self, client: Client, service: Service, nginx: NginxServer, relay: Relay
    ) -> None:
        direct = service.client(*USER)
        ws = web_socket(nginx, client, relay)
        streams = [Stream(client, "/executions/events", SSE)]
        streams += [Stream(client, logs(relay), accept) for accept in (SSE, NDJSON, TEXT)]
        await_that(lambda: metric(direct, "slipway_streams_open") == 5, "all are open")
        for stream in streams:
            stream.response.close()
        ws.sock.close()
        with pytest.raises(requests.ReadTimeout):
            client.send("GET", f"{relay.path}/logs?after=1&timeout=1m", timeout=0.5)
        for name in ("slipway_streams_open", "slipway_waiting_readers"):
            await_that(lambda name=name: metric(direct, name) == 0, "all are noticed")

    def test_one_that_has_ended_is_not_opened_again(self, client: Client, relay: Relay) -> None:
        relay.end()
        with Stream(client, logs(relay), SSE) as stream:
            assert stream.rest()
        [last] = re.findall(r"^id: (\d+)\nevent: end$", stream.seen, re.MULTILINE)
        headers = {"Accept": SSE, "Last-Event-ID": last}
        again = client.send("GET", logs(relay), headers=headers)
        assert (again.status_code, again.content) == (204, b"")

    def test_a_ticket_opens_one_without_a_password(
        self, client: Client, nginx: NginxServer, relay: Relay
    ) -> None:
        browser = Client(nginx.url)
        path = logs(relay, f"&ticket={ticket(client, relay)}")
        with Stream(browser, path, SSE) as stream:
            relay.write(1, "for the holder")
            stream.until("0 for the holder")
        again = browser.send("GET", path, headers={"Accept": SSE})
        assert again.status_code == 401


def test_a_web_socket_outlives_the_read_timeout_by_its_pings(
    client: Client, nginx: NginxServer, relay: Relay
) -> None:
    ws = web_socket(nginx, client, relay)
    began, pings = time.monotonic(), 0
    while time.monotonic() < began + QUIET_SECONDS:
        code, _ = ws.recv_data(control_frame=True)  # answers pings by itself
        pings += code == websocket.ABNF.OPCODE_PING
    assert pings >= 3
    relay.write(1, "at last")
    while json.loads(ws.recv()).get("content") != "0 at last":
        pass
    relay.end()
    while json.loads(ws.recv())["type"] != "end":
        pass
    code, data = ws.recv_data()
    assert (code, data[:2]) == (websocket.ABNF.OPCODE_CLOSE, b"\x03\xe8")
    ws.close()


def test_a_long_poll_is_answered_by_the_next_line(
    client: Client, service: Service, relay: Relay
) -> None:
    direct = service.client(*USER)
    pages = []
    poll = threading.Thread(target=lambda: pages.append(client.page(relay.id, 2, timeout="1m")))
    poll.start()
    await_that(lambda: metric(direct, "slipway_waiting_readers") == 1, "the poll waits")
    relay.write(1, "awaited")
    poll.join()
    assert [entry["content"] for entry in pages[0]["logs"]] == ["0 awaited"]


class TestDownload:
    @pytest.fixture
    def path(self, client: Client, relay: Relay) -> str:
        """Path of a log that is complete."""
        relay.write(50, "of fifty")
        relay.end()
        client.follow(relay.id)
        return f"{relay.path}/logs?levels=15"

    @staticmethod
    def get(client: Client, path: str, encoding: str, **more: str) -> requests.Response:
        headers = {"Accept": TEXT, "Accept-Encoding": encoding, **more}
        return client.send("GET", path, headers=headers)

    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    def test_it_goes_on_where_it_was_cut_off(
        self, client: Client, path: str, encoding: str
    ) -> None:
        whole = self.get(client, path, "identity")
        assert whole.content.count(b" of fifty\n") == 50
        size = int(whole.headers["Content-Length"])
        conditions = {"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}
        part = self.get(client, path, encoding, **conditions)
        assert part.status_code == 206
        assert part.headers["Content-Range"] == f"bytes 100-{size - 1}/{size}"
        assert part.content == whole.content[100:]

    @pytest.mark.parametrize("accept", [TEXT, "application/json"])
    def test_it_is_compressed_for_who_understands_it(
        self, client: Client, path: str, accept: str
    ) -> None:
        plain = self.get(client, path, "identity", Accept=accept)
        packed = self.get(client, path, "gzip", Accept=accept)
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.content == plain.content
        assert packed.raw.tell() < len(plain.content) / 2
