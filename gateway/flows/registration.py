"""How does a custodian make its data findable, and stop that again? IDX-1: own entries only, after the patient's yes.

The index holds the entry, the ledger the line about it. Withdrawals end entries themselves (consent.py), and whatever a
race leaves behind in the index opens nothing: consent is asked again at every release.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from gateway.flows import enrolment
from gateway.flows.deciding import ATTEMPTS, Unsettled
from gateway.flows.means import Call, Means, Moved, check_unmoved, who
from gateway.rules import consent, regimes
from gateway.rules.access import Bar, registration_bar
from gateway.rules.exchange import AortaId, Category, PatientKey, Pointer, Requester
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.journal import Event, Json, Line
from gateway.rules.network import Network, Registration
from gateway.stores import consents, journal
from gateway.stores.ledger import Transaction


class Wrong(Enum):
    """Why an entry is not touched, other than by a rule."""

    FOREIGN_ORGANISATION = auto()
    FOREIGN_SYSTEM = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Registered:
    """The entry as it now stands; `created` tells 201 from 200."""

    pointer: Pointer
    created: bool


async def register_entry(means: Means, call: Call, wanted: Registration) -> Registered | Bar | Wrong:
    """Register one entry, idempotent on (patient, custodian, system, category).
    Raises IndexUnavailable, LedgerUnavailable, Unsettled."""
    patient = means.keys.patient(wanted.patient)
    for _ in range(ATTEMPTS):
        network = await means.live.network()
        requester = call.party(network)
        wrong = _not_own(network, requester, wanted.custodian, wanted.system)
        if wrong is not None:
            return wrong
        version = await means.ledger.read(lambda tx: consents.patient_version(tx, patient))
        bar = await _bar(means, network, requester, wanted, patient)
        try:
            if bar is not None:
                await _refuse(means, call, network, requester, wanted, patient, bar)
                return bar
            return await _put(means, call, network, requester, wanted, patient, version)
        except Moved:
            means.live.forget()
    raise Unsettled


def _not_own(network: Network, requester: Requester, custodian: Ura, system: ApplicationId) -> Wrong | None:
    if custodian != requester.ura:
        return Wrong.FOREIGN_ORGANISATION
    registered = network.systems.get(system)
    return None if registered is not None and registered.ura == custodian else Wrong.FOREIGN_SYSTEM


async def _bar(
    means: Means, network: Network, requester: Requester, wanted: Registration, patient: PatientKey
) -> Bar | None:
    if requester.revoked:
        return Bar.UNKNOWN_PARTY
    at = means.live.domain(network)
    statements = await means.ledger.read(lambda tx: consents.of(tx, patient))
    return registration_bar(
        requester.kind,
        wanted.category,
        latent=wanted.latent,
        regimes=regimes.active(network.switches, at),
        yes=consent.stands_on_yes(statements, wanted.custodian, wanted.category, at),
        denied=consent.ends_entry(statements, wanted.custodian, wanted.category, at),
    )


async def _put(
    means: Means,
    call: Call,
    network: Network,
    requester: Requester,
    wanted: Registration,
    patient: PatientKey,
    version: int,
) -> Registered:
    """Write the entry, then its line on condition that nothing moved; if it did, the entry goes again and all is
    judged anew."""
    pointer = Pointer(
        id=means.keys.entry_id(patient, wanted.system, wanted.category),
        patient=patient,
        custodian=wanted.custodian,
        system=wanted.system,
        category=wanted.category,
        latent=wanted.latent,
        date=wanted.date,
    )
    before = await means.index.get(patient, wanted.system, wanted.category)
    act = enrolment.Act(means, network, requester, pointer, call.aorta, means.live.domain(network))
    enrols = wanted.category is Category.ENROLMENT
    letter = await enrolment.former_told(act, wanted.patient) if enrols else None
    created = await means.index.put(pointer)
    line = _line(means, call.aorta, network, requester, Event.ENTRY_REGISTERED, pointer, {"created": created})

    def unit(tx: Transaction) -> enrolment.Alert | None:
        check_unmoved(tx, network, patient, version)
        consents.bump(tx, patient)
        journal.append(tx, line)
        return enrolment.enrol(act, letter, tx) if enrols else None

    try:
        enrolment.warn(await means.ledger.commit(unit))
    except BaseException:
        await _undo(means, pointer, before)
        raise
    return Registered(pointer, created)


async def _undo(means: Means, pointer: Pointer, before: Pointer | None) -> None:
    if before is None:
        await _remove(means, pointer)
    else:
        await means.index.put(before)


async def _refuse(
    means: Means,
    call: Call,
    network: Network,
    requester: Requester,
    wanted: Registration,
    patient: PatientKey,
    bar: Bar,
) -> None:
    line = Line(
        Event.ENTRY_REFUSED,
        at=means.live.domain(network),
        wall=means.live.wall(),
        aorta=call.aorta,
        patient=patient,
        custodian=requester.ura,
        requester=requester.ura,
        fields={**who(requester), "category": wanted.category, "system": wanted.system.digits, "reason": bar},
    )
    await means.ledger.commit(lambda tx: journal.append(tx, line))


def _line(
    means: Means,
    aorta: AortaId,
    network: Network,
    requester: Requester,
    event: Event,
    pointer: Pointer,
    more: dict[str, Json],
) -> Line:
    fields: dict[str, Json] = {**who(requester), "category": pointer.category, "system": pointer.system.digits, **more}
    if event is Event.ENTRY_REGISTERED:
        fields["latent"] = pointer.latent
    return Line(
        event,
        at=means.live.domain(network),
        wall=means.live.wall(),
        aorta=aorta,
        patient=pointer.patient,
        custodian=pointer.custodian,
        requester=requester.ura,
        fields=fields,
    )


# --- reading and ending ----------------------------------------------------------------------------------------------


async def read_entry(means: Means, call: Call, id: str) -> Pointer | Wrong:
    """One own entry by its id; a foreign or unknown id is simply not there. Raises IndexUnavailable."""
    opened = means.keys.open_entry_id(id)
    if opened is None:
        return Wrong.UNKNOWN
    pointer = await means.index.get(*opened)
    requester = call.party(await means.live.network())
    if pointer is None or pointer.custodian != requester.ura:
        return Wrong.UNKNOWN
    return pointer


async def end_entry(means: Means, call: Call, id: str) -> Pointer | Wrong:
    """End one own entry. The patient's version moves, so that an answer in flight is dropped.
    Raises IndexUnavailable, LedgerUnavailable."""
    pointer = await read_entry(means, call, id)
    if isinstance(pointer, Wrong):
        return pointer
    enrols = pointer.category is Category.ENROLMENT
    if not enrols:
        await _remove(means, pointer)
    network = await means.live.network()
    requester = call.party(network)
    line = _line(means, call.aorta, network, requester, Event.ENTRY_ENDED, pointer, {"why": "by the custodian"})
    act = enrolment.Act(means, network, requester, pointer, call.aorta, means.live.domain(network))

    def unit(tx: Transaction) -> None:
        consents.bump(tx, pointer.patient)
        journal.append(tx, line)
        if enrols:
            enrolment.end(act, tx)

    await means.ledger.commit(unit)
    if enrols:
        # the ledger is the truth of enrolments: were the entry gone first, a failing ledger could not be asked again
        await _remove(means, pointer)
    return pointer


async def _remove(means: Means, pointer: Pointer) -> None:
    await means.index.remove(pointer.patient, pointer.custodian, pointer.system, pointer.category)


async def own_entries(means: Means, call: Call, system: ApplicationId) -> Sequence[Pointer] | Wrong:
    """The entries of one own system. Raises IndexUnavailable, LedgerUnavailable."""
    network = await means.live.network()
    requester = call.party(network)
    if _not_own(network, requester, requester.ura, system) is not None:
        return Wrong.FOREIGN_SYSTEM
    entries = await _all_own(means, requester.ura, system)
    line = Line(
        Event.OWN_ENTRIES_READ,
        at=means.live.domain(network),
        wall=means.live.wall(),
        aorta=call.aorta,
        requester=requester.ura,
        fields={**who(requester), "shown": len(entries)},
    )
    await means.ledger.commit(lambda tx: journal.append(tx, line))
    return entries


MOST_SHOWN = 5_000
"""How many of its own entries a custodian gets in one answer."""


async def _all_own(means: Means, custodian: Ura, system: ApplicationId) -> Sequence[Pointer]:
    return await means.index.own(custodian, system, MOST_SHOWN)
