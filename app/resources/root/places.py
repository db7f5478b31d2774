"""What may stand at the places of this API's addresses, beside those of executions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.domain import USERNAME
from app.resources._api import LONGEST_NAME
from app.resources._text_forms import TextForm
from app.resources.root.examples import TASK, WORKFLOW
from app.resources.root.one_task import LONGEST_TASK
from app.services.api_keys import ID_PATTERN as API_KEY_PATTERN
from app.services.api_keys import NAMED_PATTERN
from app.services.nodes import NODE_ID_PATTERN
from app.services.operations import OPERATION_ID_PATTERN
from app.services.sessions import ID_PATTERN as SESSION_PATTERN
from app.services.ssh_keys import KEY_ID_PATTERN

USER: Final = TextForm(USERNAME.pattern, "ada")
SSH_KEY: Final = TextForm(KEY_ID_PATTERN, "6fa459ea-ee8a-4ca4-894e-db77e160355e")
OPERATION: Final = TextForm(OPERATION_ID_PATTERN, "op-5d41402abc4b2a76b9719d911017c592")
API_KEY_ID: Final = TextForm(API_KEY_PATTERN, "5d41402abc4b2a76")

PLACES: Final[Mapping[str, TextForm]] = {
    "reference": TextForm(rf"[^/\x00]{{1,{LONGEST_NAME}}}", WORKFLOW),
    "name": TextForm(rf"[^/\x00]{{1,{LONGEST_TASK}}}", TASK),
    "node_id": TextForm(NODE_ID_PATTERN, "local"),
    "username": USER,
    "session_id": TextForm(SESSION_PATTERN, "0f1e2d3c4b5a6978"),
    "operation_id": OPERATION,
    "orchestrator": TextForm(r"[a-z0-9][a-z0-9_-]{0,62}", "engine"),
    "/ssh_keys/{key_id}": SSH_KEY,
    "/api_keys/{key_id}": TextForm(NAMED_PATTERN, "slw_7Hq2"),
}
