"""What the APIs share: parsing of requests, fields, pagination and documentation."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import flask_smorest
import marshmallow as ma
import orjson
from flask import Request, Response, g, request
from flask_smorest.pagination import PaginationMetadataSchema
from marshmallow import fields, validate
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy
from werkzeug.exceptions import (
    BadRequest,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from app.errors import FieldError, InvalidRequest
from app.resources._arguments import ArgumentsSchema
from app.resources._context import services
from app.resources._given import quoted
from app.resources._permissions import DECLARATION, document, errors_of
from app.resources._repeated import note_single
from app.settings.schema import WholeNumber

T = TypeVar("T")
V = TypeVar("V", bound=Callable[..., Any])

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")
_PLAIN = ("", "identity")
"""The codings of bodies that leave them as they are (RFC 9110, 8.4.1)."""
_ERRORS = "errors"
UPSTREAM = (502, 503, 504)
"""The errors that each orchestrator and key store may cause."""

LARGEST_INDEX = 2**53 - 1
LONGEST_NAME = 512
"""Characters of a name that something is asked for by."""
_LARGEST_PAGE = 1000
_DEEPEST = 64
_MOST_BRACKETS = 100_000
_SHORT_QUERY_BYTES = 128
_KEPT_QUERIES = 1024
_MOST_QUOTED = 100


class Parser(FlaskParser):
    """Leaves to the schema what becomes of what it does not know, and says why a body is none."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012
        "json": None,
        "query": None,
        "headers": ma.EXCLUDE,
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._queries: dict[tuple[Any, bytes], dict[str, Any]] = {}

    def parse(
        self, argmap: Any, req: Request | None = None, *, location: str | None = None, **kwargs: Any
    ) -> Any:
        """Parse arguments; those of short queries once, as a crowd of readers all ask the same.

        So are those of the header fields, where none was sent. What a field makes of its text must
        therefore be a value, which no request changes: others get the same one.
        """
        key = _key_of(argmap, location)
        if key is None:
            return super().parse(argmap, req, location=location, **kwargs)
        known = self._queries.get((argmap, key))
        if known is None:
            if len(self._queries) >= _KEPT_QUERIES:
                self._queries.clear()
            known = super().parse(argmap, req, location=location, **kwargs)
            self._queries[argmap, key] = known
        return known.copy()

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        """Read a JSON body, whatever it is called; none at all, or null, is an empty object.

        Clients of this API leave ``Content-Type`` out, or send what their library puts there.
        """
        raw = read_body(req)
        if not raw.strip():
            return {}
        if req.mimetype in YAML_TYPES:
            raise _wrong_type("application/json")
        value = read_json(raw)
        services().numbers.check(raw, g.identity.username)
        return {} if value is None else value

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        """Read the query string."""
        return MultiDictProxy(req.args, schema)


class JsonParser(Parser):
    """Takes bodies that say they are JSON, or say nothing; there must be one."""

    def load_json(self, req: Request, schema: ma.Schema) -> Any:
        """Read a JSON body.

        Raises:
            BadRequest: It is none, or there is none.
            UnsupportedMediaType: It is called something else.
        """
        if not read_body(req).strip():
            raise BadRequest("There is no body, and it must be a JSON object.")
        if req.mimetype not in ("", "application/json"):
            raise _wrong_type("application/json")
        return super().load_json(req, schema)


def _key_of(schema: Any, location: str | None) -> bytes | None:
    """Return by what the arguments of the current request are known; None where they are not."""
    if location == "query" and len(request.query_string) <= _SHORT_QUERY_BYTES:
        return request.query_string
    if location == "headers":
        names = (field.data_key or name for name, field in schema.load_fields.items())
        return None if any(name in request.headers for name in names) else b""
    return None


def read_body(req: Request) -> bytes:
    """Read the body.

    Raises:
        RequestEntityTooLarge: It is larger than the service accepts; in chunks, or as large.
        UnsupportedMediaType: It is compressed, or encoded in another way.
    """
    too_large = RequestEntityTooLarge(f"The body must have at most {req.max_content_length} bytes.")
    try:
        raw = req.get_data()
    except RequestEntityTooLarge:
        raise too_large from None
    # One in chunks that is too large is cut off there, and Werkzeug tells nobody.
    if req.content_length is None and len(raw) >= (req.max_content_length or math.inf):
        raise too_large
    codings = req.headers.get("Content-Encoding", "")
    if raw and not all(each.strip().lower() in _PLAIN for each in codings.split(",")):
        raise _Encoded(f"The body must be sent as it is, and not encoded as {quoted(codings)}.")
    return raw


