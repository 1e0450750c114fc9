"""How does a patient's choice get in force? Judged for entitlement, written in the one history, effective at once.

An objection to everybody ends the entries it covers without waiting for the custodian (domain.md section 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from gateway.flows.means import Means, who
from gateway.rules import consent
from gateway.rules.choice import Choice, ConsentState, Statement
from gateway.rules.exchange import AortaId, PatientKey, Pointer, Requester
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json, Line
from gateway.rules.network import Network
from gateway.stores import consents, journal
from gateway.stores.ledger import Transaction


@dataclass(frozen=True, slots=True)
class Kept:
    """A consent as it now stands: its resource id and version, the statement, and the state that results."""

    id: str
    version: int
    statement: Statement
    state: ConsentState


class NotEntitled(Exception):
    """Whoever stated this may not state it for this patient at this age."""


class StaleVersion(Exception):
    """The consent changed since the sender read it."""


class ScopeChanged(Exception):
    """An update may change what is said, not what it is about."""


class NoSuchConsent(Exception):
    """No consent of this custodian has that id."""


async def state_choice(
    means: Means,
    choice: Choice,
    *,
    aorta: AortaId,
    sender: Requester | None,
    resource: str | None = None,
    expected_version: int | None = None,
) -> Kept:
    """Take one statement in. `sender` is the custodian's system, None for the patient's own page or an operator.
    `resource` names the consent to update. Raises NotEntitled, StaleVersion, ScopeChanged, NoSuchConsent,
    LedgerUnavailable, IndexUnavailable (the objection is then in force already; only the entry is still listed)."""
    network = await means.live.network()
    patient, id = means.keys.patient(choice.patient), resource or means.new_id()
    unit = partial(_take_in, means, choice, aorta, network, sender, patient, id, resource, expected_version)
    outcome = await means.ledger.commit(unit)
    if isinstance(outcome, Exception):
        raise outcome
    await _end_entries(means, outcome.statement, aorta, patient, sender)
    return outcome


def _take_in(
    means: Means,
    choice: Choice,
    aorta: AortaId,
    network: Network,
    sender: Requester | None,
    patient: PatientKey,
    id: str,
    resource: str | None,
    expected_version: int | None,
    tx: Transaction,
) -> Kept | Exception:
    """Inside the transaction. A refusal is returned, not raised, so that its journal line stays."""
    at = means.live.domain(network)
    wrong = _update_fault(tx, choice, patient, resource, expected_version, sender)
    if wrong is not None:
        return wrong
    known = consents.birth_date(tx, patient)
    birth_date = known or choice.birth_date  # the first date told stands: naming another must not change who may state
    if not consent.entitled(choice.say, choice.by, birth_date, at):
        _note(means, tx, aorta, at, sender, patient, Event.CONSENT_REFUSED, {"reason": "not-entitled"})
        return NotEntitled()
    if known is None and birth_date is not None:
        consents.set_birth_date(tx, patient, birth_date)
    statement = _statement(means, choice, at)
    version = consents.append(tx, patient, id, statement)
    _note(means, tx, aorta, at, sender, patient, Event.CONSENT_STATED, _told(id, statement))
    return Kept(id, version, statement, consent.state_of_scope(consents.of(tx, patient), statement.scope, at))


def _update_fault(
    tx: Transaction,
    choice: Choice,
    patient: PatientKey,
    resource: str | None,
    expected_version: int | None,
    sender: Requester | None,
) -> Exception | None:
    if resource is None:
        return None
    known = consents.resource(tx, resource)
    if known is None or known[0] != patient or (sender is not None and known[1].scope.custodian != sender.ura):
        return NoSuchConsent()
    if expected_version is not None and expected_version != known[2]:
        return StaleVersion()
    return None if known[1].scope == choice.scope else ScopeChanged()


def _statement(means: Means, choice: Choice, at: datetime) -> Statement:
    return Statement(
        id=means.new_id(),
        scope=choice.scope,
        say=choice.say,
        effective=choice.effective or at,
        received=at,
        by=choice.by,
        method=choice.method,
        recorder=choice.recorder,
        information=choice.information,
    )


def _listed(words: Iterable[str] | None) -> Json:
    return None if words is None else [str(word) for word in sorted(words)]


def _told(id: str, statement: Statement) -> dict[str, Json]:
    scope = statement.scope
    return {
        "statement": id,
        "say": statement.say,
        "scope_custodian": scope.custodian.digits if scope.custodian else None,
        "scope_categories": _listed(scope.categories),
        "scope_requesters": _listed(scope.requesters),
        "emergency_only": scope.emergency_only,
        "by": _listed(statement.by),
        "method": statement.method,
        "recorder": statement.recorder,
        "effective": statement.effective.isoformat(),
    }


def _note(
    means: Means,
    tx: Transaction,
    aorta: AortaId,
    at: datetime,
    sender: Requester | None,
    patient: PatientKey,
    event: Event,
    fields: dict[str, Json],
    custodian: Ura | None = None,
) -> None:
    line = Line(
        event,
        at=at,
        wall=means.live.wall(),
        aorta=aorta,
        patient=patient,
        custodian=custodian or (sender.ura if sender else None),
        requester=sender.ura if sender else None,
        fields={**(who(sender) if sender else {}), **fields},
    )
    journal.append(tx, line)


async def _end_entries(
    means: Means, statement: Statement, aorta: AortaId, patient: PatientKey, sender: Requester | None
) -> None:
    """End the entries a denial to everybody covers. The denial itself is already in force; one that arrived late, after
    a newer yes of the same scope, ends nothing."""
    if consent.entries_ended(statement) is None:
        return
    statements = await means.ledger.read(lambda tx: consents.of(tx, patient))
    gone = [
        pointer
        for pointer in await means.index.find(patient, None)
        if consent.ends_entry(statements, pointer.custodian, pointer.category, statement.received)
    ]
    for pointer in gone:
        await means.index.remove(pointer.patient, pointer.custodian, pointer.system, pointer.category)
    if gone:
        await means.ledger.commit(partial(_note_ended, means, gone, aorta, statement.received, sender, patient))


def _note_ended(
    means: Means,
    gone: Sequence[Pointer],
    aorta: AortaId,
    at: datetime,
    sender: Requester | None,
    patient: PatientKey,
    tx: Transaction,
) -> None:
    consents.bump(tx, patient)
    for pointer in gone:
        fields: dict[str, Json] = {
            "category": pointer.category,
            "system": pointer.system.digits,
            "why": "by the patient",
        }
        _note(means, tx, aorta, at, sender, patient, Event.ENTRY_ENDED, fields, pointer.custodian)


# --- reading ---------------------------------------------------------------------------------------------------------


async def read_consent(means: Means, sender: Requester, id: str) -> tuple[Kept, PatientKey]:
    """One consent about this custodian. Raises NoSuchConsent, LedgerUnavailable."""
    network = await means.live.network()
    at = means.live.domain(network)

    def unit(tx: Transaction) -> tuple[Kept, PatientKey] | None:
        known = consents.resource(tx, id)
        if known is None or known[1].scope.custodian != sender.ura:
            return None
        patient, statement, version = known
        state = consent.state_of_scope(consents.of(tx, patient), statement.scope, at)
        return Kept(id, version, statement, state), patient

    found = await means.ledger.read(unit)
    if found is None:
        raise NoSuchConsent
    return found


async def own_consents(means: Means, sender: Requester, patient: PatientKey, aorta: AortaId) -> list[Kept]:
    """The newest version of every consent about this custodian that it recorded for a patient; the reading is
    journaled. Raises LedgerUnavailable."""
    network = await means.live.network()
    at = means.live.domain(network)

    def unit(tx: Transaction) -> list[Kept]:
        statements = consents.of(tx, patient)
        found = [
            Kept(one.resource, one.version, one.statement, consent.state_of_scope(statements, one.statement.scope, at))
            for one in consents.of_custodian(tx, patient, sender.ura)
        ]
        _note(means, tx, aorta, at, sender, patient, Event.OWN_CONSENTS_READ, {"shown": len(found)})
        return found

    return await means.ledger.commit(unit)
