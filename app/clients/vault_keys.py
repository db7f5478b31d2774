"""Reading private keys from Vault, with a login that the web processes do not have.

The policy that it needs is ``docker/vault/conductor-policy.hcl``.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import hvac

from app.clients._http import expecting_shape
from app.clients._ssh_terms import SshCredential
from app.clients._vault_session import Absent, TokenKeeper, VaultSession, remove_key
from app.clients.key_opener import certificate_in
from app.errors import UpstreamRefused
from app.settings import VaultReaderSettings, VaultSettings


class VaultPrivateKeys:
    """Private keys in Vault. Threads may share it; making it sends nothing.

    Args:
        settings: Where Vault is.
        reader: How to log in there.
        clock: Seconds that only grow.
        jitter: A number from 0 to 1.
    """

    def __init__(
        self,
        settings: VaultSettings,
        reader: VaultReaderSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._mount, self._path = settings.mount.strip("/"), settings.path.strip("/")
        own = replace(
            settings, auth=reader.auth, role_id=reader.role_id, secret_id=reader.secret_id,
            token=reader.token, is_secret_wrapped=False,
        )  # fmt: skip
        self._tokens = TokenKeeper(own, VaultSession(own, clock), clock, jitter)

    def get(self, key_id: str) -> SshCredential:
        """Read the private half of a pair.

        Upstream: ``GET /<mount>/data/<path>/<id>`` -> 200, and 404 where there is none or its
        version was deleted (https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2).

        Raises:
            UpstreamRefused: There is none, or the policy does not allow it.
            UpstreamError: Vault cannot be asked now.
        """

        def read(client: hvac.Client) -> SshCredential:
            answer = client.adapter.get(f"/v1/{self._mount}/data/{self._path}/{key_id}")
            with expecting_shape("Vault"):
                secret = answer["data"]["data"]
                return SshCredential(str(secret["privateKey"]), certificate_in(secret))

        try:
            return self._tokens.call(read)
        except Absent as exc:
            text = "There is no private half of this SSH key in Vault any more."
            raise UpstreamRefused(text, detail=exc.detail) from None

    def remove(self, key_id: str) -> None:
        """Remove a key pair; see :func:`remove_key`.

        Raises:
            UpstreamError: It may still be there.
        """
        self._tokens.call(partial(remove_key, mount=self._mount, path=f"{self._path}/{key_id}"))

    def close(self) -> None:
        """End the renewal of the token."""
        self._tokens.stop()
