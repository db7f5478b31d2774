"""The settings of the service: declared once, validated as a whole, never changed afterwards.

They come from a YAML file in which ``${VAR}``, ``${VAR:-default}`` and ``${file:/path}`` are
expanded, and from variables such as ``SLIPWAY_API__PORT`` that override single leaves of it.
``docs/configuration.md`` is generated from the declarations here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from marshmallow import fields, validate

from app.domain import Role
from app.errors import ConfigError, FieldError
from app.settings.schema import Duration, WholeNumber, load_section, section, setting
from app.settings.source import read_source

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_MIB = 1024 * 1024


@dataclass(frozen=True)
class UserSettings:
    """One user who may sign in."""

    username: str = setting(
        fields.String(required=True, validate=validate.Regexp(r"^[^:\s]{1,100}\Z")),
        "Name to sign in with; no colon and no spaces.",
    )
    password_hash: str | None = setting(
        fields.String(load_default=None), "Argon2 hash, as `slipway hash-password` prints it."
    )
    password: str | None = setting(
        fields.String(load_default=None),
        "Password in clear, for trying things out; the service warns about it.",
        secret=True,
    )
    roles: list[Role] = setting(
        fields.List(
            fields.Enum(Role, by_value=True),
            load_default=lambda: [Role.USER],
            metadata={"default_text": "[user]"},
        ),
        "What the user may do: `user`, `developer`, `operator`, `admin`.",
    )


@dataclass(frozen=True)
class AuthSettings:
    """Who may use the API."""

    type: str = setting(
        fields.String(load_default="none", validate=validate.OneOf(["none", "basic"])),
        "`none` (everybody is an admin, loopback only) or `basic`.",
    )
    users: list[UserSettings] = setting(
        fields.List(section(UserSettings), load_default=list), "The users, for `basic`."
    )
    cache: float = setting(
        Duration(load_default="1m", at_least=0),
        "How long a verified password is remembered, as a keyed digest in memory.",
    )


@dataclass(frozen=True)
class ApiSettings:
    """Where the API listens, and for whom."""

    host: str = setting(fields.String(load_default="127.0.0.1"), "Address to listen on.")
    port: int = setting(
        WholeNumber(
            load_default=8080,
            validate=validate.Range(0, 65535, error="must be 1..65535, or 0 for any free port"),
        ),
        "TCP port; 0 takes a free one and prints it.",
    )
    insecure: bool = setting(
        fields.Boolean(load_default=False),
        "Allow an address beyond loopback without authentication.",
    )
    auth: AuthSettings = setting(section(AuthSettings), "Authentication.")
    max_body_bytes: int = setting(
        WholeNumber(load_default=_MIB, validate=validate.Range(min=1024)),
        "Largest request body; a larger one is refused with 413.",
    )


@dataclass(frozen=True)
class WebSettings:
    """The processes that answer HTTP."""

    processes: int = setting(
        WholeNumber(load_default=1, validate=validate.Range(1, 64)),
        "Number of web processes on this machine.",
    )
    shutdown_timeout: float = setting(
        Duration(load_default="4s", at_least=0.1),
        "Longest time to answer what is waiting when the service is stopped.",
    )


@dataclass(frozen=True)
class LogSettings:
    """Limits of reading logs."""

    max_timeout: float = setting(
        Duration(load_default="10m", at_least=0), "Longest wait that a long poll may ask for."
    )
    max_page: int = setting(
        WholeNumber(load_default=10_000, validate=validate.Range(1, 100_000)),
        "Most entries in one answer.",
    )


@dataclass(frozen=True)
class StreamSettings:
    """Following logs and events over one open connection."""

    max_total: int = setting(
        WholeNumber(load_default=10_000, validate=validate.Range(1, 1_000_000)),
        "Most streams of one web process; more are refused with 429.",
    )
    max_per_user: int = setting(
        WholeNumber(load_default=200, validate=validate.Range(1, 1_000_000)),
        "Most streams of one user in one web process; not applied without authentication.",
    )
    heartbeat: float = setting(
        Duration(load_default="10s", at_least=0.05),
        "Longest silence on a stream, so that no proxy takes it for dead.",
    )
    max_lag: int = setting(
        WholeNumber(load_default=100_000, validate=validate.Range(1, 1_000_000_000)),
        "Entries that a reader who had caught up may fall behind before some are left out.",
    )
    recheck: float = setting(
        Duration(load_default="5m", at_least=0.05),
        "How often it is checked that the reader may still read.",
    )
    ticket_lifetime: float = setting(
        Duration(load_default="1m", at_least=1), "How long a ticket can be used to open a stream."
    )


@dataclass(frozen=True)
class DatabaseSettings:
    """Where executions and logs are stored."""

    url: str = setting(
        fields.String(
            load_default="",
            validate=validate.Regexp(
                r"^($|sqlite:///|postgresql\+psycopg://)",
                error="must start with sqlite:/// or postgresql+psycopg://",
            ),
            metadata={"default_text": "sqlite:///<data_dir>/slipway.db"},
        ),
        "SQLAlchemy URL: `sqlite:///FILE` or `postgresql+psycopg://user:password@host/name`.",
        secret=True,
    )
    pool_size: int = setting(
        WholeNumber(load_default=20, validate=validate.Range(2, 500)),
        "Most connections of one process to PostgreSQL.",
    )


@dataclass(frozen=True)
class EngineSettings:
    """Slipway's own orchestrator."""

    max_parallel_tasks: int = setting(
        WholeNumber(
            load_default=lambda: os.cpu_count() or 1,
            validate=validate.Range(1, 10_000),
            metadata={"default_text": "number of cores"},
        ),
        "CPUs that running tasks may take together.",
    )
    max_memory_bytes: int | None = setting(
        WholeNumber(
            load_default=None, validate=validate.Range(min=1), metadata={"default_text": "no limit"}
        ),
        "Memory that running tasks may reserve together.",
    )
    workflows_dir: Path | None = setting(
        fields.String(load_default=None, metadata={"default_text": "<data_dir>/workflows"}),
        "Folder of the workflow definitions.",
        convert=Path,
    )
    kill_grace: float = setting(
        Duration(load_default="10s", at_least=0),
        "Time from SIGTERM to SIGKILL when a task is cancelled.",
    )
    pass_env: list[str] = setting(
        fields.List(
            fields.String(),
            load_default=lambda: ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"],
            metadata={"default_text": "[PATH, HOME, USER, LANG, LC_ALL, TZ, TMPDIR]"},
        ),
        "Variables of the service's own environment that commands inherit; no others do.",
    )


