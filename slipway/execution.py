"""One execution: how it is, its log, and what can be done with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from slipway import notebook
from slipway.errors import ExecutionFailed, Misused, StillRunning
from slipway.following import Follow
from slipway.models import (
    ExecutionState,
    Level,
    LogEntry,
    LogPage,
    Metrics,
    Status,
    StatusChange,
    Task,
    TaskStatus,
)
from slipway.transport import segment

if TYPE_CHECKING:
    from slipway.client import Client

_PAGE: Final = 5_000
"""Most entries of a page of a log: more make it hardly faster, and take more memory."""
_WAIT_SECONDS: Final = 20.0
"""Longest time for which one request waits: less than proxies wait for an answer."""
_SHOWN_SECONDS: Final = 2.0
"""Longest time for which what a notebook shows stays as it is."""


class TaskOfExecution:
    """A step of an execution, as it was last seen, with what can be done with it."""

    def __init__(self, execution: Execution, seen: Task) -> None:
        self._execution = execution
        self.seen = seen

    def __repr__(self) -> str:
        return f"<Task {self.name!r} of {self._execution.id}: {self.status}>"

    @property
    def name(self) -> str:
        """Its name in the workflow."""
        return self.seen.name

    @property
    def title(self) -> str | None:
        """Its name for people, where that is another one."""
        return self.seen.title

    @property
    def status(self) -> TaskStatus:
        """How it was when it was last seen."""
        return self.seen.status

    @property
    def exit_code(self) -> int | None:
        """With what its command ended."""
        return self.seen.exit_code

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return self.seen.error

    def start(self) -> Execution:
        """Let it run at once, whatever it waits for.

        Returns:
            The execution in which it runs: another one where this one had ended.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        return self._steer("start")

    def restart(self) -> Execution:
        """Let it run once more; what runs of it is ended before.

        Returns:
            The execution in which it runs: another one where this one had ended.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        return self._steer("restart")

    def stop(self) -> None:
        """End it with all that it started.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        self._execution.act(f"tasks/{segment(self.name)}/stop")

    def logs(self, *, level: Level | str | None = Level.INFO) -> Iterator[LogEntry]:
        """Return what it has said so far."""
        return self._execution.logs(level=level, step=self.name)

    def _steer(self, word: str) -> Execution:
        return self._execution.go_on(f"tasks/{segment(self.name)}/{word}")


