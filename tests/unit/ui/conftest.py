from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from service_kit import Service, open_service


@pytest.fixture
def opened(tmp_path) -> Iterator[Service]:
    """A service where nobody needs to sign in."""
    service = open_service(tmp_path)
    yield service
    service.close()


@pytest.fixture
def browser_of(opened: Service) -> FlaskClient:
    """What a browser sends to it."""
    return opened.client


@pytest.fixture(scope="session")
def in_node() -> Callable[[str], Any]:
    """Run a module of JavaScript by Node, where there is one; return the JSON that it writes."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node on this machine")

    def in_node(script: str) -> Any:
        command = [node, "--input-type=module", "-"]
        done = subprocess.run(
            command, input=script.encode(), capture_output=True, check=True, timeout=240
        )
        return json.loads(done.stdout)

    return in_node
