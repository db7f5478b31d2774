"""The settings of how often and how much: rate limits, and quotas by role."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow import fields, validate

from app.domain import Role
from app.settings.schema import Duration, WholeNumber, section, setting

if TYPE_CHECKING:
    from app.settings.sections import Settings

_MOST = 1_000_000_000
_RATES = ("requests_per_minute", "launches_per_minute")


def _bound(help_text: str, least: int = 0, default_text: str = "as for everybody") -> int | None:
    field = WholeNumber(
        load_default=None,
        validate=validate.Range(least, _MOST),
        metadata={"default_text": default_text},
    )
    bound: int | None = setting(field, help_text)
    return bound


def _longest(default_text: str = "as for everybody") -> float | None:
    field = Duration(load_default=None, at_least=1, metadata={"default_text": default_text})
    longest: float | None = setting(
        field, "How long an execution of virtual users may run, without pauses."
    )
    return longest


_LOAD_VUS = "Virtual users that one execution may have."
_LOAD_RATE = "Iterations a second that the rate of one execution may ask for."


@dataclass(frozen=True)
class RateLimitSettings:
    """How often one user may ask, and one address before anybody has signed in."""

    requests_per_minute: int | None = _bound(
        "Units in a minute; most requests cost one. Long polls are counted apart, and may be ten "
        "times as many.",
        least=1,
        default_text="no limit",
    )
    launches_per_minute: int | None = _bound(
        "Launches in a minute, which count as requests as well.", least=1, default_text="no limit"
    )
    storage: str | None = setting(
        fields.String(
            load_default=None,
            validate=validate.Regexp(
                r"^(redis|rediss|redis\+unix|valkey|valkeys|valkey\+unix)://\S+\Z",
                error="must be a URL such as redis://host:6379/0 or valkey+unix:///run/valkey.sock",
            ),
            metadata={"default_text": "the memory of each web process"},
        ),
        "Redis or Valkey, which counts for all web processes together: `redis://`, `rediss://` "
        "(TLS), `redis+unix://`, and the same with `valkey`. Without one, each web process of "
        "`slipway serve` counts for itself, and gives its share of each limit.",
        secret=True,
    )


@dataclass(frozen=True)
class QuotaSettings:
    """What each user of this role may have; of several roles the largest number counts."""

    requests_per_minute: int | None = _bound("See `api.rate_limit`.", least=1)
    launches_per_minute: int | None = _bound("See `api.rate_limit`.", least=1)
    running_executions: int | None = _bound("Executions that have not ended.")
    followers: int | None = _bound("See `streams.max_per_user`; never more than half of all.")
    ssh_keys: int | None = _bound("See `ssh_keys.max_per_user`.")
    definitions: int | None = _bound("See `engine.max_uploads_per_user`.")
    definition_bytes: int | None = _bound("See `engine.max_upload_bytes_per_user`.")
    load_vus: int | None = _bound(_LOAD_VUS)
    load_rate: int | None = _bound(_LOAD_RATE)
    load_duration: float | None = _longest()


@dataclass(frozen=True)
class QuotasSettings:
    """How much one user may have, and what is different for some roles."""

    running_executions: int | None = _bound(
        "Executions of one user that have not ended; a launch beyond them is refused with 429.",
        default_text="no limit",
    )
    load_vus: int | None = _bound(_LOAD_VUS, default_text="no limit")
    load_rate: int | None = _bound(_LOAD_RATE, default_text="no limit")
    load_duration: float | None = _longest("no limit")
    user: QuotaSettings = setting(section(QuotaSettings), "")
    developer: QuotaSettings = setting(section(QuotaSettings), "")
    operator: QuotaSettings = setting(section(QuotaSettings), "")
    admin: QuotaSettings = setting(section(QuotaSettings), "")
    slave: QuotaSettings = setting(section(QuotaSettings), "")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one user may have; None is no limit."""

    requests_per_minute: int | None
    launches_per_minute: int | None
    running_executions: int | None
    followers: int
    ssh_keys: int
    definitions: int
    definition_bytes: int
    load_vus: int | None
    load_rate: int | None
    load_duration: float | None


class Allowances:
    """Says what somebody may have, by their roles.

    A role for which a number is given has that one, also where it is smaller than that for
    everybody; whoever has several such roles has the largest.
    """

    def __init__(self, settings: Settings) -> None:
        self._quotas = settings.quotas
        self._rates = rates = settings.api.rate_limit
        self.everybody = Allowance(
            requests_per_minute=rates.requests_per_minute,
            launches_per_minute=rates.launches_per_minute,
            running_executions=settings.quotas.running_executions,
            followers=settings.streams.max_per_user,
            ssh_keys=settings.ssh_keys.max_per_user,
            definitions=settings.engine.max_uploads_per_user,
            definition_bytes=settings.engine.max_upload_bytes_per_user,
            load_vus=settings.quotas.load_vus,
            load_rate=settings.quotas.load_rate,
            load_duration=settings.quotas.load_duration,
        )
        self._known: dict[frozenset[Role], Allowance] = {}

    def of(self, roles: frozenset[Role]) -> Allowance:
        """Return what somebody may have who has some roles; without any they are a user."""
        found = self._known.get(roles)
        if found is None:
            found = self._known[roles] = self._of(roles or {Role.USER})
        return found

    def rates(self) -> dict[str, int]:
        """Return all limits of how often that are set, by the names of their settings."""
        places: list[tuple[str, Any]] = [("api.rate_limit", self._rates)]
        places += [(f"quotas.{role}", getattr(self._quotas, role.value)) for role in Role]
        named = {f"{path}.{name}": getattr(at, name) for path, at in places for name in _RATES}
        return {name: limit for name, limit in named.items() if limit is not None}

    def _of(self, roles: Collection[Role]) -> Allowance:
        quotas = [getattr(self._quotas, role.value) for role in roles]
        changed = {}
        for field in dataclasses.fields(Allowance):
            given = [n for q in quotas if (n := getattr(q, field.name)) is not None]
            if given:
                changed[field.name] = max(given)
        return dataclasses.replace(self.everybody, **changed)
