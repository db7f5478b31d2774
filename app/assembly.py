"""What processes are made of; :mod:`app.factory` knows what a web process has besides.

Nothing here imports HTTP, so that the other processes stay small.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from app.clients.embedded_keys import EmbeddedKeyStore
from app.clients.key_store import KeyStore
from app.clients.master_key import load_master_key
from app.clients.opener_link import EmbeddedPrivateKeys, MasterKeyPlace
from app.clients.orchestrator import Context, Orchestrator, bound_to_node, with_files
from app.clients.registry import create_orchestrators, options_class
from app.clients.sealing import Sealing
from app.clients.stored_key_reader import PrivateKeys, StoredKeyReader
from app.concurrency import make_pool
from app.conductor import Conductor, connections_for, this_node
from app.engine.compiled import make_compiler
from app.engine.importing import DefinitionImporter
from app.engine.launchers.run_as import find_account
from app.errors import ConfigError, UpstreamRefused
from app.housekeeping import Housekeeping, Machine
from app.identity.key_directory import ApiKeyDirectory
from app.identity.registry import authenticator_class
from app.identity.users import UserDirectory
from app.operations import Handler, OperationCarrier
from app.registered import import_named
from app.services.audit import Audit, Origin
from app.services.clusters import clusters_of
from app.services.key_requests import ROTATE, TEST
from app.services.key_trials import SECONDS as TRIAL_SECONDS
from app.services.key_trials import KeyTrials
from app.services.orchestrator_requests import handlers as request_handlers
from app.settings import Settings, load_settings
from app.store.api_keys import ApiKeys
from app.store.audit import AuditLog
from app.store.chores import Chores
from app.store.conductors import Conductors, Node
from app.store.database import Database
from app.store.disk import DiskUsage
from app.store.ends import EndsTold
from app.store.keys import SealedKeys, SshKeys
from app.store.operations import Operations
from app.store.purging import Purging
from app.store.sessions import Sessions
from app.store.signing_keys import SigningKeys
from app.store.slaves import Slaves
from app.store.steering import SteeredExecutions
from app.store.stranded import StrandedExecutions
from app.store.tickets import Tickets
from app.store.uploads import UploadedDefinitions
from app.store.users import Users
from app.tending import Tending

if TYPE_CHECKING:
    from app.resources._dialect import Dialect
    from app.services.api_keys import ApiKeyService
    from app.services.tokens import TokenService
    from app.services.users import UserService

DIALECTS = {
    "root": "app.resources.root:DIALECT",
    "wattle": "app.resources.wattle:DIALECT",
    "engine": "app.resources.engine_v1:DIALECT",
    "ui": "app.ui:DIALECT",
}
"""The APIs that there are, by name; each is imported where it is spoken."""


def read_settings(
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> Settings:
    """Load the settings, knowing every orchestrator type; see :func:`load_settings`.

    Raises:
        ConfigError: With every fault.
    """
    return load_settings(
        options_class,
        authenticator_class,
        check_dialect=check_dialect,
        file=file,
        overrides=overrides,
        environ=environ,
        without=without,
    )


def check_dialect(name: str) -> None:
    """Make sure that there is a dialect of a name.

    Raises:
        ConfigError: There is none.
    """
    if name not in DIALECTS:
        import_dialect(name)


def import_dialect(name: str) -> Dialect:
    """Import a dialect.

    Args:
        name: A name from the table, or ``package.module:NAME``.

    Raises:
        ConfigError: There is none of this name.
    """
    if name in DIALECTS:
        return resolve_name(DIALECTS[name])  # type: ignore[no-any-return]
    expected = f"must be one of {', '.join(DIALECTS)}, or package.module:NAME"
    found = import_named(name, {}, expected)
    from app.resources._dialect import Dialect  # noqa: PLC0415

    if not isinstance(found, Dialect):
        raise ConfigError(f"must name a Dialect, and '{name}' is none")
    return found


def create_conductor(settings: Settings, master_key: int | None = None) -> Conductor:
    """Build a conductor; nothing of it runs yet.

    Args:
        settings: All of them but those of web processes.
        master_key: Open file that holds the master key; None where it is in its file.
    """
    looks = settings.conductor.threads
    database = Database(
        settings.database_url,
        connections_for(len(settings.orchestrators), looks),
        settings.conductor.lease,
    )
    keys = key_reader(settings, database, master_key)
    orchestrators = create_orchestrators(Context(settings, database, connections=looks, keys=keys))
    prune_audit = partial(
        AuditLog(database).prune, settings.audit.keep_days, settings.audit.max_events
    )
    forget_slaves = partial(Slaves(database).forget, settings.load.forget_slaves)
    prunes: dict[str, Callable[[], int]] = {
        "audited events": prune_audit,
        "slaves that are away": forget_slaves,
        "expired tickets": Tickets(database).prune,
        "ended sessions": partial(Sessions(database).prune, settings.api.auth.sessions.idle),
        "notes of who was told of an end": EndsTold(database).prune,
        "operations that ended": Operations(database).prune,
    }
    node = this_node(settings.data_dir)
    housekeeping = make_housekeeping(settings, database, orchestrators, node)
    trials = KeyTrials(clusters_of(settings), keys, SshKeys(database), AuditLog(database))
    prunes["SSH keys that were replaced"] = trials.clear
    handlers = operation_handlers(trials, orchestrators)
    tended = [each for each in orchestrators.values() if each.only_conductors]
    carrier = OperationCarrier(Operations(database), handlers, settings.conductor.lease)
    return Conductor(
        database, orchestrators, settings.conductor, node, prunes,
        housekeeping=Tending(tended, housekeeping.run).run, operations=carrier,
    )  # fmt: skip


def operation_handlers(
    trials: KeyTrials, orchestrators: Mapping[str, Orchestrator]
) -> dict[str, Handler]:
    """Build what carries out operations, by their kinds."""
    return {
        TEST: Handler(trials.test, TRIAL_SECONDS),
        ROTATE: Handler(trials.rotate, TRIAL_SECONDS),
        **request_handlers(orchestrators),
    }


def make_housekeeping(
    settings: Settings, database: Database, orchestrators: Mapping[str, Orchestrator], node: Node
) -> Housekeeping:
    """Build what removes what is kept no longer.

    Args:
        settings: All of them.
        database: The store.
        orchestrators: The orchestrators by name.
        node: The machine whose folders it looks after.
    """
    heritage = partial(Conductors(database).heritage, node, settings.conductor.lease)
    account = find_account(settings.engine.run_as, settings.engine.run_as_dir)
    machine = Machine(
        node.name, lambda: [node.name, *heritage()],
        account.executions_dir if account else settings.executions_dir,
    )  # fmt: skip
    return Housekeeping(
        Purging(database, with_files(orchestrators)),
        orchestrators,
        settings.retention,
        machine,
        chores=Chores(database, f"{node.name} {uuid.uuid4().hex[:12]}"),
        usage=DiskUsage(database),
    )


def executions_by_node(
    settings: Settings,
) -> tuple[SteeredExecutions, StrandedExecutions, Database]:
    """Open the executions in the store, and those of machines that no conductor serves."""
    database = Database(settings.database_url)
    orchestrators = create_orchestrators(Context(settings, database))
    bound = bound_to_node(orchestrators)
    stranded = StrandedExecutions(database, bound, settings.conductor.lease)
    return SteeredExecutions(database), stranded, database


def purging_of(settings: Settings) -> tuple[Purging, Database]:
    """Open what has ended, for whoever purges it from the command line."""
    database = Database(settings.database_url)
    orchestrators = create_orchestrators(Context(settings, database))
    return Purging(database, with_files(orchestrators)), database


def definition_importer(settings: Settings) -> tuple[DefinitionImporter, Database]:
    """Open the store for definitions that are in files."""
    database = Database(settings.database_url)
    importer = DefinitionImporter(make_compiler(database), UploadedDefinitions(database))
    return importer, database


def user_service(settings: Settings, origin: Origin) -> tuple[UserService, Database]:
    """Open the users, for whoever manages them from the command line.

    Args:
        settings: All of them.
        origin: Who that is.
    """
    # Brings argon2 along, which other processes do without.
    from app.services.users import HASHING_THREADS, UserService  # noqa: PLC0415

    database = Database(settings.database_url)
    users, configured = Users(database), settings.api.auth.users
    audit = Audit(AuditLog(database), lambda: origin, logged=False)
    pool = make_pool(HASHING_THREADS)
    directory = UserDirectory(configured, users)
    return UserService(users, directory, configured, pool, audit), database


def api_key_service(
    settings: Settings, origin: Origin
) -> tuple[tuple[ApiKeyService, UserDirectory], Database]:
    """Open the API keys and their owners, for whoever manages them from the command line.

    Args:
        settings: All of them.
        origin: Who that is.
    """
    from app.services.api_keys import ApiKeyService  # noqa: PLC0415  (few processes need it)

    database = Database(settings.database_url)
    keys, users = ApiKeys(database), UserDirectory(settings.api.auth.users, Users(database))
    audit = Audit(AuditLog(database), lambda: origin, logged=False)
    options = settings.api.auth.options.get("api_key")
    return (ApiKeyService(keys, ApiKeyDirectory(keys), users, options, audit), users), database


def token_service(settings: Settings, origin: Origin) -> tuple[TokenService, Database]:
    """Open the keys that sign tokens, for whoever replaces them from the command line.

    Args:
        settings: All of them.
        origin: Who that is.
    """
    from app.services.tokens import TokenService  # noqa: PLC0415  (few processes need it)

    database, auth = Database(settings.database_url), settings.api.auth
    users = UserDirectory(auth.users, Users(database))
    audit = Audit(AuditLog(database), lambda: origin, logged=False)
    sealing = partial(make_sealing, settings, database)
    return TokenService(SigningKeys(database), sealing, users, auth, audit), database


def make_sealing(settings: Settings, database: Database) -> Sealing:
    """Open what encrypts private keys in the database, with the master key.

    Raises:
        ConfigError: The master key cannot be used, or is lost.
    """
    in_use = SealedKeys(database).any
    return Sealing(load_master_key(settings.master_key_file, settings.master_key, in_use))


def check_secrets(settings: Settings, database: Database) -> None:
    """Make sure of the master key, and make it if there is none.

    Raises:
        ConfigError: It cannot be used, or is lost.
    """
    if settings.ssh_keys.store == "embedded":
        embedded_keys(settings, database)


def key_reader(
    settings: Settings, database: Database, master_key: int | None = None
) -> StoredKeyReader:
    """Build what reads private keys, for a conductor; it begins with the first key that is read.

    Args:
        settings: All of them.
        database: The store.
        master_key: As for :func:`create_conductor`.
    """

    def open_() -> PrivateKeys:
        vault = settings.ssh_keys.vault
        if settings.ssh_keys.store == "embedded" or vault is None:
            place = MasterKeyPlace(settings.master_key_file, master_key)
            return EmbeddedPrivateKeys(SealedKeys(database), place)
        if vault.reader is None:
            raise UpstreamRefused(
                "Conductors cannot read SSH keys from Vault: 'ssh_keys.vault.reader' is missing in "
                "the settings of the gateway."
            )
        # Large, and few services use it.
        from app.clients.vault_keys import VaultPrivateKeys  # noqa: PLC0415

        return VaultPrivateKeys(vault, vault.reader)

    return StoredKeyReader(SshKeys(database), open_)


def embedded_keys(settings: Settings, database: Database) -> KeyStore:
    """Open the key store that needs no server.

    Raises:
        ConfigError: The master key cannot be used, or is lost.
    """
    return EmbeddedKeyStore(SealedKeys(database), make_sealing(settings, database))
