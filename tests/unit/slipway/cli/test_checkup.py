"""What ``doctor`` says of clocks and certificates."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from socket import create_server

import pytest
from kit.certificates import HERE, Authority
from kit.ports import free_port

from slipway.cli.certificates import judge
from slipway.cli.checkup import compare_clocks

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "ok", "told"),
    [
        (0, True, "that of the service, within a minute"),
        (59, True, "that of the service, within a minute"),
        (7 * 60, False, "7 min behind the service"),
        (-7 * 60, False, "7 min ahead of the service"),
        (5 * 3600, False, "5 h behind the service"),
    ],
)
def test_clocks_are_compared(ahead, ok, told):
    date = format_datetime(NOON + timedelta(seconds=ahead), usegmt=True)
    found = compare_clocks(date, NOON)
    assert (found.ok, found.detail) == (ok, told)
    assert bool(found.fix) is not ok


@pytest.mark.parametrize("date", ["", "rubbish", "Sat, 99 Jan 2026 12:00:00 GMT"])
def test_a_service_that_tells_no_time_is_not_judged(date):
    assert compare_clocks(date, NOON).ok is None


@contextmanager
def listening(pair) -> Iterator[int]:
    """A server that speaks TLS, and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    with create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as talk:
                    talk.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.mark.parametrize(
    ("names", "days", "ok", "told"),
    [
        (HERE, 20, True, ("is good for 19 days", "")),
        (HERE, 3, False, ("is good for 2 days", "renew it")),
        (HERE, -1, False, ("certificate has expired", "renew it")),
        (HERE[:1], 20, False, ("is not valid for '127.0.0.1'", "name the host")),
    ],
    ids=["good", "few days", "expired", "another name"],
)
def test_a_certificate_is_judged(authority, names, days, ok, told):
    pair = authority.issue("localhost", alternatives=names, lasts=timedelta(days=days))
    with listening(pair) as port:
        found = judge(f"https://127.0.0.1:{port}", is_here=True, ca_file=str(authority.cert))
    assert found.ok is ok, found
    assert told[0] in found.detail
    assert told[1] in found.fix


def test_a_certificate_of_nobody_who_is_trusted(authority, tmp_path):
    other = Authority(tmp_path / "other")
    with listening(authority.issue("localhost")) as port:
        found = judge(f"https://127.0.0.1:{port}", is_here=True, ca_file=str(other.cert))
    assert (found.ok, "--ca-file FILE" in found.fix) == (False, True)


def test_what_cannot_be_looked_at_is_not_judged(monkeypatch, authority):
    url = f"https://127.0.0.1:{free_port()}"
    assert judge(url, is_here=True, ca_file=None).ok is None
    assert judge("http://127.0.0.1", is_here=True, ca_file=None).ok is True
    assert judge("http://slipway.test/hpc", is_here=False, ca_file=None) == (
        False, "others on the way can read all that is sent", "slipway login https://slipway.test/hpc"
    )  # fmt: skip
    assert judge(url, is_here=True, ca_file="/nowhere").ok is False
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    assert "there is a proxy" in judge("https://slipway.test", is_here=False, ca_file=None).detail
