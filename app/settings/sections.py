"""The declarations of all settings, each with its type, bounds, default and help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from marshmallow import fields, validate

from app.cores import usable_cores
from app.domain import USERNAME, Role
from app.settings.edge import CorsSettings, TlsSettings, check_network
from app.settings.limits import QuotasSettings, RateLimitSettings
from app.settings.schema import (
    FOREVER,
    Duration,
    EnumWord,
    Keeping,
    OneOrMore,
    WholeNumber,
    Word,
    section,
    setting,
)

_MIB = 1024 * 1024
_FOREVER = {"default_text": FOREVER}
_THIRTY_DAYS = 30 * 24 * 3600.0
LONGEST_TOKEN_SECONDS = 3600.0
"""No token of the service's own lives longer."""
MOST_WEB_PROCESSES = 4
"""As many are started by default, where there are cores for them."""


@dataclass(frozen=True)
class UserSettings:
    """One user who may sign in."""

    username: str = setting(
        fields.String(required=True, validate=validate.Regexp(rf"^{USERNAME.pattern}\Z")),
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
            EnumWord(Role),
            load_default=lambda: [Role.USER],
            metadata={"default_text": "[user]"},
        ),
        "What the user may do: `user`, `developer`, `operator`, `admin`; a `slave` may only join "
        "as a machine that works.",
    )


def _secret() -> fields.String:
    """Make a text that is not empty where it is given, as by a variable that is."""
    not_empty = validate.Length(min=1, error="must not be empty")
    return fields.String(load_default=None, allow_none=False, validate=not_empty)


@dataclass(frozen=True)
class SessionSettings:
    """Sessions of browsers, which begin after signing in and are known by a cookie."""

    idle: float = setting(
        Duration(load_default="8h", at_least=60),
        "A session that is not used for so long ends; one that only follows a stream is not used.",
    )
    lifetime: float = setting(
        Duration(load_default="24h", at_least=60),
        "After so long a session ends, however much it is used.",
    )
    max_per_user: int = setting(
        WholeNumber(load_default=20, validate=validate.Range(1, 1000)),
        "Most sessions of one user; of more, the one that was not used for longest ends.",
    )


@dataclass(frozen=True)
class AuthSettings:
    """Who may use the API."""

    type: str | list[str] = setting(
        OneOrMore(load_default="none"),
        "`none` (everybody is an admin, loopback only), `basic`, `api_key`, `jwt`, `oidc` or "
        "`introspection`; a list offers several ways to sign in, of which the first that knows the "
        "credential of a request decides. "
        "`package.module:Class` is one of your own (`docs/guides/extending.md`).",
    )
    users: list[UserSettings] = setting(
        fields.List(section(UserSettings), load_default=list),
        "Users, beside those whom `slipway user` adds; their passwords and roles are changed here.",
    )
    cache: float = setting(
        Duration(load_default="1m", at_least=0),
        "How long a verified password is remembered, as a keyed digest in memory.",
    )
    recheck: float = setting(
        Duration(load_default="5m", at_least=0.05),
        "How often it is checked, while a request lasts, that its credential still holds.",
    )
    secret: str | None = setting(
        _secret(),
        "The one key that all callers share, for `api_key`: 20 characters at least. With `jwt` it "
        "signs tokens instead: 32 bytes at least.",
        secret=True,
    )
    api_key_secret: str | None = setting(
        _secret(),
        "The shared key where `jwt` and `api_key` are both on; another text than `secret`, so that "
        "who has the key cannot sign tokens.",
        secret=True,
    )
    roles: list[Role] = setting(
        fields.List(
            EnumWord(Role),
            load_default=lambda: [Role.USER, Role.DEVELOPER],
            validate=validate.Length(min=1, error="must name at least one"),
            metadata={"default_text": "[user, developer]"},
        ),
        "What whoever sends the shared key may do, as the user `api`.",
    )
    allow_query_key: bool = setting(
        fields.Boolean(load_default=True),
        "Take API keys as `?api_key=`, too, on the APIs that have it so; addresses end in the logs "
        "of proxies.",
    )
    token_lifetime: float = setting(
        Duration(
            load_default="15m",
            at_least=1,
            validate=validate.Range(max=LONGEST_TOKEN_SECONDS, error="must be at most 1h"),
        ),
        "How long a token lives that `POST /auth/token` gives; an hour at most.",
    )
    token_issuer: str = setting(
        fields.String(
            load_default="slipway",
            validate=validate.Regexp(r"^[!-~]{1,200}\Z", error="must be visible ASCII characters"),
        ),
        "What those tokens hold as `iss` and `aud`; for other programs that read them, an address "
        "such as `https://slipway.example.org`.",
    )
    sessions: SessionSettings = setting(section(SessionSettings), "Sessions of browsers.")
    cli_client_id: str | None = setting(
        fields.String(load_default=None, validate=validate.Length(min=1)),
        "What a command line is called at the issuer of `jwt`, `oidc` or `introspection`: a public "
        "client that may use the device flow (RFC 8628).",
    )
    options: Mapping[str, Any] = field(default_factory=dict)
    """Validated options of each configured way to sign in, by its name."""

    @property
    def types(self) -> tuple[str, ...]:
        """The ways to sign in, in their order."""
        return (self.type,) if isinstance(self.type, str) else tuple(self.type)

    @property
    def signing_secret(self) -> str | None:
        """What signs tokens (HS256); None where `jwt` is off, or has no secret."""
        return self.secret if "jwt" in self.types else None

    @property
    def shared_key(self) -> str | None:
        """The key that all callers share; None where `api_key` is off, or there is none."""
        if "api_key" not in self.types:
            return None
        return self.api_key_secret if "jwt" in self.types else self.api_key_secret or self.secret


