"""What a web process is made of, besides what :mod:`app.assembly` knows of all processes."""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from app.assembly import DIALECTS, embedded_keys, import_dialect, make_sealing
from app.clients.key_store import KeyStore
from app.clients.orchestrator import Context, bound_to_node, with_files
from app.clients.registry import create_orchestrators
from app.concurrency import make_pool
from app.domain import Role
from app.identity import port as identity_port
from app.identity.key_directory import ApiKeyDirectory
from app.identity.registry import create_authenticators
from app.identity.session_directory import SessionDirectory
from app.identity.users import UserDirectory
from app.isolation import Isolated
from app.metrics import Metrics
from app.observability import client_address, redact, request_id
from app.resources._access_log import AccessLog
from app.resources._audit import audit_request, current_origin
from app.resources._browsers import browser_guard, keep_here, leads_away
from app.resources._context import EXTENSION
from app.resources._dialects import Dialects
from app.resources._every_answer import EveryAnswer
from app.resources._flask import LeanFlask
from app.resources._limits import tell_standings
from app.resources._proxies import TrustedProxies, place_below
from app.resources._query_keys import WithoutQueryKeys
from app.services.access import Access
from app.services.adoption import AdoptionService
from app.services.api_keys import ApiKeyService
from app.services.audit import Audit
from app.services.bundle import Services
from app.services.choices import ChoiceService
from app.services.clusters import clusters_of
from app.services.comparing import ComparisonService
from app.services.definition_texts import SECONDS as COMPARING_SECONDS
from app.services.definition_texts import DefinitionTexts
from app.services.digest import DigestService
from app.services.disk_figures import DiskFigures
from app.services.events import EventService
from app.services.execution_figures import ExecutionFigures
from app.services.executions import ExecutionService
from app.services.follow import FollowService
from app.services.follow_notes import FollowNotes
from app.services.graphs import GraphService
from app.services.health import HealthService
from app.services.inputs import SECONDS, InputChecker
from app.services.key_requests import KeyRequests
from app.services.launching import LaunchService
from app.services.load_figures import LoadFigures
from app.services.load_metrics import LoadMetricsService
from app.services.log_search import LogSearch
from app.services.logs import LogService
from app.services.nodes import NodeService
from app.services.numbers import NumberChecker
from app.services.operations import OperationService
from app.services.orchestrators import OrchestratorService
from app.services.places import Places
from app.services.purging import PurgeService
from app.services.rate_limits import RateLimits
from app.services.reads import ExecutionReads
from app.services.repeats import Repeats
from app.services.sampling import Sampler
from app.services.sessions import SessionService
from app.services.slave_hub import SlaveHub
from app.services.ssh_keys import SshKeyService
from app.services.standing import StandingService
from app.services.standing_follow import StandingFollowService
from app.services.steering import SteeringService
from app.services.stretches import Stretches
from app.services.submissions import SubmissionService
from app.services.submitted import SubmittedService
from app.services.support import SupportService
from app.services.system import SystemService
from app.services.tallies import Tallies
from app.services.tasks import TaskService
from app.services.tickets import TicketService
from app.services.tokens import TokenService
from app.services.topics import TopicService
from app.services.turns import Turns
from app.services.users import HASHING_THREADS, UserService
from app.services.workflows import WorkflowService
from app.settings import Allowances, Settings
from app.store.api_keys import ApiKeys
from app.store.audit import AuditLog
from app.store.changes import Changes
from app.store.conductors import Conductors
from app.store.database import Database
from app.store.definitions import DefinitionSnapshots
from app.store.disk import DiskUsage
from app.store.ends import EndsTold
from app.store.executions import Executions
from app.store.figures import Figures
from app.store.journal import Journal
from app.store.keys import SshKeys
from app.store.launches import Launches
from app.store.operations import Operations
from app.store.overview import Overview
from app.store.purging import Purging
from app.store.sessions import Sessions
from app.store.signing_keys import SigningKeys
from app.store.standing import StandingWorkflows
from app.store.standings import ExecutionStandings
from app.store.steering import SteeredExecutions
from app.store.stranded import StrandedExecutions
from app.store.tickets import Tickets
from app.store.users import Users
from app.windows import MemoryWindows

if TYPE_CHECKING:
    from app.clients.shared_windows import SharedWindows

_CHECKING_PROCESSES = 2
_COMPARING_PROCESSES = 1
_KEY_THREADS = 1
_REQUEST_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:=+/@-]{0,63}")
"""What a client may call its request: UUIDs, and what proxies and tracers make up."""


