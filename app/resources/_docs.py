"""``/docs``: the interactive documentation of every dialect, with all of its assets from here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, request, send_from_directory

from app.resources._dialect import Dialect
from app.resources._limits import free
from app.resources._permissions import public
from app.resources._session_pages import FROM_PAGE

_TEXT = "text/plain; charset=utf-8"
_ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"
_POLICY = "default-src 'none'; connect-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"  # noqa: E501
_SESSION = Path(__file__).with_name("_docs_session.js").read_text(encoding="utf-8")
_START = Path(__file__).with_name("_docs_start.js").read_text(encoding="utf-8")
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Slipway API</title>
<link rel="stylesheet" href="{base}docs/assets/swagger-ui.css">
<link rel="icon" href="{base}docs/assets/favicon-32x32.png">
</head>
<body>
<nav id="documents" class="swagger-ui"></nav>
<div id="session" class="swagger-ui"></div>
<div id="swagger-ui"></div>
<script src="{base}docs/session.js"></script>
<script src="{base}docs/assets/swagger-ui-bundle.js"></script>
<script src="{base}docs/start.js"></script>
</body>
</html>
"""


def make_docs(dialects: Sequence[Dialect]) -> Blueprint:
    """Make the page, which offers the document of each dialect that has one."""
    blueprint = Blueprint("docs", __name__)
    first = next((dialect.entrance for dialect in dialects if dialect.entrance), "/docs")

    @blueprint.get("/")
    @free
    @public
    def entrance() -> Response:
        """Lead to the first page; proxies ask for it, too, whether the service is there."""
        return Response(status=302, headers={"Location": first}, content_type=_TEXT)

    @blueprint.get("/docs")
    @public
    def page() -> Response:
        """Show the page; who has signed out on another one is led back there."""
        if request.args.get("state") == FROM_PAGE:
            return Response(status=302, headers={"Location": first}, content_type=_TEXT)
        response = Response(_PAGE.format(base=_base()), content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        return response

    @blueprint.get("/docs/start.js")
    @public
    def start() -> Response:
        """Return the script that starts the page."""
        return Response(_start(dialects), content_type="text/javascript; charset=utf-8")

    @blueprint.get("/docs/session.js")
    @public
    def session() -> Response:
        """Return the script that shows who has signed in."""
        return Response(_SESSION, content_type="text/javascript; charset=utf-8")

    @blueprint.get("/docs/assets/<path:name>")
    @public
    def asset(name: str) -> Response:
        """Return a file of Swagger UI."""
        return send_from_directory(_ASSETS, name, max_age=86_400)

    return blueprint


def _base() -> str:
    """Return how to get from the page to the root; so it is right below whatever prefix."""
    return "../" if request.path.endswith("/") else "./"


def _start(dialects: Sequence[Dialect]) -> str:
    """Write the script that starts the page, which knows the documents."""
    documents = [
        {"name": dialect.name, "title": dialect.document.title, "url": dialect.document_path}
        for dialect in dialects
        if dialect.document
    ]
    return f'"use strict";\nconst slipwayDocuments = {json.dumps(documents)};\n{_START}'
