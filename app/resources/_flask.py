"""Flask without what it looks for in each request and never finds here.

A short request is answered in some 0.15 ms, of which half is the framework's. What is left out or
remembered here made up a third of that; ``docs/performance.md`` has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Request, Response
from flask.sessions import SessionInterface, SessionMixin
from werkzeug.routing import MapAdapter, Rule

_KEPT_ADDRESSES = 4096
_LONGEST_ADDRESS = 256
_AS_FLASK_ASKS = {"return_rule": True}


class _NoSessions(SessionInterface):
    """Opens the same empty session for each request: this service keeps none."""

    def __init__(self) -> None:
        self._session = self.null_session_class()

    def open_session(self, app: Flask, request: Request) -> SessionMixin:
        """Return the empty session."""
        return self._session

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Save nothing."""


class _Addresses(MapAdapter):
    """Finds the endpoint of one request; those of a crowd all ask for the same address.

    It can build no address with a host in it, which this service never does.
    """

    def __init__(self, app: LeanFlask, request: Request) -> None:
        scheme = request.environ["wsgi.url_scheme"]
        super().__init__(app.url_map, "", "/", "", scheme, request.path, request.method)
        self._known = app.known_addresses

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """Return the rule and its arguments, or raise what Werkzeug raises."""
        if args or kwargs != _AS_FLASK_ASKS:  # for another method, as to find those that there are
            return super().match(*args, **kwargs)
        key = self.default_method, self.path_info
        known = self._known.get(key)
        if known is None:
            known = super().match(*args, **kwargs)
            if len(self.path_info) > _LONGEST_ADDRESS:
                return known
            if len(self._known) >= _KEPT_ADDRESSES:
                self._known.clear()
            self._known[key] = known
        rule, arguments = known
        return rule, dict(arguments)


class _Rule(Rule):
    """Compiles what builds its address when somebody asks for one, which this service never does.

    Two functions for each of some two hundred addresses are more than half of what it takes to make
    an application.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compiled = super()._compile_builder

        def build(_: Rule, **values: Any) -> tuple[str, str]:
            return compiled(append_unknown)(self, **values)

        return build


class LeanFlask(Flask):
    """Flask for views that are no coroutines, use no session, and build no address.

    Attributes:
        known_addresses: Rule and arguments of the addresses that were asked for last.
    """

    session_interface = _NoSessions()
    url_rule_class = _Rule

    def __init__(self, name: str) -> None:
        super().__init__(name, static_folder=None)
        self.known_addresses: dict[tuple[str, str], Any] = {}

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a view as it is."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what finds the endpoint of a request; Werkzeug's own where that is a WebSocket."""
        if request is None or "HTTP_UPGRADE" in request.environ:
            return super().create_url_adapter(request)
        return _Addresses(self, request)


class Ready(Response):
    """An answer whose body is there as a whole, and which needs no look at its header fields."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, self.headers.to_wsgi_list())
        return self.response  # type: ignore[return-value]  # the list of the bytes it was made of
