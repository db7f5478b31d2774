"""Which executions a list of the root API shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from marshmallow import fields, validate

from app.domain import ExecutionFilter, ExecutionStatus
from app.labels import MOST_LABELS
from app.resources._api import Name, PageArgsSchema, iso_second
from app.resources._auth import caller
from app.resources._listing import LABEL, NEWEST, OLDEST, PREFIX, Since, label_of
from app.resources._repeated import Repeated
from app.resources.root.examples import EXECUTION_ID, WORKFLOW
from app.resources.root.statuses import AWF_STATUSES, STATES, STATUSES, WordsField, states_of

ME: Final = "@me"
"""Stands for the caller, where a list is restricted to owners."""


class ExecutionArgsSchema(PageArgsSchema):
    """Which executions."""

    workflow = Name(metadata={"description": "Id or name of the workflow", "example": WORKFLOW})
    status = WordsField({*STATUSES, *STATES, *AWF_STATUSES}, "Any kind of word")
    state = WordsField(STATES, "The exact word")
    owner = Repeated(
        Name(metadata={"example": "ada"}),
        metadata={
            "description": f"User name, or `{ME}` for yourself; operators see all users; may be "
            "repeated"
        },
    )
    continues = Name(
        metadata={
            "description": "Id of the execution from which they go on", "example": EXECUTION_ID,
        }
    )  # fmt: skip
    id = fields.String(
        validate=validate.Regexp(
            PREFIX, error="must be 1 to 160 letters, digits and . _ -: how an id or a name begins"
        ),
        metadata={
            "description": "How their id begins, or their other name (`execution_id`), or their "
            "`exec-` id",
            "example": EXECUTION_ID[:4],
        },
    )
    name = Name(metadata={"description": "What their owner calls them", "example": "night 4"})
    q = Name(
        metadata={
            "description": "What people search by: what `name` or `id` takes, any of both",
            "example": "night 4",
        }
    )
    label = Repeated(
        fields.String(
            validate=validate.Regexp(
                LABEL, error="must be the key of a label, or <key>=<value>, such as grid=fine"
            ),
            metadata={"example": "grid=fine"},
        ),
        validate=validate.Length(max=MOST_LABELS, error=f"must stand at most {MOST_LABELS} times"),
        metadata={
            "description": "A label that they have, as `<key>=<value>`, or its key alone for any "
            "value; may be repeated: all must fit"
        },
    )
    since = Since("Those that were launched since then")
    active_since = Since("Those that have not ended, or did so since then")
    order = fields.String(
        load_default=NEWEST,
        validate=validate.OneOf([NEWEST, OLDEST]),
        metadata={"description": "Which come first, by the moment of their launch"},
    )
    brief = fields.Boolean(
        load_default=False,
        metadata={
            "description": "Also tell what each does by now, or why it failed, in what a list has "
            "room for"
        },
    )


def wanted_executions(args: dict[str, Any]) -> tuple[ExecutionFilter, dict[str, str]]:
    """Return which executions somebody wants to see.

    Returns:
        The filter, and what the addresses of further pages say in place of times that pass.
    """
    # In whole seconds, so that those who ask within the same one share an answer.
    now = datetime.now(UTC).replace(microsecond=0)
    since = {name: args[name] for name in ("since", "active_since") if name in args}
    passing = {name: now - value for name, value in since.items() if isinstance(value, timedelta)}
    moments = {**since, **passing}
    wanted = ExecutionFilter(
        owners=_owners(args),
        workflow=args.get("workflow"),
        states=_states(args),
        continues=args.get("continues"),
        name=args.get("name"),
        labels=tuple(sorted(map(label_of, args.get("label", ())), key=repr)),
        prefix=args.get("id"),
        called=args.get("q"),
        created_since=moments.get("since"),
        active_since=moments.get("active_since"),
        oldest_first=args["order"] == OLDEST,
    )
    return wanted, {name: iso_second(moment) for name, moment in passing.items()}


def _owners(args: dict[str, Any]) -> frozenset[str] | None:
    if "owner" not in args:
        return None
    return frozenset(caller().username if name == ME else name for name in args["owner"])


def _states(args: dict[str, Any]) -> frozenset[ExecutionStatus] | None:
    """Return the states that a list is restricted to."""
    by_status = states_of(args["status"]) if "status" in args else None
    if "state" not in args:
        return by_status
    exact = frozenset(ExecutionStatus(word) for word in args["state"])
    return exact if by_status is None else exact & by_status