class Execution:
    """One execution.

    What it tells is what was last seen, also by :meth:`wait` and :meth:`follow`; :meth:`refresh`
    asks again. Several threads may use it.

    Args:
        client: Asks the service.
        id: Of the execution.
        seen: How it was; the service is asked once it is needed unless given.
    """

    def __init__(self, client: Client, id: str, seen: ExecutionState | None = None) -> None:  # noqa: A002
        self._client = client
        self._id = id
        self._path = f"/executions/{segment(id)}"
        self._seen = seen

    def __repr__(self) -> str:
        seen = self._seen
        what = f" of {seen.workflow!r}: {seen.status}" if seen else ""
        return f"<Execution {self._id}{what}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Execution) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self._id)

    def _repr_html_(self) -> str:
        return notebook.execution(self._id, self._seen)

    @property
    def id(self) -> str:
        """Its id."""
        return self._id

    @property
    def seen(self) -> ExecutionState:
        """All that the service said of it when it was last asked."""
        seen = self._seen
        return seen if seen is not None else self.refresh().seen

    @property
    def status(self) -> Status:
        """RUNNING, CANCELLING, SUCCESS, FAILED or CANCELLED."""
        return self.seen.status

    @property
    def state(self) -> Status:
        """The exact word."""
        return self.seen.state

    @property
    def is_final(self) -> bool:
        """Whether it had ended."""
        return self.state.is_final

    @property
    def workflow(self) -> str:
        """Id of the workflow."""
        return self.seen.workflow

    @property
    def name(self) -> str | None:
        """What its owner calls it."""
        return self.seen.name

    @property
    def labels(self) -> Mapping[str, str]:
        """What its owner wrote on it."""
        return self.seen.labels

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.seen.owner

    @property
    def progress(self) -> float:
        """Share of the work that is done, 0 to 1."""
        return self.seen.progress

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return self.seen.error

    @property
    def created_at(self) -> datetime | None:
        """When it was launched."""
        return self.seen.created_at

    @property
    def started_at(self) -> datetime | None:
        """When it began."""
        return self.seen.started_at

    @property
    def finished_at(self) -> datetime | None:
        """When it ended."""
        return self.seen.finished_at

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What it was launched with."""
        return self.whole().inputs or {}

    @property
    def outputs(self) -> Mapping[str, Any]:
        """What it has given."""
        return self.whole().outputs or {}

    @property
    def tasks(self) -> tuple[TaskOfExecution, ...]:
        """Its steps, in the order of the workflow."""
        return tuple(TaskOfExecution(self, task) for task in self.whole().tasks or ())

    def task(self, name: str) -> TaskOfExecution:
        """Ask for one of its steps.

        Raises:
            NotFound: It has no such step.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        raw = self._client.mapping(f"{self._path}/tasks/{segment(name)}")
        return TaskOfExecution(self, Task.read(raw))

    def refresh(self) -> Execution:
        """Ask how it is now.

        Returns:
            It itself.

        Raises:
            NotFound: There is none of this id, or not any more.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        self._read(self._client.mapping(self._path))
        return self

    def whole(self) -> ExecutionState:
        """Return what was seen with what lists do not tell: inputs, outputs and tasks.

        The service is asked where only a list has told of it so far.

        Raises:
            NotFound: There is none of this id, or not any more.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        seen = self.seen
        return seen if seen.tasks is not None else self.refresh().seen

    def wait(
        self,
        timeout: float | None = None,
        check: bool = False,
        *,
        on_status: Callable[[ExecutionState], object] | None = None,
        every: float = _WAIT_SECONDS,
    ) -> Execution:
        """Wait until it has ended.

        In a notebook a line shows meanwhile how far it is.

        Args:
            timeout: Longest time, in seconds; None for as long as it takes.
            check: Whether anything but SUCCESS is an exception.
            on_status: Is told how it is: first, whenever its state changes, and in between.
            every: Longest time until it is told again, in seconds, up to 20.

        Returns:
            It itself, as it ended.

        Raises:
            StillRunning: The time is over.
            ExecutionFailed: It did not succeed, and ``check`` was asked for.
            SlipwayError: The service refuses, or cannot be reached for long.
        """
        tell, longest = on_status, min(every, _WAIT_SECONDS)
        if tell is None and (tell := notebook.progress(self._id)) is not None:
            longest = _SHOWN_SECONDS
        ends_at = None if timeout is None else time.monotonic() + timeout
        seen = self._ask_again(0.0)
        while True:
            if tell is not None:
                tell(seen)
            if seen.state.is_final:
                break
            left = longest if ends_at is None else ends_at - time.monotonic()
            if left <= 0:
                raise StillRunning(f"Execution {self._id} goes on after {timeout:g} s.")
            seen = self._ask_again(min(left, longest))
        if check and self.state != Status.SUCCESS:
            raise ExecutionFailed(self)
        return self

    def follow(
        self,
        level: Level | str | None = Level.INFO,
        step: str | None = None,
        after: int = -1,
        *,
        tail: int | None = None,
        grep: str | None = None,
        on_status: Callable[[StatusChange], object] | None = None,
    ) -> Follow:
        """Follow its log until it ends, through cut connections and restarts of the service.

        Each entry comes once, in order.

        Args:
            level: The least that is let through; None for all.
            step: Only what this step says; empty for what the execution says itself.
            after: Index behind which it begins.
            tail: In its place, how many entries before the end.
            grep: Only what this regular expression is found in.
            on_status: Is told each change of the status.

        Returns:
            An iterator, and a context manager that closes the connection. Its ``after`` is the
            cursor: the index of the last entry.

        Raises:
            SlipwayError: While it is read: the service refuses, or cannot be reached for long.
        """

        def changed(status: StatusChange) -> None:
            self._outdate(status)
            if on_status is not None:
                on_status(status)

        params = _filter(level, step, grep)
        return Follow(self._client.transport, self._path, params, after=after, tail=tail,
                      on_status=changed)  # fmt: skip

    def logs(
        self,
        level: Level | str | None = Level.INFO,
        step: str | None = None,
        after: int = -1,
        *,
        tail: int | None = None,
        grep: str | None = None,
    ) -> Iterator[LogEntry]:
        """Return its log as it is now, from page to page.

        Args:
            level: The least that is let through; None for all.
            step: Only what this step says; empty for what the execution says itself.
            after: Index behind which it begins.
            tail: In its place, how many entries before the end.
            grep: Only what this regular expression is found in.

        Raises:
            SlipwayError: While it is read: the service refuses, or cannot be reached.
        """
        for page in self.log_pages(level, step, after, tail=tail, grep=grep):
            yield from page.entries

    def log_pages(
        self,
        level: Level | str | None = Level.INFO,
        step: str | None = None,
        after: int = -1,
        *,
        tail: int | None = None,
        grep: str | None = None,
    ) -> Iterator[LogPage]:
        """Return its log as it is now as pages of up to 5,000 entries; as :meth:`logs` does."""
        params = {**_filter(level, step, grep), "size": _PAGE, "timeout": "0"}
        start: dict[str, int] = {"after": after} if tail is None else {"tail": tail}
        while True:
            page = LogPage.read(self._client.mapping(f"{self._path}/logs", {**params, **start}))
            if page.entries:
                yield page
                start = {"after": page.entries[-1].index}
            if page.complete or not page.entries:
                return

    def cancel(self) -> None:
        """Ask for its end; asking twice is fine.

        Raises:
            Conflict: It has ended.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        self._client.settle("DELETE", self._path, done=(409,))

    def purge(self) -> None:
        """Remove it with its log, outputs and files for good; it must have ended.

        Raises:
            Conflict: It has not ended.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        self._client.settle("DELETE", self._path, {"purge": "true"})

    def pause(self) -> None:
        """Let it pause; asking twice is fine.

        Raises:
            NotSupported: What runs it cannot do that.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        self.act("pause")

    def resume(self) -> None:
        """Let it go on after a pause.

        Raises:
            NotSupported: What runs it cannot do that.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        self.act("resume")

    def retry(self, *, idempotency_key: str | None = None) -> Execution:
        """Let it go on after its end: what succeeded is kept, and the rest runs.

        Returns:
            The execution in which it goes on.

        Raises:
            NotSupported: What ran it cannot do that.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        return self.go_on("retry", idempotency_key)

    def scale(self, target: int) -> None:
        """Ask for another number of virtual users.

        Raises:
            NotSupported: It has none.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        self._client.settle("POST", f"{self._path}/scale", json={"target_vus": target}, done=())

    def metrics(self, *, series: bool = False) -> Metrics:
        """Return what its virtual users have done so far.

        Args:
            series: Whether the course of it is told, too.

        Raises:
            NotSupported: It has none.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        params = {"series": "true"} if series else {}
        return Metrics.read(self._client.mapping(f"{self._path}/metrics", params))

    def abandon(self) -> None:
        """End it where nothing else does, whatever still runs of it.

        Raises:
            Conflict: It has ended, or something else can end it.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        self.act("abandon")

    def digest(self) -> Mapping[str, Any]:
        """Return why it failed, in short: the steps, their codes and their last lines.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        return self._client.mapping(f"{self._path}/digest")

    def diff(self, other: Execution | str) -> Mapping[str, Any]:
        """Return in what another execution differs from it.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        id_ = other if isinstance(other, str) else other.id
        return self._client.mapping(f"{self._path}/diff/{segment(id_)}")

    def bundle(self) -> bytes:
        """Return all that is known of it for a help desk, as one zip; there is no secret in it.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        path, kind = f"{self._path}/bundle", "application/zip"
        return self._client.request("GET", path, accept=kind, told=True).body

    def act(self, word: str) -> None:
        """Ask for something that may be asked for twice, such as ``pause``.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        self._client.settle("POST", f"{self._path}/{word}", done=(409,))

    def go_on(self, word: str, idempotency_key: str | None = None) -> Execution:
        """Ask for something that goes on in another execution where this one has ended.

        Returns:
            The execution in which it goes on.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        answer = self._client.request(
            "POST", f"{self._path}/{word}",
            headers=head_of_launch(idempotency_key), told=True,
        )  # fmt: skip
        if answer.status != HTTPStatus.CREATED:
            return self
        return made(self._client, answer.json())

    def _ask_again(self, seconds: float) -> ExecutionState:
        """Return how it is when its state changes, or after some seconds."""
        patience = self._client.transport.patience
        answer = self._client.request(
            "GET", self._path, params={"wait": f"{seconds:.3f}s"} if seconds else {}, wait=seconds,
            patience=patience if self._seen is None else patience.enduring(), told=True,
        )  # fmt: skip
        return self._read(answer.json())

    def _outdate(self, status: StatusChange) -> None:
        """Forget what was seen of another state, so that the service is asked once it is needed."""
        seen = self._seen
        if seen is not None and seen.state != status.state:
            self._seen = None

    def _read(self, raw: Any) -> ExecutionState:
        seen = ExecutionState.read(raw)
        self._seen = seen
        return seen


def made(client: Client, raw: Any) -> Execution:
    """Return the execution of which the service tells."""
    seen = ExecutionState.read(raw)
    return Execution(client, seen.id, seen)


def head_of_launch(idempotency_key: str | None) -> dict[str, str]:
    """Return the head of a request that launches once, however often it must be asked for.

    The answer to it tells of the execution.

    Args:
        idempotency_key: The same key and request launch once; a new one unless given.
    """
    return {"Idempotency-Key": idempotency_key or str(uuid4()), "Prefer": "return=representation"}


def _filter(level: Level | str | None, step: str | None, grep: str | None) -> dict[str, Any]:
    """Return the parameters of a log that let through what is wanted."""
    least = Level.DEBUG if level is None else Level(level)
    if not least.is_known:
        raise Misused(f"{level!r} is no level: debug, info, warn, error.")
    params: dict[str, Any] = {"levels": least.and_above}
    if step is not None:
        params["task"] = step
    if grep is not None:
        params["grep"] = grep
    return params
