"""The OpenAPI document of a dialect, made from its endpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any

import flask_smorest
import marshmallow as ma
import yaml
from flask import Flask, Response, request

from app import __version__
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

    Args:
        app: The application.
        dialect: A dialect.
        document: What its document says of the whole.
    """

    def __init__(self, app: Flask, dialect: Dialect, document: Document) -> None:
        self.dialect = dialect
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
        self.ma_plugin.converter.add_attribute_function(_portable_pattern)

        @free
        @public
        def openapi() -> Response:
            written = self._json
            if request.script_root:
                written = json.dumps(_below(json.loads(written))).encode()
            return Response(written, content_type="application/json")

        @free
        @public
        def openapi_yaml() -> Response:
            written = self._yaml
            if request.script_root:
                written = document_yaml(_below(json.loads(self._json)))
            return Response(written, content_type="application/yaml")  # RFC 9512

        app.add_url_rule(dialect.document_path, f"{dialect.name}.openapi", openapi)
        app.add_url_rule(dialect.yaml_path, f"{dialect.name}.openapi_yaml", openapi_yaml)

    @cached_property
    def _json(self) -> bytes:
        written: bytes = self._openapi_json().get_data()
        return written

    @cached_property
    def _yaml(self) -> bytes:
        return document_yaml(json.loads(self._json))

    def mount(self, blueprint: Blueprint, name: str, prefix: str) -> None:
        """Add a group of endpoints to the application and the document.

        Args:
            blueprint: The group.
            name: What it is called in the application, where each name is used once.
            prefix: What its addresses begin with.
        """
        self._app.register_blueprint(blueprint, name=name, url_prefix=prefix)
        blueprint.register_views_in_doc(self, self._app, self.spec, name=name, parameters=None)
        self.spec.tag({"name": blueprint.name, "description": blueprint.description})

    def _openapi_json(self) -> Response:
        """Serve the document, with the links and the places that its dialect names."""
        document = self.spec.to_dict()
        if self.dialect.document is not None:
            add_links(document, self.dialect.document.links)
            add_places(document, self.dialect.document.places)
        add_conditions(document)
        return Response(json.dumps(document, indent=2), content_type="application/json")

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
