"""The client of one service."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from requests.auth import AuthBase

from slipway.attempts import Patience, Repeat
from slipway.auth import credential
from slipway.errors import NotOurs, SlipwayError, refusal
from slipway.events import Events
from slipway.execution import Execution, made
from slipway.models import (
    ApiKey,
    Check,
    CreatedApiKey,
    CreatedSshKey,
    Definition,
    DefinitionVersion,
    Identity,
    Node,
    Orchestrator,
    Ready,
    SshKey,
    Status,
    Version,
    WorkflowInfo,
)
from slipway.pages import Page, Pages
from slipway.transport import JSON, Answer, Request, Transport, segment
from slipway.version import __version__
from slipway.workflow import Workflow, write_json

_YAML = "application/yaml"
_OPERATION_SECONDS = 20.0
"""How long the service waits at most for what a conductor does, before it says where that is."""


class Client:
    """The client of one service; several threads may use it at the same time.

    ::

        with Client("https://slipway.example.org", ("ana", password)) as client:
            print(client.workflow("diamond").run(n=3000000).wait().outputs)

    Args:
        url: Address of the service.
        auth: None, ``(user, password)``, ``Token(...)``, ``ApiKey(...)`` or ``StoredTokens(...)``.
        ca_file: Certificates of authorities that are trusted; those of ``REQUESTS_CA_BUNDLE``
            unless given.
        user_agent: What the program calls itself.
        patience: How long it tries.
        trace: Is told each attempt, without secrets.
        notice: Is told in a sentence when there is no connection for long, and when there is one
            again.

    Raises:
        Misused: The address or the credential cannot be used.
    """

    def __init__(
        self,
        url: str,
        auth: AuthBase | tuple[str, str] | None = None,
        *,
        ca_file: str | os.PathLike[str] | None = None,
        user_agent: str = f"slipway/{__version__}",
        patience: Patience | None = None,
        trace: Callable[[str], object] | None = None,
        notice: Callable[[str], object] | None = None,
    ) -> None:
        self.transport = Transport(
            url,
            credential(auth),
            ca_file=None if ca_file is None else os.fspath(ca_file),
            user_agent=user_agent,
            patience=patience,
            trace=trace,
            notice=notice,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    @property
    def url(self) -> str:
        """Address of the service, without a slash at its end."""
        return self.transport.url

    def close(self) -> None:
        """Close all connections; the next request opens one again."""
        self.transport.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: str = JSON,
        repeat: Repeat | None = None,
        wait: float = 0.0,
        patience: Patience | None = None,
        statuses: Iterable[int] = (),
        told: bool = False,
    ) -> Answer:
        """Ask for what has no method of its own.

        Args:
            method: Such as ``GET``.
            path: Below the address of the service, such as ``/audit``.
            params: The query; a list gives a name several times.
            json: The body, as what it stands for.
            data: The body, as it is sent.
            headers: More of the head.
            accept: The types of an answer that are understood, with commas between.
            repeat: When it may be sent again. Unless given: what is asked with POST without an
                ``Idempotency-Key`` only if the service surely did nothing, and all else always.
            wait: Seconds for which the service may take its time beside what it always may.
            patience: How long it is tried; as long as the client does unless given.
            statuses: From 400, which are answers as well.
            told: Whether an answer without a body is none.

        Raises:
            SlipwayError: The service refuses, is no Slipway service, or cannot be reached.
        """
        sent = dict(headers or {})
        if json is not None:
            data = write_json(json)
            sent.setdefault("Content-Type", JSON)
        if repeat is None:
            once = method.upper() in {"POST", "PATCH"} and "Idempotency-Key" not in sent
            repeat = Repeat.UNSENT if once else Repeat.ALWAYS
        return self.transport.send(
            Request(
                method.upper(), path, params or {}, data, sent, accept, repeat, wait, patience,
                frozenset(statuses), told,
            )
        )  # fmt: skip

    def mapping(self, path: str, params: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Ask for a JSON object.

        Raises:
            SlipwayError: The service refuses, is no Slipway service, or cannot be reached.
        """
        found = self.request("GET", path, params=params, told=True).json()
        if not isinstance(found, Mapping):
            raise NotOurs(f"{self.url} answers with JSON that is no object; that is not Slipway.")
        return found

    def settle(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        json: Any = None,
        done: Iterable[int] = (404, 410),
    ) -> None:
        """Ask for something of which twice is the same as once.

        Args:
            method: Such as ``DELETE``.
            path: Below the address of the service.
            params: The query.
            json: The body, as what it stands for.
            done: Statuses of a refusal which say that it is so already. Where an earlier attempt
                was cut off, that one did it.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        answer = self.request(
            method, path, params=params, json=json, repeat=Repeat.ALWAYS, statuses=done
        )
        if answer.status >= 400 and not answer.again:
            problem = answer.json()
            raise refusal(answer.status, problem if isinstance(problem, Mapping) else {})

    # Workflows

    def workflows(self, q: str | None = None, name: str | None = None) -> Pages[Workflow]:
        """Return the workflows that may be launched.

        Args:
            q: Text in the id, the name or the description.
            name: Exactly this name.
        """
        params = {key: value for key, value in (("q", q), ("name", name)) if value is not None}

        def first() -> Page:
            raw = self.mapping("/workflows", params)
            return Page(raw, _items(raw, "workflows"), None)

        def make(raw: Any) -> Workflow:
            info = WorkflowInfo.read(raw)
            return Workflow(self, info.id, info)

        return Pages(first, make, lambda workflow: f"{workflow.info.orchestrator}/{workflow.id}")

    def workflow(self, reference: str, orchestrator: str | None = None) -> Workflow:
        """Return a workflow by its id or name; the service is asked once it is needed.

        Args:
            reference: Its id or name.
            orchestrator: Where it is looked for; everywhere unless given.
        """
        return Workflow(self, reference, orchestrator=orchestrator)

    def upload(
        self, definition: str | bytes, *, replace: str | None = None, media_type: str = _YAML
    ) -> WorkflowInfo:
        """Upload a definition of a workflow.

        Args:
            definition: Its text.
            replace: Id of the workflow in whose place it comes; a new one unless given.
            media_type: ``application/yaml`` or ``application/json``.

        Raises:
            InvalidInput: There are faults in it; ``fields`` says which.
            Conflict: There is one of its id.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        data = definition.encode() if isinstance(definition, str) else definition
        method, path = "POST", "/workflows"
        if replace is not None:
            method, path = "PUT", f"{path}/{segment(replace)}"
        answer = self.request(
            method, path, data=data, headers={"Content-Type": media_type}, told=True
        )
        return WorkflowInfo.read(answer.json())

    def check_definition(self, definition: str | bytes, *, media_type: str = _YAML) -> WorkflowInfo:
        """Have the definition of a workflow checked, of which nothing is kept.

        Args:
            definition: Its text.
            media_type: ``application/yaml`` or ``application/json``.

        Returns:
            The workflow that it would be.

        Raises:
            InvalidInput: There are faults in it; ``fields`` says which.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        data = definition.encode() if isinstance(definition, str) else definition
        answer = self.request(
            "POST", "/definitions/check", data=data, headers={"Content-Type": media_type},
            repeat=Repeat.ALWAYS, told=True,
        )  # fmt: skip
        return WorkflowInfo.read(answer.json())

    def delete_workflow(self, reference: str) -> None:
        """Remove the definition of a workflow; executions of it go on.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        self.settle("DELETE", f"/workflows/{segment(reference)}")

    def definition(self, reference: str, version: int | None = None) -> Definition:
        """Return the definition of a workflow, exactly as it was uploaded.

        Args:
            reference: Id or name of the workflow.
            version: Number of a version; what is offered now unless given.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        path = f"/workflows/{segment(reference)}/definition"
        params = {} if version is None else {"version": version}
        answer = self.request("GET", path, params=params, accept=f"{_YAML}, {JSON}", told=True)
        return Definition(answer.text, answer.media_type)

    def definition_versions(self, reference: str) -> tuple[DefinitionVersion, ...]:
        """Return the versions of a definition that are kept, the newest first.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        raw = self.mapping(f"/workflows/{segment(reference)}/versions")
        return tuple(DefinitionVersion.read(each) for each in _items(raw, "versions"))

    # Executions

    def executions(
        self,
        *,
        workflow: str | None = None,
        status: str | Iterable[str] = (),
        state: str | Iterable[str] = (),
        owner: str | Iterable[str] = (),
        continues: str | None = None,
        name: str | None = None,
        label: str | Iterable[str] = (),
        since: str | datetime | None = None,
        page_size: int = 100,
        **more: Any,
    ) -> Pages[Execution]:
        """Return executions, newest first.

        Args:
            workflow: Only of this workflow, by id or name.
            status: Only those that show one of these.
            state: Only those of one of these exact words.
            owner: Only of these users, ``@me`` for oneself; operators see all.
            continues: Only those that go on from this one.
            name: Only those that their owner calls so.
            label: Only those with all of these, as ``key=value`` or the key alone.
            since: Only those that were launched since then: a moment, or how long ago (``2h``).
            page_size: How many are asked for at a time.
            more: Other filters of the service, by their names.
        """
        params = {
            "workflow": workflow, "status": _words(status), "state": _words(state),
            "owner": _words(owner, str), "continues": continues, "name": name,
            "label": _words(label, str),
            "since": since.astimezone().isoformat() if isinstance(since, datetime) else since,
            **more, "page_size": page_size,
        }  # fmt: skip
        sent = {key: value for key, value in params.items() if value not in (None, [], ())}

        def turn(number: int) -> Page:
            raw = self.mapping("/executions", {**sent, "page": number})
            more = raw.get("next") is not None
            following = (lambda: turn(number + 1)) if more else None
            total = raw.get("total")
            return Page(raw, _items(raw, "executions"), following,
                        total if isinstance(total, int) else None)  # fmt: skip

        return Pages(lambda: turn(1), partial(made, self), lambda execution: execution.id)

    def execution(self, id: str) -> Execution:  # noqa: A002
        """Ask for an execution.

        Raises:
            NotFound: There is none of this id, or not any more.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        return Execution(self, id).refresh()

    def events(self) -> Events:
        """Follow the statuses of all executions that may be seen, for as long as it is read."""
        return Events(self.transport)

    # Keys

    def ssh_keys(self) -> tuple[SshKey, ...]:
        """Return one's SSH keys, newest first.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        return tuple(map(SshKey.read, _items(self.mapping("/ssh_keys"), "ssh_keys")))

    def create_ssh_key(
        self, metadata: Mapping[str, Any] | None = None, algorithm: str | None = None
    ) -> CreatedSshKey:
        """Make an SSH key; its whole id is not shown again.

        Args:
            metadata: One's own words.
            algorithm: Such as ``ed25519``; what the service prefers unless given.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        body: dict[str, Any] = {"metadata": dict(metadata or {})}
        if algorithm is not None:
            body["algorithm"] = algorithm
        return CreatedSshKey.read(self.request("POST", "/ssh_keys", json=body, told=True).json())

    def test_ssh_key(self, id: str, orchestrator: str | None = None) -> Mapping[str, Any]:  # noqa: A002
        """Find out whether an SSH key logs in to a cluster.

        Args:
            id: Of the key, or the characters of it that lists show.
            orchestrator: Name of the cluster; that of the key's metadata unless given.

        Returns:
            ``logs_in``, and else ``reason`` and ``message``.

        Raises:
            SlipwayError: The service refuses, cannot be reached, or could not try it.
        """
        return self._carried_out(f"/ssh_keys/{segment(id)}/test", orchestrator)

    def rotate_ssh_key(self, id: str, orchestrator: str | None = None) -> Mapping[str, Any]:  # noqa: A002
        """Have a new SSH key take the place of one, once it logs in; call it twice.

        Args:
            id: Of the key, or the characters of it that lists show.
            orchestrator: Where the new one is tried, as for :meth:`test_ssh_key`.

        Returns:
            ``state``, which is ``PREPARED`` or ``ROTATED``, and ``authorized_keys`` of the new key.

        Raises:
            SlipwayError: The service refuses, cannot be reached, or could not try it.
        """
        return self._carried_out(f"/ssh_keys/{segment(id)}/rotate", orchestrator)

    def _carried_out(self, path: str, orchestrator: str | None) -> Mapping[str, Any]:
        """Ask for what a conductor does, wait for its end, and return what came of it."""
        body = {} if orchestrator is None else {"orchestrator": orchestrator}
        answer = self.request("POST", path, json=body, told=True, wait=_OPERATION_SECONDS)
        return self._outcome(answer.json())

    def _outcome(self, found: Any) -> Mapping[str, Any]:
        """Wait for the end of an operation, and return what came of it."""
        while isinstance(found, Mapping) and found.get("state") in ("WAITING", "RUNNING"):
            place = f"/operations/{segment(str(found.get('id')))}"
            found = self.request(
                "GET",
                place,
                params={"wait": f"{_OPERATION_SECONDS:g}s"},
                told=True,
                wait=_OPERATION_SECONDS,
            ).json()
        if not isinstance(found, Mapping):
            raise NotOurs(f"{self.url} answers with JSON that is no object; that is not Slipway.")
        if found.get("state") != "DONE":
            raise SlipwayError(str(found.get("error") or "It was not carried out."))
        result = found.get("result")
        return result if isinstance(result, Mapping) else {}

    def revoke_ssh_key(self, id: str) -> None:  # noqa: A002
        """Revoke an SSH key, by its id or the characters of it that lists show.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        self.settle("DELETE", f"/ssh_keys/{segment(id)}")

    def api_keys(self, *, owner: str | None = None, everybody: bool = False) -> Pages[ApiKey]:
        """Return API keys, newest first.

        Args:
            owner: Whose; one's own unless given.
            everybody: Those of all, for who manages users.
        """
        filters = {"owner": owner, "all": "true" if everybody else None}
        sent = {key: value for key, value in filters.items() if value is not None}

        def turn(cursor: str | None) -> Page:
            raw = self.mapping("/api_keys", {**sent, **({"cursor": cursor} if cursor else {})})
            following = raw.get("next")
            more = (lambda: turn(following)) if isinstance(following, str) else None
            return Page(raw, _items(raw, "api_keys"), more)

        return Pages(lambda: turn(None), ApiKey.read, lambda key: key.id)

    def create_api_key(
        self,
        name: str,
        *,
        expires_in: str | None = None,
        roles: Iterable[str] | None = None,
        scopes: Iterable[str] | None = None,
    ) -> CreatedApiKey:
        """Make an API key; the key itself is shown only now.

        Args:
            name: What it is called.
            expires_in: Until it ends, such as ``720h``; as long as the service allows unless given.
            roles: What it may do; all that one may oneself unless given.
            scopes: What it is restricted to, such as ``executions:read``.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        body: dict[str, Any] = {"name": name}
        if expires_in is not None:
            body["expires_in"] = expires_in
        if roles is not None:
            body["roles"] = list(roles)
        if scopes is not None:
            body["scopes"] = list(scopes)
        return CreatedApiKey.read(self.request("POST", "/api_keys", json=body, told=True).json())

    def revoke_api_key(self, id: str) -> None:  # noqa: A002
        """Revoke an API key, by its id or its first 8 characters.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        self.settle("DELETE", f"/api_keys/{segment(id)}")

    # The service, and oneself

    def nodes(self) -> tuple[Node, ...]:
        """Return where work runs, those that are away among them.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        return tuple(map(Node.read, _items(self.mapping("/nodes"), "nodes")))

    def node(self, id: str) -> Node:  # noqa: A002
        """Return one node.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        return Node.read(self.mapping(f"/nodes/{segment(id)}"))

    def drain(self, node: str) -> None:
        """Let a node have no new work; what it has begun goes on.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        self._change_node(node, "drain")

    def undrain(self, node: str) -> None:
        """Let a node have new work again.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        self._change_node(node, "undrain")

    def _change_node(self, node: str, verb: str) -> None:
        answer = self.request(
            "POST", f"/nodes/{segment(node)}/{verb}", repeat=Repeat.ALWAYS, wait=_OPERATION_SECONDS
        )
        if answer.status != HTTPStatus.NO_CONTENT:
            self._outcome(answer.json())

    def orchestrators(self) -> tuple[Orchestrator, ...]:
        """Return what runs workflows, in the order of the settings.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        found = _items(self.mapping("/orchestrators"), "orchestrators")
        return tuple(map(Orchestrator.read, found))

    def check(self, orchestrator: str) -> tuple[Check, ...]:
        """Have all looked at that an orchestrator needs; it may take two minutes.

        Raises:
            SlipwayError: The service refuses, cannot be reached, or could not look.
        """
        path = f"/orchestrators/{segment(orchestrator)}/check"
        answer = self.request(
            "POST", path, repeat=Repeat.ALWAYS, told=True, wait=_OPERATION_SECONDS
        )
        return tuple(map(Check.read, _items(self._outcome(answer.json()), "checks")))

    def whoami(self) -> Identity:
        """Return who one is for the service.

        Raises:
            NotSignedIn: Nobody.
            SlipwayError: The service refuses otherwise, or cannot be reached.
        """
        return Identity.read(self.mapping("/auth/identity"))

    def change_password(self, old: str, new: str) -> None:
        """Change one's own password; what one signed in with before is worth nothing then.

        Raises:
            SlipwayError: The service refuses, or cannot be reached.
        """
        body = {"old_password": old, "new_password": new}
        self.request("PUT", "/users/me/password", json=body, repeat=Repeat.UNSENT)

    def version(self) -> Version:
        """Return which program the service is.

        Raises:
            SlipwayError: The service cannot be reached, or is none.
        """
        return Version.read(self.mapping("/version"))

    def ready(self) -> Ready:
        """Return whether the service can do its work, and what is missing.

        Raises:
            SlipwayError: The service cannot be reached, or is none.
        """
        return Ready.read(self.request("GET", "/ready", statuses=(503,), told=True).json())


def _words(given: str | Iterable[str], kind: type[str] = Status) -> list[str]:
    several = [given] if isinstance(given, str) else given
    return [str(kind(each)) for each in several]


def _items(raw: Mapping[str, Any], name: str) -> list[Any]:
    items = raw.get(name)
    if not isinstance(items, list):
        raise NotOurs(f"The service answers without a list {name!r}; is it Slipway?")
    return items
