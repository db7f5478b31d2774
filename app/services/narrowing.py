"""What a credential may be restricted to that somebody makes for another use."""

from __future__ import annotations

from collections.abc import Collection

from app.domain import Identity
from app.errors import FieldError, InvalidRequest
from app.identity.scopes import SCOPES, exceeding, unknown_scopes

_MOST_QUOTED = 100


def narrowed(identity: Identity, scopes: Collection[str], name: str) -> tuple[str, ...]:
    """Return some scopes, which let nothing through that the credential of who asks does not.

    Args:
        identity: Who asks.
        scopes: What they ask for.
        name: Of the field of the request that says so.

    Raises:
        InvalidRequest: They are none, or let more through.
    """
    if not scopes:
        fault = "must name at least one"
    elif unknown := unknown_scopes(scopes):
        fault = f"must be some of {', '.join(SCOPES)}, not {', '.join(unknown)[:_MOST_QUOTED]}"
    elif beyond := exceeding(identity, scopes):
        fault = f"must be among what your credential allows, not {', '.join(beyond)}"
    else:
        return tuple(dict.fromkeys(scopes))
    raise InvalidRequest("Those are no scopes for it.", fields=(FieldError(name, fault),))
