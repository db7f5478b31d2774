"""What the document's examples tell of: what is submitted, and by which names it is known then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from app.execution_names import ID_PATTERN
from app.resources._api import LONGEST_NAME
from app.resources._text_forms import TextForm
from app.services.nodes import SLAVE_ID_PATTERN

EXECUTION: Final = TextForm(ID_PATTERN, "exec-abc123def456")
WORKFLOW: Final = TextForm(rf"[^/\x00]{{1,{LONGEST_NAME}}}", "first-load")
SLAVE: Final = TextForm(SLAVE_ID_PATTERN, "local")
PLACES: Final[Mapping[str, TextForm]] = {
    "execution_id": EXECUTION,
    "workflow_id": WORKFLOW,
    "slave_id": SLAVE,
}
"""What may stand at the places of this API's addresses."""

SUBMISSION: Final[Mapping[str, Any]] = {
    "workflow": {
        "id": WORKFLOW.example,
        "steps": [{"id": "add", "type": "script", "config": {"script": "1 + 1"}}],
        "options": {"vus": 1, "iterations": 1},
    }
}
