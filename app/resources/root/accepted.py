"""Choosing the form of an answer by ``Accept`` (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from flask import request
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_accept_header


def accepted(offered: Sequence[str], what: str) -> str:
    """Choose the form of the answer to the current request.

    Args:
        offered: Media types; the first where the client does not care.
        what: What can be had, as the beginning of a sentence.

    Raises:
        NotAcceptable: The client takes none of them.
    """
    return _chosen(request.headers.get("Accept"), tuple(offered), what)


@lru_cache(256)
def _chosen(accept: str | None, offered: tuple[str, ...], what: str) -> str:
    given = parse_accept_header(accept, MIMEAccept)
    wanted = MIMEAccept((name.partition(";")[0].strip(), quality) for name, quality in given)
    chosen = wanted.best_match(offered, "" if wanted else offered[0])
    if not chosen:
        *others, last = offered
        raise NotAcceptable(f"{what} can be had as {', '.join(others)} or {last}.")
    return chosen
