"""The keys that sign the service's own tokens: public in clear, private under the master key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, delete, insert, or_, select, update

from app.domain import AuditEvent
from app.store.audit import keep
from app.store.counters import last_number, next_number
from app.store.database import Database
from app.store.execution_rows import now
from app.store.keys import Sealed
from app.store.schema import signing_keys

_COUNTER: Final = "signing_keys"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key.

    Attributes:
        kid: What tokens name it by (RFC 7515, 4.1.4).
        public_key: JWK of the half that verifies (RFC 7517, 4).
        sealed: The private half; None of a key that signs no more.
        good_until: Until when tokens that it signed are taken; None while it signs.
    """

    kid: str
    public_key: Mapping[str, Any]
    sealed: Sealed | None
    good_until: datetime | None = None


class SigningKeys:
    """The keys in the store. Each change gets a number, by which others see that there was one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revision(self) -> int:
        """Return the number of the last change; 0 before the first."""
        return last_number(self._database, _COUNTER)

    def get(self, kid: str) -> SigningKey | None:
        """Return a key of which tokens may still be taken."""
        with self._database.read() as connection:
            wanted = select(signing_keys).where(signing_keys.c.kid == kid)
            row = connection.execute(wanted).mappings().one_or_none()
        return None if row is None else _read(row)

    def good(self) -> list[SigningKey]:
        """Return the keys of which tokens are taken by now, the one that signs first."""
        with self._database.read() as connection:
            wanted = select(signing_keys).where(_is_good()).order_by(signing_keys.c.created_at)
            found = [_read(row) for row in connection.execute(wanted).mappings()]
        return sorted(found, key=lambda key: key.good_until is not None)

    def current(self) -> SigningKey | None:
        """Return the key that signs; None before the first was made."""
        with self._database.read() as connection:
            return _current(connection)

    def first(self, make: Callable[[], SigningKey]) -> SigningKey:
        """Return the key that signs, and store one if there is none.

        Args:
            make: Makes one; it is called for one process of all that ask at the same time.
        """

        def work(connection: Connection) -> SigningKey:
            # Taken first, so that of two processes the second finds the key of the first.
            next_number(connection, _COUNTER)
            found = _current(connection)
            return found or _add(connection, make())

        return self._database.write(work)

    def replace(self, key: SigningKey, good_until: datetime, event: AuditEvent) -> None:
        """Let another key sign from now on; the private half of the one before is gone then.

        Args:
            key: The new key.
            good_until: Until when tokens of the one before are taken.
            event: Is audited with it.
        """

        def work(connection: Connection) -> None:
            next_number(connection, _COUNTER)
            connection.execute(delete(signing_keys).where(signing_keys.c.good_until <= now()))
            connection.execute(
                update(signing_keys)
                .where(or_(signing_keys.c.good_until.is_(None),
                           signing_keys.c.good_until > good_until))
                .values(good_until=good_until, nonce=None, ciphertext=None)
            )  # fmt: skip
            _add(connection, key)
            keep(connection, event)

        self._database.write(work)


def _is_good() -> Any:
    return or_(signing_keys.c.good_until.is_(None), signing_keys.c.good_until > now())


def _current(connection: Connection) -> SigningKey | None:
    wanted = select(signing_keys).where(signing_keys.c.good_until.is_(None))
    row = connection.execute(wanted).mappings().first()
    return None if row is None else _read(row)


def _add(connection: Connection, key: SigningKey) -> SigningKey:
    nonce, ciphertext = key.sealed or (None, None)
    connection.execute(
        insert(signing_keys).values(
            kid=key.kid, public_key=dict(key.public_key), nonce=nonce, ciphertext=ciphertext,
            created_at=now(), good_until=key.good_until,
        )
    )  # fmt: skip
    return key


def _read(row: RowMapping) -> SigningKey:
    is_sealed = row["ciphertext"] is not None
    return SigningKey(
        kid=row["kid"],
        public_key=row["public_key"],
        sealed=Sealed(row["nonce"], row["ciphertext"]) if is_sealed else None,
        good_until=row["good_until"],
    )
