"""Lists that the service gives in pages, as iterators."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Page(NamedTuple):
    """One page.

    Attributes:
        raw: The whole answer.
        items: What is on it.
        following: Asks for the next one; None on the last one.
        total: How many there are on all pages, where the service told it.
    """

    raw: Mapping[str, Any]
    items: list[Any]
    following: Callable[[], Page] | None
    total: int | None = None


class Pages(Generic[Item]):
    """An iterator over all pages; the next one is asked for when it is needed.

    It has no length, since ``list()`` would ask for it, at the cost of a request. What moves from
    one page to the next while they are read is given once.
    """

    def __init__(
        self, first: Callable[[], Page], make: Callable[[Any], Item], key: Callable[[Item], str]
    ) -> None:
        self._next: Callable[[], Page] | None = first
        self._page: Page | None = None
        self._make, self._key = make, key
        self._ready: deque[Item] = deque()
        self._keys: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while not self._ready:
            if self._next is None:
                raise StopIteration
            self._turn(self._next)
        return self._ready.popleft()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._page.total if self._page else 'not read yet'}>"

    @property
    def page(self) -> Mapping[str, Any]:
        """The page that was read last, or the first, as the service gave it."""
        return self._latest().raw

    @property
    def total(self) -> int | None:
        """How many there are, where the service tells it."""
        return self._latest().total

    def _latest(self) -> Page:
        if self._page is None and self._next is not None:
            self._turn(self._next)
        assert self._page is not None  # noqa: S101  (there is a first page)
        return self._page

    def _turn(self, read: Callable[[], Page]) -> None:
        """Read the next page; after a fault it is the next one still."""
        page = read()
        items = [self._make(raw) for raw in page.items]
        keys = [self._key(item) for item in items]
        self._ready.extend(item for item, key in zip(items, keys, strict=True)
                           if key not in self._keys)  # fmt: skip
        self._page, self._next, self._keys = page, page.following, frozenset(keys)
