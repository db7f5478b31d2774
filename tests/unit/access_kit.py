"""Who may do what, as a model beside the service: what each place in an address means, and to whom.

Nothing here names an endpoint. What is expected of one follows from the permission that it
declares, from the roles and scopes of who asks, and from ``PLACES``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from kit.tokens import SECRET, claims, sign
from service_kit import PASSWORDS, ROLES, Service, basic, users
from sqlalchemy import event, select, update

from app.domain import (
    CommandTask,
    Credential,
    ExecutionStatus,
    Identity,
    Observation,
    Permission,
    Role,
)
from app.identity.api_key_form import make_key
from app.identity.permissions import is_allowed
from app.identity.scopes import SCOPES, permissions_of
from app.identity.session_directory import digest_of, make_session_key
from app.identity.sessions import COOKIE
from app.resources._permissions import Declaration, declaration_of
from app.resources._session_pages import CSRF_FIELD
from app.services.api_keys import Wish
from app.services.users import UserChange
from app.store.execution_rows import now
from app.store.operations import Operations
from app.store.schema import api_keys, metadata, sessions
from app.store.sessions import Sessions
from app.store.slaves import NewSlave, Slaves

STRANGER = "eve-whom-nobody-may-see"
"""The owner of what is foreign to everybody else."""
AUTH = {
    **users(), "type": ["basic", "api_key", "jwt"], "secret": SECRET,
    "api_key": {"max_per_user": 10_000}, "sessions": {"max_per_user": 1000},
    "jwt": {"issuer": "https://issuer.example"},
}  # fmt: skip
WORKFLOW = "id: flow\nsteps:\n  - {id: first, type: script, config: {script: 'true'}}\n"

_numbers = itertools.count()
_PLACE = re.compile(r"([^/<]*)/<(?:[^:>]+:)?(\w+)>")


@dataclass(frozen=True)
class Place:
    """What stands in one place of an address.

    Attributes:
        make: Makes one that belongs to somebody, and returns the words that name it.
        unknown: As many words that name nothing.
        permission: What lets people see those of others; None where nothing does.
        shared: They belong to nobody: who may call the endpoint sees them all.
        first: Whether there is one is looked at before whether the caller may do this to it.
    """

    make: Callable[[Service, str], tuple[str, ...]]
    unknown: tuple[str, ...]
    permission: Permission | None = None
    shared: bool = False
    first: bool = False

    def is_seen(self, who: Who, owner: str) -> bool:
        """Whether somebody may know of one."""
        if self.shared or owner == who.username:
            return True
        return self.permission is not None and who.may(self.permission)


@dataclass(frozen=True)
class Who:
    """Somebody who sends requests.

    Attributes:
        headers: With what.
        identity: Whom they turn out to be; None for nobody who is let in.
        is_unfit: Whether their credential is not for an endpoint, whatever their roles allow.
        anew: Makes the headers again, where that with which they are sent may have ended.
    """

    name: str
    headers: Mapping[str, str]
    identity: Identity | None = None
    is_unfit: Callable[[Endpoint], bool] = lambda _: False
    anew: Callable[[], Mapping[str, str]] | None = None

    @property
    def username(self) -> str | None:
        return None if self.identity is None else self.identity.username

    def may(self, permission: Permission) -> bool:
        return self.identity is not None and is_allowed(self.identity, permission)

    def is_narrow_for(self, declared: Declaration) -> bool:
        """Whether their credential keeps them from what their roles give."""
        held, needed = self.identity, declared.permission
        return bool(needed and held and not self.may(needed)
                    and is_allowed(Identity(held.username, held.roles), needed))  # fmt: skip

    @property
    def sees_others(self) -> bool:
        """Whether there is anything that shows them what others have."""
        return any(map(self.may, (Permission.EXECUTIONS_ALL, Permission.USERS_MANAGE,
                                  Permission.AUDIT_READ)))  # fmt: skip


@dataclass(frozen=True)
class Endpoint:
    """One method at one address.

    Attributes:
        place: By what name ``PLACES`` knows what it is about; None where it names nothing.
    """

    method: str
    rule: str
    declared: Declaration
    place: str | None

    @property
    def is_page(self) -> bool:
        """Whether it answers people and not programs."""
        return self.rule.startswith("/ui/")

    @property
    def tells_owners(self) -> bool:
        """Whether it tells who uploaded a definition, as it does to all who may upload some."""
        return self.rule == "/ui/definitions"

    def fill(self, word: str) -> str:
        """Put a word into the place of the address, and something into those within it."""

        def put(match: re.Match[str]) -> str:
            return f"{match[1]}/{PARTS.get(_name(match)) or word}"

        return _PLACE.sub(put, self.rule)


def _ended_execution(service: Service, owner: str) -> tuple[str, ...]:
    execution = service.add_execution(owner)
    service.record(execution, Observation(ExecutionStatus.SUCCESS, cursor=None, log_complete=True))
    return execution.id, execution.awf_name


def _load_execution(service: Service, owner: str) -> tuple[str, ...]:
    exec_id = f"exec-{next(_numbers):012x}"
    execution = service.add_execution(
        owner, accepted=False, reference={"definition": "none"}, orchestrator="load",
        upstream_id=exec_id, workflow_id=f"load-of-{exec_id}",
    )  # fmt: skip
    service.record(execution, Observation(ExecutionStatus.SUCCESS, cursor=None, log_complete=True))
    return exec_id, execution.id, execution.awf_name


def _load_workflow(service: Service, owner: str) -> tuple[str, ...]:
    return (f"load-of-{_load_execution(service, owner)[0]}",)


def _slave(service: Service, _: str) -> tuple[str, ...]:
    name = f"slave-{next(_numbers)}"
    new = NewSlave(
        id=name, type="worker", address="", capabilities=(), labels={}, cpu_cores=1, memory_mb=1,
        max_vus=1, incarnation=name, connection=name,
    )  # fmt: skip
    Slaves(service.web.database).register(new, 5.0)
    return (name,)


def _ssh_key(service: Service, owner: str) -> tuple[str, ...]:
    return (service.services.ssh_keys.create({}, Identity(owner, frozenset()))[0],)


def _operation(service: Service, owner: str) -> tuple[str, ...]:
    subject = f"thing-{next(_numbers)}"
    operations = Operations(service.web.database)
    return (operations.file("test", owner, subject, {}, most=1000).id,)


def _api_key(service: Service, owner: str) -> tuple[str, ...]:
    return (new_key(service, owner)[1],)


def _session(service: Service, owner: str) -> tuple[str, ...]:
    whole = Identity(owner, frozenset(), credential=Credential("basic", owner))
    service.services.sessions.begin(whole, None, None)
    return (Sessions(service.web.database).of_user(owner)[0].id,)


def _user(service: Service, _: str) -> tuple[str, ...]:
    username = f"made-{next(_numbers)}"
    service.services.users.add(username, {Role.USER}, None)
    return (username,)


def _workflow(service: Service, _: str) -> tuple[str, ...]:
    (service.settings.workflows_dir / "flow.yaml").write_text(WORKFLOW, encoding="utf-8")
    return ("flow",)


def _standing(service: Service, owner: str) -> tuple[str, ...]:
    name = f"standing-{next(_numbers)}"
    maker = Identity(owner, frozenset({Role.DEVELOPER}))
    service.services.standing.create(name, None, [CommandTask("first", "true")], maker)
    return (name,)


def _orchestrator(service: Service, owner: str) -> tuple[str, ...]:
    return (service.services.settings.orchestrators[0].name,)


PLACES: Mapping[str, Place] = {
    "executions/execution_id": Place(
        _ended_execution,
        ("00000000-0000-4000-8000-999999999999", "flow-20231209-143022"),
        Permission.EXECUTIONS_ALL,
        first=True,
    ),
    "v1:executions/execution_id": Place(
        _load_execution,
        ("exec-999999999999", "00000000-0000-4000-8000-999999999998", "flow-20231209-143023"),
        Permission.EXECUTIONS_ALL,
        first=True,
    ),
    "workflows/workflow_id": Place(_load_workflow, ("no-such-load",), Permission.EXECUTIONS_ALL),
    "slaves/slave_id": Place(_slave, ("no-such-slave",), shared=True),
    "ssh_keys/key_id": Place(_ssh_key, ("unknown-unknown-unknown-unknown",)),
    "keys/key_id": Place(_ssh_key, ("unknown-unknown-unknown-unknown",)),
    "api_keys/key_id": Place(_api_key, ("0123456789abcdef",), Permission.USERS_MANAGE),
    "operations/operation_id": Place(_operation, (f"op-{0:032x}",)),
    "sessions/session_id": Place(_session, ("0123456789abcdef",), Permission.USERS_MANAGE),
    "users/username": Place(_user, ("nobody-of-that-name",), shared=True),
    "workflows/workflow_name": Place(_standing, ("no-such-workflow",), Permission.EXECUTIONS_ALL),
    "workers/workflow_name": Place(_standing, ("no-such-workflow",), Permission.EXECUTIONS_ALL),
    "nodes/node_id": Place(_slave, ("no-such-node",), shared=True),
    "orchestrators/orchestrator": Place(_orchestrator, ("no-such-orchestrator",), shared=True),
    "workflows/reference": Place(_workflow, ("no-such-workflow",), shared=True),
    "definitions/reference": Place(_workflow, ("no-such-workflow",), shared=True),
}
"""What stands in the places of addresses, by what they are a part of; whoever adds one says here
who may know of it."""

BODIES = {"scale": {"target_vus": 1}}
"""Bodies without which there is nothing to refuse but the body, by the end of an address."""

PARTS = {
    "diff/other_id": None,
    "compare/other_id": None,
    "tasks/name": "first",
    "/worker_name": "first",
    "assets/name": "swagger-ui.css",
    "assets/asked": "0123456789ab",
    "/name": "css/slipway.css",
}
"""What stands in places that mean something only within what the address names before, or that are
of the service itself; None for the same as before."""


def _name(match: re.Match[str]) -> str:
    return f"{match[1]}/{match[2]}"


def endpoints(service: Service) -> Iterator[Endpoint]:
    """Every method at every address of every dialect.

    Raises:
        AssertionError: Nobody has said yet what stands in a place of an address.
    """
    for rule in service.web.app.url_map.iter_rules():
        declared = declaration_of(service.web.app.view_functions[rule.endpoint])
        names = [_name(match) for match in _PLACE.finditer(rule.rule)]
        if rule.rule.startswith("/api/v1/"):  # where an address may mean something else
            names = [f"v1:{name}" if f"v1:{name}" in PLACES else name for name in names]
        assert {*names} <= {*PLACES, *PARTS}, f"say in PLACES what stands in {rule.rule}"
        (place,) = [name for name in names if name in PLACES] or [None]
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield Endpoint(method, rule.rule, declared, place)


class Things:
    """What stands in places, made once for each owner, and again when it was used up."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._made: dict[tuple[str, str], tuple[str, ...]] = {}
        self._rows: dict[str, list[list[str]]] = {}
        event.listen(service.web.database.engine(), "before_cursor_execute", self._forget)

    def of(self, name: str, owner: str) -> tuple[str, ...]:
        made = self._made.get((name, owner))
        if made is None:
            made = self._made[name, owner] = PLACES[name].make(self._service, owner)
        return made

    def used_up(self, name: str, owner: str) -> None:
        """Note that one may be gone, or another than it was."""
        self._made.pop((name, owner), None)

    def _forget(self, connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if not statement.startswith("SELECT"):
            self._rows.clear()

    def rows(self, owner: str) -> list[list[str]]:
        """All that the store holds of somebody, in whichever order it is read.

        It is read again when something has been written.
        """
        if owner not in self._rows:
            self._rows[owner] = self._read(owner)
        return self._rows[owner]

    def _read(self, owner: str) -> list[list[str]]:
        statements = [
            select(*(column for column in table.columns if column.name != "last_used_at"))
            .where(table.c[name] == owner)
            for table in metadata.tables.values() for name in ("owner", "username")
            if name in table.c
        ]  # fmt: skip
        with self._service.web.database.read() as store:
            return [sorted(map(repr, store.execute(each))) for each in statements]


def new_key(service: Service, owner: str, **wish: Any) -> tuple[str, str]:
    """Make an API key of somebody; return it with its id."""
    held = Identity(owner, frozenset({*map(Role, ROLES.get(owner, ["user"]))}))
    identity = replace(held, credential=Credential("basic", owner))
    key, stored = service.services.api_keys.create(Wish("made", **wish), identity)
    return key, stored.id


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def new_token(service: Service, headers: Mapping[str, str], **wish: Any) -> dict[str, str]:
    """Get a token of the service's own by a credential; return what is sent with it."""
    got = service.client.post("/auth/token", headers=headers, json=wish)
    assert got.status_code == 200, got.text
    return bearer(got.json["access_token"])


def new_session(service: Service, headers: Mapping[str, str]) -> dict[str, str]:
    """Sign in by a credential; return what a page of the service sends then."""
    begun = service.client.post("/auth/session", headers=headers)
    assert begun.status_code == 201, begun.text
    cookie = begun.headers["Set-Cookie"].partition(";")[0]
    return {"Cookie": cookie, CSRF_FIELD: begun.json["csrf_token"]}


def makes_tokens(endpoint: Endpoint) -> bool:
    """Whether it gives tokens, which are not got with a token."""
    return endpoint.rule == "/auth/token"


def makes_changes(endpoint: Endpoint) -> bool:
    """Whether browsers may ask for it only by pages of the service that know the session.

    Who signs in has none yet; there, where the page is from is told by the browser alone.
    """
    return endpoint.method != "GET" and endpoint.rule != "/ui/sign-in"


def ends_session(endpoint: Endpoint) -> bool:
    """Whether whoever asks for it has no session any more, or perhaps none of them all."""
    ending = {
        ("DELETE", "/auth/session"), ("POST", "/ui/sign-out"), ("DELETE", "/sessions"),
        ("POST", "/ui/account/sessions/end"),
    }  # fmt: skip
    return (endpoint.method, endpoint.rule) in ending


def people(service: Service) -> Iterator[Who]:
    """Everybody who may send requests, whose credential is the same for all endpoints."""
    yield Who("nobody", {})
    yield Who("wrong password", basic("ada", "wrong"))
    yield Who("wrong name", basic("nobody-of-that-name", "wrong"))
    yield Who("wrong key", bearer(make_key()))
    yield Who("wrong token", bearer(sign(claims(), "another secret, of more than 32 bytes too")))
    for name in ("ada", "dev", "ops", "root"):
        yield Who(f"{name}'s password", basic(name, PASSWORDS[name]), _identity(name))
        key = new_key(service, name)[0]
        yield Who(f"{name}'s key", {"X-API-Key": key}, _identity(name))
        own = new_token(service, basic(name, PASSWORDS[name]))
        yield Who(f"{name}'s own token", own, _identity(name), makes_tokens)
        begin = partial(new_session, service, basic(name, PASSWORDS[name]))
        yield Who(f"{name}'s session", begin(), _identity(name), anew=begin)

    def foreign() -> dict[str, str]:
        return {"Cookie": new_session(service, basic("root", PASSWORDS["root"]))["Cookie"]}

    root = _identity("root")
    yield Who("page of others in an admin's session", foreign(), root, makes_changes, foreign)
    lesser = new_key(service, "root", roles=[Role.USER])[0]
    yield Who("key of an admin with the role of a user", bearer(lesser), _as("root", "user"))
    for name, make in (("session", new_session), ("own token", new_token)):
        anew = partial(make, service, bearer(lesser))
        is_unfit = makes_tokens if name == "own token" else lambda _: False
        yield Who(f"{name} begun with that key", anew(), _as("root", "user"), is_unfit, anew)
    token = sign(claims(sub="jane", roles=["developer"]))
    yield Who("token", bearer(token), _as("jane", "developer"))
    yield from _ended(service)


def narrow(service: Service, declared: Declaration) -> Iterator[Who]:
    """An admin with credentials that let through all but one permission, and only that one."""
    if declared.permission is None:
        return
    fitting = [word for word, through in SCOPES.items() if declared.permission in through]
    for name, words in (
        ("all scopes but the fitting ones", [word for word in SCOPES if word not in fitting]),
        ("the narrowest fitting scope", [min(fitting, key=lambda word: len(SCOPES[word]))]),
    ):
        if not words:  # every scope lets it through
            continue
        identity = _as("root", "admin", words)
        key = bearer(new_key(service, "root", scopes=words)[0])
        yield Who(f"key with {name}", key, identity)
        own = new_token(service, basic("root", PASSWORDS["root"]), scope=" ".join(words))
        yield Who(f"own token with {name}", own, identity, makes_tokens)
        token = sign(claims(sub="jane", roles=["admin"], scope=" ".join(words)))
        yield Who(f"token with {name}", bearer(token), _as("jane", "admin", words))


def _ended(service: Service) -> Iterator[Who]:
    """Credentials that were good once."""
    yield Who("expired token", bearer(sign(claims(exp=1))))
    key, id_ = new_key(service, "root")
    past = update(api_keys).values(expires_at=now() - timedelta(seconds=1))
    service.web.database.write(lambda store: store.execute(past.where(api_keys.c.id == id_)))
    yield Who("expired key", bearer(key))
    key, id_ = new_key(service, "root")
    begun = {"session": new_session(service, bearer(key)), "token": new_token(service, bearer(key))}
    service.services.api_keys.revoke(id_, _identity("root"))
    yield Who("revoked key", bearer(key))
    for name, headers in begun.items():
        yield Who(f"{name} begun with a revoked key", headers)
    root = basic("root", PASSWORDS["root"])
    out = new_session(service, root)
    client = service.web.app.test_client(use_cookies=False)
    assert client.delete("/auth/session", headers=out).status_code == 200
    yield Who("session that was signed out", out)
    over = new_session(service, root)
    digest = digest_of(over["Cookie"].partition("=")[2])
    ended = update(sessions).values(expires_at=now() - timedelta(seconds=1))
    service.web.database.write(
        lambda store: store.execute(ended.where(sessions.c.digest == digest))
    )
    yield Who("session that is over", over)
    yield Who("session that never was", {"Cookie": f"{COOKIE}={make_session_key()}"})
    manage = service.services.users
    for name, end in (
        ("disabled", lambda: manage.change("disabled", UserChange(disabled=True))),
        ("removed", lambda: manage.remove("removed")),
    ):
        service.services.users.add(name, {Role.ADMIN}, "a password of theirs")
        password = basic(name, "a password of theirs")
        held = {
            "password": password, "key": bearer(new_key(service, name)[0]),
            "session": new_session(service, password), "own token": new_token(service, password),
        }  # fmt: skip
        end()
        for kind, headers in held.items():
            yield Who(f"{kind} of {name}", headers)
    yield Who("token of disabled", bearer(sign(claims(sub="disabled", roles=["admin"]))))


def _identity(name: str) -> Identity:
    return Identity(name, frozenset(map(Role, ROLES[name])))


def _as(name: str, role: str, scopes: list[str] | None = None) -> Identity:
    held = None if scopes is None else permissions_of(scopes)
    return Identity(name, frozenset({Role(role)}), held)