@dataclass(frozen=True)
class WattleSettings:
    """What clients of Wattle Scheduler expect."""

    port: int | None = setting(
        WholeNumber(
            load_default=None,
            validate=validate.Range(0, 65535, error="must be 1..65535, or 0 for any free port"),
            metadata={"default_text": "none"},
        ),
        "A second TCP port beside `api.port`, such as 9240 where its clients look for it: the "
        "whole application, with the same hosts, certificates and limits.",
    )


@dataclass(frozen=True)
class ApiSettings:
    """Where the API listens, and for whom."""

    enabled: bool = setting(
        fields.Boolean(load_default=True),
        "Serve the API. Without, `slipway serve` runs a conductor and listens nowhere, and "
        "`slipway web` does not start.",
    )
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
    allowed_hosts: list[str] = setting(
        fields.List(
            fields.String(
                validate=validate.Regexp(
                    r"^(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\Z",
                    error="must be a name or an address without a port, '*.domain', or '*'",
                )
            ),
            load_default=list,
            metadata={"default_text": "loopback names; any host where `api.host` is none"},
        ),
        "Names, as clients write them, for which requests are answered; others get a 421. "
        "`*.example.org` stands for every name below it, `*` for any. Loopback is always allowed.",
    )
    allowed_origins: list[str] = setting(
        fields.List(
            fields.String(
                validate=validate.Regexp(
                    r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s]+\Z",
                    error="must be an origin such as https://portal.example.org",
                )
            ),
            load_default=list,
        ),
        "Origins of other pages that may change something, such as `https://portal.example.org`, "
        "beside those of `cors.origins`; what a browser sends for any other page is refused with "
        "403. It lets nobody read an answer, as `cors.origins` does.",
    )
    cors: CorsSettings = setting(section(CorsSettings), "Pages of other origins.")
    tls: TlsSettings = setting(section(TlsSettings), "HTTPS.")
    dialects: list[str] | None = setting(
        fields.List(
            fields.String(),
            load_default=None,
            validate=validate.Length(min=1, error="must name at least one"),
            metadata={"default_text": "all of them"},
        ),
        "The APIs that are served, by name: `root`, `wattle` (Wattle Scheduler's, at `/api`), "
        "`engine` (the Workflow Engine's, at `/api/v1`), `ui` (the page, at `/ui`, which takes "
        "`root` as well); one of your own as `package.module:NAME`. A name that is none is "
        "refused.",
    )
    wattle: WattleSettings = setting(section(WattleSettings), "Wattle Scheduler's API.")
    auth: AuthSettings = setting(section(AuthSettings), "Authentication.")
    rate_limit: RateLimitSettings = setting(section(RateLimitSettings), "Rate limits.")
    proxies: int = setting(
        WholeNumber(load_default=0, validate=validate.Range(0, 8)),
        "Proxies in front of the service, each of which adds whoever called it to "
        "`X-Forwarded-For`. Wrong logins are slowed down by the address that this tells; with 0, "
        "by that of the connection.",
    )
    trusted_proxies: list[str] = setting(
        fields.List(fields.String(validate=check_network), load_default=list),
        "Networks of the proxies in front of the service, such as `10.0.0.0/8` or `127.0.0.1`. "
        "Only what comes from there is believed when it tells, by `Forwarded` or "
        "`X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`, who asks and under which address. In "
        "place of `proxies`.",
    )
    max_body_bytes: int = setting(
        WholeNumber(load_default=_MIB, validate=validate.Range(min=1024)),
        "Largest request body; a larger one is refused with 413.",
    )


