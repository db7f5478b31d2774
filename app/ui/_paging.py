"""Which page of a list is asked for."""

from __future__ import annotations

from contextlib import suppress

from flask import request


def page_number(total: int, on_a_page: int) -> int:
    """Return the number that the address says, from 1, or that of the last page that there is.

    Args:
        total: How many rows the list has.
        on_a_page: How many of them a page shows.
    """
    number = 1
    with suppress(ValueError):
        number = int(request.args.get("page", "1")[:9])
    return max(1, min(number, -(-total // on_a_page)))
