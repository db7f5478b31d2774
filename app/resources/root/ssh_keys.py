"""``/ssh_keys`` of the root API: make, list and revoke key pairs."""

from __future__ import annotations

from typing import Any

import marshmallow as ma
from flask import Response
from marshmallow import fields, validate

from app.domain import Permission
from app.resources._api import (
    UPSTREAM,
    Blueprint,
    empty,
    only_document,
    write_json,
)
from app.resources._arguments import ArgumentsSchema
from app.resources._auth import caller
from app.resources._context import services
from app.resources._limits import cost
from app.resources._permissions import permission
from app.resources._ssh_key_forms import LONGEST_NAME, fault_of_size
from app.resources.root.operations import LOCATION, carried_out
from app.resources.root.places import SSH_KEY
from app.resources.root.serialisers.operations import OperationSchema
from app.resources.root.serialisers.ssh_keys import SshKeySchema, key_json
from app.services.ssh_keys import ALGORITHMS

blueprint = Blueprint("ssh_keys", __name__, description="SSH key pairs")


def _check_size(metadata: dict[str, Any] | None) -> None:
    fault = fault_of_size(metadata or {})
    if fault is not None:
        raise ma.ValidationError(fault)


class NewSshKeySchema(ArgumentsSchema):
    """What a new key takes; all of it may be left out."""

    metadata = fields.Dict(
        keys=fields.String(validate=validate.Length(1, LONGEST_NAME)),
        allow_none=True,
        validate=_check_size,
        metadata={
            "description": "Your own words; `privateKey` and `publicKey` are silently ignored",
            "example": {"cluster": "hpc1"},
        },
    )
    algorithm = fields.String(allow_none=True, validate=validate.OneOf(list(ALGORITHMS)))


class CreatedSshKeySchema(ma.Schema):
    """A new key; its whole id is never shown again."""

    id = fields.String(required=True, metadata=SSH_KEY.schema())
    public_key = fields.String(required=True)


class SshKeyListSchema(ma.Schema):
    """Keys."""

    ssh_keys = fields.List(fields.Nested(SshKeySchema), required=True)


@blueprint.route("/ssh_keys", methods=["POST"])
@blueprint.arguments(NewSshKeySchema, required=False)
@blueprint.response(201, CreatedSshKeySchema)
@blueprint.errors(400, 409, 413, 415, 422, 429, *UPSTREAM)
@cost(5)
@permission(Permission.KEYS_WRITE)
def create_ssh_key(body: dict[str, Any]) -> Any:
    """Make a key pair; keep the id, which is not shown again."""
    key_id, public_key = services().ssh_keys.create(
        body.get("metadata") or {}, caller(), body.get("algorithm")
    )
    return {"id": key_id, "public_key": public_key}


@blueprint.route("/ssh_keys", methods=["GET"])
@blueprint.response(200, SshKeyListSchema)
@blueprint.errors(503)
@permission(Permission.KEYS_READ)
def list_ssh_keys() -> Any:
    """List your keys, newest first."""
    found = services().ssh_keys.of(caller())
    body = write_json({"ssh_keys": [key_json(key) for key in found]})
    return Response(body, content_type="application/json")


class KeyTrialSchema(ArgumentsSchema):
    """Where a key is to log in."""

    orchestrator = fields.String(
        allow_none=True,
        validate=validate.Length(1, LONGEST_NAME),
        metadata={
            "description": "Name of the cluster; `cluster` of the key's metadata if absent",
            "example": "hpc1",
        },
    )


@blueprint.route("/ssh_keys/<string:key_id>/test", methods=["POST"])
@blueprint.arguments(KeyTrialSchema, required=False)
@only_document(blueprint.response(200, OperationSchema))
@blueprint.alt_response(202, schema=OperationSchema, headers=LOCATION)
@blueprint.errors(400, 404, 409, 413, 415, 422, 429, 503)
@cost(5)
@permission(Permission.KEYS_WRITE, action="ssh_keys:test")
def try_ssh_key(body: dict[str, Any], key_id: str) -> Response:
    """Find out whether a key of yours logs in to a cluster, by its id or the prefix of it.

    The account is the one that the gateway has for you there. `result` has `logs_in`; where that
    is false, `reason` (`login_refused`, `host_key_refused`, `unreachable`, or `paused` for a while
    after a refusal) and `message`, which names what to do. 202 where it takes longer than 20
    seconds.
    """
    filed = services().key_requests.test(key_id, body.get("orchestrator"), caller())
    return carried_out(filed)


@blueprint.route("/ssh_keys/<string:key_id>/rotate", methods=["POST"])
@blueprint.arguments(KeyTrialSchema, required=False)
@only_document(blueprint.response(200, OperationSchema))
@blueprint.alt_response(202, schema=OperationSchema, headers=LOCATION)
@blueprint.errors(400, 404, 409, 413, 415, 422, 429, *UPSTREAM)
@cost(5)
@permission(Permission.KEYS_WRITE, action="ssh_keys:rotate")
def rotate_ssh_key(body: dict[str, Any], key_id: str) -> Response:
    """Have a new key pair take the place of one of yours, without a moment in which none works.

    Send it twice. The first time the new pair is made: `result` has `state: PREPARED` and
    `authorized_keys`, the line to add to `~/.ssh/authorized_keys` of your account. From the second
    time on the new one is tried. If it logs in, the old one is deleted (`state: ROTATED`), and its
    id stands for the new one; if not, the old one stays in use, `login` says why, and you may send
    it again. To give it up revoke the new key.
    """
    filed = services().key_requests.rotate(key_id, body.get("orchestrator"), caller())
    return carried_out(filed)


@blueprint.route("/ssh_keys/<string:key_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.errors(404, 409, *UPSTREAM)
@permission(Permission.KEYS_WRITE)
def revoke_ssh_key(key_id: str) -> Response:
    """Revoke a key of yours, by its id or the prefix that the list shows."""
    services().ssh_keys.revoke(key_id, caller())
    return empty(204)
