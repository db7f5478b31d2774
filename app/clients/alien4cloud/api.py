"""Alien4Cloud's REST calls, one method each.

All raise what :meth:`Alien4CloudSession.post` does; "not found" is a :class:`Rejection` with code
504, under HTTP 404 or 200. Paths are below ``/rest/latest``. Source: Alien4Cloud 3.8 REST.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, ParamSpec, TypeVar

from app.clients._http import expecting_shape
from app.clients.alien4cloud.model import (
    WORKFLOWS_TAG,
    Application,
    Deployment,
    Environment,
    LogPage,
    LogRecord,
    Progress,
    Run,
    TaskRecord,
    unwrap,
)
from app.clients.alien4cloud.session import NOT_FOUND, Alien4CloudSession, Rejection
from app.clients.alien4cloud.topology import Topology
from app.domain import JSON

P = ParamSpec("P")
T = TypeVar("T")

MOST_PER_PAGE = 1000
"""A larger ``size`` is cut down to this in POSTed searches, without a word (section 3)."""

SEARCH_WINDOW = 10_000
"""``from + size`` beyond this is an error (section 10)."""

_RECORDS_PER_PAGE = 200


class Alien4CloudApi:
    """The calls that the gateway makes.

    Args:
        session: The logged-in session.
        before_each: Called before each request; it may wait.
    """

    def __init__(
        self, session: Alien4CloudSession, before_each: Callable[[], None] = lambda: None
    ) -> None:
        self._session = session
        self._before_each = before_each

    @property
    def up_seconds(self) -> float:
        """For how long the server has answered every call of this process."""
        return self._session.up_seconds

    @property
    def under_way(self) -> int:
        """Number of requests that wait for their answers, of all that share the session."""
        return self._session.under_way

    def applications(self) -> list[Application]:
        """Find the applications that expose workflows, all pages of them.

        Upstream: POST /applications/search -> 200 (section 3).
        """
        filters = {"tags.name": [WORKFLOWS_TAG]}
        return list(self._search(Application.parse, "applications", filters=filters))

    def application(self, application: str) -> Application:
        """Read one application.

        Upstream: GET /applications/{id} -> 200 (section 3).
        """
        return self._read(Application.parse, self._get("applications", application))

    def environments(self, application: str) -> list[Environment]:
        """List the environments of an application, all pages of them.

        Upstream: POST /applications/{id}/environments/search -> 200 (section 4). The server asks
        the orchestrator of each for its status.
        """
        found = self._search(Environment.parse, "applications", application, "environments")
        return list(found)

    def environment(self, application: str, environment: str) -> Environment:
        """Read an environment; it need not be one of that application.

        Upstream: GET /applications/{id}/environments/{id} -> 200 (section 4).
        """
        path = ("applications", application, "environments", environment)
        return self._read(Environment.parse, self._get(*path))

    def topology(self, application: str, environment: str) -> Topology | None:
        """Read what is deployed; large, since all its types come with it.

        Upstream: GET /applications/{id}/environments/{id}/runtime-topology -> 200, with
        ``topology: null`` where nothing is deployed (section 5).
        """
        path = ("applications", application, "environments", environment, "runtime-topology")
        return self._read(Topology.parse, self._get(*path))

    def outputs(self, application: str, environment: str, topology: Topology) -> dict[str, JSON]:
        """Read the outputs of a deployment, as they are now.

        Upstream: GET /applications/{id}/environments/{id}/deployment/informations -> 200
        (section 5).
        """
        path = ("applications", application, "environments", environment)
        data = self._get(*path, "deployment", "informations")
        return self._read(topology.output_values, data or {})

    def launch(
        self, application: str, environment: str, workflow: str, inputs: Mapping[str, JSON]
    ) -> str | None:
        """Launch a workflow; on return the orchestrator has accepted it.

        Upstream: POST /applications/{id}/environments/{id}/workflows/{name} -> 200, with the
        execution's id, or null where none was made (section 6).
        """
        path = ("applications", application, "environments", environment, "workflows", workflow)
        self._before_each()
        data = self._session.post(*path, body={"inputs": dict(inputs)}, once=True)
        return data if isinstance(data, str) and data else None

    def last_inputs(self, application: str, environment: str, workflow: str) -> Mapping[str, JSON]:
        """Read the inputs of the most recent launch of a workflow, by whomever.

        Upstream: GET .../workflows/{name}/last_inputs -> 200 (section 5).
        """
        path = ("applications", application, "environments", environment, "workflows", workflow)
        data = self._get(*path, "last_inputs")
        return self._read(lambda raw: {k: unwrap(v) for k, v in raw.items()}, data or {})

    def run(self, execution: str) -> Run:
        """Read an execution.

        Upstream: GET /executions/{id} -> 200; one that is unknown, or has not begun, is 200 with
        code 504 (section 7).
        """
        return self._read(Run.parse, self._get("executions", execution))

    def runs_since(self, deployment: str, since_ms: int) -> list[Run]:
        """List the executions of a deployment that began at a moment or later, newest first.

        Upstream: GET /executions/search?deploymentId= -> 200 (section 7).
        """

        def page(start: int) -> JSON:
            params: dict[str, str | int] = {
                "deploymentId": deployment,
                "from": start,
                "size": _RECORDS_PER_PAGE,
            }
            return self._get("executions", "search", **params)

        runs = self._pages(Run.parse, page)
        return list(takewhile(lambda run: run.started_ms >= since_ms, runs))

    def cancel(self, environment: str, execution: str) -> None:
        """Ask for the end of an execution; on return the orchestrator has accepted that.

        Upstream: POST /executions/cancel -> 200; a refusal is 200 with code 504 (section 8).
        """
        body = {"environmentId": environment, "executionId": execution}
        self._post("executions", "cancel", body=body)

    def deployment(self, deployment: str) -> Deployment:
        """Read a deployment.

        Upstream: GET /deployments/{id} -> 200 (section 9).
        """
        data = self._get("deployments", deployment)
        return self._read(lambda raw: Deployment.parse(raw["deployment"]), data)

    def deployments(self, environment: str) -> Iterator[Deployment]:
        """List the deployments of an environment, newest first.

        Upstream: GET /deployments/search?environmentId= -> 200 (section 9).
        """

        def page(start: int) -> JSON:
            params: dict[str, str | int] = {
                "environmentId": environment,
                "from": start,
                "size": _RECORDS_PER_PAGE,
            }
            return self._get("deployments", "search", **params)

        return self._pages(lambda raw: Deployment.parse(raw["deployment"]), page)

    def progress(self, deployment: str) -> Progress:
        """Read the steps of the latest execution of a deployment, which may be another's.

        Upstream: GET /workflow_execution/{deploymentId} -> 200 (section 7).
        """
        return self._read(Progress.parse, self._get("workflow_execution", deployment) or {})

    def tasks(self, execution: str) -> list[TaskRecord]:
        """List the tasks of any execution, newest first.

        Upstream: GET /tasks/search?executionId= -> 200 (section 7).
        """

        def page(start: int) -> JSON:
            params: dict[str, str | int] = {
                "executionId": execution,
                "from": start,
                "size": MOST_PER_PAGE,
            }
            return self._get("tasks", "search", **params)

        return list(self._pages(TaskRecord.parse, page))

    def logs(
        self,
        executions: Sequence[str],
        *,
        from_ms: int | None = None,
        start: int = 0,
        size: int = MOST_PER_PAGE,
        ascending: bool = True,
        levels: Sequence[str] = (),
    ) -> LogPage:
        """Read a page of log entries, by their timestamp; ties are in no order.

        Upstream: POST /deployment/logs/search -> 200 (section 10). A filter that the server does
        not know lets everything through, so what is not asked for is dropped here.

        Args:
            executions: Ids whose entries to read.
            from_ms: Least timestamp, inclusive.
            start: Entries to skip.
            size: Most entries to read.
            ascending: Oldest first, else newest first.
            levels: Alien4Cloud's names of the levels to read; all when empty.
        """
        filters = {"executionId": list(executions), "level": list(levels)}
        body = {
            "from": start,
            "size": size,
            "fromDate": from_ms,
            "filters": {key: values for key, values in filters.items() if values},
            "sortConfiguration": {"sortBy": "timestamp", "ascending": ascending},
        }
        data = self._post("deployment", "logs", "search", body=body)

        def parse(raw: Mapping[str, Any]) -> LogPage:
            entries = tuple(LogRecord.parse(entry) for entry in raw["data"] or ())
            return LogPage(
                entries=tuple(entry for entry in entries if entry.execution in executions),
                received=len(entries),
                last_ms=entries[-1].at_ms if entries else 0,
                total=int(raw["totalResults"]),
            )

        return self._read(parse, data)

    def _get(self, *path: str, **params: str | int) -> JSON:
        self._before_each()
        return self._session.get(*path, **params)

    def _post(self, *path: str, body: JSON) -> JSON:
        self._before_each()
        return self._session.post(*path, body=body)

    def _read(self, parse: Callable[[Any], T], data: JSON) -> T:
        with expecting_shape(self._session.upstream):
            return parse(data)

    def _search(
        self, parse: Callable[[Any], T], *path: str, filters: Mapping[str, JSON] | None = None
    ) -> Iterator[T]:
        def page(start: int) -> JSON:
            body = {"from": start, "size": MOST_PER_PAGE, "filters": filters or {}}
            return self._post(*path, "search", body=body)

        return self._pages(parse, page)

    def _pages(self, parse: Callable[[Any], T], page: Callable[[int], JSON]) -> Iterator[T]:
        """Read pages until all is read; ``totalResults`` is wrong only on an empty page."""
        start = 0
        while start < SEARCH_WINDOW:
            data = page(start)
            items, total = self._read(_page, data)
            for item in items:
                yield self._read(parse, item)
            start += len(items)
            if not items or start >= total:
                return


def _page(raw: Mapping[str, Any]) -> tuple[list[Any], int]:
    return list(raw["data"] or ()), int(raw["totalResults"])


def if_known(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Make a call; None when Alien4Cloud answers that there is no such thing."""
    try:
        return call(*args, **kwargs)
    except Rejection as exc:
        if exc.error_code != NOT_FOUND:
            raise
        return None
