"""``/ui/assets/<version>/``: style sheets, scripts and icons, which browsers keep for good.

The version is a digest of all of them. So a module imports its neighbours by relative addresses,
and a browser never mixes those of two versions.
"""

from __future__ import annotations

import gzip
import mimetypes
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.resources._limits import free
from app.resources._permissions import public

STATIC: Final = Path(__file__).with_name("static")
_KEPT: Final = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_TEXTS: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
POLICY: Final = "default-src 'none'; connect-src 'self'; script-src 'self'; frame-ancestors 'none'"
"""For a worker, which goes by the policy of its own script."""

blueprint = Blueprint("assets", __name__)


@lru_cache(1)
def _files() -> Mapping[str, Path]:
    """Return all that there are, by their names: no name that is asked for becomes a path."""
    found = sorted(path for path in STATIC.rglob("*") if path.is_file())
    return {path.relative_to(STATIC).as_posix(): path for path in found}


@lru_cache(1)
def version() -> str:
    """Return what the addresses of all assets hold, which is another once one of them changes."""
    digest = sha256()
    for name, path in _files().items():
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def asset(name: str) -> str:
    """Return the address of an asset, such as ``css/slipway.css``, without a proxy's prefix."""
    return f"/ui/assets/{version()}/{name}"


@blueprint.get("/assets/<string:asked>/<path:name>")
@free
@public
def send_asset(asked: str, name: str) -> Response:
    """Return an asset; of another version than the one that there is, for a short while."""
    if name not in _files():
        raise NotFound
    plain, packed, media_type = _read(name)
    headers = dict(_KEPT) if asked == version() else {"Cache-Control": "no-cache"}
    headers["Content-Security-Policy"] = POLICY
    if request.accept_encodings["gzip"] > 0 and len(packed) < len(plain):
        return Response(
            packed, content_type=media_type, headers={**headers, "Content-Encoding": "gzip"}
        )
    return Response(plain, content_type=media_type, headers=headers)


@lru_cache(None)
def _read(name: str) -> tuple[bytes, bytes, str]:
    """Return a file, the same compressed, and its media type."""
    path = _files()[name]
    data = path.read_bytes()
    text = _TEXTS.get(path.suffix[1:])
    media_type = f"{text}; charset=utf-8" if text else mimetypes.guess_type(name)[0]
    return data, gzip.compress(data, mtime=0), media_type or "application/octet-stream"