@dataclass(frozen=True, slots=True)
class Web:
    """What a web process is made of.

    Attributes:
        app: The WSGI application.
        dialects: Answers the requests that the server does not pass on to the application.
        changes: Wakes its readers; to be started before, and closed after, requests are served.
        audit: Who did what.
        shared: The counters that several processes share; None where each has its own.
        slaves: The slaves that are connected; None where nothing has work for any.
        sampler: Writes down what is counted; to be started where requests are served.
    """

    app: Flask
    dialects: Dialects
    changes: Changes
    database: Database
    key_store: KeyStore
    metrics: Metrics
    audit: Audit
    shared: SharedWindows | None
    slaves: SlaveHub | None
    sampler: Sampler

    def release(self) -> None:
        """Have every held request answer what it has, and slaves go to another process."""
        if self.slaves is not None:
            self.slaves.close()
        self.changes.close()

    def close(self) -> None:
        """End what runs beside the requests, when the last of them was served."""
        self.audit.close()
        self.sampler.close()
        self.key_store.stop()
        if self.shared is not None:
            self.shared.close()


def create_app(settings: Settings) -> Flask:
    """Build the WSGI application, ready to serve.

    The process must be patched by gevent, or the server must give each request a thread.
    """
    web = create_web(settings)
    web.changes.start()
    return web.app


def create_web(settings: Settings, *, share: int = 1, slave_key_digest: str | None = None) -> Web:
    """Build a web process; nothing of it runs yet.

    Args:
        settings: The settings.
        share: Number of web processes that share out the limits which each counts for itself.
        slave_key_digest: Of the key of the slave that the service starts itself, if it does.
    """
    database = Database(
        settings.database_url, settings.database.pool_size, settings.database.timeout
    )
    changes = Changes(database)
    app = _flask(settings)
    key_store = _key_store(settings, database)
    metrics = Metrics()
    shared = _shared_windows(settings, metrics)
    services = _services(
        settings, database, changes, key_store, metrics=metrics, shared=shared, share=share,
        slave_key_digest=slave_key_digest,
    )  # fmt: skip
    app.extensions[EXTENSION] = services
    app.after_request(_finisher(services))
    always = EveryAnswer(settings.api)
    app.before_request(always.of_all)
    app.before_request(always.preflight)
    app.after_request(always.complete)
    dialects = Dialects(
        [import_dialect(name) for name in settings.api.dialects or DIALECTS], always
    )
    dialects.mount(app)
    takes_keys = settings.api.auth.allow_query_key
    app.wsgi_app = WithoutQueryKeys(  # type: ignore[method-assign]
        app.wsgi_app, lambda path: takes_keys and dialects.takes_query_keys(path)
    )
    return Web(
        app, dialects, changes, database, key_store, metrics, services.audit, shared,
        services.slaves,
        Sampler(
            Figures(database), metrics.pulse,
            followers=lambda: changes.waiting, queue=Overview(database).waiting,
        ),
    )  # fmt: skip


