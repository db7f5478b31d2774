"""HashiCorp Vault, or OpenBao, as the store of private keys.

A key pair is one secret of a KV version 2 engine, ``<mount>/data/<path>/<id>``. The gateway writes
and deletes such secrets and cannot read them back: the policy that it needs is
``docker/vault/web-policy.hcl``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from functools import partial

import hvac

from app.clients._http import expecting_shape
from app.clients._vault_session import (
    RETRY_SECONDS,
    Denied,
    TokenKeeper,
    VaultSession,
    make_client,
    remove_key,
)
from app.clients.key_store import KeyPair, KeyStore
from app.domain import JSON
from app.errors import ConfigError, FieldError, UpstreamRefused, UpstreamUnreachable
from app.settings import VaultSettings

_RESERVED = frozenset({"privateKey", "publicKey"})


class VaultKeyStore(KeyStore):
    """Key pairs in Vault, with a token that renews itself.

    Making it sends nothing; the first call logs in and starts the thread that renews. It belongs
    to the process that made it: a thread does not survive a fork.

    Args:
        settings: Where Vault is, and how to log in there.
        clock: Seconds that only grow.
        jitter: A number from 0 to 1, so that many processes do not renew at the same moment.
    """

    def __init__(
        self,
        settings: VaultSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._mount = settings.mount.strip("/")
        self._path = settings.path.strip("/")
        session = VaultSession(settings, clock)
        self._tokens = TokenKeeper(settings, session, clock, jitter)
        # Vault answers questions about its own state in the root namespace only.
        self._state = make_client(settings, session, token="", namespace=None).sys
        self._was_denied = False

    def put(self, key_id: str, pair: KeyPair, metadata: Mapping[str, JSON]) -> None:
        """Keep a key pair as version 1 of a new secret.

        Upstream: ``POST /<mount>/data/<path>/<id>`` with ``cas`` 0, so that nothing is ever
        overwritten -> 200 (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2,
        checked on 1.21).

        Args:
            key_id: Random identifier, never used before.
            pair: The key pair, stored as ``privateKey`` and ``publicKey``.
            metadata: Stored beside them; keys of these two names are dropped.

        Raises:
            UpstreamError: It is not certain that the pair is stored.
        """
        secret = {key: value for key, value in metadata.items() if key not in _RESERVED}
        secret |= {"privateKey": pair.private_key, "publicKey": pair.public_key}

        def create(client: hvac.Client) -> None:
            answer = client.secrets.kv.v2.create_or_update_secret(
                f"{self._path}/{key_id}", secret, cas=0, mount_point=self._mount
            )
            with expecting_shape("Vault"):  # an engine of version 1 accepts this, and tells nothing
                answer["data"]["version"]

        try:
            self._tokens.call(create)
        except Denied:
            self._was_denied = True
            raise

    def delete(self, key_id: str) -> None:
        """Forget a key pair; see :func:`remove_key`.

        Raises:
            UpstreamError: It may still be there.
        """
        self._tokens.call(partial(remove_key, mount=self._mount, path=f"{self._path}/{key_id}"))

    def health(self) -> None:
        """Check that Vault takes requests, and that neither login nor policy is known to fail.

        Upstream: ``GET /sys/health``, told to answer 200 in every state, and on a standby node
        ``GET /sys/leader`` (https://developer.hashicorp.com/vault/api-docs/system/health).

        Raises:
            UpstreamError, ConfigError: Keys cannot be stored, and the message says why.
        """
        answer = self._state.read_health_status(
            method="GET",
            standby_code=200,
            performance_standby_code=200,
            dr_secondary_code=200,
            sealed_code=200,
            uninit_code=200,
        )
        with expecting_shape("Vault"):
            problem = self._problem(answer)
        if problem:
            raise UpstreamUnreachable(problem, retry_after_seconds=RETRY_SECONDS)
        self._tokens.verify()
        if self._was_denied:
            self._require(self._tokens.call(self._faults))
            self._was_denied = False

    def _problem(self, health: Mapping[str, JSON]) -> str | None:
        if not health["initialized"]:
            return "Vault is not initialised."
        if health["sealed"]:
            return "Vault is sealed."
        if health.get("replication_dr_mode") == "secondary":
            return "Vault is a disaster recovery secondary, which takes no requests."
        # A standby passes requests on, as long as there is somebody to pass them to.
        if health["standby"] and not self._state.read_leader_status()["leader_address"]:
            return "Vault is a standby node, and no node is active."
        return None

    def check(self) -> None:
        """Log in, and see that the engine and the policy are what is needed.

        Upstream: ``POST /sys/capabilities-self`` -> 200
        (https://developer.hashicorp.com/vault/api-docs/system/capabilities-self), and the look
        at the mount that Vault's own ``kv`` commands begin with.

        Raises:
            ConfigError: The login is refused, or ``fields`` lists what is missing.
            UpstreamError: Vault cannot be asked now.
        """
        try:
            faults = self._tokens.call(self._faults)
        except Denied:
            faults = (_lacks("update", "sys/capabilities-self"),)
        except UpstreamRefused as exc:
            raise ConfigError(exc.message, detail=exc.detail) from None
        self._require(faults)

    @staticmethod
    def _require(faults: tuple[FieldError, ...]) -> None:
        """Raise ConfigError unless there are none."""
        if faults:
            what = "; ".join(fault.message for fault in faults)
            raise ConfigError(f"Vault is not set up for the gateway: {what}.", fields=faults)

    def _faults(self, client: hvac.Client) -> tuple[FieldError, ...]:
        needed = {
            f"{self._mount}/data/{self._path}/*": ("create", "update"),
            f"{self._mount}/metadata/{self._path}/*": ("delete",),
            "auth/token/lookup-self": ("read",),
            "auth/token/renew-self": ("update",),
        }
        asked = {path.replace("*", "any"): path for path in needed}
        answer = client.sys.get_capabilities(list(asked))
        with expecting_shape("Vault"):
            held = {path: set(answer["data"][name]) for name, path in asked.items()}
        faults = [
            _lacks(capability, path)
            for path, capabilities in needed.items()
            for capability in capabilities
            if not held[path] & {capability, "root"}
        ]
        if not faults and not self._is_version_2(client):
            text = f"'{self._mount}' is not a KV engine of version 2"
            faults.append(FieldError("ssh_keys.vault.mount", text))
        return tuple(faults)

    def _is_version_2(self, client: hvac.Client) -> bool:
        answer = client.adapter.get(f"/v1/sys/internal/ui/mounts/{self._mount}")
        with expecting_shape("Vault"):
            return bool((answer["data"]["options"] or {}).get("version") == "2")

    def stop(self) -> None:
        """End the renewal; on return its thread is gone."""
        self._tokens.stop()

    @property
    def token_ttl_seconds(self) -> float | None:
        """Seconds that the token has left; infinite for one without an end, None before a login."""
        return self._tokens.ttl_seconds


def _lacks(capability: str, path: str) -> FieldError:
    return FieldError("ssh_keys.vault", f"the policy lacks '{capability}' on '{path}'")
