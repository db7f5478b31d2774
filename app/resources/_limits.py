"""What each endpoint costs of a caller's rate limits, declared at the endpoint; and the answers.

An endpoint that declares nothing costs one unit.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from flask import Response, g, request

from app.domain import Identity
from app.durations import parse_duration
from app.resources._context import services
from app.services.rate_limits import Policy, RateLimited, Standing
from app.windows import WINDOW_SECONDS

V = TypeVar("V", bound=Callable[..., Any])

_COST: Final = "cost"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request costs.

    Attributes:
        units: Units of the limit of requests; 0 is free.
        launches: It counts as a launch as well.
        is_poll: Returns whether the current request may be held, and counts as a long poll instead.
    """

    units: int = 1
    launches: bool = False
    is_poll: Callable[[], bool] | None = None


_ONE: Final = Cost()


def cost(
    units: int = 1, *, launches: bool = False, is_poll: Callable[[], bool] | None = None
) -> Callable[[V], V]:
    """Declare what a request to an endpoint costs; it stands directly at the function.

    Args:
        units: See :class:`Cost`.
        launches: See :class:`Cost`.
        is_poll: See :class:`Cost`.
    """

    def decorate(view: V) -> V:
        vars(view)[_COST] = Cost(units, launches, is_poll)
        return view

    return decorate


def free(view: V) -> V:
    """Declare that requests to an endpoint are not counted; it stands directly at the function."""
    return cost(0)(view)


def waits_by(name: str, *, by_default: bool) -> Callable[[], bool]:
    """Return a function that tells whether the current request asks to be held.

    Args:
        name: The parameter that says how long.
        by_default: Whether it is held without the parameter.
    """

    def waits() -> bool:
        text = request.args.get(name)
        if text is None:
            return by_default
        with suppress(ValueError):
            return parse_duration(text) > 0
        return False

    return waits


def charge(view: Callable[..., Any] | None, identity: Identity | None) -> None:
    """Count the current request.

    Args:
        view: The function that is to answer it; None if there is none.
        identity: Who sends it; None where that is not known.

    Raises:
        RateLimited: It is one too many.
    """
    declared: Cost = _ONE if view is None else getattr(view, _COST, _ONE)
    if not declared.units or is_preflight():
        return
    policies = _policies(declared) if identity is not None else [Policy.REQUESTS]
    limits = services().rate_limits
    try:
        g.standings = limits.take(policies, declared.units, identity, request.remote_addr)
    except RateLimited as exc:
        g.standings = exc.standings
        for policy in exc.policies:
            services().metrics.limited.labels(policy).inc()
        raise


def _policies(declared: Cost) -> list[Policy]:
    polls = declared.is_poll is not None and declared.is_poll()
    launches = [Policy.LAUNCHES] if declared.launches else []
    return [Policy.POLLS if polls else Policy.REQUESTS, *launches]


def is_preflight() -> bool:
    """Return whether a browser asks whether it may send a request (Fetch, 3.3.2)."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def tell_standings(response: Response) -> None:
    """Tell the caller what is left (draft-ietf-httpapi-ratelimit-headers-11)."""
    standings: tuple[Standing, ...] = g.get("standings", ())
    if standings:
        window = int(WINDOW_SECONDS)
        response.headers["RateLimit-Policy"] = ", ".join(
            f'"{each.policy}";q={each.quota};w={window}' for each in standings
        )
        response.headers["RateLimit"] = ", ".join(
            f'"{each.policy}";r={each.remaining};t={each.seconds}' for each in standings
        )
