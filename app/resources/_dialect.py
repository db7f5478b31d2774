"""What a dialect is: one API of the service, with addresses, words and forms of its own."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import marshmallow as ma
from flask import Blueprint, Response

from app.resources._errors import Failure
from app.resources._links import Link
from app.resources._text_forms import TextForm

if TYPE_CHECKING:
    from app.resources._encoders import Encoder

_PREFIX = re.compile(r"(/[A-Za-z0-9_~.-]+)+")


class ErrorRenderer(ABC):
    """Renders errors in the form of a dialect.

    It is asked for whatever goes wrong below the prefix of the dialect: in its views, at addresses
    that nobody knows, and where the HTTP server refuses a request before the application sees it.

    Attributes:
        content_type: Media type of the form.
        schema: What the OpenAPI document says of it.
    """

    content_type: ClassVar[str] = "application/json"
    schema: ClassVar[type[ma.Schema]]

    @abstractmethod
    def render(self, failure: Failure) -> Response:
        """Return the answer to a request that fails.

        The status may be another one than that of the failure, where the dialect says so. The
        header fields of the failure are added by the caller. There may be no request context.
        """


@dataclass(frozen=True, slots=True)
class Document:
    """What the OpenAPI document of a dialect says beside what follows from its endpoints.

    Attributes:
        title: Of the API.
        description: Of the API, as CommonMark.
        security_schemes: Security Scheme Objects by name (OpenAPI 3.0.3, 4.8.27).
        content_type: Media type of bodies, where an endpoint does not say another.
        links: Which answers lead to which operations.
        places: What may stand at places of addresses, by their names; or by the addresses up to
            them, where one name stands for different things.
    """

    title: str
    description: str
    security_schemes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    content_type: str = "application/json"
    links: Sequence[Link] = ()
    places: Mapping[str, TextForm] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One API of the service.

    Attributes:
        name: Of its OpenAPI document, which is ``openapi/<name>.json``. In the setting
            ``api.dialects`` it is named as in the table of :mod:`app.assembly`.
        prefix: What all of its addresses begin with, such as ``/api/v1``; empty for none.
        blueprints: Its endpoints, each of which declares who may call it.
        errors: The form of its errors.
        encoders: The ways to follow an execution over it, by media type.
        document: Its OpenAPI document, which is served at ``<prefix>/openapi.json``; None where
            there is none, as for pages. As YAML it is served at ``<prefix>/openapi.yaml``.
        names_challenges: Whether a 401 says how to sign in (``WWW-Authenticate``). Browsers ask for
            a password then, which pages with a form of their own have no use for.
        takes_query_keys: Whether API keys may stand in the address (``?api_key=``), which ends in
            the logs of proxies. It is for clients of an API that has always had it so.
        without: Prefixes below its own that are another dialect's, also where that is not served.
        entrance: Where ``/`` leads people who come with a browser; empty where that is elsewhere.
    """

    name: str
    prefix: str
    errors: ErrorRenderer
    blueprints: Sequence[Blueprint]
    encoders: Mapping[str, type[Encoder]] = field(default_factory=dict)
    document: Document | None = None
    names_challenges: bool = True
    takes_query_keys: bool = False
    without: Sequence[str] = ()
    entrance: str = ""

    def __post_init__(self) -> None:
        if self.prefix and not _PREFIX.fullmatch(self.prefix):
            raise ValueError(f"the prefix of {self.name} must be empty, or such as '/api/v1'")

    @property
    def document_path(self) -> str:
        """Where the OpenAPI document is served."""
        return f"{self.prefix}/openapi.json"

    @property
    def yaml_path(self) -> str:
        """Where the OpenAPI document is served as YAML."""
        return f"{self.prefix}/openapi.yaml"

    def owns(self, path: str) -> bool:
        """Return whether an address lies below the prefix, and below none that is another's."""
        if any(_is_below(path, prefix) for prefix in self.without):
            return False
        return not self.prefix or _is_below(path, self.prefix)


def _is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
