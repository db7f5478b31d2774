"""How the service is, on the wire."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields

from app.resources._api import Timestamp
from app.services.course import SERIES_NAMES


def _maybe(description: str) -> Timestamp:
    return Timestamp(required=True, allow_none=True, metadata={"description": description})


class NotWellSchema(ma.Schema):
    """Something that is not well."""

    part = fields.String(
        required=True,
        metadata={
            "description": "`orchestrator:NAME`, `conductor:ID`, `web:HOST`, or a check's name",
            "example": "orchestrator:a4c",
        },
    )
    text = fields.String(
        required=True, metadata={"example": "a4c answers, but 12 executions are stale."}
    )
    since = _maybe("Since when, where that is known")


class OrchestratorSchema(ma.Schema):
    """How an orchestrator is."""

    name = fields.String(required=True)
    type = fields.String(required=True)
    problem = fields.String(
        required=True, allow_none=True, metadata={"description": "null: it can be used"}
    )
    executions = fields.Integer(
        required=True, metadata={"description": "Those that have not ended"}
    )
    stale = fields.Integer(
        required=True,
        metadata={"description": "Those of them of which there was no news for too long"},
    )
    last_news = _maybe("When there was news of any of them")
    stale_since = _maybe("Since when there was none of one that is stale")
    polls_used = fields.Float(
        required=True, allow_none=True,
        metadata={"description": "Requests a second that conductors make to watch executions"},
    )  # fmt: skip
    polls_allowed = fields.Float(
        required=True, allow_none=True,
        metadata={"description": "How many they may make; null: nothing bounds them"},
    )  # fmt: skip


class ConductorSchema(ma.Schema):
    """How a conductor is."""

    id = fields.String(required=True)
    host = fields.String(required=True)
    pid = fields.Integer(required=True)
    alive = fields.Boolean(required=True)
    started_at = Timestamp(required=True)
    seen_at = Timestamp(required=True)
    executions = fields.Integer(required=True, metadata={"description": "Those that it drives"})


class WebProcessSchema(ma.Schema):
    """How a web process is."""

    host = fields.String(required=True)
    pid = fields.Integer(required=True)
    alive = fields.Boolean(required=True)
    seen_at = Timestamp(required=True)
    streams = fields.Integer(required=True, metadata={"description": "Streams open"})
    followers = fields.Integer(
        required=True, metadata={"description": "Readers that wait for a change"}
    )
    loop_lag = fields.Float(
        required=True, metadata={"description": "Most seconds that it ran late, this minute"}
    )
    delivery_lag = fields.Float(
        required=True, allow_none=True,
        metadata={"description": "Seconds within which 95 of 100 log entries came, this minute"},
    )  # fmt: skip


class QueuedSchema(ma.Schema):
    """An execution that waits to begin."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    workflow_name = fields.String(required=True)
    orchestrator = fields.String(required=True)
    owner = fields.String(required=True)
    since = Timestamp(required=True)
    reason = fields.String(required=True, allow_none=True)


class QueueSchema(ma.Schema):
    """What waits to begin."""

    executions = fields.Integer(required=True)
    oldest = _maybe("When the one was launched that waits longest")
    first = fields.List(
        fields.Nested(QueuedSchema), required=True,
        metadata={"description": "Some of those that the caller may see, the oldest first"},
    )  # fmt: skip


class FailedSchema(ma.Schema):
    """An execution that failed."""

    id = fields.String(required=True)
    name = fields.String(required=True, attribute="awf_name")
    workflow_name = fields.String(required=True)
    orchestrator = fields.String(required=True)
    owner = fields.String(required=True)
    error = fields.String(required=True, allow_none=True)
    finished_at = _maybe("When it ended, where that is known")


class FailuresSchema(ma.Schema):
    """Executions that failed within a day."""

    executions = fields.Integer(required=True)
    first = fields.List(
        fields.Nested(FailedSchema), required=True,
        metadata={"description": "Those that were launched last"},
    )  # fmt: skip


class UserOfSystemSchema(ma.Schema):
    """Somebody who uses the service."""

    username = fields.String(required=True)
    sessions = fields.Integer(required=True, metadata={"description": "Sessions of browsers"})
    api_keys = fields.Integer(
        required=True, metadata={"description": "API keys that were used within the last hour"}
    )
    last_used_at = Timestamp(required=True)


class SignedInSchema(ma.Schema):
    """Who uses the service by sessions of browsers, or used API keys within the last hour."""

    users = fields.Integer(required=True)
    sessions = fields.Integer(required=True)
    api_keys = fields.Integer(required=True)
    who = fields.List(
        fields.Nested(UserOfSystemSchema), required=True, allow_none=True,
        metadata={"description": "The last ones first; null for who does not manage users"},
    )  # fmt: skip


class SystemSchema(ma.Schema):
    """How the service is."""

    well = fields.Boolean(required=True, metadata={"description": "Whether there are no problems"})
    as_of = Timestamp(required=True)
    problems = fields.List(fields.Nested(NotWellSchema), required=True)
    orchestrators = fields.List(fields.Nested(OrchestratorSchema), required=True)
    conductors = fields.List(fields.Nested(ConductorSchema), required=True)
    web_processes = fields.List(fields.Nested(WebProcessSchema), required=True)
    streams = fields.Integer(required=True, metadata={"description": "Streams open everywhere"})
    followers = fields.Integer(
        required=True, metadata={"description": "Readers that wait for a change everywhere"}
    )
    queue = fields.Nested(QueueSchema, required=True)
    failures = fields.Nested(
        FailuresSchema, required=True, allow_none=True,
        metadata={"description": "null for who may not read executions"},
    )  # fmt: skip
    signed_in = fields.Nested(SignedInSchema, required=True)


class SeriesSchema(ma.Schema):
    """One line of a chart."""

    name = fields.String(
        required=True,
        validate=ma.validate.OneOf(SERIES_NAMES),
    )
    label = fields.String(required=True, metadata={"description": "What it is, for people"})
    unit = fields.String(required=True, metadata={"example": "ms"})
    values = fields.List(
        fields.Float(allow_none=True), required=True,
        metadata={"description": "One for each `x`; null where nothing is known"},
    )  # fmt: skip


class FiguresSchema(ma.Schema):
    """How the service was within the last hour, minute by minute."""

    x = fields.List(
        fields.Integer(), required=True,
        metadata={"description": "When each minute began, in seconds since 1970, UTC"},
    )  # fmt: skip
    series = fields.List(fields.Nested(SeriesSchema), required=True)
