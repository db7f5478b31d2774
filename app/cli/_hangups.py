"""Noticing clients that went away while their request is held.

A held request reads nothing and writes nothing, so nobody tells it that its client is gone. One
epoll instance watches the sockets of all held requests, and the event loop watches that one.

A client that sends nothing more may be gone or wait for its answer (a half-closed connection, RFC
9293, 3.6); which of them, only what is sent to it can tell.
"""

from __future__ import annotations

import select
from collections.abc import Callable

import gevent
from gevent import monkey

# gevent takes epoll out of the module, since waiting in it would stop the loop; we never wait.
_epoll = monkey.get_original("select", "epoll")
_GONE = select.EPOLLHUP | select.EPOLLERR
_ONCE = select.EPOLLONESHOT
_AT_ONCE = 1024


class Hangups:
    """Tells of clients that hang up."""

    def __init__(self) -> None:
        self._epoll = _epoll()
        self._held: dict[int, Callable[[bool], None]] = {}
        self._watcher = gevent.get_hub().loop.io(self._epoll.fileno(), 1)
        self._watcher.start(self._look)

    def hold(self, descriptor: int, tell: Callable[[bool], None]) -> None:
        """Watch a socket.

        Args:
            descriptor: Of the socket.
            tell: Called in the hub when the client has hung up: with False if it may still read,
                and with True, then or later, if it is gone for good. It must not wait.
        """
        self._held[descriptor] = tell
        self._epoll.register(descriptor, select.EPOLLRDHUP | _GONE | _ONCE)

    def release(self, descriptor: int) -> None:
        """Stop watching; to be called before the socket is closed or used again."""
        if self._held.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _look(self) -> None:
        for descriptor, events in self._epoll.poll(0, _AT_ONCE):
            tell = self._held.get(descriptor)
            if tell is None:
                continue
            is_gone = bool(events & _GONE)
            if not is_gone:
                self._epoll.modify(descriptor, _GONE | _ONCE)
            tell(is_gone)
