"""SSH keys on the wire."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import fields, validate

from app.resources._api import Timestamp
from app.resources._serialiser import Serialiser
from app.services.ssh_keys import ALGORITHMS


class SshKeySchema(ma.Schema):
    """A key of yours."""

    id = fields.String(required=True, metadata={"description": "The first characters of it"})
    algorithm = fields.String(required=True, validate=validate.OneOf(list(ALGORITHMS)))
    fingerprint = fields.String(required=True)
    metadata = fields.Dict(required=True)
    created_at = Timestamp(required=True)
    authorized_keys = fields.String(
        required=True, allow_none=True,
        metadata={
            "description": "The line for `~/.ssh/authorized_keys`, which lets the key run "
            "commands and do nothing else; null of keys that are older than this field",
            "example": "restrict ssh-ed25519 AAAA... slipway-6fa459ea",
        },
    )  # fmt: skip
    last_used_at = Timestamp(
        required=True, allow_none=True,
        metadata={"description": "When it last was to log in to a cluster, to a minute"},
    )  # fmt: skip
    last_succeeded_at = Timestamp(
        required=True, allow_none=True,
        metadata={"description": "When it last logged in to a cluster, to a minute"},
    )  # fmt: skip
    replaces = fields.String(
        required=True, allow_none=True,
        metadata={
            "description": "The first characters of the key whose place it takes once it has "
            "logged in; null of any other"
        },
    )  # fmt: skip


key_json = Serialiser(SshKeySchema)
