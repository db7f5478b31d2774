"""Which service is meant, and who signs in: options, variables, kept profiles, ``~/.waas``.

In this order; of variables those of Slipway come before those of the older command line, ``HW_*``.
What is kept of a login is for the address that it was kept for, and is sent to no other.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from slipway.cli.codes import Failure

if TYPE_CHECKING:
    from slipway.cli.options import Connection

DEFAULT_URL: Final = "http://127.0.0.1:8080"
"""Where ``slipway serve`` listens unless told otherwise."""
URL_VARIABLES: Final = ("SLIPWAY_URL", "HW_API_URL")
"""Which say the address of the service, the first that is set."""
NOTHING: Final = "the default"
"""Where an address is from that nobody chose."""
FIRST_PROFILE: Final = "default"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a profile may be called: files are named after it."""
KINDS: Final = ("none", "password", "token", "api_key", "oidc")
"""How somebody may sign in; the tokens of ``oidc`` are in a file of their own."""
_FILE: Final = "profiles.json"
WAAS: Final = "~/.waas"
"""The file of the command line of before, and where a login of it is from."""
_MOST_BYTES: Final = 1 << 20
"""Of a file with logins."""


@dataclass(frozen=True, slots=True)
class Login:
    """How somebody signs in.

    Attributes:
        kind: One of :data:`KINDS`.
        user: Their name; empty where it is not known.
        secret: The password, token or key; None where it has to be asked for.
        source: Where it is from, as it is told to people, such as ``SLIPWAY_TOKEN``.
    """

    kind: str = "none"
    user: str = ""
    secret: str | None = field(default=None, repr=False)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A login that is kept.

    Attributes:
        url: Address of the service that it is for.
        ca: File with certificates that are trusted; empty for those of the system.
    """

    name: str
    url: str
    login: Login
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The service that is meant, and how somebody signs in to it.

    Attributes:
        source: Where the address is from, as it is told to people.
        profile: The profile that settles at least one of both.
    """

    url: str
    source: str
    login: Login
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles that are kept, and the name of the one that counts."""

    current: str = FIRST_PROFILE
    kept: Mapping[str, Profile] = field(default_factory=dict)


def config_folder() -> Path:
    """Return the folder of what the command line keeps; it may not be there yet."""
    import platformdirs  # noqa: PLC0415  (most calls that variables settle do without)

    return Path(platformdirs.user_config_dir("slipway"))


def profiles_file(folder: Path | None = None) -> Path:
    """Return the file of the profiles; it may not be there yet."""
    return (folder or config_folder()) / _FILE


def tokens_file(name: str) -> Path:
    """Return the file of the tokens of a profile, which are renewed there."""
    return config_folder() / f"{name}.tokens.json"


def read_profiles(folder: Path | None = None) -> Profiles:
    """Read the profiles that are kept.

    Raises:
        Failure: The file cannot be read, or is none of ours.
    """
    file = profiles_file(folder)
    text = _read(file)
    if text is None:
        return Profiles()
    try:
        document = json.loads(text)
        kept = {name: _profile(name, each) for name, each in document["profiles"].items()}
        return Profiles(str(document["current"]), kept)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Failure(
            f"{file} is no list of profiles.", hint="Move it away, and sign in again: slipway login"
        ) from None


def _profile(name: str, kept: Mapping[str, Any]) -> Profile:
    kind, secret = kept.get("kind", "none"), kept.get("secret")
    if kind not in KINDS:
        raise ValueError(kind)
    login = Login(
        kind, _text(kept.get("user", "")), None if secret is None else _text(secret),
        f"profile {name}",
    )  # fmt: skip
    url, ca = checked_url(kept["url"], name), _text(kept.get("ca", ""))
    return Profile(_checked_name(name), url, login, ca)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(name)
    return name


def profile_document(profile: Profile) -> dict[str, Any]:
    """Return what is kept of a profile, as JSON can have it."""
    login = profile.login
    kept: dict[str, Any] = {"url": profile.url, "kind": login.kind}
    optional = {"user": login.user, "secret": login.secret, "ca": profile.ca}
    return kept | {key: value for key, value in optional.items() if value}


def resolve(asked: Connection, environ: Mapping[str, str] | None = None) -> Target:
    """Return the service that is meant, and the login.

    Args:
        asked: The options of the command line.
        environ: Variables; those of the process unless given.

    Raises:
        Failure: The options contradict each other, or name a profile that there is not.
    """
    variables = os.environ if environ is None else environ
    by_option = _login_of_options(asked, variables)
    if asked.profile is not None:
        profile = _named(asked.profile, "--profile")
        return _with_profile(profile, asked, by_option)
    address = _address(asked, variables)
    login = by_option or login_of_variables(variables)
    if address and login:
        return Target(*address, login)
    return _with_kept(address, login, variables)


def _with_profile(profile: Profile, asked: Connection, login: Login | None) -> Target:
    """Return what a profile that was asked for settles: all but what options say."""
    if asked.url is None:
        return Target(profile.url, f"profile {profile.name}", login or profile.login, profile)
    url = checked_url(asked.url, "--url")
    if login is None and not same_service(url, profile.url):
        raise Failure(
            f"Profile {profile.name} is for {profile.url}, and not for {url}.",
            hint="Leave out --url or --profile.",
        )
    return Target(url, "--url", login or profile.login, profile)


def _with_kept(
    address: tuple[str, str] | None, login: Login | None, variables: Mapping[str, str]
) -> Target:
    """Fill in from the profiles and ``~/.waas`` what options and variables leave open."""
    profile = _chosen(address[0] if address else None, variables.get("SLIPWAY_PROFILE"))
    if profile is None:
        profile = _waas()
        if profile and address and not same_service(address[0], profile.url):
            profile = None
    if profile is None:
        url, source = address or (DEFAULT_URL, NOTHING)
        return Target(url, source, login or Login())
    url, source = address or (profile.url, profile.login.source)
    return Target(url, source, login or profile.login, profile)


def _chosen(url: str | None, name: str | None) -> Profile | None:
    """Return the profile that counts; for an address, one that is for it."""
    if name:
        profile = _named(name, "SLIPWAY_PROFILE")
        return profile if url is None or same_service(url, profile.url) else None
    profiles = read_profiles()
    current = profiles.kept.get(profiles.current)
    if url is None:
        return current
    others = [current] if current else []
    others += profiles.kept.values()
    return next((each for each in others if same_service(url, each.url)), None)


def _named(name: str, source: str) -> Profile:
    kept = read_profiles().kept
    if name not in kept:
        raise no_such_profile(name, kept, source)
    return kept[name]


def no_such_profile(name: str, kept: Iterable[str], source: str = "") -> Failure:
    """Return what is said where no profile of a name is kept."""
    from_where = f" ({source})" if source else ""
    return Failure(
        f"There is no profile '{name}'{from_where}; there are: {', '.join(kept) or 'none'}.",
        hint=f"slipway login URL --profile {name}",
    )


def _address(asked: Connection, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the address that options or variables say, and which of them."""
    if asked.url is not None:
        return checked_url(asked.url, "--url"), "--url"
    return address_of_variables(variables)


