"""A page of a log, written by parts: a long one is not held in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice
from threading import BoundedSemaphore

from flask import Response

from app.domain import Identity
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
    page: LogPage, encoder: type[PageEncoder], identity: Identity, bundle: Services
) -> Response:
    """Answer with a page, at once if it is short.

    Args:
        page: The page.
        encoder: How it is written.
        identity: The reader.
        bundle: The services; there may be no request any more.

    Raises:
        LimitExceeded: It is long, and as many requests are held as may be.
    """
    turn = partial(bundle.turns.turn, page.owner)
    parts = (written(encoder.entries, stretch, turn) for stretch in page.stretches())
    first, second = next(parts, b""), next(parts, None)
    head, tail = encoder.prelude, encoder.epilogue(page)
    if second is None:
        return Ready(head + first + tail, content_type=encoder.content_type)
    with ExitStack() as until_written:
        until_written.enter_context(bundle.places.place(identity, "page"))
        kept: list[bytes] | None = None
        if _KEPT_PAGES.acquire(blocking=False):
            until_written.callback(_KEPT_PAGES.release)
            kept = []
        sizes = _measure(chain([first, second], parts), kept)
        length = len(head) + sum(sizes) + len(encoder.separator) * (len(sizes) - 1) + len(tail)
        again = kept or (written(encoder.entries, stretch, turn) for stretch in page.stretches())
        body = chain([head], encoder.separated(islice(again, len(sizes))), [tail])
        response = Response(
            body, content_type=encoder.content_type, headers={"Content-Length": str(length)}
        )
        response.call_on_close(until_written.pop_all().close)
        return response


def _measure(parts: Iterable[bytes], kept: list[bytes] | None) -> list[int]:
    """Return the sizes of the parts that make up a page, and keep the parts where there is room."""
    sizes: list[int] = []
    for part in parts:
        sizes.append(len(part))
        if kept is not None:
            kept.append(part)
        if sum(sizes) >= _PAGE_BYTES:
            break
    return sizes
