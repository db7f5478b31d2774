"""A launcher whose commands run on what counts as another machine: in a root folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from app.engine.launchers.base import Job, JobState, LauncherContext, OutputLine, Pool, Watched
from app.engine.launchers.local import LocalLauncher
from app.settings.schema import Text, setting
from app.store.database import Database


class Elsewhere(LocalLauncher):
    """Keeps all folders below its root, under the paths that they have below that of executions."""

    here = False
    bound_to_node = False
    pool = Pool("elsewhere", most_jobs=50)

    @dataclass(frozen=True)
    class Options:
        """Where that is."""

        root: str = setting(Text(required=True), "Its root folder.")

    def __init__(self, root: Path, executions_dir: Path, doorbell: Path) -> None:
        super().__init__(doorbell.with_name("doorbell-elsewhere"))
        self._root = root
        self._executions_dir = executions_dir

    @classmethod
    def create(cls, options: Any, context: LauncherContext) -> Self:
        assert isinstance(context.database, Database)
        return cls(Path(options.root), context.executions_dir, context.data_dir / "doorbell")

    def place(self, folder: Path, owner: str) -> None:
        there = self._there(folder)
        there.mkdir(parents=True, exist_ok=True)
        (there / "owner").write_text(owner, encoding="utf-8")

    def may_use(self, folder: Path) -> bool:
        return True

    def _there(self, path: Path) -> Path:
        return self._root / path.relative_to(self._executions_dir)

    def _argument(self, job: Job, text: str) -> str:
        here = str(job.folder) + "/"
        return f"{self._there(job.folder)}/{text.removeprefix(here)}" if here in text else text

    def _job(self, job: Job) -> Job:
        working_dir = job.working_dir
        if working_dir.is_relative_to(self._executions_dir):
            working_dir = self._there(working_dir)
        return replace(
            job,
            folder=self._there(job.folder),
            argv=tuple(map(partial(self._argument, job), job.argv)),
            working_dir=working_dir,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "ELSEWHERE": "yes", **job.env},
        )

    def make_work_folder(self, folder: Path, files: Mapping[str, str], *, begun: bool) -> None:
        super().make_work_folder(self._there(folder), files, begun=begun)

    def remove_folder(self, folder: Path, seconds: float) -> bool:
        return super().remove_folder(self._there(folder), seconds)

    def prepare(self, job: Job) -> None:
        # `start` prepares, too, and has mapped the job by then.
        super().prepare(job if job.folder.is_relative_to(self._root) else self._job(job))

    def start(self, job: Job) -> None:
        super().start(self._job(job))

    def refuse(self, folder: Path, *, cancelled: bool) -> bool:
        return super().refuse(self._there(folder), cancelled=cancelled)

    def states(self, jobs: Sequence[Watched]) -> Mapping[Path, JobState]:
        state = super().state
        return {job.folder: state(self._there(job.folder), job.process) for job in jobs}

    def read(self, folder: Path, offset: int, limit: int) -> tuple[list[OutputLine], int]:
        return super().read(self._there(folder), offset, limit)

    def outputs(self, folder: Path) -> Mapping[str, Any]:
        return super().outputs(self._there(folder))

    def usage(self, folder: Path) -> Any:
        return super().usage(self._there(folder))

    def cancel(self, folder: Path) -> None:
        super().cancel(self._there(folder))

    def end(self, folder: Path, process: Any, *, force: bool) -> None:
        super().end(self._there(folder), process, force=force)

    def pause(self, folder: Path) -> None:
        super().pause(self._there(folder))

    def resume(self, folder: Path) -> None:
        super().resume(self._there(folder))


def elsewhere(folder: Path, of_service: Path) -> dict[str, Any]:
    """Return what a :class:`kit.service.Service` is made with whose commands run there.

    Args:
        folder: Holds the settings, and the root.
        of_service: The folder of the service.
    """
    file = folder / "elsewhere.yaml"
    launcher = f"{{type: '{__name__}:{Elsewhere.__name__}', root: '{folder / 'root'}'}}"
    settings = f"orchestrators: [{{name: afar, type: engine, launcher: {launcher}}}]"
    file.write_text(settings, encoding="utf-8")
    arguments = ["--config", file, "--data-dir", of_service / "data"]
    return {"arguments": arguments, "env": {"PYTHONPATH": str(Path(__file__).parents[1])}}
