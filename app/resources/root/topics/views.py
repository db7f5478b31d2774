"""``GET /events``."""

from __future__ import annotations

from typing import Any

from flask import Response

from app.domain import Permission
from app.resources._api import Blueprint
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources._streams import stream_by
from app.resources.root.accepted import accepted
from app.resources.root.topics.asked import Asked, TopicsField
from app.resources.root.topics.encoders import ENCODERS, TopicNdjson, TopicSse

blueprint = Blueprint("topics", __name__, description="Following over one open connection")


class TopicArgsSchema(ArgumentsSchema):
    """What to follow."""

    topics = TopicsField()


@blueprint.route("/events", methods=["GET"])
@blueprint.arguments(TopicArgsSchema, location="query")
@blueprint.response(200, {"type": "string"}, content_type=TopicSse.content_type)
@blueprint.alt_response(200, schema={"type": "string"}, content_type=TopicNdjson.content_type)
@blueprint.errors(406, 429, 503)
@permission(Permission.EXECUTIONS_READ)
def follow_topics(args: dict[str, Any]) -> Response:
    """Follow many topics on one stream, each from a cursor of its own.

    Each event names its topic. One that cannot be followed is told as `refused`, and the others go
    on; the stream ends when all have ended. `Accept` chooses between server-sent events, which are
    the default, and lines of JSON (`application/x-ndjson`).
    """
    asked: list[Asked] = args["topics"]
    form = ENCODERS[accepted([*ENCODERS], "Events")]
    bundle = services()
    topics = {each.name: each.begin() for each in asked}
    sources = [(name, source) for name, topic in topics.items() for source in topic.sources(bundle)]
    events = bundle.topics.steps(sources, caller())
    encoder = form(topics)
    response = stream_by(encoder, events, caller())
    response.vary.add("Accept")
    return response
