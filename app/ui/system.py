"""``/ui/system``: how the service is, for who runs it and keeps this open."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Response

from app.domain import Permission
from app.resources._auth import caller
from app.resources._context import services
from app.resources._permissions import permission
from app.services.course import Course, Series
from app.ui._render import page
from app.ui._words import number

blueprint = Blueprint("system", __name__)

_PATH: Final = "/ui/system"


@blueprint.get("/system")
@permission(Permission.SYSTEM_READ)
def show() -> Response:
    """Show it: what is not well first, the charts last."""
    state = services().system.state(caller())
    return page(
        "system.html",
        title="System" if state.well else f"{len(state.problems)} not well · System",
        current=_PATH,
        state=state,
        lines=_lines(services().system.course(caller())),
    )


def _lines(course: Course) -> list[tuple[Series, str]]:
    """Return the lines of the charts, with the last of their numbers in words."""
    return [(series, _last(series)) for series in course.series]


def _last(series: Series) -> str:
    known = [value for value in series.values if value is not None]
    if not known:
        return "Nothing is known of the last hour yet."
    return f"{number(known[-1])} {series.unit} at last, {number(max(known))} at most."
