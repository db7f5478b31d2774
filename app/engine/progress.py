"""How far an execution came, and what follows from that: which tasks may begin, which never will.

It is stored in pieces: a small cursor for the execution, and one for each task that is not as it
was launched. A look changes few tasks, so indices are kept, and nothing goes through all of them.
"""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.clients import cursors
from app.clock import Instant, boot_id, uptime
from app.domain import BEGUN, JSON, Attempt, Task, TaskStatus
from app.elements import STRIDE, parts_of
from app.engine.foreach import element_of
from app.engine.groups import Group
from app.engine.plan import Plan
from app.engine.task_state import TaskState
from app.job_resources import Resources

_VERSION = 4
_SINGLE_VERSION = 3
"""Of what programs can read that know no elements of lists."""
_PLAIN_VERSION = 2
"""Of what programs can read that know no runs of single tasks."""
_TOKEN_BYTES = 8
_OPEN = tuple(status for status in TaskStatus if not status.final)


@dataclass(frozen=True, slots=True)
class Changes:
    """What the store does not know yet.

    Attributes:
        cursor: The execution's cursor, the same as before where nothing changed.
        tasks: Tasks that look different to readers now, in the order of the definition.
        task_cursors: Cursors of the tasks that changed in any respect.
        attempts: Attempts that are over, and after which others began.
    """

    cursor: JSON
    tasks: tuple[Task, ...]
    task_cursors: Mapping[str, JSON]
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store has of an execution's progress.

    Attributes:
        cursor: The execution's cursor.
        tasks: Those of its tasks.
        to_be_moved: The first version kept the tasks in the execution's cursor.
    """

    cursor: Mapping[str, JSON] = field(default_factory=dict)
    tasks: Mapping[str, JSON] = field(default_factory=dict)
    to_be_moved: bool = False


def version_of(cursor: JSON) -> int:
    """Return the version of an execution's cursor.

    Raises:
        UpstreamError: It is later than this program's.
    """
    return cursors.version_of(cursor, _VERSION)


def token_of(cursor: JSON) -> str | None:
    """Return the token of the look that an execution's cursor comes from; None if it has none."""
    return (cursor or {}).get("look")


def has_ended(cursor: JSON) -> bool:
    """Return whether all tasks had come to their end when an execution's cursor was made."""
    return bool((cursor or {}).get("ended"))


def has_elements(cursor: JSON) -> bool:
    """Return whether a task of the execution of a cursor may run for each element of a list."""
    return cursor is not None and version_of(cursor) > _SINGLE_VERSION


def first_cursor(cursor: JSON, execution_id: str | None) -> JSON:
    """Return the cursor of an execution before its first look, of which tasks are settled already.

    Args:
        cursor: The cursor of the one from which it goes on.
        execution_id: Id of that one; None where it goes on from none.
    """
    home = (cursor or {}).get("home") or execution_id
    version = max(_SINGLE_VERSION, version_of(cursor)) if cursor else _SINGLE_VERSION
    return {"version": version} if home is None else {"version": version, "home": home}


