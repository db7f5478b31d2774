"""How a view gets at the services of its application."""

from __future__ import annotations

from typing import cast

from flask import current_app

from app.services.bundle import Services

EXTENSION = "slipway"


def services() -> Services:
    """Return the services of the current application."""
    return cast(Services, current_app.extensions[EXTENSION])