def _services(
    settings: Settings,
    database: Database,
    changes: Changes,
    key_store: KeyStore,
    *,
    metrics: Metrics,
    shared: SharedWindows | None,
    share: int,
    slave_key_digest: str | None,
) -> Services:
    orchestrators = create_orchestrators(Context(settings, database))
    records, launches, steered = (
        Executions(database), Launches(database), SteeredExecutions(database),
    )  # fmt: skip
    reads, notes, turns = ExecutionReads(records, changes), FollowNotes(steered), Turns()
    stretches = Stretches(Journal(database), turns)
    tallies = Tallies(stretches)
    workflow_service = WorkflowService(orchestrators)
    isolated = Isolated(_CHECKING_PROCESSES, seconds=SECONDS)
    allowances = Allowances(settings)
    places = Places(settings.streams, metrics, most_of=lambda roles: allowances.of(roles).followers)
    users = UserDirectory(settings.api.auth.users, Users(database))
    audit = Audit(AuditLog(database), current_origin)
    api_keys = ApiKeys(database)
    api_key_directory = ApiKeyDirectory(api_keys)
    session_settings, sessions = settings.api.auth.sessions, Sessions(database)
    session_directory = SessionDirectory(sessions, session_settings.idle)
    authenticators = create_authenticators(
        identity_port.Context(settings, database, users, api_key_directory, session_directory),
        shared,
        slave_key_digest,
    )
    access = Access(orchestrators, authenticators, settings.api.auth.recheck)
    service = ExecutionService(
        records, access, AdoptionService(orchestrators, launches, access), changes,
        reads=reads,
        places=places,
        stale_after_seconds=settings.conductor.stale_after,
    )  # fmt: skip
    steering = SteeringService(orchestrators, steered, service)

    def most_open(roles: frozenset[Role]) -> int | None:
        return allowances.of(roles).running_executions

    metrics.registry.register(LoadFigures(orchestrators, records))
    standings = ExecutionStandings(database, settings.conductor.lease)
    metrics.registry.register(ExecutionFigures(standings))
    metrics.registry.register(DiskFigures(DiskUsage(database)))
    metrics.follow(metrics.waiting, lambda: changes.waiting)
    metrics.follow(metrics.key_store_token, lambda: key_store.token_ttl_seconds or 0.0)
    launching = LaunchService(
        workflow_service,
        launches,
        changes,
        places=places,
        inputs=InputChecker(isolated),
        most_open=most_open,
    )
    submissions = SubmissionService(orchestrators, launching)
    tasks = TaskService(steered, launches, known=service, steering=steering, most_open=most_open)
    follow = FollowService(
        service,
        reads,
        stretches,
        changes,
        settings.streams,
        notes=notes,
        access=access,
        tallies=tallies,
    )
    logs = LogService(
        service,
        reads,
        stretches,
        changes,
        notes=notes,
        access=access,
        places=places,
        repeats=Repeats(EndsTold(database)),
        tallies=tallies,
        settings=settings.logs,
    )
    comparing = Isolated(_COMPARING_PROCESSES, seconds=COMPARING_SECONDS)
    texts = DefinitionTexts(
        orchestrators,
        steered,
        DefinitionSnapshots(database),
        comparing,
    )
    digests = DigestService(service, logs, records, texts, access)
    load_metrics = LoadMetricsService(orchestrators, service, access, changes, reads=reads)
    standing = StandingService(
        StandingWorkflows(database), workflow_service, launching, isolated, tasks=tasks,
        is_driven=partial(Conductors(database).alive, settings.conductor.lease),
    )  # fmt: skip
    ssh_keys = SshKeyService(
        SshKeys(database),
        key_store,
        settings.ssh_keys.algorithm,
        make_pool(_KEY_THREADS, modest=True),
        _KEY_THREADS,
        most_of=lambda roles: allowances.of(roles).ssh_keys,
        max_metadata_bytes=settings.ssh_keys.max_metadata_bytes,
    )
    operations = OperationService(Operations(database), changes, places, access)
    health = HealthService(
        Conductors(database),
        StrandedExecutions(database, bound_to_node(orchestrators), settings.conductor.lease),
        orchestrators,
        key_store,
        changes,
        database=database,
        beat_seconds=settings.conductor.lease,
    )
    return Services(
        settings=settings,
        workflows=workflow_service,
        executions=service,
        launching=launching,
        submissions=submissions,
        submitted=SubmittedService(submissions, service, steering),
        load_metrics=load_metrics,
        nodes=NodeService(orchestrators, operations),
        orchestrators=OrchestratorService(orchestrators, operations),
        standing=standing,
        standing_follow=StandingFollowService(
            standing,
            records,
            follow,
            changes,
            access=access,
            heartbeat_seconds=settings.streams.heartbeat,
        ),
        steering=steering,
        purging=PurgeService(Purging(database, with_files(orchestrators)), service),
        tasks=tasks,
        logs=logs,
        log_search=LogSearch(service, stretches, tallies),
        digests=digests,
        choices=ChoiceService(orchestrators, service),
        graphs=GraphService(orchestrators, workflow_service, service, texts, comparing),
        comparisons=ComparisonService(service, logs, texts, turns),
        definition_texts=texts,
        support=SupportService(
            service, logs, digests, texts, metrics=load_metrics, settings=settings
        ),
        follow=follow,
        events=EventService(
            records,
            changes,
            turns,
            heartbeat_seconds=settings.streams.heartbeat,
            access=access,
        ),
        topics=TopicService(
            changes,
            access,
            heartbeat_seconds=settings.streams.heartbeat,
            recheck_seconds=settings.api.auth.recheck,
        ),
        places=places,
        turns=turns,
        refusals=Turns(),
        slaves=_slave_hub(settings, database, access),
        tickets=TicketService(Tickets(database), service, access, settings.streams.ticket_lifetime),
        ssh_keys=ssh_keys,
        key_requests=KeyRequests(ssh_keys, operations, clusters_of(settings)),
        health=health,
        system=SystemService(
            health,
            Overview(database),
            Figures(database),
            Conductors(database),
            executions=service,
            settings=settings,
        ),
        numbers=NumberChecker(isolated),
        operations=operations,
        authenticators=authenticators,
        access=access,
        rate_limits=RateLimits(shared or MemoryWindows(), allowances, 1 if shared else share),
        metrics=metrics,
        audit=audit,
        api_keys=ApiKeyService(
            api_keys, api_key_directory, users, settings.api.auth.options.get("api_key"), audit
        ),
        tokens=TokenService(
            SigningKeys(database),
            partial(make_sealing, settings, database),
            users,
            settings.api.auth,
            audit,
        ),
        sessions=SessionService(
            sessions,
            session_directory,
            users,
            authenticators=authenticators,
            settings=session_settings,
            audit=audit,
        ),
        users=UserService(
            Users(database),
            users,
            settings.api.auth.users,
            make_pool(HASHING_THREADS, modest=True),
            audit,
        ),
    )


