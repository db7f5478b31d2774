"""``/health``, ``/ready``, ``/version`` and ``/metrics``, open to everybody."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import marshmallow as ma
from flask import Response
from marshmallow import fields
from prometheus_client import CONTENT_TYPE_LATEST

from app import __version__
from app.resources._api import Blueprint, iso_second
from app.resources._context import services
from app.resources._limits import free
from app.resources._permissions import public

blueprint = Blueprint("health", __name__, description="Whether the service works")
probes = Blueprint("health", __name__, description="Whether the service works")
"""``/health`` and ``/ready`` alone, for dialects that have them below their prefix as well."""


class HealthSchema(ma.Schema):
    """The process answers."""

    status = fields.String(required=True)
    timestamp = fields.String(required=True)


class CheckSchema(ma.Schema):
    """One thing that the service needs."""

    name = fields.String(required=True)
    ok = fields.Boolean(required=True)
    problem = fields.String(allow_none=True)


class ReadySchema(ma.Schema):
    """Whether the service can do its work."""

    ready = fields.Boolean(required=True)
    status = fields.String(required=True)
    timestamp = fields.String(required=True)
    checks = fields.List(fields.Nested(CheckSchema), required=True)
    degraded = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Checks that fail while the rest works, by name"},
    )


class VersionSchema(ma.Schema):
    """Which program this is."""

    name = fields.String(required=True)
    version = fields.String(required=True)


def _now() -> str:
    return iso_second(datetime.now(UTC))


@probes.route("/health", methods=["GET"])
@blueprint.route("/health", methods=["GET"])
@blueprint.response(200, HealthSchema)
@free
@public
def get_health() -> Any:
    """Answer, which shows that the process is alive."""
    return {"status": "healthy", "timestamp": _now()}


@probes.route("/ready", methods=["GET"])
@blueprint.route("/ready", methods=["GET"])
@blueprint.response(200, ReadySchema)
@blueprint.alt_response(503, schema=ReadySchema, description="Something vital is missing")
@free
@public
def get_ready() -> Any:
    """Return whether the service can do its work, and what is missing."""
    checks = services().health.checks()
    ready = all(check.ok for check in checks if check.vital)
    body = {
        "ready": ready,
        "status": "ready" if ready else "not ready",
        "timestamp": _now(),
        "checks": checks,
        "degraded": [check.name for check in checks if not check.ok and not check.vital],
    }
    return body, 200 if ready else 503


@blueprint.route("/version", methods=["GET"])
@blueprint.response(200, VersionSchema)
@public
def get_version() -> Any:
    """Return which program this is."""
    return {"name": "slipway", "version": __version__}


@blueprint.route("/metrics", methods=["GET"])
@blueprint.response(200, {"type": "string"}, content_type="text/plain")
@free
@public
def get_metrics() -> Response:
    """Return the numbers of this web process, for Prometheus."""
    return Response(services().metrics.text(), content_type=CONTENT_TYPE_LATEST)
