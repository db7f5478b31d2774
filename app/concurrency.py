"""Running blocking work so that it stalls nobody, with and without gevent.

The web processes are patched by gevent: there, whatever holds the processor or waits for a lock in
C code must run in a real thread, and not in the hub's own pool, which also resolves host names. The
conductor and the tools are plain threaded programs, where a call is simply made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from gevent import monkey

P = ParamSpec("P")
T = TypeVar("T")


class Pool(Protocol):
    """Runs one call and gives its result, or raises what it raised."""

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a call; the caller waits, others do not."""


class _Inline:
    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)


class _GeventPool:
    def __init__(self, size: int) -> None:
        from gevent.threadpool import ThreadPool  # noqa: PLC0415  (needs a patched process)

        self._pool = ThreadPool(size)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        # The pool prints what a call raises; only its caller knows whether that is worth a word.
        result, error = self._pool.apply(_caught, (function, args, kwargs))
        if error is not None:
            raise error
        return cast(T, result)


def _caught(
    function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[T | None, BaseException | None]:
    try:
        return function(*args, **kwargs), None
    except BaseException as exc:  # noqa: BLE001  (it is raised again in the caller)
        return None, exc


def cooperative() -> bool:
    """Tell whether this process is patched by gevent."""
    return bool(monkey.is_module_patched("threading"))


def make_pool(size: int) -> Pool:
    """Make a pool of so many real threads; without gevent, calls run where they are made."""
    return _GeventPool(size) if cooperative() else _Inline()
