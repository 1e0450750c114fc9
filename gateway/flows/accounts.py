"""Who gets an operator's account? Adding one, renewing what it is opened with, closing it; each with who did it.

A password and a code's secret leave here once, when they are made. Wall time rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gateway.flows.credentials import code_at, hash_password, new_password, secret_text, secret_uri
from gateway.flows.means import Means
from gateway.rules.journal import Event, Json, Line
from gateway.rules.people import Role, is_account_name
from gateway.stores import journal, people
from gateway.stores.ledger import Transaction
from gateway.stores.people import SALT_BYTES, Account


class Change(StrEnum):
    """What happened to an account."""

    ADDED = "added"
    PASSWORD = "password"
    CODE = "code"
    CLOSED = "closed"


class NoSuchAccount(Exception):
    """No operator has this name, or the account is closed."""


@dataclass(frozen=True, slots=True)
class Login:
    """What an operator logs in with: told once. `totp` is the secret for an authenticator (base32)."""

    name: str
    roles: frozenset[Role]
    password: str = field(repr=False)
    totp: str = field(repr=False)
    totp_uri: str = field(repr=False)


async def add_operator(
    means: Means, name: str, roles: Collection[Role], *, by: str, password: str | None = None
) -> Login:
    """Add an account, or set a known one up anew: the password (default a random one), a new secret, these roles. Who
    sits there with the old ones is gone. Raises ValueError for a name, password or roles that will not do, and
    LedgerUnavailable."""
    if not is_account_name(name):
        raise ValueError("an account has 2 to 32 small letters, digits and hyphens, a letter first")
    if not roles:
        raise ValueError("an account needs a role")
    chosen = new_password() if password is None else password
    account = Account(name, hash_password(chosen), os.urandom(SALT_BYTES), frozenset(roles))
    await _keep(means, name, Change.ADDED, by, lambda _known: account)
    return _login(means, account, chosen)


async def renew_password(means: Means, name: str, *, by: str) -> Login:
    """A new random password; who sits there with the old one is gone. Raises NoSuchAccount, LedgerUnavailable."""
    chosen = new_password()
    encoded = hash_password(chosen)
    kept = await _keep(means, name, Change.PASSWORD, by, lambda known: replace(_open(known, name), password=encoded))
    return _login(means, kept, chosen)


async def renew_code(means: Means, name: str, *, by: str) -> Login:
    """A new secret for an authenticator (`password` is empty: it stays). Who sits there is gone. Raises NoSuchAccount,
    LedgerUnavailable."""
    salt = os.urandom(SALT_BYTES)
    kept = await _keep(means, name, Change.CODE, by, lambda known: replace(_open(known, name), salt=salt, step=-1))
    return _login(means, kept, "")


async def close_account(means: Means, name: str, *, by: str) -> None:
    """Nobody logs in with it any more; who sits there is gone. Raises NoSuchAccount, LedgerUnavailable."""
    wall = means.live.wall()
    await _keep(means, name, Change.CLOSED, by, lambda known: replace(_open(known, name), closed=wall))


async def code_now(means: Means, name: str) -> str:
    """The code an authenticator shows now; whoever can open the state folder could make it. Raises NoSuchAccount,
    LedgerUnavailable."""
    account = _open(await means.ledger.read(lambda tx: people.find(tx, name)), name)
    return code_at(means.keys.code_secret(account.salt), means.live.wall())


async def operators(means: Means) -> list[Account]:
    """Every account, closed ones too, by name. Raises LedgerUnavailable."""
    return await means.ledger.read(people.everybody)


def _open(known: Account | None, name: str) -> Account:
    if known is None or known.closed is not None:
        raise NoSuchAccount(name)
    return known


async def _keep(means: Means, name: str, change: Change, by: str, made: Callable[[Account | None], Account]) -> Account:
    """Put in the place of the account what `made` makes of it, in one transaction: nobody's change undoes another's."""
    at, wall = means.live.domain(await means.live.network()), means.live.wall()

    def unit(tx: Transaction) -> Account:
        account = made(people.find(tx, name))
        people.put(tx, account, wall)
        people.rise_all(tx, name)
        roles: list[Json] = [*sorted(account.roles)]
        fields: dict[str, Json] = {"account": name, "roles": roles, "why": change, "by": by}
        journal.append(tx, Line(Event.OPERATOR_ACCOUNT_CHANGED, at=at, wall=wall, fields=fields))
        return account

    return await means.ledger.commit(unit)


def _login(means: Means, account: Account, password: str) -> Login:
    secret = means.keys.code_secret(account.salt)
    return Login(account.name, account.roles, password, secret_text(secret), secret_uri(secret, account.name))
