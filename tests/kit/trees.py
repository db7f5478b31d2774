"""A task that is a tree of processes which do not end when they are asked to."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from kit.client import Client
from kit.definitions import script, workflow
from kit.patience import await_that


def tree(folder: Path) -> str:
    """A script of a tree with a child that ignores SIGTERM and one in a session of its own.

    All of it holds a lock. It ends once there is a file `gate`.
    """
    return f"""
cd {folder}
exec 9>> lock
flock -n 9 || {{ echo two >> twice; exit 9; }}
echo "$SLIPWAY_ATTEMPT" >> began
(trap '' TERM; exec sleep 300) & one=$!
setsid bash -c "trap '' TERM; while :; do sleep 1; done" & two=$!
until [ -e gate ]; do sleep 0.05; done
kill -9 $one $two
wait
echo "attempt=$SLIPWAY_ATTEMPT" >> "$SLIPWAY_OUTPUT"
"""


class Tree:
    """An execution whose task ``only`` is such a tree, and ``next`` needs it."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.id = client.run(
            workflow(
                "tree",
                script("only", tree(folder)),
                script("next", f"echo next >> {folder}/next", needs=["only"]),
                outputs={"attempt": "${{ steps.only.outputs.attempt }}"},
            )
        )
        self.await_runs(1)

    def post(self, verb: str, task: str = "only", client: Client | None = None) -> int:
        path = f"/executions/{self.id}/tasks/{task}/{verb}"
        return (client or self.client).send("POST", path).status_code

    @property
    def began(self) -> list[str]:
        file = self.folder / "began"
        return file.read_text(encoding="utf-8").split() if file.exists() else []

    def await_runs(self, number: int) -> None:
        await_that(lambda: len(self.began) >= number, f"{number} runs have begun")

    @property
    def only(self) -> Any:
        return self.client.tasks(self.id)["only"]

    def await_run(self, number: int) -> None:
        await_that(
            lambda: (self.only["run"], self.only["status"]) == (number, "RUNNING"),
            f"run {number} is seen",
        )

    def end(self) -> Any:
        (self.folder / "gate").touch()
        return self.client.wait(self.id)

    def assert_never_twice(self) -> None:
        assert not (self.folder / "twice").exists(), "two trees ran at once"

    def is_free(self) -> bool:
        """Whether nothing of any tree runs."""
        command = ["flock", "-n", str(self.folder / "lock"), "true"]
        return subprocess.run(command, check=False).returncode == 0
