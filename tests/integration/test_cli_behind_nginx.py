"""``slipway doctor`` behind a real nginx, which passes streams on, or collects them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kit.accounts import ADA
from kit.people import Person
from kit.servers.nginx import NginxServer
from kit.service import Service

from slipway.cli import checkup

SITE = """
server {{
    listen {address};
    location / {{
        proxy_pass {url};
        proxy_set_header Host $proxy_host;
        {more}
    }}
}}
"""
PASSES_ON = "proxy_buffering off; proxy_http_version 1.1;"
COLLECTS = "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; proxy_http_version 1.0;"


@pytest.fixture
def nginx() -> Iterator[NginxServer]:
    made = NginxServer()
    yield made
    made.remove()


@pytest.fixture(params=[PASSES_ON, COLLECTS], ids=["passes on", "collects"])
def behind(
    request: pytest.FixtureRequest, accounts: Service, nginx: NginxServer
) -> tuple[str, bool]:
    """Address of the service behind a proxy, and whether that passes streams on."""
    nginx.configure(SITE.format(address=nginx.address, url=accounts.url, more=request.param))
    nginx.start()
    return nginx.url, request.param != COLLECTS


def test_a_proxy_that_collects_what_is_streamed_is_found(
    person: Person, behind: tuple[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, passes_on = behind
    monkeypatch.setattr(checkup, "_STREAM_SECONDS", 5.0)
    monkeypatch.setenv("SLIPWAY_PASSWORD", ADA)
    done = person.types("doctor", "--url", url, "-u", "ada")
    *rest, stream = done.out.splitlines()
    assert {line.split()[0] for line in rest} == {"ok"}
    if passes_on:
        assert done.code == 0, stream
        assert stream.startswith("ok   stream   first byte after ")
    else:
        assert done.code == 1
        assert stream == (
            "bad  stream   what is streamed comes not in 5 s: a proxy holds it back. Fix: "
            "proxy_buffering off; (nginx), or flushpackets=on (Apache)"
        )
