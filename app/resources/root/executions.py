"""``/executions`` of the root API: list, watch, steer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import marshmallow as ma
from flask import Response, request
from marshmallow import fields, validate

from app.caching import LruCache
from app.domain import (
    NO_BRIEF,
    Execution,
    ExecutionSummary,
    Permission,
)
from app.errors import FieldError, InvalidRequest
from app.memory import WRITTEN_EXECUTIONS_BYTES, WRITTEN_LISTS_BYTES
from app.resources._api import (
    PAGINATION_HEADER,
    UPSTREAM,
    Blueprint,
    Page,
    PageArgsSchema,
    cut,
    empty,
    next_page,
    only_document,
    write_json,
)
from app.resources._arguments import ArgumentsSchema, EndArgsSchema
from app.resources._audit import act_as
from app.resources._auth import caller
from app.resources._conditional import Conditions, kept_headers, not_modified, tag_of
from app.resources._context import services
from app.resources._flask import Ready
from app.resources._held import answered
from app.resources._limits import cost, waits_by
from app.resources._permissions import permission
from app.resources.root.forms import Form, execution_parameter, form_of
from app.resources.root.listing import ExecutionArgsSchema, wanted_executions
from app.resources.root.serialisers.executions import (
    ExecutionSchema,
    ExecutionStatusSchema,
    ListedExecutionSchema,
    brief_json,
    execution_json,
    summary_json,
)
from app.resources.root.serialisers.tasks import AttemptSchema, TaskSchema, attempt_json
from app.services.bundle import Services
from app.services.executions import ExecutionService
from app.settings.schema import Duration

blueprint = Blueprint("executions", __name__, description="What was launched")

_CHANGE: Final = "change"
_END: Final = "end"


@dataclass(frozen=True, slots=True)
class _Written:
    """What was read, as it was written last.

    Attributes:
        source: An execution, or a page of some; what is read again once anything has changed is
            another object.
        stale: Of each execution, whether it says that its status may be wrong by now.
    """

    source: object
    stale: tuple[bool, ...]
    document: bytes
    tag: str

    def is_of(self, source: object, stale: tuple[bool, ...]) -> bool:
        """Return whether writing something would give the same."""
        return self.source is source and self.stale == stale


def _weight(written: _Written) -> int:
    """Return the bytes of a document; what was read is kept with it, and is about as large."""
    return 2 * len(written.document)


_lists: LruCache[tuple[str, str, bytes], _Written] = LruCache(WRITTEN_LISTS_BYTES, _weight)
_kept: LruCache[tuple[str, Form], _Written] = LruCache(WRITTEN_EXECUTIONS_BYTES, _weight)


class TaskListSchema(ma.Schema):
    """Tasks."""

    tasks = fields.List(fields.Nested(TaskSchema), required=True)


class AttemptListSchema(ma.Schema):
    """Attempts of tasks."""

    attempts = fields.List(fields.Nested(AttemptSchema), required=True)


class ExecutionListSchema(ma.Schema):
    """Executions."""

    executions = fields.List(fields.Nested(ListedExecutionSchema), required=True)
    total = fields.Integer(
        required=True, metadata={"description": "How many there are on all pages together"}
    )
    next = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Address of the next page; null on the last one"},
    )


class WaitArgsSchema(ArgumentsSchema):
    """How long to wait."""

    wait = Duration(
        load_default="0s",
        metadata={
            "description": "Answer when the state changes or is final, at the latest after this",
        },
    )  # fmt: skip
    until = fields.String(
        load_default=_CHANGE,
        validate=validate.OneOf([_CHANGE, _END]),
        metadata={"description": "What to wait for: any change of the state, or a final one"},
    )


@blueprint.route("/executions", methods=["GET"])
@blueprint.arguments(ExecutionArgsSchema, location="query")
@blueprint.response(200, ExecutionListSchema, headers=PAGINATION_HEADER)
@blueprint.errors(503)
@permission(Permission.EXECUTIONS_READ)
def list_executions(args: dict[str, Any]) -> Any:
    """List executions, newest first: 50 of them, unless `page_size` says otherwise.

    `order=oldest` with `page_size=1` and the states that are not final tells in one answer how many
    executions still run, and which for longest.
    """
    page = Page(args.get("page", 1), args.get("page_size", 50))
    wanted, moments = wanted_executions(args)
    found, total = services().executions.find(wanted, caller(), page.offset, page.size)
    written = _written_list(found, page, total, moments, briefly=args["brief"])
    headers = {**page.header(total), "ETag": written.tag}
    return Ready(written.document, content_type="application/json", headers=headers)


@blueprint.route(
    "/executions/<string:execution_id>", methods=["GET"], parameters=execution_parameter()
)
@blueprint.arguments(WaitArgsSchema, location="query")
@only_document(blueprint.response(200, {"oneOf": [ExecutionSchema, ExecutionStatusSchema]}))
@blueprint.errors(404, 410, 429, *UPSTREAM)
@cost(is_poll=waits_by("wait", by_default=False))
@permission(Permission.EXECUTIONS_READ)
def get_execution(args: dict[str, Any], execution_id: str) -> Any:
    """Get an execution, at once, when its state changes, or when it has ended.

    By its id it is told in the five words RUNNING to CANCELLED, by its name in those of AWF.
    """
    longest = services().settings.logs.max_timeout
    if args["wait"] > longest:
        fault = FieldError("wait", f"must be at most {longest:g} seconds")
        raise InvalidRequest("The wait is too long.", fields=(fault,))
    steps = services().executions.wait(
        execution_id, caller(), args["wait"], until_end=args["until"] == _END
    )
    answer = partial(
        _answer, form=form_of(execution_id), bundle=services(), conditions=Conditions.of_request()
    )
    return answered(steps, answer)


@blueprint.route(
    "/executions/<string:execution_id>", methods=["DELETE"], parameters=execution_parameter()
)
@blueprint.arguments(EndArgsSchema, location="query")
@blueprint.response(202, description="The end was asked for")
@blueprint.alt_response(204, description="It is purged")
@blueprint.errors(404, 410, 409, *UPSTREAM)
@permission(Permission.EXECUTIONS_CANCEL)
def cancel_execution(args: dict[str, Any], execution_id: str) -> Response:
    """Cancel an execution; asking twice is fine. One that has ended can be purged.

    With `purge=true` its log, tasks, outputs and files are removed for good: from then on it
    answers 410 to its owner and to operators, and 404 to all others. That needs the permission
    `executions:purge` beside.
    """
    if args["purge"]:
        act_as(Permission.EXECUTIONS_PURGE)
        services().purging.purge(execution_id, caller())
        return empty(204)
    services().steering.cancel(execution_id, caller())
    return empty(202)


@blueprint.route(
    "/executions/<string:execution_id>/pause", methods=["POST"], parameters=execution_parameter()
)
@blueprint.response(202, description="The pause was asked for")
@blueprint.errors(404, 410, 409, 501, *UPSTREAM)
@permission(Permission.EXECUTIONS_STEER)
def pause_execution(execution_id: str) -> Response:
    """Pause an execution; asking twice is fine."""
    services().steering.pause(execution_id, caller())
    return empty(202)


@blueprint.route(
    "/executions/<string:execution_id>/resume", methods=["POST"], parameters=execution_parameter()
)
@blueprint.response(202, description="The end of the pause was asked for")
@blueprint.errors(404, 410, 409, 501, *UPSTREAM)
@permission(Permission.EXECUTIONS_STEER)
def resume_execution(execution_id: str) -> Response:
    """Resume a paused execution."""
    services().steering.resume(execution_id, caller())
    return empty(202)


@blueprint.route(
    "/executions/<string:execution_id>/abandon", methods=["POST"], parameters=execution_parameter()
)
@blueprint.response(204, description="It has failed, by decree")
@blueprint.errors(404, 410, 409, *UPSTREAM)
@permission(Permission.EXECUTIONS_ABANDON)
def abandon_execution(execution_id: str) -> Response:
    """End an execution that nothing else ends, whatever still runs of it."""
    services().steering.abandon(execution_id, caller())
    return empty(204)


@blueprint.route(
    "/executions/<string:execution_id>/tasks", methods=["GET"], parameters=execution_parameter()
)
@blueprint.response(200, TaskListSchema)
@blueprint.errors(404, 410, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def list_tasks(execution_id: str) -> Any:
    """List the tasks of an execution, in the order of the workflow."""
    return {"tasks": services().executions.tasks(execution_id, caller())}


@blueprint.route(
    "/executions/<string:execution_id>/attempts", methods=["GET"], parameters=execution_parameter()
)
@blueprint.arguments(PageArgsSchema, location="query")
@blueprint.response(200, AttemptListSchema, headers=PAGINATION_HEADER)
@blueprint.errors(404, 410, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def list_attempts(args: dict[str, Any], execution_id: str) -> Response:
    """List the attempts of an execution's tasks, in the order of the workflow, then by number.

    Of each task its last one, and up to 20 before. What a task was taken over with from an earlier
    execution is there. All of them unless a page is asked for.
    """
    found = services().executions.attempts(execution_id, caller())
    page, headers = cut(found, args.get("page"), args.get("page_size"))
    body = write_json({"attempts": [attempt_json(attempt) for attempt in page]})
    return Response(body, content_type="application/json", headers=headers)


@blueprint.route(
    "/executions/<string:execution_id>/tasks/<string:name>",
    methods=["GET"],
    parameters=execution_parameter(),
)
@blueprint.response(200, TaskSchema)
@blueprint.errors(404, 410, *UPSTREAM)
@permission(Permission.EXECUTIONS_READ)
def get_task(execution_id: str, name: str) -> Any:
    """Get one task of an execution."""
    return services().executions.task(execution_id, name, caller())


def _written_list(
    found: Sequence[ExecutionSummary],
    page: Page,
    total: int,
    moments: Mapping[str, str],
    *,
    briefly: bool,
) -> _Written:
    """Return a page of executions as JSON, written once for all who ask one after the other.

    Args:
        found: What is on it.
        page: The page.
        total: How many there are on all pages.
        moments: What the next page is asked for by in place of times that pass; they make no other
            page of it.
        briefly: What is said of each beside is written, too. What that is made of does not change
            without the executions.
    """
    key = caller().username, request.script_root, request.query_string
    stale = tuple(map(services().executions.is_stale, found))
    kept = _lists.get(key)
    if kept is not None and kept.is_of(found, stale):
        return kept
    listed = [
        summary_json(execution, stale=old) for execution, old in zip(found, stale, strict=True)
    ]
    if briefly:
        briefs = services().executions.briefs(found)
        for each in listed:
            each["brief"] = brief_json(briefs.get(each["id"], NO_BRIEF))
    rest = {"total": total, "next": next_page(page, total)}
    tag = tag_of(write_json([{**each, "as_of": None} for each in listed]), write_json(rest))
    rest["next"] = next_page(page, total, moments)
    written = _Written(found, stale, write_json({"executions": listed, **rest}), tag)
    _lists.put(key, written)
    return written


def _answer(
    execution: Execution, form: Form, bundle: Services, conditions: Conditions | None
) -> Response:
    """Answer with an execution; there may be no request any more."""
    written = _written(execution, form, bundle.executions)
    headers = kept_headers(written.tag)
    if conditions is not None and not conditions.holds(written.tag):
        return not_modified(Response(headers=headers))
    return Ready(written.document, content_type="application/json", headers=headers)


def _written(execution: Execution, form: Form, service: ExecutionService) -> _Written:
    """Return an execution as JSON, written once for all who get the same.

    What is read again once it changed is another object, and a change of a task is one of its
    execution; the rest of what is written depends on the time.
    """
    stale = service.is_stale(execution)
    kept = _kept.get((execution.id, form))
    if kept is not None and kept.is_of(execution, (stale,)):
        return kept
    tasks = service.tasks_of(execution)
    told = execution_json(execution, tasks, stale=stale, form=form)
    tag = tag_of(form.value, write_json({**told, "as_of": None}))
    written = _Written(execution, (stale,), write_json(told), tag)
    _kept.put((execution.id, form), written)
    return written
