"""Which account and which folder of a cluster an execution has."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

from app.engine.launchers.slurm.accounts import ClusterAccount, ClusterAccounts
from app.engine.launchers.slurm.logins import Login, Logins
from app.errors import InvalidRequest, UpstreamRefused
from app.store.placements import Placement, Placements

_MOST_KNOWN: Final = 10_000


class NotPlaced(UpstreamRefused):
    """An execution has nothing on the cluster."""


class Places:
    """Finds the places of executions. Threads may share it.

    Args:
        executions_dir: What the paths are below that go by here.
        accounts: The accounts of the cluster.
        placements: What is noted of executions.
        logins: Logs in.
    """

    def __init__(
        self,
        executions_dir: Path,
        accounts: ClusterAccounts,
        placements: Placements,
        logins: Logins,
    ) -> None:
        self._executions_dir = executions_dir
        self._accounts = accounts
        self._placements = placements
        self._logins = logins
        self._lock = threading.Lock()
        self._known: dict[str, Placement] = {}

    def execution_of(self, folder: Path) -> str:
        """Return the id of the execution to which a folder belongs."""
        return self.below(folder).parts[0]

    def below(self, folder: Path) -> Path:
        """Return the path of a folder or file below the folder of all executions."""
        return folder.relative_to(self._executions_dir)

    def place(self, folder: Path, owner: str) -> None:
        """Decide where an execution has its folder, for ever.

        Args:
            folder: The folder, as it is called here.
            owner: Whose execution it is.

        Raises:
            InvalidRequest: They have no account.
            UpstreamError: The cluster cannot be asked now.
        """
        execution = self.execution_of(folder)
        if execution in self.placed([execution]):
            return
        login = self._logins.of(self._accounts.of(owner))
        placement = Placement(execution, login.account.user, owner, login.root)
        self._remember({execution: self._placements.add(placement)})

    def placed(self, executions: Collection[str]) -> dict[str, Placement]:
        """Return where executions have their folders; some may be missing."""
        with self._lock:
            found = {each: self._known[each] for each in executions if each in self._known}
        if missing := [each for each in executions if each not in found]:
            read = self._placements.of(missing)
            self._remember(read)
            found |= read
        return found

    def account(self, placement: Placement) -> ClusterAccount:
        """Return the account of an execution, with the key that its owner has now.

        Raises:
            InvalidRequest: They have none any more.
        """
        return replace(self._accounts.of(placement.owner), user=placement.account)

    def find(self, folder: Path) -> tuple[Login, str]:
        """Return a login to where a folder is, and its path there.

        Raises:
            NotPlaced: There is none.
            InvalidRequest: Its owner has no account any more.
            UpstreamError: The cluster cannot be asked now.
        """
        execution = self.execution_of(folder)
        placement = self.placed([execution]).get(execution)
        if placement is None:
            raise NotPlaced("The execution has no folder on the cluster.")
        return self._logins.of(self.account(placement)), self.path(placement.root, folder)

    def path_for(self, account: str, folder: Path) -> str:
        """Return the path there of what a job of an account uses.

        Args:
            account: Name of the account.
            folder: The path here; perhaps of an execution from which the job's own goes on.

        Raises:
            NotPlaced: It is not there.
            InvalidRequest: Another account has it.
        """
        execution = self.execution_of(folder)
        placement = self.placed([execution]).get(execution)
        if placement is None:
            raise NotPlaced("The execution has no folder on the cluster.")
        if placement.account != account:
            raise InvalidRequest(
                "The execution goes on from one whose files are in another account of the cluster: "
                "launch it anew."
            )
        return self.path(placement.root, folder)

    def path(self, root: str, folder: Path) -> str:
        """Return the path there of a folder or file, which has one here.

        Args:
            root: Where executions have their folders there.
            folder: The path here.
        """
        return f"{root}/{self.below(folder)}"

    def forget(self, folder: Path) -> None:
        """Note that the folder of an execution is gone."""
        execution = self.execution_of(folder)
        self._placements.remove(execution)
        with self._lock:
            self._known.pop(execution, None)

    def _remember(self, placements: dict[str, Placement]) -> None:
        with self._lock:
            self._known |= placements
            while len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]