class Progress:
    """The states of all tasks of an execution, and what follows from them.

    Whoever changes a task takes it from :meth:`changing`; a status is changed by :meth:`move`,
    :meth:`begin`, :meth:`retry` and :meth:`run_again` only.

    A step that runs for each element of a list is a task as any other until the list is known. From
    then on its elements are, beside it: it has no job, and its status follows from theirs.

    Args:
        plan: The definition.
        stored: What the store has.

    Attributes:
        steps: What each task does, those of elements as well.
        begun_at: When the first observation was made, seconds since the epoch.
        paused: Whether the commands were told to stop for a while.
        first_start: When the first task began, seconds since the epoch.
        first_begun: The same, as what the time since then is measured from; None where that is
            not known.
        wishes: How many wishes for single tasks it follows; see
            :attr:`app.domain.DrivenExecution.task_wishes`.
        home: Id of the execution in whose folder it works, where that is an earlier one.
        unread: Tasks that have ended, though not all of their output was read.
        measured_at: When it was last looked at what running tasks take, on the monotonic clock.
        kept_bytes: How much is kept of what commands printed, about.
        unkept_bytes: How much is not, because the log has reached a limit.
        told_full: That was said.
        waits_noted_at: When it was last noted what tasks wait for, on the same clock.
        unmeasured: When that is first to be done of tasks that began lately, by name.
    """

    def __init__(self, plan: Plan, stored: Stored) -> None:
        self.plan = plan
        self.steps = dict(plan.steps) if plan.fans_out else plan.steps
        self._positions = dict(plan.positions) if plan.fans_out else plan.positions
        self.begun_at: float | None = stored.cursor.get("begun_at")
        self.paused: bool = stored.cursor.get("paused", False)
        self.first_start: float | None = stored.cursor.get("first_start")
        self.first_begun = Instant.load(stored.cursor.get("first_begun"))
        self.wishes: int = stored.cursor.get("wishes", 0)
        self.home: str | None = stored.cursor.get("home")
        self.kept_bytes: int = stored.cursor.get("kept_bytes", 0)
        self.unkept_bytes: int = stored.cursor.get("unkept_bytes", 0)
        self.told_full = self.unkept_bytes > 0
        self.token = token_of(stored.cursor)
        # It never falls: of tasks that were held back at the launch nothing else here tells.
        self._version = max(version_of(stored.cursor), _PLAIN_VERSION)
        self.measured_at = self.waits_noted_at = 0.0
        self.unmeasured: dict[str, float] = {}
        known = {name: kept for name, kept in stored.tasks.items() if _is_known(name, plan, stored)}
        self._tasks = {name: TaskState.load(kept) for name, kept in known.items()}
        self._stored: dict[str, JSON] = {} if stored.to_be_moved else known
        self._changing = set(known) if stored.to_be_moved else set()
        self._names = tuple(plan.steps)
        self._left: list[Attempt] = []
        self._groups: dict[str, Group] = {}  # of steps whose list is known
        self._ended_groups: list[str] = []
        self._unborn: set[str] = set()  # elements that the store does not know at all
        # A step whose elements have not all ended is in none of these.
        self._by_status: dict[TaskStatus, set[str]] = {status: set() for status in TaskStatus}
        # Indices of the tasks above, so that a look costs what changed and not the whole graph.
        # Only `move`, `retry`, `run_again`, `ready` and `_close` change them. The heaps `_later`
        # and `_doomed` may hold tasks of which that holds no longer; they are skipped when popped.
        self._waits_for = dict(plan.needed)  # how many needs of each task are not final
        self._ready: dict[str, Resources] = {}  # can begin, in the order in which that was found
        self._fresh: set[str] = set()  # became able to begin since the last call of `ready`
        self._unspread: dict[str, None] = {}  # can begin once their list is known
        self._shut: set[str] = set()  # steps with elements that cannot begin yet
        self._later: list[tuple[float, str]] = []  # begin again at a moment
        self._doomed: list[int] = []  # positions in the definition
        self.unread = {name for name, task in self._tasks.items() if task.unread}
        self._index()
        self._own = self._own_cursor()

    def __getitem__(self, name: str) -> TaskState:
        """Return a task to be read."""
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = TaskState()
        return task

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        return 4000 + 300 * len(self.steps) + 2000 * len(self._tasks)

    def changing(self, name: str) -> TaskState:
        """Return a task to be changed, but for its status."""
        self._changing.add(name)
        return self[name]

    def move(self, name: str, status: TaskStatus) -> TaskState:
        """Change the status of a task that is not final."""
        task = self.changing(name)
        before, task.status = task.status, status
        if before is not status:
            self._by_status[before].discard(name)
            self._by_status[status].add(name)
            self._ready.pop(name, None)
            self._unspread.pop(name, None)
            if (group := self._group_of(name)) is not None:
                self._moved(group, name, before, status)
            elif status.final:
                self._close(name)
        return task

    def begin(self, name: str, now: float) -> TaskState:
        """Begin the next attempt of a task.

        Args:
            name: The task.
            now: Seconds since the epoch.
        """
        self._leave(name)
        task, ready_at = self.move(name, TaskStatus.RUNNING), self.ready_since(name)
        task.begin_attempt(now, ready_at)
        group = self._group_of(name)
        if group is not None:
            self._note_begin(group, now, ready_at, opened=not task.asked)
        if self.first_start is None:
            self.first_start, self.first_begun = now, Instant.now()
        return task

    def queue(self, name: str, reason: str | None) -> None:
        """Note that a task that was begun waits in a queue where its launcher is, or no more.

        Args:
            name: The task.
            reason: Why it waits; None if it does not.
        """
        task = self.changing(name)
        task.queued = reason
        group = self._group_of(name)
        if group is None:
            return
        step = self[group.step.id]
        waited = step.queued is not None
        group.queue(name, reason)
        self._follow(group)
        if waited and step.queued is None:
            step.started_at = task.started_at

    def ready_since(self, name: str) -> float | None:
        """Return since when a task can begin that waits for nothing else of its workflow.

        Returns:
            Seconds since the epoch; None where that is not known.
        """
        task = self[name]
        if task.attempt > task.earlier:
            return task.finished_at
        if task.run or task.asked:
            return None
        group = self._group_of(name)
        step = self.steps[name] if group is None else group.step
        ends = (self[need].finished_at for need in step.needs)
        known = [end for end in (*ends, self.begun_at) if end is not None]
        return max(known, default=None)

    def _leave(self, name: str) -> None:
        """Keep the attempt of a task that is about to be forgotten."""
        left = self[name].left(name)
        if left is not None:
            self._left.append(left)

    def ended_at(self, now: float) -> float:
        """Return when an execution has ended that ends now, however its clock was set meanwhile.

        Args:
            now: Seconds since the epoch.

        Returns:
            The same; later than the first task began by as much as it took.
        """
        if self.first_start is None:
            return now
        if self.first_begun is None:
            return max(self.first_start, now)
        return self.first_start + self.first_begun.elapsed()

    def retry(self, name: str, at: float) -> None:
        """Let a task begin again.

        Args:
            name: The task.
            at: Not before then, by :func:`app.clock.uptime`.
        """
        due = Instant.now()
        task = self.move(name, TaskStatus.PENDING)
        task.retry_at, task.retry_due = at, due.after(at - due.uptime).dump()
        heapq.heappush(self._later, (at, name))

    def run_again(self, name: str, number: int) -> None:
        """Let a task that has no job run once more.

        Tasks that need it and have not begun wait for that. Those that were given up stay so.

        Args:
            name: The task.
            number: Number of the run.
        """
        self._leave(name)
        task, group = self.changing(name), self._group_of(name)
        before = task.status
        if before.final and group is None:
            self._reopen(name)
        self._by_status[before].discard(name)
        self._by_status[TaskStatus.PENDING].add(name)
        task.begin_run(number)
        if group is not None:
            self._wait_again(group, name, before)
            return
        heapq.heappush(self._doomed, self.plan.positions[name])  # what it needs may have failed
        if self._may_begin(name):
            self._fresh.add(name)

    def having(self, *statuses: TaskStatus) -> list[str]:
        """List the tasks that have one of these statuses, in the order of the definition."""
        found = set().union(*(self._by_status[status] for status in statuses))
        return sorted(found, key=self._positions.__getitem__)

    def elements_of(self, name: str) -> list[str] | None:
        """List the tasks of the elements of a step; None where it has none, or not yet."""
        group = self._groups.get(name)
        return None if group is None else list(group.names)

    def spread(self, name: str, values: Sequence[JSON]) -> None:
        """Make the tasks of the elements of a step that can begin.

        Args:
            name: The step, as :meth:`next_list` gave it.
            values: The elements.
        """
        task = self.changing(name)
        task.elements = len(values)
        self._by_status[task.status].discard(name)
        self._unspread.pop(name, None)
        group = self._add_group(name, values)
        for element, value in zip(group.names, values, strict=True):
            self.changing(element).item = [value]
            self._by_status[TaskStatus.PENDING].add(element)
        group.statuses[TaskStatus.PENDING] = len(values)
        self._unborn.update(group.names)
        self._open(group)
        self._note_turns(group)
        self._follow(group)

    def renew(self, name: str, number: int) -> None:
        """Note that all elements of a step run once more, each of which is told apart.

        Args:
            name: The step.
            number: Number of the run.
        """
        self._leave(name)
        task, group = self.changing(name), self._groups[name]
        before = task.status
        task.begin_run(number)
        task.status = before  # it follows
        self._follow(group)
        if group.shut:
            self._open(group)

    def skip(self, name: str, error: str) -> None:
        """Let a task never begin, nor any element of it that was not asked for by name.

        Args:
            name: The task.
            error: Why.
        """
        for each in self.elements_of(name) or [name]:
            if self._is_pending(each) and not self[each].asked:
                self.move(each, TaskStatus.SKIPPED).error = error
        if self[name].status.final:
            self.changing(name).error = error

    def next_list(self, now: float) -> str | None:
        """Return a step that could begin, were it known for which elements; None if there is none.

        Args:
            now: The moment, by :func:`app.clock.uptime`.
        """
        self.ready(now)
        return next(iter(self._unspread), None)

    def take_ended_groups(self) -> list[str]:
        """List the steps whose elements have all ended, each once."""
        ended, self._ended_groups = dict.fromkeys(self._ended_groups), []
        return [name for name in ended if self[name].status.final]

    def ready(self, now: float) -> Mapping[str, Resources]:
        """Return what the tasks that can begin take of the machine, by name.

        Those that could not begin at the last call stand last, in the order of the definition.

        Args:
            now: The moment, by :func:`app.clock.uptime`.
        """
        while self._later and self._later[0][0] <= now:
            at, name = heapq.heappop(self._later)
            # A task that was retried once more stands in the heap twice; its last moment counts.
            if self._is_pending(name) and self[name].retry_at == at:
                self._fresh.add(name)
        for name in self._fresh & self._shut:
            self._open(self._groups[name])
        for name in sorted(self._fresh, key=self._positions.__getitem__):
            if self._is_pending(name):
                step = self.steps[name]
                if step.foreach is None:
                    self._ready[name] = step.resources
                else:
                    self._unspread[name] = None
        self._fresh.clear()
        return self._ready

    def held_up(self) -> list[str]:
        """List the tasks of which it is noted what they wait for, see :attr:`TaskState.waits`."""
        return [name for name, task in self._tasks.items() if task.waits is not None]

    def next_retry(self) -> float | None:
        """Return when the next task may begin again, by :func:`app.clock.uptime`."""
        while self._later and not self._is_pending(self._later[0][1]):
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def doomed(self) -> Iterator[tuple[str, str]]:
        """Yield the tasks that can never begin, in the order of the definition.

        The caller must move each task to its final status before it takes the next: only that
        dooms those that need it, which then come as well.

        Yields:
            The task, and one that it needs and that did not succeed.
        """
        while self._doomed:
            name = self._names[heapq.heappop(self._doomed) // STRIDE]
            waits = self._is_pending(name) or name in self._shut
            if not waits or self[name].asked:
                continue
            # What blocked it may be about to run again.
            blocking = next((n for n in self.plan.steps[name].needs if self._blocks(n)), None)
            if blocking is not None:
                yield name, blocking

    def all_final(self) -> bool:
        """Return whether no task can change any more."""
        return self._count_open() == 0

    def share_done(self) -> float:
        """Return the share of tasks that are final, 0 to 1."""
        number = sum(map(len, self._by_status.values()))
        return (number - self._count_open()) / number

    def take_changes(self) -> Changes:
        """Return what the store does not know yet, and from now on count it as stored.

        If it could not be stored after all, this object is wrong: make another from the store.
        """
        changed: dict[str, JSON] = {}
        shown: list[Task] = []
        for name in sorted(self._changing, key=self._positions.__getitem__):
            task, before = self[name], self._stored.get(name, {})
            after = task.dump()
            if after == before:
                continue
            changed[name] = self._stored[name] = after
            now = task.shown(name)
            if name in self._unborn or now != TaskState.load(before).shown(name):
                shown.append(now)
        self._changing.clear()
        self._unborn.clear()
        own = self._own_cursor()
        # A look that changed nothing keeps its token, so that its cursor is not stored again.
        if changed or own != self._own or self.token is None:
            self._own, self.token = own, secrets.token_hex(_TOKEN_BYTES)
        if self.wishes or self.home:
            self._version = max(self._version, _SINGLE_VERSION)
        if self.plan.fans_out:
            self._version = _VERSION
        cursor = {"version": self._version, **own, "look": self.token}
        left, self._left = tuple(self._left), []
        return Changes(cursor, tuple(shown), changed, left)

    def _own_cursor(self) -> JSON:
        own: dict[str, JSON] = {
            "begun_at": self.begun_at, "paused": self.paused, "first_start": self.first_start,
        }  # fmt: skip
        if self.first_begun is not None:
            own["first_begun"] = self.first_begun.dump()
        if self.all_final():
            own["ended"] = True
        for name in ("kept_bytes", "unkept_bytes", "wishes"):
            if number := getattr(self, name):
                own[name] = number
        return own if self.home is None else {**own, "home": self.home}

    def _index(self) -> None:
        """Compute all that follows from the states of the tasks."""
        self._by_status[TaskStatus.PENDING] = self.plan.steps.keys() - self._tasks.keys()
        for name in [n for n, task in self._tasks.items() if task.elements is not None]:
            self._add_group(name)
        for name, task in self._tasks.items():
            if name not in self._groups or task.status.final:
                self._by_status[task.status].add(name)
        for name, task in self._tasks.items():
            if task.status.final:
                if self._group_of(name) is None:
                    self._close(name)
            elif task.status is TaskStatus.PENDING and task.retry_at is not None:
                task.retry_at = self._due(name, task)
                heapq.heappush(self._later, (task.retry_at, name))
        begun = (
            task.begun_at
            for task in self._tasks.values()
            if task.begun_at is not None and task.origin is None
        )
        self.first_start = self.first_start or min(begun, default=None)
        waiting = {name for _, name in self._later}
        self._fresh = {
            name
            for name in self._by_status[TaskStatus.PENDING] - waiting
            if self._group_of(name) is None and self._may_begin(name)
        }
        for group in self._groups.values():
            self._index_group(group, waiting)

    def _index_group(self, group: Group, waiting: Container[str]) -> None:
        """Compute what follows from the states of the elements of a step.

        Args:
            group: The step.
            waiting: Tasks that wait for their next attempt.
        """
        name = group.step.id
        for element in group.names:
            status = self[element].status
            group.statuses[status] += 1
            if status is TaskStatus.RUNNING:
                group.queue(element, self[element].queued)
            if status in BEGUN or element in waiting:
                group.come_in(element)
        self._follow(group)
        if self[name].status.final:
            return
        blocked = self._waits_for[name] or any(map(self._blocks, group.step.needs))
        if self._was_opened(group) or self[name].asked or not blocked:
            self._open(group)
            return
        for index, element in enumerate(group.names):
            if self._is_pending(element) and self[element].asked:
                group.wait(index, asked=True)
        self._shut_out(group)

    def _due(self, name: str, task: TaskState) -> float:
        """Return when a task may begin again, which another start of the machine may have noted."""
        due = Instant.load(task.retry_due)
        if due is not None and due.boot_id == boot_id():
            return due.uptime
        delay = self.steps[name].retry_delay_seconds
        if due is None:  # noted by a version that went by the clock
            due = Instant.by_clock(task.retry_at or 0.0)
        return uptime() + due.left(delay)

    def _close(self, name: str) -> None:
        """Update the tasks that need one which has ended: they may begin, or are doomed."""
        blocks = self._blocks(name)
        for follower in self.plan.followers[name]:
            self._waits_for[follower] -= 1
            if blocks:
                heapq.heappush(self._doomed, self.plan.positions[follower])
            elif not self._waits_for[follower]:
                self._fresh.add(follower)

    def _reopen(self, name: str) -> None:
        """Let the tasks wait that need one which had ended, and have not begun."""
        for follower in self.plan.followers[name]:
            self._waits_for[follower] += 1
            if not self._may_begin(follower):
                self._ready.pop(follower, None)
                self._unspread.pop(follower, None)
                self._fresh.discard(follower)
                group = self._groups.get(follower)
                if group is not None and not self[follower].status.final:
                    self._shut_out(group)

    def _add_group(self, name: str, values: Sequence[JSON] | None = None) -> Group:
        """Add the tasks of the elements of a step.

        Args:
            name: The step.
            values: The elements; None where these tasks know them.
        """
        step = self.plan.steps[name]
        group = self._groups[name] = Group(step, self[name].elements or 0)
        for index, element in enumerate(group.names):
            value = values[index] if values is not None else (self[element].item or [None])[0]
            self.steps[element] = element_of(step, index, value)
            self._positions[element] = self._positions[name] + 1 + index
        return group

    def _group_of(self, name: str) -> Group | None:
        """Return what a task is an element of; None if it is none."""
        element = self.steps[name].element if self._groups else None
        return None if element is None else self._groups[element.step]

    def _has_begun(self, group: Group) -> bool:
        task = self[group.step.id]
        return task.attempt > task.earlier

    def _note_begin(
        self, group: Group, now: float, ready_at: float | None, *, opened: bool
    ) -> None:
        """Note that an element has begun."""
        name = group.step.id
        if opened and not self[name].opened:
            self.changing(name).opened = True
        if not self._has_begun(group):
            self.changing(name).begin_attempt(now, ready_at)

    def _moved(self, group: Group, name: str, before: TaskStatus, status: TaskStatus) -> None:
        """Update a step of which an element has another status."""
        group.move(name, before, status)
        if status.final:
            group.leave(name)
            self._let_in(group)
        self._follow(group)

    def _wait_again(self, group: Group, name: str, before: TaskStatus) -> None:
        """Let an element that runs once more wait for its turn."""
        group.move(name, before, TaskStatus.PENDING)
        group.leave(name)
        self._ready.pop(name, None)
        self._fresh.discard(name)
        element = self.steps[name].element
        group.wait(element.index if element else 0, asked=self[name].asked)
        self._let_in(group)
        self._follow(group)

    def _open(self, group: Group) -> None:
        """Let the elements of a step begin."""
        group.shut = False
        self._shut.discard(group.step.id)
        inside = set(group.inside)
        for index, element in enumerate(group.names):
            if element not in inside and self._is_pending(element):
                group.wait(index, asked=self[element].asked)
        self._let_in(group)

    def _shut_out(self, group: Group) -> None:
        """Let the elements of a step wait for what that needs, unless some have begun."""
        if self._was_opened(group):
            return
        group.shut = True
        self._shut.add(group.step.id)
        for name in group.inside:
            if self._is_pending(name) and not self[name].asked:
                group.leave(name)
                self._ready.pop(name, None)
                self._fresh.discard(name)
        self._let_in(group)

    def _was_opened(self, group: Group) -> bool:
        return self[group.step.id].opened

    def _note_turns(self, group: Group) -> None:
        """Note of elements that they wait until fewer of their step run."""
        inside, most = set(group.inside), group.most
        reason = f"its turn: {most} of '{group.step.id}' run at the same time (max_parallel)"
        for name in group.names:
            if name not in inside:
                self.changing(name).waits = {"kind": "turn", "reason": reason}

    def _let_in(self, group: Group) -> None:
        self._fresh.update(group.next_in(self._is_pending))

    def _follow(self, group: Group) -> None:
        """Let the status of a step be what its elements make of it."""
        name = group.step.id
        before = self[name].status
        if self[name].queued != group.waits:
            self.changing(name).queued = group.waits
        status = group.status(has_begun=self._has_begun(group))
        if status is before:
            return
        task = self.changing(name)
        task.status = status
        if before.final:
            self._by_status[before].discard(name)
            task.finished_at = task.error = task.origin = None
            self._reopen(name)
        if status.final:
            self._by_status[status].add(name)
            self._shut.discard(name)
            group.shut = False
            task.finished_at, task.error = group.ended_at(self), group.fault(self)
            self._ended_groups.append(name)
            self._close(name)

    def _blocks(self, name: str) -> bool:
        """Return whether a task ended such that the tasks which need it can never begin."""
        status = self[name].status
        if self[name].origin is not None:  # who goes on from there takes it as it is
            return False
        forgiven = self.steps[name].allow_failure and status is TaskStatus.FAILED
        return status.final and status is not TaskStatus.SUCCESS and not forgiven

    def _may_begin(self, name: str) -> bool:
        return not self._waits_for[name] or self[name].asked

    def _is_pending(self, name: str) -> bool:
        return name in self._by_status[TaskStatus.PENDING]

    def _count_open(self) -> int:
        return sum(len(self._by_status[status]) for status in _OPEN)


def _is_known(name: str, plan: Plan, stored: Stored) -> bool:
    """Return whether there is such a step, or such an element of one."""
    if name in plan.steps or not plan.fans_out:
        return name in plan.steps
    step, index = parts_of(name) or ("", 0)
    kept = stored.tasks.get(step)
    return step in plan.steps and kept is not None and index < (kept.get("elements") or 0)
