"""The root API: workflows, executions, logs and SSH keys, at addresses without a prefix."""

from app.identity.registry import security_schemes
from app.resources._dialect import Dialect, Document
from app.resources._health import blueprint as health
from app.resources.root import (
    api_keys,
    audit,
    bundle,
    choices,
    diagnosis,
    executions,
    graphs,
    identity,
    load,
    log_search,
    logs,
    nodes,
    operations,
    orchestrators,
    session_list,
    sessions,
    ssh_keys,
    streams,
    system,
    tasks,
    tokens,
    users,
    workflows,
)
from app.resources.root.encoders import ENCODERS
from app.resources.root.errors import RootErrors
from app.resources.root.links import LINKS
from app.resources.root.places import PLACES
from app.resources.root.topics import views as topics

DIALECT = Dialect(
    name="root",
    prefix="",
    blueprints=(
        workflows.blueprint,
        executions.blueprint,
        load.blueprint,
        tasks.blueprint,
        logs.blueprint,
        log_search.blueprint,
        diagnosis.blueprint,
        graphs.blueprint,
        choices.blueprint,
        bundle.blueprint,
        streams.blueprint,
        topics.blueprint,
        nodes.blueprint,
        operations.blueprint,
        orchestrators.blueprint,
        system.blueprint,
        ssh_keys.blueprint,
        users.blueprint,
        api_keys.blueprint,
        identity.blueprint,
        tokens.blueprint,
        sessions.blueprint,
        session_list.blueprint,
        audit.blueprint,
        health,
    ),
    errors=RootErrors(),
    encoders=ENCODERS,
    document=Document(
        title="Slipway",
        description="Launch workflows on high-performance computers, follow them live, read what "
        "comes out, and make the SSH keys that they need. Errors are problem documents (RFC 9457).",
        security_schemes=security_schemes(),
        links=LINKS,
        places=PLACES,
    ),
)
