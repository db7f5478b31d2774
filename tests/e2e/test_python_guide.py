"""The snippets of the guide on the Python client, run as they stand there, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from kit.client import Client
from kit.guides import blocks

import slipway
from slipway.attempts import Patience

PAGE = (Path(__file__).parents[2] / "docs/guides/python.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8080"


@pytest.mark.runs("docs/guides/python.md")
def test_the_snippets_do_what_they_show(
    client: Client, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known: dict[str, Any] = {}
    printed = []
    for snippet in blocks(PAGE, "python"):
        exec(snippet.replace(ADDRESS, client.url), known)
        printed.append(capsys.readouterr().out)
    assert len(printed) > 8
    assert "INFO join " in printed[0]
    assert printed[0].endswith("\n25997\n")
    assert any(line.startswith("n integer False 1000000") for line in "".join(printed).splitlines())
    assert any("inputs.m" in out and "inputs.n" in out for out in printed)
    assert any(re.search(r"WARN|thin out", out) for out in printed)
    assert any(out.startswith("404 not_found") for out in printed)
    assert printed[-1].startswith("200 ")


def test_the_exceptions_of_the_table_are_all_there_are() -> None:
    table = PAGE.partition("| exception |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([A-Z]\w+)`", table)) | {"SlipwayError"}
    exceptions = {
        name for name in slipway.__all__
        if isinstance(each := getattr(slipway, name), type) and issubclass(each, Exception)
    }  # fmt: skip
    assert named == exceptions


def test_the_times_are_those_of_the_client() -> None:
    patience = Patience()
    assert f"for {patience.refused:.0f} seconds where nothing listens" in PAGE
    assert f"{patience.cut:.0f} where\nconnections are cut" in PAGE
    assert patience.busy == 60
    assert f"after {patience.silence:.0f}." in PAGE
