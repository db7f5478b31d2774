"""The clusters that are configured, for what is asked of them beside executions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.errors import InvalidRequest

if TYPE_CHECKING:
    from app.engine.launchers.slurm.accounts import ClusterAccounts
    from app.engine.launchers.slurm.options import SlurmOptions
    from app.settings import Settings

_ENGINE: Final = "engine"
_SLURM: Final = "slurm"


@dataclass(frozen=True, slots=True)
class KnownCluster:
    """A cluster to which somebody may log in.

    Attributes:
        name: Of its orchestrator.
        options: What is configured of it.
        accounts: Who has which account.
    """

    name: str
    options: SlurmOptions
    accounts: ClusterAccounts

    def account_for(self, key_ids: Collection[str], owner: str) -> str:
        """Return the name of the account that a key pair is to log in to.

        Args:
            key_ids: What the pair is known by.
            owner: Whose it is.

        Raises:
            InvalidRequest: None: its owner has no account there, or another key logs in to it.
        """
        [account] = self.accounts_for([key_ids], owner)
        if account is not None:
            return account
        own = self.accounts.of(owner)
        raise InvalidRequest(
            f"On cluster '{self.name}' user '{owner}' has the account '{own.user}', to which "
            "another key logs in, as who runs the gateway has configured it."
        )

    def accounts_for(self, pairs: Sequence[Collection[str]], owner: str) -> list[str | None]:
        """Return the name of the account that each of some key pairs is to log in to, if any.

        Args:
            pairs: What each of them is known by.
            owner: Whose they are.
        """
        configured: dict[str, tuple[int, str]] = {}
        for index, (user, key) in enumerate(self._configured()):
            if key is not None:
                configured.setdefault(key, (index, user))
        own = self._opened_by_own(owner)
        return [
            min((configured[each] for each in names if each in configured), default=(0, own))[1]
            for names in pairs
        ]

    def _opened_by_own(self, owner: str) -> str | None:
        """Return the name of the account that a user's own keys log in to; None without."""
        try:
            own = self.accounts.of(owner)
        except InvalidRequest:
            return None
        return own.user if own.key is None else None

    def _configured(self) -> Iterator[tuple[str, str | None]]:
        """Go through the accounts whose keys are configured."""
        options = self.options
        for each in options.user_map:
            yield each.account, each.key or options.key
        if options.user is not None:
            yield options.user, options.key
        if options.admin.user is not None:
            yield options.admin.user, options.admin.key or options.key


def clusters_of(settings: Settings) -> dict[str, KnownCluster]:
    """Return the clusters among the orchestrators, by name."""
    found: Mapping[str, SlurmOptions] = {
        each.name: each.options.launcher.options
        for each in settings.orchestrators
        if each.type == _ENGINE and each.options.launcher.type == _SLURM
    }
    if not found:
        return {}
    # Most services have no cluster.
    from app.engine.launchers.slurm.accounts import ClusterAccounts  # noqa: PLC0415

    return {
        name: KnownCluster(name, options, ClusterAccounts(options, name))
        for name, options in found.items()
    }