class _Encoded(UnsupportedMediaType):
    """A body in a coding that is not read here, which the answer says (RFC 9110, 15.5.16)."""

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Name the only coding of bodies that is taken."""
        return [*super().get_headers(*args, **kwargs), ("Accept-Encoding", "identity")]


def _wrong_type(*types: str) -> UnsupportedMediaType:
    wanted = types[0] if len(types) == 1 else f"one of {', '.join(types)}"
    got = f"not {quoted(request.mimetype)}" if request.mimetype else "and does not say what it is"
    return UnsupportedMediaType(f"The body must be {wanted}, {got}.")


def read_json(raw: bytes) -> Any:
    """Parse JSON.

    Raises:
        BadRequest: It is none.
        InvalidRequest: It is nested too deeply for those who go through it, holds too many lists
            and objects, or an object with a name that stands twice.
    """
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > _MOST_BRACKETS:
        raise InvalidRequest(f"The body holds more than {_MOST_BRACKETS} opening brackets.")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise BadRequest(f"The body is not valid JSON: {exc}") from None
    if brackets > _DEEPEST and extent(value)[0] > _DEEPEST:
        raise InvalidRequest(f"The body is nested in more than {_DEEPEST} levels.")
    if raw.count(b":") > 1:
        # orjson takes the last of two values, and nobody would hear of the first (RFC 8259, 4).
        json.loads(raw, object_pairs_hook=_single, parse_int=float)
    return value


def _single(pairs: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in pairs}
    if len(names) < len(pairs):
        twice = next(name for name in names if [other for other, _ in pairs].count(name) > 1)
        fault = FieldError(twice[:_MOST_QUOTED], "stands twice in one object")
        raise InvalidRequest("The body has a name twice.", fields=(fault,))


def extent(value: Any) -> tuple[int, int]:
    """Return how deep lists and objects are nested in JSON, and how many values are in them."""
    depth = number = 0
    level = [value]
    while level := [item for item in level if isinstance(item, list | dict)]:
        depth, number = depth + 1, number + sum(map(len, level))
        inner = (item.values() if isinstance(item, dict) else item for item in level)
        level = list(chain.from_iterable(inner))
    return depth, number


def write_json(value: Any, *, indented: bool = False) -> bytes:
    """Write JSON, the fast way where that can hold the value, as it cannot a very large integer.

    Args:
        value: What to write.
        indented: For people, with a line for each member.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else None)
    except TypeError:
        return json.dumps(value, indent=2 if indented else None).encode()


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A group of endpoints of one API."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.insert(0, self._prepare_errors_doc)
        self._prepare_doc_cbks.append(self._prepare_permission_doc)

    def arguments(self, schema: type[ma.Schema], **kwargs: Any) -> Callable[[V], V]:
        """Parse arguments by a schema, which is made once and not for each request."""
        made = schema()
        decorator: Callable[[V], V] = super().arguments(made, **kwargs)
        if kwargs.get("location") != "query":
            return decorator

        def decorate(view: V) -> V:
            decorated = decorator(view)
            note_single(decorated, made)
            return decorated

        return decorate

    def errors(self, *statuses: int) -> Callable[[V], V]:
        """Document the errors that an endpoint may answer, in the form of its dialect.

        Those with which callers are refused follow from its permission.
        """

        def decorate(view: V) -> V:
            known = vars(view).get("_apidoc", {})
            vars(view)["_apidoc"] = {**known, _ERRORS: statuses}
            return view

        return decorate

    def _store_endpoint_docs(
        self, endpoint: str, obj: Any, parameters: Any, tags: Any, **options: Any
    ) -> None:
        """Tag operations with the name that the group has here, not in the application."""
        super()._store_endpoint_docs(endpoint, obj, parameters, tags or [self.name], **options)

    @staticmethod
    def _prepare_errors_doc(
        doc: dict[str, Any], doc_info: dict[str, Any], *, api: Any, **_: Any
    ) -> dict[str, Any]:
        form = api.dialect.errors
        responses = doc_info.setdefault("response", {}).setdefault("responses", {})
        statuses = [*errors_of(doc_info.get(DECLARATION)), *doc_info.get(_ERRORS, ())]
        if HTTPStatus.REQUEST_ENTITY_TOO_LARGE in statuses:  # it reads a body, and waits for it
            statuses.append(HTTPStatus.REQUEST_TIMEOUT)
        for status in sorted(statuses):
            response = {
                "schema": form.schema(),
                "description": HTTPStatus(status).phrase,
                "content_type": form.content_type,
            }
            responses.setdefault(status, []).append(response)
        return doc

    @staticmethod
    def _prepare_permission_doc(
        doc: dict[str, Any], doc_info: dict[str, Any], *, api: Any, **_: Any
    ) -> dict[str, Any]:
        schemes, known = api.dialect.document.security_schemes, doc_info["docstring"]
        # The docstring is put over what is prepared here, so it must hold all of the description.
        known |= document(doc_info.get(DECLARATION), known.get("description", ""), schemes)
        return doc

    if TYPE_CHECKING:  # the library's decorators have no types

        def route(self, rule: str, **options: Any) -> Callable[[V], V]: ...
        def response(self, status_code: int, *args: Any, **kwargs: Any) -> Callable[[V], V]: ...
        def alt_response(self, status_code: int, **kwargs: Any) -> Callable[[V], V]: ...
        def doc(self, **kwargs: Any) -> Callable[[V], V]: ...


