"""Addresses of the pages of one workflow."""

from __future__ import annotations

from urllib.parse import quote, urlencode


def of_workflow(
    path: str, reference: str, orchestrator: str | None = None, below: str = "", **query: object
) -> str:
    """Return the address of a page.

    Args:
        path: What stands before the workflow, such as ``/ui/workflows``.
        reference: The workflow, by its id or name.
        orchestrator: Which one offers it; None where the reference says enough.
        below: What stands behind the workflow, such as ``/graph``.
        query: What else is asked; what is None or empty is left out.
    """
    address = f"{path}/{quote(reference, safe='')}{below}"
    return asking(address, orchestrator=orchestrator, **query)


def asking(address: str, **query: object) -> str:
    """Return an address that asks for more; what is None or empty is left out."""
    given = {name: value for name, value in query.items() if value}
    more = urlencode(given, quote_via=quote)
    return f"{address}{'&' if '?' in address else '?'}{more}" if more else address
