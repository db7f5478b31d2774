"""The page: a dialect that speaks HTML to people, over the same services as the APIs.

Its own scripts read the root API. Why it lives below ``/ui``:
``docs/decisions/0048-pages-below-ui.md``.
"""

from app.resources._dialect import Dialect
from app.ui import _assets, account, graph, sign_in, start, timeline
from app.ui._errors import PageErrors

DIALECT = Dialect(
    name="ui",
    prefix="/ui",
    blueprints=(
        _assets.blueprint,
        start.blueprint,
        sign_in.blueprint,
        account.blueprint,
        graph.blueprint,
        timeline.blueprint,
    ),
    errors=PageErrors(),
    names_challenges=False,
    entrance="/ui/",
)
