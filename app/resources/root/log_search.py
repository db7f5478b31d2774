"""Finding one's way in a log, in the root API: the place of a line in a list, and what matches."""

from __future__ import annotations

from typing import Any, Final

import marshmallow as ma
from flask import Response
from marshmallow import fields, validate

from app.domain import ALL_LEVELS, Level, Permission
from app.errors import FieldError, InvalidRequest
from app.resources._api import LARGEST_INDEX, UPSTREAM, Blueprint, write_json
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.resources.root.forms import execution_parameter
from app.resources.root.levels import levels_field, levels_of
from app.resources.root.one_task import grep_field, task_field
from app.resources.root.serialisers.entries import LogEntrySchema, entry_json
from app.services.grep import LONGEST_TEXT, pattern_for
from app.services.log_search import Matches, MatchQuery
from app.services.tallies import Sieve
from app.settings.schema import WholeNumber

blueprint = Blueprint("log_search", __name__, description="What executions say")

_FROM: Final = "How many entries of the list stand before it: `from` of a page that begins there"


class PlaceArgsSchema(ArgumentsSchema):
    """Which entry, and which list."""

    index = WholeNumber(
        validate=validate.Range(0, LARGEST_INDEX),
        metadata={"description": "`index` of an entry, its place in the whole log; required"},
    )
    levels = levels_field()
    task = task_field()
    grep = grep_field()


class PlaceSchema(ma.Schema):
    """Where an entry is in a list."""

    index = fields.Integer(required=True)
    from_ = fields.Integer(data_key="from", required=True, metadata={"description": _FROM})
    total_results = fields.Integer(
        required=True, metadata={"description": "How many entries the list has so far"}
    )
    log_total = fields.Integer(
        required=True,
        metadata={
            "description": "How many the whole log has; all of this is as it was when it had so "
            "many, and who follows from there gets what comes to the list"
        },
    )
    listed = fields.Boolean(
        required=True,
        metadata={"description": "It is in the list itself, and not left out by the filter"},
    )


class MatchArgsSchema(ArgumentsSchema):
    """What is looked for, from where, and in which list."""

    index = WholeNumber(
        load_default=-1,
        validate=validate.Range(-1, LARGEST_INDEX),
        metadata={
            "description": "Look next to this `index`, which is no answer itself; -1 is before the "
            "first one, and a large number behind the last one"
        },
    )
    direction = fields.String(load_default="next", validate=validate.OneOf(["next", "previous"]))
    levels = levels_field()
    task = task_field()
    text = fields.String(
        validate=validate.Length(min=1, max=LONGEST_TEXT),
        metadata={
            "example": "no licence",
            "description": "Look for entries in which this stands, in capitals or not",
        },
    )
    grep = grep_field()
    of_levels = WholeNumber(
        load_default=int(ALL_LEVELS),
        validate=validate.Range(1, int(ALL_LEVELS)),
        metadata={"description": "Look for entries of these levels only, of those in the list"},
    )
    thorough = fields.Boolean(
        load_default=False,
        metadata={"description": "Count for up to two seconds, and not for a third of one"},
    )


class MatchSchema(ma.Schema):
    """An entry that was looked for."""

    entry = fields.Nested(LogEntrySchema, required=True)
    from_ = fields.Integer(data_key="from", required=True, metadata={"description": _FROM})
    number = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Which it is of all, from 1; null where they are not counted yet"},
    )


class MatchesSchema(ma.Schema):
    """What was found."""

    match = fields.Nested(
        MatchSchema,
        required=True,
        allow_none=True,
        metadata={"description": "The nearest one; null where there is none, or none yet"},
    )
    go_on_from = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "Where the time of one request was not enough to find one: `index` for "
            "the next"
        },
    )
    total_results = fields.Integer(
        required=True, metadata={"description": "How many there are, or have been counted so far"}
    )
    counted = fields.Integer(
        required=True,
        metadata={"description": "How many entries of the log were gone through to count them"},
    )
    total_is_exact = fields.Boolean(
        required=True,
        metadata={"description": "False: there are at least so many; the next request counts on"},
    )


@blueprint.route(
    "/executions/<string:execution_id>/logs/place",
    methods=["GET"],
    parameters=execution_parameter(),
)
@blueprint.arguments(PlaceArgsSchema, location="query")
@blueprint.response(200, PlaceSchema)
@blueprint.errors(404, 410, 429, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def get_log_place(args: dict[str, Any], execution_id: str) -> Response:
    """Get the place of a log entry in a list of those of some levels, or of one task.

    A link to a line names its `index`, which never changes. `from` of a page counts within the
    filter; this says what to give it to get a page with that line.
    """
    if "index" not in args:
        services().executions.get(execution_id, caller())  # nobody learns of what they do not see
        raise InvalidRequest("The request has faults.", fields=(FieldError("index", "is missing"),))
    sieve = Sieve(levels_of(args["levels"]), args.get("task"), args.get("grep"))
    place = services().log_search.place(execution_id, caller(), args["index"], sieve)
    return _json(
        {
            "index": place.index,
            "from": place.before,
            "total_results": place.total,
            "log_total": place.log_total,
            "listed": place.passes,
        }
    )


@blueprint.route(
    "/executions/<string:execution_id>/logs/matches",
    methods=["GET"],
    parameters=execution_parameter(),
)
@blueprint.arguments(MatchArgsSchema, location="query")
@blueprint.response(200, MatchesSchema)
@blueprint.errors(404, 410, 429, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def find_in_log(args: dict[str, Any], execution_id: str) -> Response:
    """Find the next log entry, or the one before, in which a text stands or that is an error.

    `levels` and `task` say in which list, as for a page; `text` or `grep`, and `of_levels`, what is
    looked for in it: `of_levels=8` finds the next error. All that there are is counted as well. One
    request takes about two seconds at most: `go_on_from` and `total_is_exact` say whether that was
    enough, and the same request with `go_on_from` as its `index` goes on.
    """
    text, grep = args.get("text"), args.get("grep")
    if text is not None and grep is not None:
        fault = FieldError("text", "must stand without grep")
        raise InvalidRequest("There are two things to look for.", fields=(fault,))
    query = MatchQuery(
        args["index"],
        args["direction"],
        Sieve(levels_of(args["levels"]), args.get("task")),
        grep if text is None else pattern_for(text),
        Level(args["of_levels"]),
        args["thorough"],
    )
    return _json(_matches_json(services().log_search.find(execution_id, caller(), query)))


def _matches_json(found: Matches) -> dict[str, Any]:
    match = found.match
    return {
        "match": match
        and {"entry": entry_json(match.entry), "from": match.before, "number": match.number},
        "go_on_from": found.go_on_from,
        "total_results": found.total,
        "counted": found.counted,
        "total_is_exact": found.is_total,
    }


def _json(body: dict[str, Any]) -> Response:
    return Response(write_json(body), content_type="application/json")
