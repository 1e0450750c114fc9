"""Who takes part, with which systems, and which certificates did they show? For operators; reads only.

A participant's certificate is known here by the serial number under which it asked for a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.flows.finding import find
from gateway.flows.means import Means
from gateway.rules.exchange import ORGANISATION_TYPES, Kind
from gateway.rules.finding import Search
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Line
from gateway.rules.network import Network, Organisation, System

_LATEST = 500
"""Of how many of its newest tokens a participant's certificates are told."""
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation and its systems, by application id."""

    organisation: Organisation
    kind: Kind | None
    systems: tuple[System, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A certificate somebody got tokens with: its serial number (upper-case hex), for which system, when last, and
    whether the exchange has revoked it since."""

    serial: str
    application: str
    last: datetime
    revoked: bool


@dataclass(frozen=True, slots=True)
class Members:
    """Everybody, by name, and every serial number the exchange itself revoked."""

    members: tuple[Member, ...]
    revoked: tuple[str, ...]


async def members(means: Means) -> Members:
    """Everybody who takes part. Raises LedgerUnavailable."""
    network = await means.live.network()
    found = [_member(network, one) for one in network.organisations.values()]
    by_name = sorted(found, key=lambda one: (one.organisation.name.casefold(), one.organisation.ura.digits))
    return Members(tuple(by_name), tuple(sorted(network.revoked)))


async def member(means: Means, ura: Ura) -> tuple[Member, tuple[Seen, ...]] | None:
    """One participant, and the certificates of its newest tokens, the last one shown first. Raises
    LedgerUnavailable."""
    network = await means.live.network()
    organisation = network.organisations.get(ura)
    if organisation is None:
        return None
    latest: dict[str, Line] = {}
    for line in await _tokens(means, ura):
        latest.setdefault(str(line.fields.get("certificate", "")), line)
    return _member(network, organisation), tuple(_seen(serial, line, network) for serial, line in latest.items())


async def _tokens(means: Means, ura: Ura) -> list[Line]:
    """Its newest tokens, newest first."""
    found: list[Line] = []
    search, before = Search(event=Event.TOKEN_ISSUED, organisation=ura), None
    while len(found) < _LATEST:
        page = await find(means, search, before=before, limit=_PAGE)
        found += [kept.line for kept in page.lines]
        before = page.before
        if before is None:
            break
    return found


def _member(network: Network, organisation: Organisation) -> Member:
    own = [system for system in network.systems.values() if system.ura == organisation.ura]
    kind = ORGANISATION_TYPES.get(organisation.organisation_type)
    return Member(organisation, kind, tuple(sorted(own, key=lambda one: one.application.digits)))


def _seen(serial: str, line: Line, network: Network) -> Seen:
    return Seen(serial, str(line.fields.get("application", "")), line.wall, serial in network.revoked)


def named(names: Mapping[Ura, Organisation], ura: Ura | None) -> str:
    """A participant's name with its number; the number alone when it takes no part any more."""
    if ura is None:
        return ""
    known = names.get(ura)
    return f"{known.name} ({ura})" if known else ura.digits