class Timestamp(fields.Field[datetime]):
    """A moment, as ISO 8601 in UTC with milliseconds.

    Args:
        metadata: What the document of the API says of it beside its form.
        more: What every field takes.
    """

    def __init__(self, *, metadata: Mapping[str, Any] | None = None, **more: Any) -> None:
        form = {"type": "string", "format": "date-time"}
        super().__init__(metadata={**form, **(metadata or {})}, **more)

    @staticmethod
    def write(value: datetime | None) -> str | None:
        """Write a moment, if there is one."""
        return None if value is None else iso(value)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return self.write(value)


def iso(moment: datetime) -> str:
    """Write a moment such as ``2022-10-20T12:32:29.774Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_second(moment: datetime) -> str:
    """Write a moment in whole seconds, such as ``2022-10-20T12:32:29Z`` (RFC 3339)."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


class LastEventId(WholeNumber):
    """The id of the last event that a client has (HTML, 9.2.4); an empty one says that it has none.

    Args:
        description: For the document.
    """

    def __init__(self, description: str = "The id of the last event that it has") -> None:
        super().__init__(
            data_key="Last-Event-ID",
            validate=validate.Range(-1, LARGEST_INDEX),
            metadata={"description": description},
        )

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Read the field."""
        return super().deserialize(ma.missing if value == "" else value, *args, **kwargs)


class Name(fields.String):
    """A short text that the store can hold."""

    def __init__(self, **kwargs: Any) -> None:
        error = f"must have at most {LONGEST_NAME} characters, none of them NUL"
        kwargs.setdefault(
            "validate", validate.Regexp(rf"^[^\x00]{{0,{LONGEST_NAME}}}\Z", error=error)
        )
        super().__init__(**kwargs)


class LaunchHeadersSchema(ma.Schema):
    """Headers of a launch."""

    idempotency_key = fields.String(
        data_key="Idempotency-Key",
        validate=validate.Regexp(r"^[\x21-\x7e]{1,255}\Z", error="must be 1 to 255 visible ASCII"),
        metadata={
            "description": "The same key and request launch once",
            "example": "run-2026-01-31",
        },
    )


class PageArgsSchema(ArgumentsSchema):
    """Which stretch of a list."""

    page = WholeNumber(validate=validate.Range(1, 1_000_000_000))
    page_size = WholeNumber(validate=validate.Range(1, _LARGEST_PAGE))


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list.

    Attributes:
        number: From 1.
    """

    number: int
    size: int

    @property
    def offset(self) -> int:
        """Number of items before it."""
        return (self.number - 1) * self.size

    def header(self, total: int) -> dict[str, str]:
        """Describe the page in ``X-Pagination``, as flask-smorest does.

        A page behind the last one has no neighbours.
        """
        pages = self.pages(total)
        data = {"total": total, "total_pages": pages, "page": self.number}
        if pages:
            data |= {"first_page": 1, "last_page": pages}
        if 1 < self.number <= pages:
            data["previous_page"] = self.number - 1
        if self.number < pages:
            data["next_page"] = self.number + 1
        return {"X-Pagination": json.dumps(data)}

    def pages(self, total: int) -> int:
        """Return how many pages there are of so many items."""
        return -(-total // self.size)


def next_page(page: Page, total: int, instead: Mapping[str, str] | None = None) -> str | None:
    """Return the address of the page after the current one, with all else that was asked for.

    Args:
        page: The current one.
        total: How many there are on all pages.
        instead: Values of parameters that take the place of those of the current request.
    """
    if page.number >= page.pages(total):
        return None
    query = [
        (name, (instead or {}).get(name, value))
        for name, value in request.args.items(multi=True)
        if name != "page"
    ]
    parameters = urlencode([*query, ("page", page.number + 1)])
    return f"{request.script_root}{request.path}?{parameters}"


def cut(
    items: Sequence[T], page: int | None, size: int | None
) -> tuple[Sequence[T], dict[str, str]]:
    """Cut a page out of a whole list; all of it when none was asked for."""
    if page is None and size is None:
        return items, {}
    wanted = Page(page or 1, size or 50)
    return items[wanted.offset : wanted.offset + wanted.size], wanted.header(len(items))


PAGINATION_HEADER = {
    "X-Pagination": {
        "description": "Pagination metadata, as JSON",
        "content": {"application/json": {"schema": PaginationMetadataSchema}},
    }
}


def only_document(*decorators: Callable[[V], V]) -> Callable[[V], V]:
    """Take the documentation of some decorators, and leave out the function that each adds.

    Those would do nothing but call the next, and take 1 KiB of stack each of every held request.
    """

    def decorate(view: V) -> V:
        documented = view
        for decorator in reversed(decorators):
            documented = decorator(documented)
        vars(view)["_apidoc"] = vars(documented)["_apidoc"]
        return view

    return decorate


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Build a response without a body, and so without a content type."""
    response = Response(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response


def text_body(*types: str) -> str:
    """Read a body of one of some media types as text.

    Raises:
        UnsupportedMediaType: It is of another type.
        BadRequest: It is not UTF-8.
    """
    if request.mimetype not in types:
        raise _wrong_type(*types)
    try:
        return read_body(request).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadRequest(f"The body is not UTF-8: {exc.reason} at byte {exc.start}") from None
