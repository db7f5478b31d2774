"""Who takes part: a user who is attacked, one who attacks, and the developer who defined things."""

from __future__ import annotations

import base64

SETTINGS = """\
    api:
      auth:
        type: basic
        users:
          - {username: ada, password: ada, roles: [user]}
          - {username: mallory, password: mallory, roles: [user]}
          - {username: dora, password: dora, roles: [user, developer]}
"""

OTHER, ATTACKER, DEVELOPER = "ada", "mallory", "dora"


def authorization(user: str, password: str | None = None) -> str:
    """Return the header's value of HTTP Basic (RFC 7617)."""
    pair = f"{user}:{user if password is None else password}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
