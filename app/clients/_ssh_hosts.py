"""Whether a server is the one that is meant: known_hosts files, host certificates, fingerprints.

Nothing is trusted because it is seen for the first time. The format is that of sshd(8), part
"SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import hashlib
import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from app.clients._ssh_terms import HostKeyRefused, SshTarget
from app.errors import ConfigError

_LARGEST_FILE_BYTES = 16 * 1024 * 1024
_CERTIFICATE = "-cert-v01@openssh.com"
_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_ALGORITHMS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    *_RSA,
)
"""Of host keys, the best first."""
_MARKS = ("@cert-authority", "@revoked")


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint of a public key as OpenSSH writes it."""
    return "SHA256:" + b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def key_type(blob: bytes) -> str:
    """Return the type that a public key says it is of; empty where it says none."""
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length].decode("ascii", "replace") if len(blob) >= 4 + length else ""


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A line of a known_hosts file.

    Attributes:
        mark: ``@cert-authority``, ``@revoked`` or nothing.
        names: The patterns, or the hashed name.
        blob: The public key.
    """

    mark: str
    names: str
    blob: bytes

    def is_of(self, address: str) -> bool:
        """Return whether it speaks of a host; see :attr:`SshTarget.address`."""
        if self.names.startswith("|"):
            return _is_hash_of(self.names, address)
        patterns = self.names.lower().split(",")
        if any(p.startswith("!") and _fits(address, p[1:]) for p in patterns):
            return False
        return any(_fits(address, p) for p in patterns)


def _fits(address: str, pattern: str) -> bool:
    # Brackets are those of [host]:port, and stand for themselves.
    return fnmatchcase(address, pattern.replace("[", "[[]"))


def _is_hash_of(text: str, address: str) -> bool:
    try:
        _, version, salt, digest = text.split("|")
        if version != "1":
            return False
        # SHA-1 is what the format has; it hides names, and proves nothing.
        made = hmac.new(b64decode(salt), address.encode(), hashlib.sha1).digest()
        return hmac.compare_digest(made, b64decode(digest))
    except ValueError:
        return False


def read_known_hosts(text: str) -> Iterator[KnownHost]:
    """Read a known_hosts file; lines that make no sense are left out, as OpenSSH does."""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        mark = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3 or (mark and mark not in _MARKS):
            continue
        names, kind, encoded = words[:3]
        try:
            blob = b64decode(encoded, validate=True)
        except ValueError:
            continue
        if key_type(blob) == kind:
            yield KnownHost(mark, names, blob)


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of one server.

    Attributes:
        target: The server.
        keys: Its keys.
        authorities: Keys of those who may vouch for it.
        revoked: Keys that are never to be trusted.
        pins: Fingerprints of its keys, each with a type of key or with an empty text.
    """

    target: SshTarget
    keys: Sequence[bytes]
    authorities: Sequence[bytes]
    revoked: Sequence[bytes]
    pins: Sequence[tuple[str, str]]

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What to ask the server for: what can be checked first, all else after it."""
        types = {key_type(blob) for blob in self.keys} | {kind for kind, _ in self.pins}
        first = [a for a in _ALGORITHMS if a in types or (a in _RSA and "ssh-rsa" in types)]
        certified = [a + _CERTIFICATE for a in _ALGORITHMS] if self.authorities else []
        return tuple(dict.fromkeys((*certified, *first, *_ALGORITHMS)))

    def check(self, blob: bytes) -> str:
        """Check what the server shows: a key of which it has proved that it has the private part.

        Args:
            blob: The public key, or a certificate.

        Returns:
            The fingerprint of the key.

        Raises:
            HostKeyRefused: It is not the server that is meant, as far as is known.
        """
        if key_type(blob).endswith(_CERTIFICATE):
            return self._check_certificate(blob)
        shown = fingerprint(blob)
        if blob in self.revoked:
            raise self._refused(blob, "which is marked as revoked: do not trust this server.")
        if self.pins:
            if shown in {pin for _, pin in self.pins}:
                return shown
            wanted = " or ".join(pin for _, pin in self.pins)
            raise self._refused(blob, f"and {wanted} is pinned. {_CHANGED}")
        if blob in self.keys:
            return shown
        if self.keys:
            wanted = " or ".join(dict.fromkeys(map(fingerprint, self.keys)))
            raise self._refused(blob, f"and {wanted} is known. {_CHANGED}")
        raise self._refused(blob, f"which is not known. {_ACCEPT}")

    def _check_certificate(self, blob: bytes) -> str:
        # Large, and most servers have none.
        from app.clients._ssh_certificates import host_certificate_fault  # noqa: PLC0415

        key, fault = host_certificate_fault(
            blob, self.target.host, self.authorities, self.revoked, time.time()
        )
        if fault is None:
            return fingerprint(key)
        raise HostKeyRefused(
            f"The host certificate of {self.target.address} is refused: {fault}. "
            "Nothing was sent to it."
        )

    def _refused(self, blob: bytes, rest: str) -> HostKeyRefused:
        kind, shown = key_type(blob), fingerprint(blob)
        error = HostKeyRefused(
            f"{self.target.address} shows the host key {shown} ({kind}), {rest}",
            detail=f"{self.target.address.lower()} {kind} {b64encode(blob).decode()}",
        )
        error.fingerprint, error.line = shown, error.detail or ""
        return error


_CHANGED = (
    "Either the server has a new key, or somebody stands in between; nothing was sent. "
    "Ask those who run it, and replace the key that is known only if they confirm the new one."
)
_ACCEPT = (
    "Nothing was sent. Compare it with what those who run the server publish; if it is the same, "
    "pin this fingerprint, or add the key to the known_hosts file of the gateway."
)


class HostKeys:
    """Knows the keys of servers. The file is read at each connection, so a change counts at once.

    Args:
        known_hosts: A known_hosts file; None for none.
        pinned: Fingerprints by host and port. Each is ``SHA256:...``, and may have the type of the
            key before it, such as ``ssh-rsa SHA256:...``, which is then asked for. A pinned server
            is not looked for in the file, but for keys that are revoked.

    Raises:
        ConfigError: A fingerprint is not one.
    """

    def __init__(
        self,
        known_hosts: Path | None = None,
        pinned: Mapping[tuple[str, int], Sequence[str]] | None = None,
    ) -> None:
        self._file = known_hosts
        self._pinned = {
            (host.lower(), port): tuple(map(_pin, pins))
            for (host, port), pins in (pinned or {}).items()
        }

    def expected(self, target: SshTarget) -> Expected:
        """Return what is known of a server.

        Raises:
            HostKeyRefused: The file cannot be read.
        """
        address = target.address.lower()
        lines = [line for line in read_known_hosts(self._text()) if line.is_of(address)]

        def of(mark: str) -> list[bytes]:
            return [line.blob for line in lines if line.mark == mark]

        pins = self._pinned.get((target.host.lower(), target.port), ())
        return Expected(target, of(""), of("@cert-authority"), of("@revoked"), pins)

    def _text(self) -> str:
        if self._file is None:
            return ""
        try:
            with self._file.open("rb") as file:
                data = file.read(_LARGEST_FILE_BYTES + 1)
        except OSError as exc:
            raise _unreadable(exc.strerror or str(exc), str(exc)) from None
        if len(data) > _LARGEST_FILE_BYTES:
            raise _unreadable("it is too large", str(self._file))
        return data.decode("utf-8", "replace")


def _unreadable(reason: str, detail: str) -> HostKeyRefused:
    return HostKeyRefused(
        f"The known_hosts file of the gateway cannot be read ({reason}); nothing was sent.",
        detail=detail,
    )


def _pin(text: str) -> tuple[str, str]:
    kind, _, printed = text.strip().rpartition(" ")
    printed = printed.rstrip("=")
    method, _, digest = printed.partition(":")
    try:
        is_digest = len(b64decode(digest + "=" * (-len(digest) % 4), validate=True)) == 32
    except ValueError:
        is_digest = False
    known = not kind or kind == "ssh-rsa" or kind in _ALGORITHMS
    if method != "SHA256" or not is_digest or not known:
        raise ConfigError(
            f"'{text[:100]}' is not the fingerprint of a host key: it is written as "
            "'SHA256:<43 characters>', as by 'ssh-keygen -lf', perhaps after the type of the key."
        )
    return kind, printed