@dataclass(frozen=True)
class ConductorSettings:
    """The process that drives executions."""

    threads: int = setting(
        WholeNumber(load_default=8, validate=validate.Range(1, 256)),
        "Executions that are observed at the same time.",
    )
    lease: float = setting(
        Duration(load_default="15s", at_least=1),
        "How long an execution stays with a conductor that gives no sign of life.",
    )
    stale_after: float = setting(
        Duration(load_default="1m", at_least=1),
        "Age of a status from which it is marked as stale.",
    )


@dataclass(frozen=True)
class VaultSettings:
    """HashiCorp Vault, or OpenBao, as the store of private keys."""

    address: str = setting(
        fields.Url(required=True, schemes={"http", "https"}, require_tld=False),
        "Address of the server, such as `https://vault.example.org:8200`.",
    )
    auth: str = setting(
        fields.String(load_default="approle", validate=validate.OneOf(["approle", "token"])),
        "`approle` or `token`.",
    )
    role_id: str | None = setting(fields.String(load_default=None), "AppRole: role id.")
    secret_id: str | None = setting(
        fields.String(load_default=None), "AppRole: secret id, or its wrapping token.", secret=True
    )
    is_secret_wrapped: bool = setting(
        fields.Boolean(load_default=False), "`secret_id` is a response-wrapping token."
    )
    token: str | None = setting(
        fields.String(load_default=None), "Token, for `auth: token`.", secret=True
    )
    namespace: str | None = setting(fields.String(load_default=None), "Vault namespace.")
    mount: str = setting(fields.String(load_default="secret"), "Mount point of the KV v2 engine.")
    path: str = setting(
        fields.String(load_default="ssh-credentials"), "Folder of the keys below the mount."
    )
    ca_file: str | None = setting(
        fields.String(load_default=None), "CA certificates that sign the server's."
    )
    timeout: float = setting(
        Duration(load_default="10s", at_least=0.1), "Longest wait for one answer."
    )


