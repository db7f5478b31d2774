"""From the config of a step of type http to requests: templates are prepared once for each task."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from app.domain import JSON
from app.load.definition import Body, BodyType, HttpConfig, Pairs
from app.load.exchange import Answer, Request
from app.load.faults import VALIDATION, StepFailed
from app.load.templates import Render, compile_text, compile_value, is_constant
from app.load.variables import Scope

Prepare = Callable[[Scope], Request]

_PLAIN_URL: Final = re.compile(r"[!$-~]+")
"""A URL that needs nothing done: ASCII, without spaces, double quotes and a fragment."""

_HTTP: Final = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[^/?#@\[\]\\:\s\x00-\x1f\x7f]+)(?::[0-9]{1,5})?(?=[/?#]|\Z)",
    re.IGNORECASE,
)
_KEPT: Final = "%/:=&?~+!$,;'@()*[]{}"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_USUAL_HEADERS: Final = (("Accept", "*/*"), ("User-Agent", "slipway"))
_CONTENT_TYPE: Final = "content-type"
_TYPES: Final = {
    BodyType.JSON: "application/json",
    BodyType.VALUE: "application/json",
    BodyType.GRAPHQL: "application/json",
    BodyType.XML: "application/xml",
    BodyType.TEXT: "text/plain; charset=utf-8",
    BodyType.URLENCODED: "application/x-www-form-urlencoded",
}


def compile_request(config: HttpConfig, *, wants_body: bool, wants_headers: bool) -> Prepare:
    """Prepare the requests of a step; one without variables is the same object each time.

    Returns:
        What makes a request of the variables; it raises StepFailed where they do not suit.
    """
    url = _compile_url(config)
    content_type, body = _compile_body(config.body)
    headers = _compile_headers(_with_usual(config.headers, config.body, content_type))

    def prepare(scope: Scope) -> Request:
        return Request(
            config.method,
            url if isinstance(url, str) else url(scope),
            headers if isinstance(headers, tuple) else headers(scope),
            body if isinstance(body, bytes) else body(scope),
            config.timeouts,
            config.tls,
            wants_body,
            wants_headers or config.max_redirects > 0,
        )

    if isinstance(url, str) and isinstance(headers, tuple) and isinstance(body, bytes):
        request = prepare(Scope({}))
        return lambda _: request
    return prepare


def redirects(answer: Answer) -> bool:
    """Return whether an answer says where else to ask."""
    return answer.status in _REDIRECTS and _location(answer) is not None


def redirected(request: Request, answer: Answer) -> Request:
    """Return the request that an answer redirects to.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-15.4

    Raises:
        StepFailed: It redirects to something else than http.
    """
    location = _location(answer) or b""
    url = clean_url(urljoin(request.url, location.decode("utf-8", "replace").strip()))
    method, body, headers = request.method, request.body, request.headers
    if (answer.status == _SEE_OTHER and method != "HEAD") or (
        answer.status in _POST_MAY_BECOME_GET and method == "POST"
    ):
        method, body = "GET", b""
        headers = tuple(pair for pair in headers if not pair[0].lower().startswith("content-"))
    if _origin(url) != _origin(request.url):
        headers = tuple(pair for pair in headers if pair[0].lower().startswith(_FOR_EVERYBODY))
    return Request(
        method, url, headers, body, request.timeouts, request.tls, request.wants_body,
        request.wants_headers,
    )  # fmt: skip


def _location(answer: Answer) -> bytes | None:
    return next((value for name, value in answer.headers if name.lower() == b"location"), None)


_SEE_OTHER: Final = 303
_POST_MAY_BECOME_GET: Final = frozenset({301, 302})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# Any other header of the author's may be a secret for the first server only, as X-Api-Key is.
_FOR_EVERYBODY: Final = ("accept", "content-", "user-agent")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def clean_url(url: str) -> str:
    """Return a URL as it is sent: ASCII, with what must not stand in it encoded, no fragment.

    Raises:
        StepFailed: It is none of http.
    """
    if not _HTTP.match(url):
        raise StepFailed(VALIDATION, "the URL is not one of http or https with a host")
    if _PLAIN_URL.fullmatch(url):
        return url
    try:
        scheme, netloc, path, query, _ = urlsplit(url)
        host = netloc if netloc.isascii() else netloc.encode("idna").decode()
    except ValueError as exc:
        raise StepFailed(VALIDATION, "the URL has no host") from exc
    path, query = (quote(part, safe=_KEPT, errors="replace") for part in (path, query))
    return urlunsplit((scheme, host, path, query, ""))


def _compile_url(config: HttpConfig) -> str | Render:
    pairs = [
        (quote(name, safe="", errors="replace"), compile_text(value))
        for name, value in config.params
    ]
    base, url = compile_text(config.base_url), compile_text(config.url)

    def render(scope: Scope) -> str:
        address = url if isinstance(url, str) else url(scope)
        if base and not address.lower().startswith(("http://", "https://")):
            address = _joined(base if isinstance(base, str) else base(scope), address)
        if pairs:
            values = (value if isinstance(value, str) else value(scope) for _, value in pairs)
            query = "&".join(
                f"{name}={quote(value, safe='', errors='replace')}"
                for (name, _), value in zip(pairs, values, strict=True)
            )
            address, _, _ = address.partition("#")
            address += f"{_joint(address)}{query}"
        return clean_url(address)

    if any(map(callable, (base, url, *(value for _, value in pairs)))):
        return render
    return render(Scope({}))


def _joint(address: str) -> str:
    if "?" not in address:
        return "?"
    return "" if address.endswith(("?", "&")) else "&"


def _joined(base: str, path: str) -> str:
    """Put a path behind a base, with one slash between them."""
    if path.startswith("?") or not path:
        return base + path
    return f"{base.rstrip('/')}/{path.lstrip('/')}"


def _with_usual(headers: Pairs, body: Body, content_type: str) -> Pairs:
    if body.type is BodyType.FORM_DATA:  # nobody else knows the boundary
        headers = tuple(pair for pair in headers if pair[0].lower() != _CONTENT_TYPE)
    usual = [*_USUAL_HEADERS, ("Content-Type", content_type)]
    written = {name.lower() for name, _ in headers}
    return (
        *((name, value) for name, value in usual if value and name.lower() not in written),
        *headers,
    )


def _compile_headers(headers: Pairs) -> Pairs | Callable[[Scope], Pairs]:
    prepared = [(name, compile_text(value)) for name, value in headers]

    def render(scope: Scope) -> Pairs:
        return tuple(
            (name, _header_value(name, value if isinstance(value, str) else value(scope)))
            for name, value in prepared
        )

    return render if any(callable(value) for _, value in prepared) else render(Scope({}))


def _header_value(name: str, value: str) -> str:
    if _CONTROL.search(value):
        raise StepFailed(VALIDATION, f"the value of the header '{name}' is not one line of text")
    return value if value.isascii() else value.encode("utf-8", "replace").decode("latin-1")


def _compile_body(body: Body) -> tuple[str, bytes | Callable[[Scope], bytes]]:
    """Return the type of a body, empty where there is none, and its content."""
    if body.type is BodyType.NONE:
        return "", b""
    if body.type is BodyType.FORM_DATA:
        return _multipart(body.fields)
    content_type = _TYPES[body.type]
    if body.type is BodyType.URLENCODED:
        return content_type, _urlencoded(body.fields)
    if body.type is BodyType.VALUE:
        return content_type, _value(body.value)
    finish = _graphql if body.type is BodyType.GRAPHQL else _encoded
    text = compile_text(body.raw)
    if isinstance(text, str):
        return content_type, finish(text)
    return content_type, lambda scope: finish(text(scope))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _value(value: JSON) -> bytes | Callable[[Scope], bytes]:
    evaluate = compile_value(value)
    if is_constant(value):
        return _dumped(value)
    return lambda scope: _dumped(evaluate(scope))


def _dumped(value: JSON) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _graphql(text: str) -> bytes:
    """Write a GraphQL request: of JSON as it is, of a bare query what holds it.

    Source: https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters
    """
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        return _dumped({"query": text})
    return _encoded(text) if isinstance(request, dict) else _dumped({"query": text})


def _urlencoded(fields: Pairs) -> bytes | Callable[[Scope], bytes]:
    """Write a form; source: https://url.spec.whatwg.org/#application/x-www-form-urlencoded."""
    prepared = [(_form_encoded(name), compile_text(value)) for name, value in fields]

    def render(scope: Scope) -> bytes:
        return "&".join(
            f"{name}={_form_encoded(value if isinstance(value, str) else value(scope))}"
            for name, value in prepared
        ).encode()

    return render if any(callable(value) for _, value in prepared) else render(Scope({}))


def _form_encoded(text: str) -> str:
    return quote(text, safe="*-._ ", errors="replace").replace(" ", "+").replace("~", "%7E")


def _multipart(fields: Pairs) -> tuple[str, bytes | Callable[[Scope], bytes]]:
    """Write a form of parts; source: https://www.rfc-editor.org/rfc/rfc7578."""
    boundary = secrets.token_hex(16)
    prepared = [(_part_head(boundary, name), compile_text(value)) for name, value in fields]

    def render(scope: Scope) -> bytes:
        parts = [
            _encoded(f"{head}{value if isinstance(value, str) else value(scope)}\r\n")
            for head, value in prepared
        ]
        return b"".join([*parts, f"--{boundary}--\r\n".encode()])

    constant = not any(callable(value) for _, value in prepared)
    content_type = f"multipart/form-data; boundary={boundary}"
    return content_type, render(Scope({})) if constant else render


def _part_head(boundary: str, name: str) -> str:
    quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return f'--{boundary}\r\nContent-Disposition: form-data; name="{quoted}"\r\n\r\n'
