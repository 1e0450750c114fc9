"""Which operators are there, who sits at the desk, and how often was a door tried? The drawer of people at the desk.

A cookie's token is kept as its hash; what a patient's sitting holds is sealed under a key made from the token, so that
the ledger alone names no patient. Knows no password rule and no clock: all times here are wall time, as arguments.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.rules.people import Role
from gateway.stores.schema import instant, moment
from gateway.stores.transaction import Row, Transaction

SALT_BYTES = 16
_NONCE_BYTES = 12
_ACCOUNT = "name, password, salt, roles, step, closed"


@dataclass(frozen=True, slots=True)
class Account:
    """An operator's account. `password` is the encoded Argon2 hash; `step` the last one-time code's, -1 for none."""

    name: str
    password: str = field(repr=False)
    salt: bytes = field(repr=False)
    roles: frozenset[Role]
    step: int = -1
    closed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """One login that lasts: of an operator's account, or of a patient (`patient`, opened from its seal)."""

    account: Account | None
    patient: bytes | None = field(repr=False)
    began: datetime
    seen: datetime
    ends: datetime


# --- accounts --------------------------------------------------------------------------------------------------------


def put(tx: Transaction, account: Account, at: datetime) -> None:
    """Add an account, or make a known one exactly this."""
    tx.run(
        "INSERT INTO operator VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
        " password = excluded.password, salt = excluded.salt, roles = excluded.roles, step = excluded.step,"
        " closed = excluded.closed",
        account.name,
        account.password,
        account.salt,
        ",".join(sorted(account.roles)),
        account.step,
        instant(at),
        None if account.closed is None else instant(account.closed),
    )


def find(tx: Transaction, name: str) -> Account | None:
    row = tx.row(f"SELECT {_ACCOUNT} FROM operator WHERE name = ?", name)  # noqa: S608
    return None if row is None else _account(row)


def everybody(tx: Transaction) -> list[Account]:
    """Every account, closed ones too, by name."""
    return [_account(row) for row in tx.rows(f"SELECT {_ACCOUNT} FROM operator ORDER BY name")]  # noqa: S608


def use_step(tx: Transaction, account: Account, step: int) -> bool:
    """Use up the one-time code of this step. False when it, or a later one, was used before, or when the account is no
    longer as it was when the password was looked at."""
    touched = tx.run(
        "UPDATE operator SET step = ? WHERE name = ? AND step < ? AND password = ? AND salt = ? AND closed IS NULL",
        step,
        account.name,
        step,
        account.password,
        account.salt,
    )
    return touched == 1


def _account(row: Row) -> Account:
    name, password, salt, roles, step, closed = row
    held = frozenset(Role(role) for role in roles.split(",") if role)
    return Account(name, password, bytes(salt), held, int(step), None if closed is None else moment(closed))


# --- sittings --------------------------------------------------------------------------------------------------------


def new_token() -> str:
    """A cookie's token: 256 random bits as 43 characters."""
    return secrets.token_urlsafe(32)


def sit_operator(tx: Transaction, token: str, name: str, began: datetime, ends: datetime) -> None:
    _sit(tx, token, name, None, began, ends)


def sit_patient(tx: Transaction, token: str, patient: bytes, began: datetime, ends: datetime) -> None:
    """`patient` is sealed: only who has the token can open it again."""
    nonce = os.urandom(_NONCE_BYTES)
    _sit(tx, token, None, nonce + AESGCM(_seal_key(token)).encrypt(nonce, patient, None), began, ends)


def seat(tx: Transaction, token: str) -> Seat | None:
    """The sitting of this token, ended or not; None when there is none, or its account is closed."""
    row = tx.row(
        "SELECT s.sealed, s.began, s.seen, s.ends, o.name, o.password, o.salt, o.roles, o.step, o.closed"
        " FROM sitting s LEFT JOIN operator o ON o.name = s.operator WHERE s.token = ?",
        _hash(token),
    )
    if row is None or row[9] is not None:
        return None
    account = None if row[4] is None else _account(row[4:])
    return Seat(account, _opened(token, row[0]), *(moment(at) for at in row[1:4]))


def see(tx: Transaction, token: str, at: datetime) -> None:
    """Note that the sitting was used."""
    tx.run("UPDATE sitting SET seen = ? WHERE token = ?", instant(at), _hash(token))


def rise(tx: Transaction, token: str) -> bool:
    """End one sitting. False: there was none."""
    return tx.run("DELETE FROM sitting WHERE token = ?", _hash(token)) == 1


def rise_all(tx: Transaction, name: str) -> int:
    """End every sitting of an account; returns how many."""
    return tx.run("DELETE FROM sitting WHERE operator = ?", name)


def purge(tx: Transaction, *, ended: datetime, attempts: datetime) -> None:
    """Forget the sittings that had ended, and the attempts made, before these moments."""
    tx.run("DELETE FROM sitting WHERE ends < ?", instant(ended))
    tx.run("DELETE FROM login_attempt WHERE at < ?", instant(attempts))


def _sit(tx: Transaction, token: str, name: str | None, sealed: bytes | None, began: datetime, ends: datetime) -> None:
    at = instant(began)
    tx.run("INSERT INTO sitting VALUES (?, ?, ?, ?, ?, ?)", _hash(token), name, sealed, at, at, instant(ends))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _seal_key(token: str) -> bytes:
    return hmac.digest(token.encode(), b"switchpoint sitting", "sha256")


def _opened(token: str, sealed: bytes | None) -> bytes | None:
    if sealed is None:
        return None
    kept = bytes(sealed)
    try:
        return AESGCM(_seal_key(token)).decrypt(kept[:_NONCE_BYTES], kept[_NONCE_BYTES:], None)
    except InvalidTag:
        return None


# --- attempts --------------------------------------------------------------------------------------------------------


def attempts(tx: Transaction, whom: str, since: datetime) -> int:
    """How many attempts by this account's or address's name are noted since then."""
    row = tx.row("SELECT count(*) FROM login_attempt WHERE whom = ? AND at >= ?", _hash(whom), instant(since))
    return int(row[0]) if row else 0


def note_attempt(tx: Transaction, whom: tuple[str, ...], at: datetime) -> bytes:
    """Note one attempt under each of these names; returns its id. Names are kept as hashes."""
    id = os.urandom(16)
    for one in whom:
        tx.run("INSERT INTO login_attempt VALUES (?, ?, ?)", id, _hash(one), instant(at))
    return id


def forget_attempt(tx: Transaction, id: bytes, whom: tuple[str, ...]) -> None:
    """It succeeded: it does not count."""
    for one in whom:
        tx.run("DELETE FROM login_attempt WHERE whom = ? AND id = ?", _hash(one), id)
