"""What does the journal know of one question, as a scenario needs it? Read from the running simulation's stores.

For the simulated country alone: what a patient stated is read, too, so that the scenario can state it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.cli.opened import with_means
from gateway.cli.place import Misuse, Place
from gateway.flows.means import Means
from gateway.rules.choice import Say, Statement
from gateway.rules.exchange import ORGANISATION_TYPES, Category, Kind, PatientKey, Pointer
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event
from gateway.rules.network import Network
from gateway.stores import consents, journal
from gateway.stores.journal import Kept
from gateway.stores.ledger import Transaction
from source_sim.scenarios.recording import Call, Source

_DECIDED: Final = frozenset({Event.QUERY_DECIDED, Event.QUERY_REFUSED})
_ENDED: Final = frozenset({Event.QUERY_ANSWERED, Event.QUERY_FAILED, Event.QUERY_REFUSED})
_LOOKED_BACK: Final = 2000
_SAYS: Final = {Say.YES: "yes", Say.NO: "no", Say.WITHDRAWN: "withdraw"}


def recorded_call(place: Place, chain: str) -> Call:
    """The question of this chain, or the latest one. Raises Misuse when there is none."""
    return with_means(place, lambda means: read_call(means, chain))


async def read_call(means: Means, chain: str) -> Call:
    """The same on stores that are open already. Raises Misuse, LedgerUnavailable, IndexUnavailable."""
    kept = await means.ledger.read(lambda tx: _lines(tx, chain))
    decided = next((one for one in kept if one.line.event in _DECIDED), None)
    if decided is None or decided.line.patient is None:
        raise Misuse(f"no question was recorded under {chain!r}" if chain else "no question was recorded yet")
    ended = next((one for one in reversed(kept) if one.line.event in _ENDED), decided)
    network, patient = await means.live.network(), decided.line.patient
    statements = await means.ledger.read(lambda tx: consents.of(tx, patient))
    pointers = await _pointers(means, patient)
    sources = _sources(network, decided, ended, pointers, statements)
    names = {ura: one.name for ura, one in sources.items()}
    before = [one for one in statements if one.received <= decided.line.at]
    regimes = decided.line.fields.get("regimes")
    return Call(
        decided.line.at,
        [str(one) for one in regimes] if isinstance(regimes, list) else [],
        decided.line.fields,
        tuple(sources.values()),
        [choice for one in before if (choice := _choice(one, names)) is not None],
        _came(ended),
    )


def _lines(tx: Transaction, chain: str) -> list[Kept]:
    """The chain's lines, oldest first; of a chain of several searches those of the first."""
    if not chain:
        latest = journal.newest_first(tx, journal.last(tx), _LOOKED_BACK)
        found = next((one for one in latest if one.line.event in _DECIDED and one.line.aorta), None)
        if found is None or found.line.aorta is None:
            return []
        chain = found.line.aorta.initial
    kept = sorted(journal.by_chain(tx, chain), key=lambda one: one.seq)
    first = next((one.line.aorta for one in kept if one.line.event in _DECIDED), None)
    return [one for one in kept if first and one.line.aorta and one.line.aorta.request == first.request]


async def _pointers(means: Means, patient: PatientKey) -> list[Pointer]:
    held = (one for one in Category if one not in (Category.ENROLMENT, Category.RETURN_MESSAGE))
    return [pointer for category in held for pointer in await means.index.find(patient, category)]


def _sources(
    network: Network, decided: Kept, ended: Kept, pointers: Sequence[Pointer], statements: Sequence[Statement]
) -> dict[str, Source]:
    """By URA: who was considered, who is registered now, and who recorded a statement."""
    decisions = {str(one["custodian"]): one for one in _listed(decided, "decisions")}
    legs = {str(one["custodian"]): str(one["outcome"]) for one in _listed(ended, "legs")}
    latent = {pointer.custodian.digits for pointer in pointers if pointer.latent}
    stated = [one.scope.custodian.digits for one in statements if one.scope.custodian]
    uras = dict.fromkeys([*decisions, *(pointer.custodian.digits for pointer in pointers), *stated])
    made: dict[str, Source] = {}
    for ura in uras:
        kind = _kind(network, ura)
        if kind is not None:
            number = sum(one.kind == kind for one in made.values()) + 1
            name = f"{'practice' if kind == Kind.GP_PRACTICE else 'pharmacy'}-{number}"
            made[ura] = Source(name, kind.value, ura in latent, decisions.get(ura, {}), legs.get(ura, ""))
    return made


def _kind(network: Network, ura: str) -> Kind | None:
    known = network.organisations.get(Ura(ura))
    kind = ORGANISATION_TYPES.get(known.organisation_type) if known else None
    return kind if kind in (Kind.GP_PRACTICE, Kind.PHARMACY) else None


def _listed(kept: Kept, name: str) -> list[Mapping[str, Any]]:
    value = kept.line.fields.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _choice(statement: Statement, names: Mapping[str, str]) -> dict[str, Any] | None:
    """A statement in the scenario's form; None for one that took back a no, or is about a custodian not told."""
    scope = statement.scope
    custodian = names.get(scope.custodian.digits) if scope.custodian else None
    if statement.say not in _SAYS or (scope.custodian and custodian is None):
        return None
    told: dict[str, Any] = {"says": _SAYS[statement.say]}
    told |= {"custodian": custodian} if custodian else {}
    told |= {"categories": sorted(one.value for one in scope.categories)} if scope.categories else {}
    told |= {"to": sorted(one for one in scope.requesters if not one.isdigit())} if scope.requesters else {}
    return told | ({"emergency-only": True} if scope.emergency_only else {})


def _came(ended: Kept) -> dict[str, Any]:
    fields = ended.line.fields
    told = {name: fields[name] for name in ("reason", "completeness", "flags") if fields.get(name)}
    if ended.line.event is Event.QUERY_FAILED:
        told["completeness"] = "none"
    return {**told, "refused": ended.line.event is Event.QUERY_REFUSED}
