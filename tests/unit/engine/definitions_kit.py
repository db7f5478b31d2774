"""A store of definitions, and what reads it as web processes do, each with its own memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.thrift import make_tables

from app.engine.catalogue import Catalogue
from app.engine.compiled import Compiler
from app.engine.folder import DefinitionFolder
from app.isolation import Isolated
from app.store.compiled import CompiledDefinitions, WorkflowFiles
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots
from app.store.uploads import Quota, UploadedDefinitions

STEP = {"id": "a", "type": "script", "config": {"script": "echo 'a: b'\ntrue\n"}}
ROOM = Quota(100, 1024 * 1024)


def source(workflow_id: str = "w", **changes: Any) -> dict[str, Any]:
    """Make what a definition says."""
    return {"id": workflow_id, "steps": [STEP]} | changes


class DefinitionStore:
    """A store, and catalogues over it."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'slipway.db'}"
        make_tables(url)
        self.database = Database(url)
        self.checked: list[bytes] = []

    def compiler(self) -> Compiler:
        snapshots = DefinitionSnapshots(self.database)
        isolated = CountingIsolated(self.checked, seconds=60)
        return Compiler(CompiledDefinitions(self.database), snapshots, isolated)

    def folder(self, path: Path, mark: str = "this machine") -> DefinitionFolder:
        files = WorkflowFiles(self.database, str(path), lambda: mark)
        return DefinitionFolder(path, self.compiler(), files)

    def catalogue(self, path: Path, quota: Quota = ROOM) -> Catalogue:
        return Catalogue(UploadedDefinitions(self.database), self.folder(path), lambda roles: quota)


class CountingIsolated(Isolated):
    """Notes what is checked in worker processes."""

    def __init__(self, checked: list[bytes], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._checked = checked

    def run(self, owner: str, function: str, argument: bytes) -> bytes:
        self._checked.append(argument)
        return super().run(owner, function, argument)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DefinitionStore]:
    made = DefinitionStore(tmp_path_factory.mktemp("store"))
    yield made
    made.database.dispose()
