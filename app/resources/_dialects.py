"""The dialects of one web process: where each is mounted, and which one answers an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import combinations
from typing import TYPE_CHECKING, cast

import structlog
from flask import Flask, Response, has_app_context, request
from werkzeug.exceptions import HTTPException

from app.errors import ConditionFailed, ConfigError, FieldError
from app.observability import redact
from app.resources import _errors
from app.resources._audit import note_cause
from app.resources._auth import check
from app.resources._browsers import is_from_script
from app.resources._conditional import check_before_change, conclude
from app.resources._dialect import Dialect, ErrorRenderer
from app.resources._docs import make_docs
from app.resources._errors import Failure
from app.resources._every_answer import EveryAnswer
from app.resources._health import blueprint as health
from app.resources._openapi import DialectApi
from app.resources._permissions import require_declarations
from app.resources._problem import ProblemRenderer
from app.resources._repeated import refuse_repeated
from app.resources._slave_socket import blueprint as slaves

if TYPE_CHECKING:
    from app.resources._api import Blueprint

log = structlog.get_logger(__name__)

_FALLBACK = ProblemRenderer()
_CHALLENGE = "WWW-Authenticate"


class Dialects:
    """The dialects that a web process speaks.

    Args:
        dialects: Those.
        always: What all answers hold, also those that the application does not give.

    Raises:
        ConfigError: Two of them have the same prefix, or the same name.
    """

    def __init__(self, dialects: Sequence[Dialect], always: EveryAnswer | None = None) -> None:
        self._dialects = tuple(dialects)
        self.always = always or EveryAnswer()
        for one, other in combinations(dialects, 2):
            if one.prefix == other.prefix:
                text = f"The dialects '{one.name}' and '{other.name}' have the same prefix."
                raise ConfigError(text)
            if one.name == other.name:
                raise ConfigError(f"Two dialects have the name '{one.name}'.")
        self._longest_first = sorted(dialects, key=lambda dialect: -len(dialect.prefix))
        self._app: Flask | None = None

    def __iter__(self) -> Iterator[Dialect]:
        return iter(self._dialects)

    def mount(self, app: Flask) -> None:
        """Add every endpoint and every form of error to an application.

        Raises:
            TypeError: An endpoint does not declare who may call it.
        """
        self._app = app
        for dialect in self._dialects:
            _mount(app, dialect)
        if not any(health in dialect.blueprints for dialect in self._dialects):
            app.register_blueprint(health)
        app.register_blueprint(make_docs(self._dialects))
        app.register_blueprint(slaves)
        app.register_error_handler(Exception, self._on_error)
        app.register_error_handler(HTTPException, self._on_http_exception)
        require_declarations(app)
        app.before_request(check)
        app.before_request(refuse_repeated)
        app.before_request(check_before_change)
        app.after_request(self._conclude)

    def _conclude(self, response: Response) -> Response:
        """Complete the answer of a view by what the request makes it depend on."""
        try:
            return conclude(response)
        except ConditionFailed as exc:
            response.close()
            return self._on_error(exc)

    def takes_query_keys(self, path: str) -> bool:
        """Return whether an API key may stand in the query of an address."""
        dialect = self._owner(path)
        return dialect is not None and dialect.takes_query_keys

    def refuse(
        self,
        path: str,
        status: HTTPStatus,
        detail: str,
        retry_after_seconds: int | None = None,
        origin: str | None = None,
    ) -> Response:
        """Build the answer to a request that the server does not pass on to the application.

        Args:
            path: Its address, as far as that is known.
            status: Status of the answer.
            detail: What is wrong.
            retry_after_seconds: When it may be tried again.
            origin: Of the page for which a browser sends it.
        """
        failure = _errors.of_refusal(status, detail, retry_after_seconds)
        return self.always.add(self._answer(path, failure), origin)

    def fail(self, path: str, error: Exception, origin: str | None = None) -> Response:
        """Build the answer to a request whose handling failed when the view had returned.

        Args:
            path: Its address.
            error: What was raised.
            origin: Of the page for which a browser sends it.
        """
        return self.always.add(self._failed(path, error), origin)

    def _failed(self, path: str, error: Exception) -> Response:
        # Within a request, what is known of it stays, such as who asks.
        if self._app is None or has_app_context():
            return self._answer(path, _errors.of_error(error, path))
        with self._app.app_context():
            return self._answer(path, _errors.of_error(error, path))

    def _on_error(self, error: Exception) -> Response:
        note_cause(error)
        return self._failed(request.path, error)

    def _on_http_exception(self, error: HTTPException) -> Response:
        if error.response is not None and error.code is None:
            found = error.response
            return Response(found.response, found.status)  # type: ignore[attr-defined]
        return self._answer(request.path, _errors.of_http_exception(error))

    def _answer(self, path: str, failure: Failure) -> Response:
        """Answer in the form of the dialect with the longest prefix of an address."""
        dialect, failure = self._owner(path), _without_secrets(failure)
        response = _render(dialect.errors if dialect else _FALLBACK, failure)
        response.headers.update(failure.headers)
        is_silent = dialect is not None and not dialect.names_challenges
        if is_silent or is_from_script():  # a browser would ask for a password by itself
            response.headers.pop(_CHALLENGE, None)
        return response

    def _owner(self, path: str) -> Dialect | None:
        owners = (dialect for dialect in self._longest_first if dialect.owns(path))
        return next(owners, None)


def _without_secrets(failure: Failure) -> Failure:
    """Return a failure without the keys and tokens that a caller sent where none belongs."""
    fields = tuple(FieldError(redact(f.path), redact(f.message)) for f in failure.fields)
    return replace(failure, detail=redact(failure.detail), fields=fields)


def _render(renderer: ErrorRenderer, failure: Failure) -> Response:
    try:
        return renderer.render(failure)
    except Exception as exc:
        log.error("an error could not be rendered", code=failure.code, exc_info=exc)
        return _FALLBACK.render(failure)


def _mount(app: Flask, dialect: Dialect) -> None:
    api = DialectApi(app, dialect, dialect.document) if dialect.document else None
    for blueprint in dialect.blueprints:
        name = f"{dialect.name}.{blueprint.name}"
        prefix = dialect.prefix + (blueprint.url_prefix or "")
        if api is None:
            app.register_blueprint(blueprint, name=name, url_prefix=prefix)
        else:
            api.mount(cast("Blueprint", blueprint), name, prefix)