def address_of_variables(variables: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the address that variables say, and which of them; None where none does.

    Raises:
        Failure: It is no address.
    """
    name = next((name for name in URL_VARIABLES if variables.get(name)), None)
    return None if name is None else (checked_url(variables[name], name), name)


def _login_of_options(asked: Connection, variables: Mapping[str, str]) -> Login | None:
    if asked.user is not None and asked.token is not None:
        raise Failure("Give either -u or -t, not both.")
    if asked.token is not None:
        return Login("token", secret=asked.token, source="-t")
    if asked.user is None:
        return None
    login = _with_password(asked.user, "-u")
    if login.secret is None and variables.get("SLIPWAY_PASSWORD"):
        return replace(login, secret=variables["SLIPWAY_PASSWORD"])
    return login


def login_of_variables(variables: Mapping[str, str]) -> Login | None:
    """Return the login of the variables, the more exact ones first."""
    if token := variables.get("SLIPWAY_TOKEN"):
        return Login("token", secret=token, source="SLIPWAY_TOKEN")
    if key := variables.get("SLIPWAY_API_KEY"):
        return Login("api_key", secret=key, source="SLIPWAY_API_KEY")
    if user := variables.get("SLIPWAY_USER"):
        return Login("password", user, variables.get("SLIPWAY_PASSWORD"), source="SLIPWAY_USER")
    if token := variables.get("HW_ACCESS_TOKEN"):
        return Login("token", secret=token, source="HW_ACCESS_TOKEN")
    if user := variables.get("HW_USER"):
        return _with_password(user, "HW_USER")
    return None


def _with_password(text: str, source: str) -> Login:
    user, colon, password = text.partition(":")
    if not user:
        raise Failure(f"{source} has to be USER or USER:PASSWORD.")
    return Login("password", user, password if colon else None, source=source)


def _waas() -> Profile | None:
    """Return what ``~/.waas`` holds, the file of the command line of before; None without it."""
    text = _read(Path(WAAS).expanduser())
    if text is None:
        return None
    import yaml  # noqa: PLC0415  (few people have that file)

    try:
        document = yaml.safe_load(text) or {}
        url = document.get("api_url") or DEFAULT_URL
        token, user = document.get("access_token"), document.get("user")
    # YAML has numbers and dates that Python has not, and may be as deep as it likes.
    except (yaml.YAMLError, AttributeError, ValueError, RecursionError):
        raise Failure(f"{WAAS} is no YAML with api_url, user and access_token.") from None
    login = Login(source=WAAS)
    if token:
        login = Login("token", secret=str(token), source=WAAS)
    elif user:
        login = _with_password(str(user), WAAS)
    return Profile(WAAS, checked_url(str(url), WAAS), login, str(document.get("ca_file") or ""))


def _read(file: Path) -> str | None:
    """Return the text of a file; None where there is none."""
    try:
        with file.open(encoding="utf-8") as stream:
            return stream.read(_MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no text"
        raise Failure(f"{file} cannot be read: {reason}.") from None


def checked_url(text: str, source: str) -> str:
    """Return the address of a service, without a slash at its end.

    Raises:
        Failure: It is none, or holds a login, which everybody would see.
    """
    try:
        parts = urlsplit(text.strip())
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        shown = f"'{text}'" if "@" not in text else "that"  # a password may stand before it
        raise Failure(
            f"{source}: {shown} is no address of a service.",
            hint="It looks like https://slipway.example.org",
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise Failure(f"{source}: the address has to be without a user, '?' and '#'.")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def same_service(one: str, other: str) -> bool:
    """Whether two addresses are those of the same service."""
    return _parts(one) == _parts(other)


def _parts(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.path.rstrip("/")
