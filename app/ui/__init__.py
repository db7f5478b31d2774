"""The page: a dialect that speaks HTML to people, over the same services as the APIs.

Its own scripts read the root API. Why it lives below ``/ui``:
``docs/decisions/0048-pages-below-ui.md``.
"""

from app.resources._dialect import Dialect
from app.ui import (
    _assets,
    account,
    account_keys,
    audit,
    comparison,
    definition,
    execution,
    execution_actions,
    executions,
    graph,
    key_trials,
    keys,
    launch,
    log,
    nodes,
    operations,
    sign_in,
    start,
    system,
    timeline,
    users,
    workflows,
)
from app.ui._errors import PageErrors

DIALECT = Dialect(
    name="ui",
    prefix="/ui",
    blueprints=(
        _assets.blueprint,
        start.blueprint,
        sign_in.blueprint,
        account.blueprint,
        workflows.blueprint,
        executions.blueprint,
        graph.blueprint,
        timeline.blueprint,
        nodes.blueprint,
        users.blueprint,
        audit.blueprint,
        system.blueprint,
        log.blueprint,
        execution.blueprint,
        execution_actions.blueprint,
        comparison.blueprint,
        launch.blueprint,
        account_keys.blueprint,
        keys.blueprint,
        key_trials.blueprint,
        operations.blueprint,
        definition.blueprint,
    ),
    errors=PageErrors(),
    names_challenges=False,
    entrance="/ui/",
)
