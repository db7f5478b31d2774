"""The Workflow Engine's API: virtual users on slaves, at addresses below ``/api/v1``."""

from app.identity.registry import security_schemes
from app.resources._dialect import Dialect, Document
from app.resources._health import probes
from app.resources.engine_v1 import executions, slaves, streams, workflows
from app.resources.engine_v1.errors import EngineErrors
from app.resources.engine_v1.examples import PLACES
from app.resources.engine_v1.links import LINKS

DIALECT = Dialect(
    name="engine_v1",
    prefix="/api/v1",
    blueprints=(
        workflows.blueprint,
        executions.blueprint,
        streams.blueprint,
        slaves.blueprint,
        probes,
    ),
    errors=EngineErrors(),
    document=Document(
        title="Workflow Engine",
        description="Workflows that many virtual users run, on this machine or on many slaves: "
        "submit them, pause, resume, scale and stop their executions, and watch their metrics. "
        "Errors are `error`, a code, and `message`, a text.",
        security_schemes=security_schemes(),
        links=LINKS,
        places=PLACES,
    ),
    takes_query_keys=True,
)
