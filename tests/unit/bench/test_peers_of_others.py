"""Figures beside other programs: where their addresses are read, and what a row says without."""

from __future__ import annotations

import argparse

import pytest

from bench._report import Figure
from bench._target import PEER_ROWS, Target, read_peers


def test_an_address_is_read_with_its_query_and_credentials():
    target = Target.of_url("http://ada:p%40ss@10.0.0.1:8080/log?from={}&size=100")
    assert (target.host, target.port, target.path) == ("10.0.0.1", 8080, "/log?from={}&size=100")
    assert target.authorization == "Basic YWRhOnBAc3M="
    assert target.url == "http://10.0.0.1:8080/log?from={}&size=100"
    assert target.request(7).startswith(b"GET /log?from=7&size=100 HTTP/1.1\r\nHost: 10.0.0.1:8080")


def test_what_launches_is_posted_with_its_length():
    peers = read_peers(["launch=http://127.0.0.1/run"], ['launch={"a": "é"}'])
    head, _, body = peers["launch"].request().partition(b"\r\n\r\n")
    assert head.startswith(b"POST /run HTTP/1.1\r\n")
    assert b"Content-Length: 11" in head
    assert body == '{"a": "é"}'.encode()
    assert read_peers(["launch=http://127.0.0.1/run"], [])["launch"].body == "{}"
    assert read_peers(["page=http://127.0.0.1/log?from={}"], [])["page"].body is None


@pytest.mark.parametrize(
    "text",
    ["execution", "other=http://127.0.0.1/", "page=https://127.0.0.1/", "page=127.0.0.1:80/x",
     "page=http:///x", "page=http://127.0.0.1:port/"],
)  # fmt: skip
def test_what_is_no_address_of_a_row_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError):
        read_peers([text], [])


def test_a_body_for_no_row_is_refused():
    with pytest.raises(argparse.ArgumentTypeError, match=next(iter(PEER_ROWS))):
        read_peers([], ["lunch={}"])


def test_without_a_peer_a_row_says_so_and_judges_nothing():
    alone = Figure("x", 100, "/s", beside="the peer", least_ratio=1.5)
    assert alone.cells()[3] == "the peer: not measured"
    assert alone.verdict == ""
    assert Figure("x", 100, "/s", ratio=2, beside="the peer", least_ratio=1.5).verdict == "ok"
    assert Figure("x", 100, "/s", ratio=1, beside="the peer", least_ratio=1.5).verdict == "MISSED"
