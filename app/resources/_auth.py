"""Who is calling, and with what: the authenticators of the service, or a ticket on streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from flask import g, request

from app.domain import Identity
from app.errors import (
    Hidden,
    LimitExceeded,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    SlipwayError,
)
from app.identity.attempts import side_of
from app.identity.permissions import require
from app.identity.port import Challenge
from app.resources._context import services
from app.resources._cookies import read_cookie
from app.resources._limits import charge
from app.resources._permissions import Declaration, current_view, declaration_of
from app.resources._query_keys import QUERY_KEYS
from app.resources._repeated import refuse_repeated
from app.resources._session_pages import CSRF_FORM_FIELD, require_own_form, require_own_page
from app.services.tickets import EVENTS

CERTIFICATE = "slipway.certificate"
"""Where the server puts the certificate of a client into a WSGI environment."""


class FlaskRequest:
    """The current request, as authenticators see it."""

    __slots__ = ()

    @property
    def address(self) -> str | None:
        """The address of the caller."""
        return request.remote_addr

    @property
    def certificate(self) -> Mapping[str, Any] | None:
        """The certificate of the client, as ``ssl.SSLSocket.getpeercert`` has it."""
        return request.environ.get(CERTIFICATE)

    def header(self, name: str) -> str | None:
        """Return the value of a header field."""
        return request.headers.get(name)

    def cookie(self, name: str) -> str | None:
        """Return the value of a cookie of the service's own."""
        return read_cookie(name)

    @property
    def query_keys(self) -> tuple[str, ...]:
        """The API keys in the address, where those are taken."""
        keys: tuple[str, ...] = request.environ.get(QUERY_KEYS, ())
        return keys


_REQUEST = FlaskRequest()


def check() -> None:
    """Find out who sends the current request, and whether they may.

    It runs before every request; one to an address that nobody knows goes on to its 404. Requests
    count for whoever is signed in, and others, also with wrong credentials, for their address.

    Raises:
        NotAuthenticated: They do not say who they are, or not rightly.
        NotAllowed: They lack the permission that the endpoint declares, or it is not a page of the
            service itself that asks in their session.
        NotFound: They lack it, and may not know either that there is what they ask for.
        LimitExceeded: Too many wrong credentials came before, or too many requests.
    """
    view = current_view()
    declared = None if view is None or _is_about_methods() else declaration_of(view)
    try:
        if declared is None or declared.permission is None:
            charge(view, None)
            if view is None:
                _let_others_go_first()
            return
        _identify(view, declared)
    except (NotAuthenticated, LimitExceeded):
        _let_others_go_first()
        raise
    try:
        require(g.identity, declared.permission)
    except NotAllowed:
        subject = _subject()
        if subject != EVENTS:
            _require_known(subject)
        raise


def _identify(view: Callable[..., Any] | None, declared: Declaration) -> None:
    """Find out who sends the current request, and count it for them."""
    ticket = request.args.get("ticket") if declared.takes_ticket else None
    try:
        if ticket is None:
            g.identity = services().authenticators.authenticate(_REQUEST)
        else:
            refuse_repeated()  # before the ticket is used up
            # HEAD opens nothing (RFC 9110, 9.2.1): what comes next is what the ticket is for.
            keep = request.method == "HEAD"
            g.identity = services().tickets.take(ticket, _subject(), keep=keep)
    except NotAuthenticated:
        charge(view, None)
        raise
    charge(view, g.identity)
    if ticket is None:
        if declared.takes_form:
            require_own_form()
        posted = request.form.get(CSRF_FORM_FIELD, "") if declared.takes_form else ""
        require_own_page(g.identity, posted)


def recognise() -> None:
    """Find out who asks for an address that nobody knows, where their session says so by itself.

    What is not there is public; whoever is not recognised stays a stranger to it.
    """
    if "Authorization" in request.headers:  # a password takes long to verify
        return
    with suppress(SlipwayError):
        g.identity = services().authenticators.authenticate(_REQUEST)


def _subject() -> str:
    """Return what the current request is about, as tickets have it."""
    subject: str = (request.view_args or {}).get("execution_id", EVENTS)
    return subject


def _let_others_go_first() -> None:
    """Have what is refused without a look at anything answered one by one.

    It costs its sender nothing to send a thousand of them at once, and each takes the loop as long
    as an answer that somebody waits for.
    """
    services().refusals.let_others_go_first(side_of(request.remote_addr))


def _require_known(execution_id: str) -> None:
    """Make sure that the caller, who may not do this, may know at least that there is one.

    Raises:
        Hidden: They may not, or there is none.
    """
    try:
        services().executions.get(execution_id, g.identity)
    except NotFound as exc:
        raise Hidden(exc.message) from exc


def _is_about_methods() -> bool:
    """Return whether it is asked only which methods there are, which Flask itself answers."""
    if request.method != "OPTIONS":
        return False
    return bool(getattr(request.url_rule, "provide_automatic_options", False))


def caller() -> Identity:
    """Return the user of the current request."""
    identity: Identity = g.identity
    return identity


def caller_by_now() -> Callable[[], Identity]:
    """Return a function that checks the credential of the caller again, while the request lasts."""
    return services().access.caller(caller())


def challenge_text(challenge: Challenge) -> str:
    """Write a challenge as a header field holds it (RFC 9110, 11.6.1)."""
    params = ", ".join(f"{name}={_quoted(value)}" for name, value in challenge.params.items())
    return f"{challenge.scheme} {params}".rstrip()


def _quoted(text: str) -> str:
    """Write a quoted-string (RFC 9110, 5.6.4)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
