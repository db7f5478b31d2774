"""The interactive documentation, in a real browser without any other network."""

from __future__ import annotations

import re

from kit.browser import Chromium


def test_the_page_shows_every_endpoint(service_url: str, chromium: Chromium) -> None:
    shown = chromium.show(f"{service_url}/docs")
    paths = set(re.findall(r'data-path="([^"]+)"', shown))
    assert {"/workflows", "/workflows/{reference}", "/executions/{execution_id}/logs"} <= paths
    assert "/ssh_keys" in paths


def test_the_page_needs_nothing_that_its_policy_forbids(
    service_url: str, chromium: Chromium
) -> None:
    assert chromium.told(f"{service_url}/docs") == []