def _slave_hub(settings: Settings, database: Database, access: Access) -> SlaveHub | None:
    """Make what holds slaves, where an orchestrator has work for them."""
    has_work = any(entry.type == "load" for entry in settings.orchestrators)
    if not has_work:
        return None
    load = settings.load
    return SlaveHub(
        database,
        access,
        load.lease,
        load.alone,
        allowed_networks=load.allowed_networks,
        denied_networks=load.denied_networks,
    )


def _shared_windows(settings: Settings, metrics: Metrics) -> SharedWindows | None:
    url = settings.api.rate_limit.storage
    if url is None:
        return None
    # The client of Redis is needed only where there is one.
    from app.clients.shared_windows import SharedWindows  # noqa: PLC0415

    return SharedWindows(url, metrics.tell_limits_usable)


def _key_store(settings: Settings, database: Database) -> KeyStore:
    if settings.ssh_keys.vault is not None and settings.ssh_keys.store == "vault":
        # hvac is needed only where there is a Vault server.
        from app.clients.vault import VaultKeyStore  # noqa: PLC0415

        return VaultKeyStore(settings.ssh_keys.vault)
    return embedded_keys(settings, database)


def _flask(settings: Settings) -> Flask:
    app = LeanFlask("slipway")
    if settings.api.proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=settings.api.proxies, x_proto=0, x_host=0
        )
    if settings.api.trusted_proxies:
        app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
            app.wsgi_app, settings.api.trusted_proxies
        )
    app.after_request(place_below)  # what is added later comes before it
    app.config["MAX_CONTENT_LENGTH"] = settings.api.max_body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.api.max_body_bytes
    app.url_map.strict_slashes = False  # a redirect would lose the body
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # An address with '//' in it is none of ours, and would be redirected to.
    app.url_map.merge_slashes = False
    app.before_request(_beginner())
    app.before_request(browser_guard(settings.api))
    return app


def _beginner() -> Callable[[], None]:
    """Make what runs before each request.

    No two requests have the same id: the process is told by chance, drawn here and not at the
    import, which several processes share, and the request by a number within it.
    """
    process, numbers = secrets.token_hex(8), itertools.count()

    def begin() -> None:
        given = request.headers.get("X-Request-ID", "")
        valid = _REQUEST_ID.fullmatch(given) is not None and redact(given) == given
        g.request_id = given if valid else f"{process}{next(numbers):016x}"
        g.started = time.perf_counter()
        request_id.set(g.request_id)
        client_address.set(request.remote_addr)

    return begin


def _finisher(services: Services) -> Callable[[Response], Response]:
    """Make what runs after each request."""
    metrics, audit = services.metrics, services.audit
    access_log = AccessLog(services.settings.observability.access_log)

    def end(response: Response) -> Response:
        response.headers.add("X-Request-ID", g.get("request_id", ""))
        tell_standings(response)
        method, status = request.method, response.status_code
        if 300 <= status < 400 and not leads_away():
            keep_here(response)
        metrics.count_request(method, status)
        noteworthy = method not in ("GET", "HEAD", "OPTIONS") or status >= 400
        if noteworthy:
            audit_request(audit, response)
        access_log.answered(response)
        return response

    return end
