"""The process that alone has the master key where conductors run, and opens one key pair at a time.

It is begun by :mod:`app.clients.opener_link`, whose end of the socket is its lifeline. It imports
hardly anything, reads no database and writes nothing anywhere; what it is to open is sent to it.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import resource
import socket
import struct
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from app.clients.key_store import KEY_ID
from app.clients.master_key import load_master_key
from app.clients.sealing import Sealing
from app.errors import ConfigError, UpstreamGarbled

if TYPE_CHECKING:
    from app.domain import JSON
    from app.store.keys import Sealed

IDLE_SECONDS: Final = 600.0
"""After so long without a request it ends; the next one begins another."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of a message; metadata, which are sealed together with the keys, have a narrower limit."""
_LENGTH: Final = struct.Struct(">I")
_MOST_KEY_BYTES: Final = 1024
_PR_SET_DUMPABLE: Final = 4


def send(link: socket.socket, message: JSON) -> None:
    """Send a message."""
    text = json.dumps(message).encode()
    link.sendall(_LENGTH.pack(len(text)) + text)


def receive(link: socket.socket) -> Any:
    """Read a message.

    Raises:
        EOFError: The other side has ended.
        ValueError: It is none, or too long.
        OSError: Nothing came in time.
    """
    (length,) = _LENGTH.unpack(_exactly(link, _LENGTH.size))
    if length > MOST_BYTES:
        raise ValueError(f"a message of {length} bytes, at most {MOST_BYTES} are taken")
    return json.loads(_exactly(link, length))


def _exactly(link: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = link.recv(min(count - len(data), 1 << 16))
        if not part:
            raise EOFError("it has ended")
        data += part
    return bytes(data)


def open_pair(sealing: Sealing, key_id: str, sealed: Sealed) -> dict[str, str | None]:
    """Decrypt a key pair.

    Returns:
        The private half, and the certificate that was stored with it, if any.

    Raises:
        UpstreamGarbled: It was encrypted with another master key, or tampered with.
    """
    secret = json.loads(sealing.open(key_id, sealed))
    return {"private_key": str(secret["privateKey"]), "certificate": certificate_in(secret)}


def certificate_in(secret: Any) -> str | None:
    """Return the user certificate of OpenSSH among what was stored of a key pair."""
    found = secret.get("certificate")
    is_one = isinstance(found, str) and found.startswith(("ssh-", "ecdsa-")) and "-cert-" in found
    return found if is_one else None


def main() -> None:
    """Open what is asked for, until the other side is gone."""
    # Neither the conductor nor the commands of the same user can read its memory: prctl(2).
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    link = socket.socket(fileno=0)
    link.settimeout(IDLE_SECONDS)
    with suppress(OSError, EOFError, ValueError):
        _serve(link)


def _serve(link: socket.socket) -> None:
    setup = receive(link)
    try:
        sealing = _sealing(Path(setup["file"]), setup["descriptor"])
    except (ConfigError, OSError) as exc:
        faults = "; ".join(f.message for f in exc.fields) if isinstance(exc, ConfigError) else exc
        send(link, {"error": f"The master key cannot be used: {faults}."})
        return
    send(link, {})
    while True:
        send(link, _answer(sealing, receive(link)))


def _sealing(file: Path, descriptor: int | None) -> Sealing:
    if descriptor is None:
        return Sealing(load_master_key(file, None, in_use=lambda: True))
    text = os.pread(descriptor, _MOST_KEY_BYTES, 0).decode("ascii", "replace")
    os.close(descriptor)
    return Sealing(load_master_key(file, text))


def _answer(sealing: Sealing, asked: Any) -> JSON:
    key_id = str(asked["id"])
    # The same master key seals what signs tokens, which is nobody's to read here.
    if not KEY_ID.fullmatch(key_id):
        return {"error": "That is not the id of an SSH key."}
    halves = (base64.b64decode(asked[name]) for name in ("nonce", "ciphertext"))
    sealed: Any = SimpleNamespace(**dict(zip(("nonce", "ciphertext"), halves, strict=True)))
    try:
        return open_pair(sealing, key_id, sealed)
    except UpstreamGarbled as exc:
        return {"error": exc.message}


if __name__ == "__main__":
    main()
