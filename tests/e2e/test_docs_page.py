"""The interactive documentation, in a real browser without any other network."""

from __future__ import annotations

import re

import pytest
from kit.browser import Chromium


@pytest.mark.parametrize(
    ("query", "some"),
    [
        ("", {"/workflows", "/executions/{execution_id}/logs", "/ssh_keys"}),
        ("?api=root", {"/workflows", "/executions/{execution_id}/logs", "/ssh_keys"}),
        ("?api=wattle", {"/api/workflows", "/api/workflows/{workflow_name}/start"}),
        ("?api=%3Cscript%3E", {"/workflows"}),
    ],
)
def test_the_page_shows_every_endpoint_of_the_chosen_api(
    service_url: str, chromium: Chromium, query: str, some: set[str]
) -> None:
    shown = chromium.show(f"{service_url}/docs{query}")
    paths = set(re.findall(r'data-path="([^"]+)"', shown))
    assert some <= paths
    assert {"?api=root", "?api=wattle"} <= set(re.findall(r'href="([^"]+)"', shown))
    assert len(re.findall('aria-current="page"', shown)) == 1


@pytest.mark.parametrize("query", ["", "?api=wattle"])
def test_the_page_needs_nothing_that_its_policy_forbids(
    service_url: str, chromium: Chromium, query: str
) -> None:
    assert chromium.told(f"{service_url}/docs{query}") == []