@dataclass(frozen=True)
class SshKeySettings:
    """SSH key pairs made for users."""

    store: str = setting(
        fields.String(load_default="embedded", validate=validate.OneOf(["embedded", "vault"])),
        "`embedded` (in the database, encrypted) or `vault`.",
    )
    algorithm: str = setting(
        fields.String(
            load_default="ed25519",
            validate=validate.OneOf(["ed25519", "rsa-3072", "rsa-4096", "ecdsa-p256"]),
        ),
        "Algorithm when the request names none: `ed25519`, `rsa-3072`, `rsa-4096`, `ecdsa-p256`.",
    )
    master_key_file: Path | None = setting(
        fields.String(load_default=None, metadata={"default_text": "<data_dir>/master.key"}),
        "File with the key that encrypts the embedded store; made at the first start, mode 0600. "
        "`SLIPWAY_MASTER_KEY` takes its place.",
        convert=Path,
    )
    vault: VaultSettings | None = setting(
        section(VaultSettings, load_default=None), "The Vault server, for `store: vault`."
    )


@dataclass(frozen=True)
class ObservabilitySettings:
    """What the service tells of itself."""

    log_level: str = setting(
        fields.String(
            load_default="INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
        ),
        "Least level of the service's own log.",
    )
    log_format: str = setting(
        fields.String(load_default="console", validate=validate.OneOf(["console", "json"])),
        "`console` for people, `json` for collectors.",
    )


@dataclass(frozen=True)
class OrchestratorSettings:
    """One orchestrator: its name, its type, and what that type asks for.

    Attributes:
        options: An instance of the options class of the type.
    """

    name: str
    type: str
    options: Any


@dataclass(frozen=True)
class Settings:
    """Everything that can be configured."""

    data_dir: Path = setting(
        fields.String(
            load_default="",
            metadata={"default_text": "~/.local/share/slipway"},
        ),
        "Folder of all that the service keeps on this machine; relative to the file that names it.",
        convert=Path,
    )
    api: ApiSettings = setting(section(ApiSettings), "The HTTP API.")
    web: WebSettings = setting(section(WebSettings), "The web processes.")
    logs: LogSettings = setting(section(LogSettings), "Reading logs.")
    streams: StreamSettings = setting(section(StreamSettings), "Streams.")
    database: DatabaseSettings = setting(section(DatabaseSettings), "The store.")
    engine: EngineSettings = setting(section(EngineSettings), "The engine.")
    conductor: ConductorSettings = setting(section(ConductorSettings), "The conductor.")
    orchestrators: list[OrchestratorSettings] = setting(
        fields.List(
            fields.Dict(keys=fields.String()),
            load_default=lambda: [{"name": "local", "type": "engine", "launcher": "local"}],
            validate=validate.Length(min=1, error="must name at least one orchestrator"),
            metadata={"default_text": "[{name: local, type: engine, launcher: local}]"},
        ),
        "What runs the work: `name`, `type`, and the options of the type, below.",
    )
    ssh_keys: SshKeySettings = setting(section(SshKeySettings), "SSH keys.")
    observability: ObservabilitySettings = setting(
        section(ObservabilitySettings), "Logs of the service itself."
    )
    master_key: str | None = None

    @property
    def database_url(self) -> str:
        """URL of the store, with the default filled in."""
        return self.database.url or f"sqlite:///{self.data_dir / 'slipway.db'}"

    @property
    def workflows_dir(self) -> Path:
        """Folder of the workflow definitions."""
        return self.engine.workflows_dir or self.data_dir / "workflows"

    @property
    def executions_dir(self) -> Path:
        """Folder of the working folders of executions."""
        return self.data_dir / "executions"

    @property
    def master_key_file(self) -> Path:
        """File of the key that encrypts the embedded key store."""
        return self.ssh_keys.master_key_file or self.data_dir / "master.key"


OptionsOf = Callable[[str], type]
"""Gives the options class of an orchestrator type; raises ConfigError for an unknown type."""


