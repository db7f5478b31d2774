"""Answers that say where they are idle, so that the server can hold them without a thread."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import Any, Generic, TypeVar

from flask import Response, request

from app.resources._proxies import put_below
from app.services.idle import Idle, outcome, waited

V = TypeVar("V")
Steps = Generator[Idle, None, V]
"""Comes to a result, and yields where it would have to wait."""

PARKS = "slipway.parks"
"""Where the WSGI environment tells that the server takes ``Idle`` among the pieces of a body."""

_HELD = ("GET", "HEAD")


OnEnd = Callable[[int | None, int], None]
"""Is told the status of an answer, None where there was none in the end, and its bytes."""


class Streamed(Response):
    """An answer that goes on and on; its body holds ``Idle`` where there is nothing to send.

    Attributes:
        on_end: Told of its end.
    """

    on_end: OnEnd | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[Any]:
        """Answer a request (PEP 3333)."""
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        body: Any = self.response
        if self.on_end is not None:
            body = _measured(body, partial(self.on_end, self.status_code))
        return body if PARKS in environ else waited(body)


def answered(
    steps: Steps[V], answer: Callable[[V], Response], *, has_effect: bool = False
) -> Response:
    """Answer when there is a result, which may be at once.

    Args:
        steps: Comes to the result.
        answer: Makes the answer of it; there may be no request context.
        has_effect: The request has been carried out before its answer is waited for, whatever its
            method.
    """
    if PARKS not in request.environ or not (has_effect or request.method in _HELD):
        return answer(outcome(steps))
    try:
        first = next(steps)
    except StopIteration as end:
        return answer(end.value)
    return Later(first, steps, answer, request.script_root)


def _measured(body: Any, ended: Callable[[int], None]) -> Iterator[Any]:
    size = 0
    try:
        with closing(body):
            for piece in body:
                if isinstance(piece, bytes):
                    size += len(piece)
                yield piece
    finally:
        ended(size)


class Later(Response, Generic[V]):
    """Stands for an answer that is made later.

    Args:
        first: Where it is idle first.
        steps: Comes to what is answered.
        answer: Makes the answer of it.
        root: The prefix that a proxy takes off.

    Attributes:
        on_end: Told of its end.
    """

    on_end: OnEnd | None = None

    def __init__(
        self, first: Idle, steps: Steps[V], answer: Callable[[V], Response], root: str
    ) -> None:
        super().__init__()
        self._root = root
        self._first = first
        self._steps = steps
        self._answer = answer
        self._made_status: int | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterator[Any]:
        """Answer a request (PEP 3333): the head is given with the first piece of the body."""
        body = self._body({"REQUEST_METHOD": environ["REQUEST_METHOD"]}, start_response)
        if self.on_end is None:
            return body
        return _measured(body, self._ended)

    def _ended(self, size: int) -> None:
        if self.on_end is not None:
            self.on_end(self._made_status, size)

    def _body(self, request: dict[str, Any], start_response: Any) -> Iterator[Any]:
        with closing(self._steps):
            yield self._first
            made = put_below(self._answer((yield from self._steps)), self._root)
        self._made_status = made.status_code
        known = {name.lower() for name, _ in made.headers}
        for name, value in self.headers:  # what is added to all answers
            if name.lower() not in known:
                made.headers.add(name, value)
        with closing(made):
            yield from made(request, start_response)