@dataclass(frozen=True)
class WebSettings:
    """The processes that answer HTTP."""

    processes: int | None = setting(
        WholeNumber(
            load_default=None,
            validate=validate.Range(1, 64),
            metadata={"default_text": f"number of usable cores, at most {MOST_WEB_PROCESSES}"},
        ),
        "Number of web processes that `slipway serve` starts. Each computes on one core, and takes "
        "some 30 MB. `slipway check-config` tells how many there would be on this machine.",
    )
    shutdown_timeout: float = setting(
        Duration(load_default="4s", at_least=0.1),
        "Longest time to answer what is waiting when the service is stopped.",
    )
    silence_timeout: float = setting(
        Duration(load_default="10s", at_least=2),
        "`slipway serve` replaces a web process whose event loop is silent for so long.",
    )
    keep_alive_timeout: float = setting(
        Duration(load_default="75s", at_least=1),
        "How long a connection may stay open without a request.",
    )
    head_timeout: float = setting(
        Duration(load_default="10s", at_least=1),
        "Longest time from the first byte of a request to the end of its head.",
    )
    body_timeout: float = setting(
        Duration(load_default="10s", at_least=1),
        "Span of time in each of which a body must come at `min_body_rate`.",
    )
    min_body_rate: int = setting(
        WholeNumber(load_default=1024, validate=validate.Range(min=1)),
        "Least rate of a body, in bytes a second; a slower request is refused with 408.",
    )
    write_timeout: float = setting(
        Duration(load_default="1m", at_least=1),
        "Longest time in which a client takes nothing of its answer before it is cut off.",
    )


@dataclass(frozen=True)
class LogSettings:
    """Limits of logs, and of reading them."""

    max_timeout: float = setting(
        Duration(load_default="10m", at_least=0), "Longest wait that a long poll may ask for."
    )
    max_page: int = setting(
        WholeNumber(load_default=10_000, validate=validate.Range(1, 100_000)),
        "Most entries in one answer.",
    )
    max_bytes: int = setting(
        WholeNumber(load_default=256 * 1024 * 1024, validate=validate.Range(min=1024)),
        "Most bytes that are kept of what the commands of an execution of the engine print, and of "
        "one task, and of each file that a step names for its output or its errors; what is "
        "beyond is counted and said, and the command goes on.",
    )
    max_bytes_per_user: int | None = setting(
        WholeNumber(
            load_default=None,
            allow_none=True,
            validate=validate.Range(min=1024),
            metadata={"default_text": "no limit"},
        ),
        "Most bytes of the logs of all of a user's executions together, as text; beyond them "
        "nothing is kept of what commands print, and the log says so.",
    )


