"""The OpenAPI document of a dialect, made from its endpoints."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import flask_smorest
import marshmallow as ma
import yaml
from flask import Flask, Response, request

from app import __version__
from app.concurrency import make_pool
from app.resources._api import Blueprint
from app.resources._conditions_told import add_conditions
from app.resources._dialect import Dialect, Document
from app.resources._limits import free
from app.resources._links import add_links
from app.resources._permissions import public
from app.resources._text_forms import add_places, portable

_OPENAPI_VERSION = "3.0.3"
# Some 30 times as fast, where PyYAML was built with it.
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def document_yaml(document: Mapping[str, Any]) -> bytes:
    """Write an OpenAPI document as YAML.

    Args:
        document: As JSON has it: nothing in it stands in two places, which would become an alias.
    """
    text: str = yaml.dump(document, Dumper=_Dumper, allow_unicode=True, width=100)
    return text.encode()


class DialectApi(flask_smorest.Api):  # type: ignore[misc]
    """The endpoints of one dialect in an application, and their document.

    The document is made when somebody asks for it, in a thread that gives way to other requests:
    it takes longer than all else that a web process does at its start, and much memory.

    Args:
        app: The application.
        dialect: A dialect.
        document: What its document says of the whole.
    """

    spec: Any

    def __init__(self, app: Flask, dialect: Dialect, document: Document) -> None:
        self.dialect = dialect
        self._groups: list[tuple[Blueprint, str]] = []
        self._pool = make_pool(1, modest=True)
        self._lock = threading.Lock()
        self._written: tuple[bytes, bytes] | None = None
        self.DEFAULT_RESPONSE_CONTENT_TYPE = document.content_type
        info = {"description": document.description, "license": {"name": "Apache-2.0"}}
        components = {"securitySchemes": dict(document.security_schemes)}
        super().__init__(
            app,
            config_prefix=dialect.name,
            spec_kwargs={
                "title": document.title,
                "version": __version__,
                "openapi_version": _OPENAPI_VERSION,
                "info": info,
                "components": components,
            },
        )

        @free
        @public
        def openapi() -> Response:
            written, _ = self._forms()
            if request.script_root:
                written = json.dumps(_below(json.loads(written))).encode()
            return Response(written, content_type="application/json")

        @free
        @public
        def openapi_yaml() -> Response:
            as_json, written = self._forms()
            if request.script_root:
                written = document_yaml(_below(json.loads(as_json)))
            return Response(written, content_type="application/yaml")  # RFC 9512

        app.add_url_rule(dialect.document_path, f"{dialect.name}.openapi", openapi)
        app.add_url_rule(dialect.yaml_path, f"{dialect.name}.openapi_yaml", openapi_yaml)

    def mount(self, blueprint: Blueprint, name: str, prefix: str) -> None:
        """Add a group of endpoints to the application and the document.

        Args:
            blueprint: The group.
            name: What it is called in the application, where each name is used once.
            prefix: What its addresses begin with.
        """
        self._app.register_blueprint(blueprint, name=name, url_prefix=prefix)
        self._groups.append((blueprint, name))

    def _forms(self) -> tuple[bytes, bytes]:
        """Return the document as JSON and as YAML; who asks while it is made waits for that."""
        with self._lock:
            if self._written is None:
                self._written = self._pool.run(self._write)
            return self._written

    def _write(self) -> tuple[bytes, bytes]:
        document = json.dumps(self._described(), indent=2)
        return document.encode(), document_yaml(json.loads(document))

    def _described(self) -> dict[str, Any]:
        """Describe all endpoints, with the links and the places that the dialect names."""
        super()._init_spec(**self._options)
        self.ma_plugin.converter.add_attribute_function(_portable_pattern)
        for blueprint, name in self._groups:
            blueprint.register_views_in_doc(self, self._app, self.spec, name=name, parameters=None)
            self.spec.tag({"name": blueprint.name, "description": blueprint.description})
        document: dict[str, Any] = self.spec.to_dict()
        self.spec = None  # as large as what it was made from
        if self.dialect.document is not None:
            add_links(document, self.dialect.document.links)
            add_places(document, self.dialect.document.places)
        add_conditions(document)
        return document

    def _init_spec(self, **options: Any) -> None:
        """Leave the description to who asks for it."""
        self._options = options

    def _register_error_handlers(self) -> None:
        """Leave errors to the dialects, of which each answers below its prefix."""

    def _register_responses(self) -> None:
        """Document the errors that the library adds by itself in the form of the dialect."""
        errors = self.dialect.errors
        content = {errors.content_type: {"schema": errors.schema}}
        descriptions = {status.name: status.phrase for status in HTTPStatus}
        for name, text in {**descriptions, "DEFAULT_ERROR": "Any other error"}.items():
            response = {"description": text, "content": content}
            self.spec.components.response(name, response, lazy=True)


def _portable_pattern(
    _converter: Any, _field: ma.fields.Field[Any], *, ret: dict[str, Any], **_: Any
) -> dict[str, Any]:
    """Write the pattern of a field, if it has one, as documents have it."""
    return {"pattern": portable(ret["pattern"])} if "pattern" in ret else {}


def _below(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document that says the prefix of the proxy in front (OpenAPI 3.0.3, 4.7.5)."""
    return {**document, "servers": [{"url": request.script_root}]}