def load_settings(
    options_of: OptionsOf,
    *,
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read, merge and check the settings.

    Args:
        options_of: Gives the options class of an orchestrator type.
        file: YAML file; defaults alone when None.
        overrides: Leaves by dotted path, such as ``{"api.port": 0}``; they win over all else.
        environ: Environment to expand and override from; the process's own when None.

    Raises:
        ConfigError: With every fault in ``fields``, named by its path in the file.
    """
    environ = os.environ if environ is None else environ
    source, faults = read_source(file, environ, overrides or {})
    settings, more = load_section(Settings, source, "")
    faults += more
    raw: Any = source.get("orchestrators") if settings is None else settings.orchestrators
    orchestrators, more = _orchestrators(raw if isinstance(raw, list) else [], options_of)
    faults += more
    if settings is not None:
        faults += _cross_checks(settings)
    if faults or settings is None:
        where = f" in {file}" if file else ""
        raise ConfigError(f"The settings{where} have {len(faults)} fault(s).", fields=tuple(faults))
    base = file.parent if file is not None else Path()
    return _complete(settings, orchestrators, environ, base)


def _complete(
    settings: Settings,
    orchestrators: list[OrchestratorSettings],
    environ: Mapping[str, str],
    base: Path,
) -> Settings:
    home = Path(environ.get("HOME") or Path.home())
    data_dir = settings.data_dir
    if data_dir == Path():
        data_home = environ.get("XDG_DATA_HOME")
        data_dir = (Path(data_home) if data_home else home / ".local" / "share") / "slipway"
    values = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
    values.update(
        data_dir=(base / data_dir.expanduser()).absolute(),
        orchestrators=orchestrators,
        master_key=environ.get("SLIPWAY_MASTER_KEY") or None,
    )
    return Settings(**values)


def _orchestrators(
    raw: list[Any], options_of: OptionsOf
) -> tuple[list[OrchestratorSettings], list[FieldError]]:
    result: list[OrchestratorSettings] = []
    faults: list[FieldError] = []
    for index, entry in enumerate(raw):
        path = f"orchestrators[{index}]"
        if not isinstance(entry, Mapping):
            continue
        name, type_ = entry.get("name"), entry.get("type", "engine")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            text = "must be lower-case letters, digits, '-' and '_'"
            faults.append(FieldError(f"{path}.name", text))
        elif name in (known.name for known in result):
            faults.append(FieldError(f"{path}.name", f"'{name}' is used twice"))
        try:
            options_class = options_of(str(type_))
        except ConfigError as exc:
            faults.append(FieldError(f"{path}.type", exc.message))
            continue
        rest = {key: value for key, value in entry.items() if key not in ("name", "type")}
        options, more = load_section(options_class, rest, path)
        faults += more
        if isinstance(name, str) and options is not None:
            result.append(OrchestratorSettings(name, str(type_), options))
    return result, faults


def _cross_checks(settings: Settings) -> list[FieldError]:
    faults = _auth_checks(settings.api)
    keys = settings.ssh_keys
    if keys.vault is not None and keys.vault.is_secret_wrapped and settings.web.processes > 1:
        text = "a wrapped secret id can be used once, so there can be only one web process"
        faults.append(FieldError("web.processes", text))
    if keys.store == "vault":
        if keys.vault is None:
            faults.append(FieldError("ssh_keys.vault", "is needed with 'store: vault'"))
        else:
            faults += _vault_checks(keys.vault)
    return faults


def _auth_checks(api: ApiSettings) -> list[FieldError]:
    faults = []
    if api.auth.type == "none" and not api.insecure and not is_loopback(api.host):
        text = "without authentication only a loopback address is served, unless --insecure is set"
        faults.append(FieldError("api.host", text))
    if api.auth.type == "basic" and not api.auth.users:
        faults.append(FieldError("api.auth.users", "must name at least one user"))
    seen: set[str] = set()
    for index, user in enumerate(api.auth.users):
        path = f"api.auth.users[{index}]"
        if (user.password is None) == (user.password_hash is None):
            faults.append(FieldError(path, "needs either 'password_hash' or 'password'"))
        if user.password_hash is not None and not user.password_hash.startswith("$argon2"):
            text = "must be an Argon2 hash, as 'slipway hash-password' prints it"
            faults.append(FieldError(f"{path}.password_hash", text))
        if user.username in seen:
            faults.append(FieldError(f"{path}.username", f"'{user.username}' is used twice"))
        seen.add(user.username)
    return faults


def _vault_checks(vault: VaultSettings) -> list[FieldError]:
    needed = ("role_id", "secret_id") if vault.auth == "approle" else ("token",)
    return [
        FieldError(f"ssh_keys.vault.{name}", f"is needed with 'auth: {vault.auth}'")
        for name in needed
        if not getattr(vault, name)
    ]


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
