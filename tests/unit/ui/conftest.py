from __future__ import annotations

from collections.abc import Iterator

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
