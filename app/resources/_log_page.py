"""A page of a log, written by parts: a long one is not held in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice
from threading import BoundedSemaphore

from flask import Response

from app.domain import Identity
from app.resources._conditional import Conditions, kept_headers, not_modified, tag_of
from app.resources._encoders import PageEncoder
from app.resources._flask import Ready
from app.resources._written import written
from app.services.bundle import Services
from app.services.logs import LogPage

_PAGE_BYTES = 4 * 1024 * 1024
"""A page ends with the stretch that makes it so long."""

_KEPT_PAGES = BoundedSemaphore(16)
"""How many long pages are kept until they are taken; the parts of others are read a second time."""


def answer_page(
    page: LogPage,
    encoder: type[PageEncoder],
    identity: Identity,
    bundle: Services,
    conditions: Conditions | None = None,
) -> Response:
    """Answer with a page, at once if it is short.

    Args:
        page: The page.
        encoder: How it is written.
        identity: The reader.
        bundle: The services; there may be no request any more.
        conditions: What the request depends on.

    Raises:
        ConditionFailed: The page is not as the request says.
        LimitExceeded: It is long, and as many requests are held as may be.
    """
    headers = kept_headers(tag_of(encoder.__name__, page.version))
    if conditions is not None and not conditions.holds(headers["ETag"]):
        return not_modified(Response(headers=headers))
    turn = partial(bundle.turns.turn, page.owner)
    parts = ((written(encoder.entries, each, turn), len(each.entries)) for each in page.stretches())
    first, second = next(parts, (b"", 0)), next(parts, None)
    head = encoder.prelude
    if second is None:
        text, number = first
        body = head + text + encoder.epilogue(page, number)
        return Ready(body, content_type=encoder.content_type, headers=headers)
    with ExitStack() as until_written:
        until_written.enter_context(bundle.places.place(identity, "page"))
        kept: list[bytes] | None = None
        if _KEPT_PAGES.acquire(blocking=False):
            until_written.callback(_KEPT_PAGES.release)
            kept = []
        sizes, number = _measure(chain([first, second], parts), kept)
        tail = encoder.epilogue(page, number)
        length = len(head) + sum(sizes) + len(encoder.separator) * (len(sizes) - 1) + len(tail)
        again = kept or (written(encoder.entries, stretch, turn) for stretch in page.stretches())
        pieces = chain([head], encoder.separated(islice(again, len(sizes))), [tail])
        response = Response(
            pieces,
            content_type=encoder.content_type,
            headers={**headers, "Content-Length": str(length)},
        )
        response.call_on_close(until_written.pop_all().close)
        return response


def _measure(parts: Iterable[tuple[bytes, int]], kept: list[bytes] | None) -> tuple[list[int], int]:
    """Measure the parts that make up a page, and keep them where there is room.

    Args:
        parts: Texts, each with the number of its entries.
        kept: Where to keep the texts.

    Returns:
        The size of each, and the number of all entries.
    """
    sizes: list[int] = []
    entries = 0
    for part, number in parts:
        sizes.append(len(part))
        entries += number
        if kept is not None:
            kept.append(part)
        if sum(sizes) >= _PAGE_BYTES:
            break
    return sizes, entries
