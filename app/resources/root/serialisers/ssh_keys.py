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


key_json = Serialiser(SshKeySchema)
