"""Wattle Scheduler's API: workflows of workers, at addresses below ``/api``."""

from app.identity.registry import security_schemes
from app.resources._dialect import Dialect, Document
from app.resources.wattle import workers, workflows
from app.resources.wattle.errors import WattleErrors
from app.resources.wattle.links import LINKS
from app.resources.wattle.names import PLACES

DIALECT = Dialect(
    name="wattle",
    prefix="/api",
    without=("/api/v1",),
    blueprints=(workflows.blueprint, workers.blueprint),
    errors=WattleErrors(),
    document=Document(
        title="Wattle Scheduler",
        description="Workflows of workers, which are one command each: make them, start them, and "
        "control their workers by name. Every answer is an envelope: `success`, `data`, "
        "`message` and `timestamp`, or `success`, `error` and `timestamp`.",
        security_schemes=security_schemes(),
        links=LINKS,
        places=PLACES,
    ),
)
