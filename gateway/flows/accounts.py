"""Who gets an operator's account? Adding one, renewing what it is opened with, closing it; each with who did it.

A password and a code's secret leave here once, when they are made. Wall time rules.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
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
    chosen, salt = password or new_password(), os.urandom(SALT_BYTES)
    account = Account(name, hash_password(chosen), salt, frozenset(roles))
    await _keep(means, account, Change.ADDED, by)
    return _login(means, account, chosen)


async def renew_password(means: Means, name: str, *, by: str) -> Login:
    """A new random password; who sits there with the old one is gone. Raises NoSuchAccount, LedgerUnavailable."""
    known, chosen = await _known(means, name), new_password()
    account = Account(name, hash_password(chosen), known.salt, known.roles, known.step)
    await _keep(means, account, Change.PASSWORD, by)
    return _login(means, account, chosen)


async def renew_code(means: Means, name: str, *, by: str) -> Login:
    """A new secret for an authenticator (`password` is empty: it stays). Who sits there is gone. Raises NoSuchAccount,
    LedgerUnavailable."""
    known = await _known(means, name)
    account = Account(name, known.password, os.urandom(SALT_BYTES), known.roles)
    await _keep(means, account, Change.CODE, by)
    return _login(means, account, "")


async def code_now(means: Means, name: str) -> str:
    """The code an authenticator shows now; whoever can open the state folder could make it. Raises NoSuchAccount,
    LedgerUnavailable."""
    known = await _known(means, name)
    return code_at(means.keys.code_secret(known.salt), means.live.wall())


async def close_account(means: Means, name: str, *, by: str) -> None:
    """Nobody logs in with it any more. Raises NoSuchAccount, LedgerUnavailable."""
    known, wall = await _known(means, name), means.live.wall()
    line = await _line(means, known, Change.CLOSED, by)

    def unit(tx: Transaction) -> None:
        people.close(tx, name, wall)
        journal.append(tx, line)

    await means.ledger.commit(unit)


async def operators(means: Means) -> list[Account]:
    """Every account, closed ones too, by name. Raises LedgerUnavailable."""
    return await means.ledger.read(people.everybody)


async def _known(means: Means, name: str) -> Account:
    account = await means.ledger.read(lambda tx: people.find(tx, name))
    if account is None or account.closed is not None:
        raise NoSuchAccount(name)
    return account


async def _keep(means: Means, account: Account, change: Change, by: str) -> None:
    line, wall = await _line(means, account, change, by), means.live.wall()

    def unit(tx: Transaction) -> None:
        people.put(tx, account, wall)
        people.rise_all(tx, account.name)
        journal.append(tx, line)

    await means.ledger.commit(unit)


async def _line(means: Means, account: Account, change: Change, by: str) -> Line:
    fields: dict[str, Json] = {"account": account.name, "roles": [*sorted(account.roles)], "why": change, "by": by}
    at = means.live.domain(await means.live.network())
    return Line(Event.OPERATOR_ACCOUNT_CHANGED, at=at, wall=means.live.wall(), fields=fields)


def _login(means: Means, account: Account, password: str) -> Login:
    secret = means.keys.code_secret(account.salt)
    return Login(account.name, account.roles, password, secret_text(secret), secret_uri(secret, account.name))
