"""The settings of the service: declared once, validated as a whole, never changed afterwards.

They come from a YAML file in which ``${VAR}``, ``${VAR:-default}`` and ``${file:/path}`` are
expanded, and from variables such as ``SLIPWAY_API__PORT`` that override single leaves of it.
``docs/configuration.md`` is generated from the declarations here.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Collection, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from app.errors import ConfigError, FieldError
from app.settings.limits import (
    Allowance,
    Allowances,
    QuotaSettings,
    QuotasSettings,
    RateLimitSettings,
)
from app.settings.schema import load_section, without_faults
from app.settings.secrets import orchestrator_secrets, written_secrets
from app.settings.sections import (
    ApiSettings,
    AuditSettings,
    AuthSettings,
    ConductorSettings,
    DatabaseSettings,
    EngineSettings,
    LoadSettings,
    LogSettings,
    ObservabilitySettings,
    OrchestratorSettings,
    RetentionSettings,
    SessionSettings,
    Settings,
    SshKeySettings,
    StreamSettings,
    UserSettings,
    VaultReaderSettings,
    VaultSettings,
    WebSettings,
)
from app.settings.sign_in import (
    SignInOf,
    auth_checks,
    option_checks,
    sign_in_secrets,
    take_options,
)
from app.settings.source import MASTER_KEY, is_left_out, read_source

__all__ = [
    "MASTER_KEY",
    "Allowance",
    "Allowances",
    "ApiSettings",
    "AuditSettings",
    "AuthSettings",
    "ConductorSettings",
    "DatabaseSettings",
    "EngineSettings",
    "LoadSettings",
    "LogSettings",
    "ObservabilitySettings",
    "OptionsOf",
    "OrchestratorSettings",
    "QuotaSettings",
    "QuotasSettings",
    "RateLimitSettings",
    "RetentionSettings",
    "SessionSettings",
    "Settings",
    "SignInOf",
    "SshKeySettings",
    "StreamSettings",
    "UserSettings",
    "VaultReaderSettings",
    "VaultSettings",
    "WebSettings",
    "is_loopback",
    "load_settings",
]

LOAD = "load"
"""Type of the orchestrator of virtual users, which is there unless it is switched off."""
_SECTION_DEPTH = 2
"""How many names of a path say in which part of the settings a value stands."""
_OF_SIGN_IN = ("api.host", "api.tls.client_ca")
"""What is judged by the ways to sign in."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
OptionsOf = Callable[[str], type]
"""Returns the options class of an orchestrator type; raises ConfigError for an unknown type."""