@dataclass(frozen=True)
class StreamSettings:
    """Requests that are held: streams, long polls and downloads."""

    max_total: int = setting(
        WholeNumber(load_default=10_000, validate=validate.Range(1, 1_000_000)),
        "Most requests that a web process holds (streams, long polls, downloads); more are refused "
        "with 429. Never more than it may have files open, less 256.",
    )
    max_per_user: int = setting(
        WholeNumber(load_default=200, validate=validate.Range(1, 1_000_000)),
        "Most of them that one user has in one web process, and never more than half of all; not "
        "applied without authentication.",
    )
    heartbeat: float = setting(
        Duration(load_default="10s", at_least=0.05),
        "Longest silence on a stream, so that no proxy takes it for dead.",
    )
    max_lag: int = setting(
        WholeNumber(load_default=100_000, validate=validate.Range(1, 1_000_000_000)),
        "Entries that a reader who had caught up may fall behind before some are left out.",
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
    timeout: float = setting(
        Duration(load_default="5s", at_least=0.1),
        "Longest wait of a request for the database: for a free connection, for a lock, for an "
        "answer. Then the request is answered with 503. A conductor waits for `conductor.lease`.",
    )


@dataclass(frozen=True)
class EngineSettings:
    """Slipway's own orchestrator."""

    max_parallel_tasks: int = setting(
        WholeNumber(
            load_default=usable_cores,
            validate=validate.Range(1, 10_000),
            metadata={"default_text": "number of usable cores"},
        ),
        "CPUs that running tasks may take together.",
    )
    max_memory_bytes: int | None = setting(
        WholeNumber(
            load_default=None, validate=validate.Range(min=1), metadata={"default_text": "no limit"}
        ),
        "Memory that running tasks may reserve together.",
    )
    max_foreach: int = setting(
        WholeNumber(load_default=1000, validate=validate.Range(1, 10_000)),
        "Elements of a list for which a step runs (`foreach`): a step with more fails. An "
        "execution has 10,000 tasks at the most, with those of all elements.",
    )
    workflows_dir: Path | None = setting(
        fields.String(load_default=None, metadata={"default_text": "<data_dir>/workflows"}),
        "Folder of workflow definitions that operators put there by hand. It is only read; what "
        "users upload is in the database.",
        convert=Path,
    )
    max_uploads_per_user: int = setting(
        WholeNumber(load_default=200, validate=validate.Range(min=0)),
        "Workflow definitions that one user may have uploaded.",
    )
    max_upload_bytes_per_user: int = setting(
        WholeNumber(load_default=32 * 1024 * 1024, validate=validate.Range(min=0)),
        "Size of those definitions together, in bytes.",
    )
    max_versions: int = setting(
        WholeNumber(load_default=20, validate=validate.Range(min=1, max=1000)),
        "Versions that are kept of each uploaded definition, the one that is offered among them; "
        "the oldest go first.",
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
    run_as: str | None = setting(
        fields.String(
            load_default=None,
            validate=validate.Length(1, 255),
            metadata={"default_text": "the service's own user"},
        ),
        "User as whom commands run, by `sudo`; see docs/security.md for what it takes. Change it "
        "while no execution is open.",
    )
    run_as_dir: Path | None = setting(
        fields.String(load_default=None, metadata={"default_text": "home folder of that user"}),
        "Folder of the work folders of executions under `run_as`; it belongs to that user alone.",
        convert=Path,
    )


@dataclass(frozen=True)
class LoadSettings:
    """Virtual users, and the slaves that run them."""

    enabled: bool = setting(
        fields.Boolean(load_default=True),
        "Whether there are any: an orchestrator of type `load` is added, named `load`, unless "
        "`orchestrators` has one.",
    )
    lease: float = setting(
        Duration(load_default="5s", at_least=0.5),
        "A slave that was silent for so long is lost; one that hears nothing for so long stops.",
    )
    alone: float = setting(
        Duration(load_default="1m", at_least=0.5),
        "How long a slave goes on while nobody takes its connection.",
    )
    forget_slaves: float = setting(
        Duration(load_default="1h", at_least=60),
        "A slave that has been away for so long is not listed any more.",
    )
    local_slave: str = setting(
        Word(("auto", "off"), default="auto"),
        "`auto`: `slipway serve` brings a slave along, which starts when there is work for it; "
        "`off`: it does not.",
    )
    allowed_networks: list[str] | None = setting(
        fields.List(fields.String(validate=check_network), load_default=None),
        "Networks that virtual users may connect to, such as `10.0.0.0/8`; all others then not. "
        "The address is checked that a name stands for when it is connected to.",
    )
    denied_networks: list[str] | None = setting(
        fields.List(
            fields.String(validate=check_network),
            load_default=None,
            metadata={"default_text": "the metadata services of clouds"},
        ),
        "Networks that they may not connect to, also where those are allowed; an empty list denies "
        "none.",
    )


@dataclass(frozen=True)
class ConductorSettings:
    """The process that drives executions."""

    threads: int = setting(
        WholeNumber(load_default=8, validate=validate.Range(1, 256)),
        "Executions of one orchestrator that are observed at the same time.",
    )
    lease: float = setting(
        Duration(load_default="15s", at_least=1),
        "How long an execution stays with a conductor that gives no sign of life.",
    )
    capacity: int = setting(
        WholeNumber(load_default=500, validate=validate.Range(min=1)),
        "Executions that a conductor takes before it leaves the rest to others. What nobody takes "
        "within a lease it takes all the same.",
    )
    stale_after: float = setting(
        Duration(load_default="1m", at_least=1),
        "Age of a status from which it is marked as stale.",
    )
    silence_timeout: float = setting(
        Duration(load_default="10s", at_least=2),
        "`slipway serve` replaces a conductor that is silent for so long.",
    )
    look_timeout: float = setting(
        Duration(load_default="10m", at_least=10),
        "A conductor ends itself, to be started again, when one look at an execution, or one round "
        "of its own work, takes longer. Calls to orchestrators have shorter limits of their own.",
    )


@dataclass(frozen=True)
class VaultReaderSettings:
    """How conductors log in to Vault, to read private keys."""

    auth: str = setting(Word(["approle", "token"], default="approle"), "`approle` or `token`.")
    role_id: str | None = setting(fields.String(load_default=None), "AppRole: role id.")
    secret_id: str | None = setting(
        fields.String(load_default=None), "AppRole: secret id.", secret=True
    )
    token: str | None = setting(
        fields.String(load_default=None), "Token, for `auth: token`.", secret=True
    )


@dataclass(frozen=True)
class VaultSettings:
    """HashiCorp Vault, or OpenBao, as the store of private keys."""

    address: str = setting(
        fields.Url(required=True, schemes={"http", "https"}, require_tld=False),
        "Address of the server, such as `https://vault.example.org:8200`.",
    )
    auth: str = setting(
        Word(["approle", "token"], default="approle"),
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
    reader: VaultReaderSettings | None = setting(
        section(VaultReaderSettings, load_default=None),
        "The login of conductors, which read private keys to log in to clusters; web processes "
        "never get it. Without it no launcher logs in with a key that was made here.",
    )


@dataclass(frozen=True)
class SshKeySettings:
    """SSH key pairs made for users."""

    store: str = setting(
        Word(["embedded", "vault"], default="embedded"),
        "`embedded` (in the database, encrypted) or `vault`.",
    )
    algorithm: str = setting(
        Word(["ed25519", "rsa-2048", "rsa-3072", "rsa-4096", "ecdsa-p256"], default="ed25519"),
        "Algorithm when the request names none: `ed25519`, `ecdsa-p256`, `rsa-2048`, `rsa-3072` or "
        "`rsa-4096`.",
    )
    master_key_file: Path | None = setting(
        fields.String(load_default=None, metadata={"default_text": "<data_dir>/master.key"}),
        "File with the key that encrypts the embedded store; made at the first start, mode 0600. "
        "`SLIPWAY_MASTER_KEY` takes its place.",
        convert=Path,
    )
    max_per_user: int = setting(
        WholeNumber(load_default=100, validate=validate.Range(1, 100_000)),
        "Most keys of one user; who has so many must revoke one first.",
    )
    max_metadata_bytes: int = setting(
        WholeNumber(load_default=16 * 1024, validate=validate.Range(0, _MIB)),
        "Largest metadata of one key, as JSON.",
    )
    vault: VaultSettings | None = setting(
        section(VaultSettings, load_default=None), "The Vault server, for `store: vault`."
    )


@dataclass(frozen=True)
class ObservabilitySettings:
    """What the service tells of itself."""

    log_level: str = setting(
        Word(["DEBUG", "INFO", "WARNING", "ERROR"], default="INFO"),
        "Least level of the service's own log.",
    )
    log_format: str = setting(
        Word(["console", "json"], default="console"),
        "`console` for people, `json` for collectors.",
    )
    access_log: str = setting(
        Word(["off", "changes", "all"], default="changes"),
        "Requests that are logged: `off`, `changes` (what may change something, and what fails), "
        "or `all`; streams when they are opened and when they end.",
    )


@dataclass(frozen=True)
class AuditSettings:
    """What is kept of who did what."""

    keep_days: int = setting(
        WholeNumber(load_default=365, validate=validate.Range(1, 36_500)),
        "Days for which audited events are kept.",
    )
    max_events: int = setting(
        WholeNumber(load_default=1_000_000, validate=validate.Range(1000, 1_000_000_000)),
        "Most audited events that are kept, some 300 bytes each; of more the oldest are removed, "
        "denied access first.",
    )


@dataclass(frozen=True)
class RetentionSettings:
    """How long what has ended is kept; nothing that has not ended is ever removed."""

    executions: float | None = setting(
        Keeping(allow_none=True, metadata=_FOREVER),
        "How long an execution is kept after its end, with its log, tasks and files: such as "
        "`90d`, `12h`, or `forever`. What was purged leaves its id, names, owner and idempotency "
        "key, none of which is used again.",
    )
    logs: float | None = setting(
        Keeping(allow_none=True, metadata=_FOREVER),
        "How long the log of an execution is kept after its end, where that is less.",
    )
    work_folders: float | None = setting(
        Keeping(load_default=_THIRTY_DAYS, allow_none=True, metadata={"default_text": "30d"}),
        "How long the folder of an execution is kept after its end, where that is less: the files "
        "of its steps, and their output as it was written. Nothing goes on from an execution "
        "without it.",
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
    logs: LogSettings = setting(section(LogSettings), "Logs.")
    streams: StreamSettings = setting(section(StreamSettings), "Held requests.")
    quotas: QuotasSettings = setting(section(QuotasSettings), "Quotas.")
    database: DatabaseSettings = setting(section(DatabaseSettings), "The store.")
    engine: EngineSettings = setting(section(EngineSettings), "The engine.")
    load: LoadSettings = setting(section(LoadSettings), "Virtual users.")
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
    audit: AuditSettings = setting(section(AuditSettings), "The audit: who did what.")
    retention: RetentionSettings = setting(
        section(RetentionSettings), "How long what has ended is kept."
    )
    observability: ObservabilitySettings = setting(
        section(ObservabilitySettings), "Logs of the service itself."
    )
    master_key: str | None = field(default=None, repr=False)
    secrets_in_file: tuple[str, ...] = ()

    @property
    def database_url(self) -> str:
        """URL of the store, with the default filled in."""
        return self.database.url or f"sqlite:///{self.data_dir / 'slipway.db'}"

    @property
    def workflows_dir(self) -> Path:
        """Folder of the workflow definitions that operators put there."""
        return self.engine.workflows_dir or self.data_dir / "workflows"

    @property
    def executions_dir(self) -> Path:
        """Folder of the working folders of executions."""
        return self.data_dir / "executions"

    @property
    def web_processes(self) -> int:
        """How many web processes there are on this machine.

        A process computes on one core only, so each core has one. More than a few help little: all
        that they write goes through one store, and the conductor and commands need cores, too.
        """
        if self.web.processes is not None:
            return self.web.processes
        vault = self.ssh_keys.vault
        if vault is not None and vault.is_secret_wrapped:  # it can be used once
            return 1
        return min(MOST_WEB_PROCESSES, usable_cores())

    @property
    def master_key_file(self) -> Path:
        """File of the key that encrypts the embedded key store."""
        return self.ssh_keys.master_key_file or self.data_dir / "master.key"
