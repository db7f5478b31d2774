"""What speaks with one cluster, put together."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final, Self

from app.clients._ssh import LoginRefused, SshLimits, SshPool
from app.clients._ssh_terms import Login as TriedLogin
from app.clients.key_reader import KeyReader
from app.engine.launchers.base import LauncherContext
from app.engine.launchers.slurm.accounts import ClusterAccount, ClusterAccounts
from app.engine.launchers.slurm.channel import SshChannel
from app.engine.launchers.slurm.growth import Growth
from app.engine.launchers.slurm.logins import Agent, Greeter, Login, Logins
from app.engine.launchers.slurm.options import SlurmOptions
from app.engine.launchers.slurm.package import command, job_package, package_digest
from app.engine.launchers.slurm.places import Places
from app.engine.launchers.slurm.remote import AgentSession
from app.engine.launchers.slurm.rounds import Rounds
from app.engine.launchers.slurm.scheduler import Scheduler
from app.engine.launchers.slurm.standing import LATE_SECONDS
from app.engine.launchers.slurm.steering import Steering
from app.errors import ConfigError
from app.store.placements import Placements
from app.store.scheduler_turns import SchedulerTurns

_BEGIN_SECONDS: Final = 60.0
"""For the login to give a command, however slow its profile is."""


class Cluster:
    """Speaks with one cluster; nobody logs in before something is asked for.

    Args:
        options: What is configured.
        accounts: Who has which account.
        keys: Key pairs; None in processes that may not read them.
        placements: Where executions have their folders.
        turns: Turns in asking its scheduler.
        executions_dir: What the paths of executions are below that go by here.
        late_seconds: How long records may be late that a node wrote.

    Attributes:
        logins: Logs in to accounts.
        places: Finds the folders of executions.
        growth: What jobs printed since.
        rounds: Looks at jobs.
        steering: Acts upon jobs.
        turns: Turns in asking its scheduler.
    """

    def __init__(
        self,
        options: SlurmOptions,
        accounts: ClusterAccounts,
        keys: KeyReader | None,
        *,
        placements: Placements,
        turns: SchedulerTurns,
        executions_dir: Path,
        late_seconds: float = LATE_SECONDS,
    ) -> None:
        self.options = options
        self.accounts = accounts
        self._keys = keys
        limits = SshLimits(connect_seconds=options.connect_timeout)
        self._pool = SshPool(accounts.host_keys(), limits)
        self.logins = Logins(self._begin, self._greet)
        self.places = Places(executions_dir, accounts, placements, self.logins)
        self.growth = Growth()
        self.turns = turns
        scheduler = Scheduler(turns.take, options.poll.command, options.command_timeout)
        self.rounds = Rounds(
            self.places,
            self.logins,
            scheduler,
            self.growth,
            requeue=options.requeue,
            late_seconds=late_seconds,
        )
        self.steering = Steering(
            self.places, self.logins, self.rounds, accounts.admin, options.command_timeout
        )

    def try_login(self, account: ClusterAccount) -> TriedLogin:
        """Log in to an account by its key over a connection of its own, which is closed at once.

        Raises:
            UpstreamUnreachable: The login node cannot be asked now.
            UpstreamRefused: It does not work; it says why.
        """
        key = self.key_of(account)
        target = self.accounts.target(account.user, key)
        return self._pool.try_login(target, partial(self._readable().read, key))

    @classmethod
    def create(cls, options: SlurmOptions, context: LauncherContext) -> Self:
        """Build one from the settings.

        Raises:
            ConfigError: It cannot be built like this.
        """
        if context.database is None:
            raise ConfigError("The launcher 'slurm' needs the store.")
        name = context.orchestrator
        return cls(
            options,
            ClusterAccounts(options, name),
            context.keys,
            placements=Placements(context.database, name),
            turns=SchedulerTurns(context.database, name, options.poll.command),
            executions_dir=context.executions_dir,
        )

    def key_of(self, account: ClusterAccount) -> str:
        """Return the id of the key pair that logs in to an account.

        Raises:
            LoginRefused: There is none.
        """
        if account.key is not None:
            return account.key
        found = self._readable().newest_for(account.owner, self.accounts.name)
        if found is None:
            name = self.accounts.name
            raise LoginRefused(
                f"User '{account.owner}' has no SSH key for cluster '{name}': make one whose "
                f"metadata say cluster: {name}, and add its public key to authorized_keys there."
            )
        return found

    def close(self) -> None:
        """End all that goes on; on return no connection is left."""
        self.rounds.close()
        self.logins.close()
        self._pool.close()

    def _readable(self) -> KeyReader:
        if self._keys is None:
            raise LoginRefused("This process may not read SSH keys.")
        return self._keys

    def _begin(self, account: ClusterAccount) -> Agent:
        key = self.key_of(account)
        process = self._pool.open(
            self.accounts.target(account.user, key),
            partial(self._readable().read, key),
            command(self.options.python),
            timeout_seconds=self.options.connect_timeout + _BEGIN_SECONDS,
        )
        self._readable().succeeded(key)
        return AgentSession(SshChannel(process), start_seconds=_BEGIN_SECONDS)

    def _greet(self, agent: Agent, account: ClusterAccount) -> Login:
        greet = Greeter(self.options.workdir, job_package(), package_digest())
        return greet(agent, account)