def load_settings(
    options_of: OptionsOf,
    sign_in_of: SignInOf,
    *,
    check_dialect: Callable[[str], None],
    file: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> Settings:
    """Read, merge and check the settings.

    Args:
        options_of: Returns the options class of an orchestrator type.
        sign_in_of: Returns the way to sign in of a type.
        check_dialect: Raises ConfigError if there is no dialect of a name.
        file: YAML file; defaults alone when None.
        overrides: Leaves by dotted path, such as ``{"api.port": 0}``; they win over all else.
        environ: Environment to expand and override from; the process's own when None.
        without: Dotted paths of settings, or of sections, that this process has no need of; they
            are not read, nor are the variables and files that they name, and hold their defaults.

    Raises:
        ConfigError: With every fault in ``fields``, named by its path in the file.
    """
    environ = os.environ if environ is None else environ
    source = read_source(file, environ, overrides or {}, without)
    sign_in_options, sign_in_faults = take_options(source.tree, sign_in_of)
    settings, faults = load_section(Settings, source.tree, "")
    faults += sign_in_faults
    faults = source.faults + _elsewhere(faults, source.faults)
    raw: Any = source.tree.get("orchestrators") if settings is None else settings.orchestrators
    orchestrators, more = _orchestrators(raw if isinstance(raw, list) else [], options_of)
    faults += more
    checked = settings or without_faults(Settings, source.tree, faults)
    if checked is not None:
        auth = dataclasses.replace(checked.api.auth, options=sign_in_options)
        more = option_checks(sign_in_options, sign_in_of, auth)
        crossed = _cross_checks(checked)
        more += [fault for fault in crossed if not is_left_out(fault.path, without)]
        more += _dialect_checks(checked.api, check_dialect)
        faults += _apart(more, faults) if settings is None else more
    if faults or settings is None:
        where = f" in {file}" if file else ""
        raise ConfigError(f"The settings{where} have {len(faults)} fault(s).", fields=tuple(faults))
    base = file.parent if file is not None else Path()
    in_clear = (
        *written_secrets(Settings, source.written),
        *orchestrator_secrets(options_of, source.written.get("orchestrators")),
        *sign_in_secrets(source.written, sign_in_of),
    )
    auth = dataclasses.replace(settings.api.auth, options=sign_in_options)
    tls = settings.api.tls.below(base)
    return dataclasses.replace(
        settings,
        data_dir=(base / _data_dir(settings, environ)).absolute(),
        api=dataclasses.replace(settings.api, auth=auth, tls=tls),
        orchestrators=_with_load(settings, orchestrators, options_of),
        master_key=None if "master_key" in without else environ.get(MASTER_KEY) or None,
        secrets_in_file=in_clear,
    )


def _with_load(
    settings: Settings, orchestrators: list[OrchestratorSettings], options_of: OptionsOf
) -> list[OrchestratorSettings]:
    """Add the orchestrator of virtual users, unless it is there or switched off."""
    if not settings.load.enabled:
        return [each for each in orchestrators if each.type != LOAD]
    if any(each.type == LOAD for each in orchestrators):
        return orchestrators
    names = {each.name for each in orchestrators}
    others = (f"{LOAD}-{number}" for number in itertools.count(2))
    name = next(name for name in itertools.chain([LOAD], others) if name not in names)
    return [*orchestrators, OrchestratorSettings(name, LOAD, options_of(LOAD)())]


def _elsewhere(faults: list[FieldError], known: list[FieldError]) -> list[FieldError]:
    """Leave out what is only said of values that could not be read as they stand."""
    places = [fault.path for fault in known]
    return [
        fault
        for fault in faults
        if not any(fault.path == p or fault.path.startswith((f"{p}.", f"{p}[")) for p in places)
    ]


def _apart(faults: list[FieldError], known: list[FieldError]) -> list[FieldError]:
    """Leave out what may only be said since something that has a fault was left out.

    So who may sign in is judged only where all that is said of it can be read.
    """
    sections = {".".join(fault.path.split(".")[:_SECTION_DEPTH]) for fault in known}
    return [
        fault
        for fault in faults
        if not any(fault.path.startswith(place) for place in sections)
        and not (fault.path in _OF_SIGN_IN and any(s.startswith("api.auth") for s in sections))
    ]


def _data_dir(settings: Settings, environ: Mapping[str, str]) -> Path:
    if settings.data_dir != Path():
        return settings.data_dir.expanduser()
    data_home = environ.get("XDG_DATA_HOME")
    home = Path(environ.get("HOME") or Path.home())
    return (Path(data_home) if data_home else home / ".local" / "share") / "slipway"


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
        arrange, moved = getattr(options_class, "arranged", None), {}
        if arrange is not None:
            rest, moved = arrange(rest)
        options, more = load_section(options_class, rest, path)
        faults += (_where_written(fault, path, moved) for fault in more)
        if isinstance(name, str) and options is not None:
            result.append(OrchestratorSettings(name, str(type_), options))
    return result, faults


def _where_written(fault: FieldError, path: str, moved: Mapping[str, str]) -> FieldError:
    """Let a fault name the place at which an option was written, where that is another one."""
    for there, here in moved.items():
        if fault.path.startswith(f"{path}.{there}."):
            rest = fault.path.removeprefix(f"{path}.{there}")
            return FieldError(f"{path}.{here}{rest}", fault.message)
    return fault


def _cross_checks(settings: Settings) -> list[FieldError]:
    faults = auth_checks(settings.api, is_loopback(settings.api.host))
    if settings.api.proxies and settings.api.trusted_proxies:
        text = "does not go together with 'trusted_proxies', which says the same and more"
        faults.append(FieldError("api.proxies", text))
    if settings.api.port and settings.api.wattle.port == settings.api.port:
        faults.append(FieldError("api.wattle.port", "must be another one than 'api.port'"))
    keys = settings.ssh_keys
    if keys.vault is not None and keys.vault.is_secret_wrapped and settings.web_processes > 1:
        text = "a wrapped secret id can be used once, so there can be only one web process"
        faults.append(FieldError("web.processes", text))
    if keys.store == "vault":
        if keys.vault is None:
            faults.append(FieldError("ssh_keys.vault", "is needed with 'store: vault'"))
        else:
            faults += _vault_checks(keys.vault)
    return faults


def _dialect_checks(api: ApiSettings, check_dialect: Callable[[str], None]) -> list[FieldError]:
    faults, names = [], api.dialects or []
    for index, name in enumerate(names):
        path = f"api.dialects[{index}]"
        if name in names[:index]:
            faults.append(FieldError(path, f"'{name}' stands twice"))
            continue
        try:
            check_dialect(name)
        except ConfigError as exc:
            faults.append(FieldError(path, exc.message))
    if "ui" in names and "root" not in names:
        faults.append(FieldError("api.dialects", "must name 'root', which 'ui' reads, as well"))
    return faults


def _vault_checks(vault: VaultSettings) -> list[FieldError]:
    faults = _login_checks(vault, "ssh_keys.vault")
    reader = vault.reader
    if reader is None:
        return faults
    faults += _login_checks(reader, "ssh_keys.vault.reader")
    for name in ("role_id", "token"):
        if getattr(reader, name) and getattr(reader, name) == getattr(vault, name):
            text = "must be another one than that of 'ssh_keys.vault', which may not read"
            faults.append(FieldError(f"ssh_keys.vault.reader.{name}", text))
    return faults


def _login_checks(login: VaultSettings | VaultReaderSettings, path: str) -> list[FieldError]:
    needed = ("role_id", "secret_id") if login.auth == "approle" else ("token",)
    return [
        FieldError(f"{path}.{name}", f"is needed with 'auth: {login.auth}'")
        for name in needed
        if not getattr(login, name)
    ]


def takes_any_host(settings: ApiSettings) -> bool:
    """Return whether requests for any host are answered, since nobody has said for which."""
    return not settings.allowed_hosts and not is_loopback(settings.host)


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
