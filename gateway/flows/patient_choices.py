"""How does a patient choose? What she said, what a choice would change shown before she saves it, and the saving.

A wish, as a person words it, becomes steps: statements stated one after the other, those that close first. Whoever may
not say it alone proposes it to the other who must agree. Source: domain.md section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from gateway.flows.consent import NotEntitled, state_choice
from gateway.flows.means import Means
from gateway.rules import consent, effect, regimes
from gateway.rules.choice import Choice, Method, Party, Say, Scope, Statement
from gateway.rules.effect import Effect, Held, Onlooker, Place, Sight, sight
from gateway.rules.exchange import HELD_BY, ORGANISATION_TYPES, AortaId, Category, Kind, PatientKey, Pointer
from gateway.rules.identifiers import Ura
from gateway.rules.network import Network
from gateway.rules.people import PatientSits
from gateway.stores import consents, enrolments, proposed
from gateway.stores.enrolments import Enrolment
from gateway.stores.index import IndexUnavailable
from gateway.stores.ledger import LedgerUnavailable, Transaction
from gateway.stores.proposed import Proposed

INFORMATION = "patient-page-1"
"""Which information the patient was given: the version of the page's words."""


class Preset(StrEnum):
    """What most people want to say, in one word."""

    EVERYTHING = "everything"
    EMERGENCIES = "emergencies"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody filled in: one of the presets, or to take back the statement with this id, or one statement of her
    own. Exactly one of them."""

    preset: Preset | None = None
    take_back: str | None = None
    say: Say | None = None
    scope: Scope = field(default_factory=Scope)


class NoSuchWish(Exception):
    """The statement to take back is not in force, or there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement to make."""

    say: Say
    scope: Scope


@dataclass(frozen=True, slots=True)
class Known:
    """Everything a choice rests on, read at `at` (domain time). `version` tells whether any of it changed since."""

    at: datetime
    version: int
    statements: tuple[Statement, ...]
    in_force: tuple[Statement, ...]
    pointers: tuple[Pointer, ...]
    gp: Enrolment | None
    born: date | None
    waiting: tuple[Proposed, ...]
    network: Network


@dataclass(frozen=True, slots=True)
class Preview:
    """What a wish comes down to and would change. `also`: who else must agree, empty when nobody; `allowed` False:
    whoever agrees, it cannot be said."""

    wish: Wish
    steps: tuple[Step, ...]
    effect: Effect
    version: int
    also: frozenset[Party]
    allowed: bool


class Ended(StrEnum):
    """How saving ended."""

    SAVED = "saved"
    PROPOSED = "proposed"
    CHANGED = "changed"
    """Something changed since the effect was shown: look again."""
    NOT_ENTITLED = "not-entitled"
    UNFINISHED = "unfinished"
    """A store failed half way: what was stated is in force, but not all was, or entries that ended are still listed."""


# --- reading ---------------------------------------------------------------------------------------------------------


async def known(means: Means, sitter: PatientSits) -> Known:
    """Where her choices stand. Raises LedgerUnavailable, IndexUnavailable."""
    network, patient = await means.live.network(), means.keys.patient(sitter.bsn)
    at = means.live.domain(network)
    pointers = await means.index.find(patient, None)

    def unit(tx: Transaction) -> Known:
        version, said = consents.known(tx, patient)
        return Known(
            at,
            version,
            said,
            consent.in_force(said, at),
            pointers,
            enrolments.gp_of_record(tx, patient, at),
            consents.birth_date(tx, patient) or sitter.born,
            tuple(proposed.of(tx, patient)),
            network,
        )

    return await means.ledger.read(unit)


def held(known: Known) -> list[Held]:
    """What the index names, and what custodians that she or it knows could still register."""
    registered: dict[tuple[Ura, Category], Held] = {
        (one.custodian, one.category): Held(one.custodian, one.category, True, one.latent)
        for one in known.pointers
        if one.category is not Category.ENROLMENT
    }
    custodians = {one.custodian for one in known.pointers} | {s.scope.custodian for s in known.in_force}
    custodians |= {known.gp.custodian} if known.gp else set()
    possible = [(ura, category) for ura in custodians if ura for category in _held_by(known.network, ura)]
    return [registered.get(one) or Held(*one, registered=False) for one in sorted({*registered, *possible})]


def _held_by(network: Network, ura: Ura) -> list[Category]:
    kind = kind_of(network, ura)
    return [category for category, holder in HELD_BY.items() if holder is kind and category is not Category.ENROLMENT]


def kind_of(network: Network, ura: Ura) -> Kind | None:
    organisation = network.organisations.get(ura)
    return ORGANISATION_TYPES.get(organisation.organisation_type) if organisation else None


def custodians(known: Known) -> list[Ura]:
    """Whom she can speak of by name: practices and pharmacies on the network that hold, or may hold, her data."""
    return sorted({one.custodian for one in held(known)})


def standing(known: Known) -> list[tuple[Held, dict[Onlooker, Sight]]]:
    """Who sees what of her data now, under the regimes in force; only of what is registered."""
    active = regimes.active(known.network.switches, known.at)
    return [
        (one, {who: sight(Place(who, None, one), known.statements, active, known.at) for who in Onlooker})
        for one in held(known)
        if one.registered
    ]


def second_voice(sitter: PatientSits, known: Known) -> frozenset[Party]:
    """Who must agree with a yes of whoever sits here; empty when nobody need."""
    return _also_needed([Step(Say.YES, Scope())], sitter.party, known.born, known.at) or frozenset()


# --- what a wish comes down to ---------------------------------------------------------------------------------------


def steps_of(wish: Wish, in_force: Sequence[Statement]) -> tuple[Step, ...]:
    """The statements that bring a wish about, those that close first. Raises NoSuchWish."""
    if wish.preset is not None:
        return _PRESETS[wish.preset](in_force)
    if wish.take_back is not None:
        said = next((one for one in in_force if one.id == wish.take_back), None)
        if said is None or said.say is Say.CLEARED:
            raise NoSuchWish
        return (Step(Say.WITHDRAWN if said.say is Say.YES else Say.CLEARED, said.scope),)
    if wish.say is None:
        raise NoSuchWish
    return (Step(wish.say, wish.scope),)


def _everything(in_force: Sequence[Statement]) -> tuple[Step, ...]:
    return _only(Scope(), (one for one in in_force if one.say in consent.DENIALS))


def _emergencies(in_force: Sequence[Statement]) -> tuple[Step, ...]:
    """Every yes that reaches further is taken back to no choice at all, so that none is left but in emergencies."""
    narrow = Scope(emergency_only=True)
    return _only(narrow, (one for one in in_force if one.say in consent.DENIALS or not one.scope.emergency_only))


def _nothing(_in_force: Sequence[Statement]) -> tuple[Step, ...]:
    return (Step(Say.NO, Scope()),)


_PRESETS = {Preset.EVERYTHING: _everything, Preset.EMERGENCIES: _emergencies, Preset.NOTHING: _nothing}


def _only(scope: Scope, in_the_way: Iterable[Statement]) -> tuple[Step, ...]:
    """A yes to this, after taking back to no choice what is in the way; a statement of the same scope it replaces."""
    gone = [one for one in in_the_way if one.say is not Say.CLEARED and one.scope != scope and _about_data(one)]
    return (*(Step(Say.CLEARED, one.scope) for one in gone), Step(Say.YES, scope))


def _about_data(statement: Statement) -> bool:
    """Whether it speaks of data that can be seen; what is said of return messages alone stands by itself."""
    categories = statement.scope.categories
    return categories is None or bool(categories - consent.ONLY_WHEN_NAMED)


# --- showing and saving ----------------------------------------------------------------------------------------------


def preview(known: Known, wish: Wish, sitter: PatientSits) -> Preview:
    """What this wish would change. Raises NoSuchWish."""
    steps = steps_of(wish, known.in_force)
    after = (*known.statements, *(_supposed(step, number, known.at) for number, step in enumerate(steps)))
    changed = effect.effect(
        known.statements,
        after,
        held(known),
        regimes=regimes.active(known.network.switches, known.at),
        kinds={ura: kind for ura in known.network.organisations if (kind := kind_of(known.network, ura))},
        gp=known.gp.custodian if known.gp else None,
        at=known.at,
    )
    also = _also_needed(steps, sitter.party, known.born, known.at)
    return Preview(wish, steps, changed, known.version, also or frozenset(), allowed=also is not None)


def _supposed(step: Step, number: int, at: datetime) -> Statement:
    """The statement as it would be taken in now, after all others."""
    return Statement(f"~{number}", step.scope, step.say, at, at, method=Method.ONLINE)


def _also_needed(steps: Sequence[Step], party: Party, born: date | None, at: datetime) -> frozenset[Party] | None:
    """Who else must agree: nobody, or one of these. None: this party has no voice in it, alone or together."""
    if not consent.may_act_for(party, born, at):
        return None
    for other in (None, *(one for one in _OTHERS if one is not party)):
        by = frozenset({party, other} if other else {party})
        if all(consent.entitled(step.say, by, born, at) for step in steps):
            return frozenset() if other is None else _same_voice(other)
    return None


_OTHERS = (Party.PATIENT, Party.PARENT)


def _same_voice(party: Party) -> frozenset[Party]:
    return frozenset({Party.PARENT, Party.GUARDIAN} if party is Party.PARENT else {party})


async def save(means: Means, sitter: PatientSits, wish: Wish, version: int, *, worded: str) -> Ended:
    """Take a wish in, if nothing changed since `version` was shown; or propose it (`worded` is kept) to who must agree.
    Raises NoSuchWish, and LedgerUnavailable, IndexUnavailable when nothing was taken in."""
    now = await known(means, sitter)
    if now.version != version:
        return Ended.CHANGED
    shown = preview(now, wish, sitter)
    if not shown.allowed:
        return Ended.NOT_ENTITLED
    patient = means.keys.patient(sitter.bsn)
    if shown.also:
        proposal = Proposed(means.new_id(), worded, sitter.party, now.at)
        await means.ledger.commit(lambda tx: proposed.propose(tx, patient, proposal))
        return Ended.PROPOSED
    return await _state(means, sitter, shown.steps, frozenset({sitter.party}))


async def agree(means: Means, sitter: PatientSits, proposal: Proposed, wish: Wish, version: int) -> Ended:
    """The second voice: state what was proposed in both names. Raises as `save`."""
    now, both = await known(means, sitter), frozenset({sitter.party, proposal.by})
    if now.version != version or proposal not in now.waiting:
        return Ended.CHANGED
    steps = steps_of(wish, now.in_force)
    alone = sitter.party is proposal.by or not consent.may_act_for(sitter.party, now.born, now.at)
    if alone or not all(consent.entitled(step.say, both, now.born, now.at) for step in steps):
        return Ended.NOT_ENTITLED
    ended = await _state(means, sitter, steps, both)
    if ended is Ended.SAVED:
        await drop(means, sitter, proposal.id)
    return ended


async def drop(means: Means, sitter: PatientSits, id: str) -> None:
    """Either of the two takes a proposal off the table. Raises LedgerUnavailable."""
    patient: PatientKey = means.keys.patient(sitter.bsn)
    await means.ledger.commit(lambda tx: proposed.drop(tx, patient, id))


async def _state(means: Means, sitter: PatientSits, steps: Sequence[Step], by: frozenset[Party]) -> Ended:
    aorta = AortaId(means.new_id(), means.new_id())
    for step in steps:
        choice = Choice(
            sitter.bsn,
            step.scope,
            step.say,
            None,
            by,
            method=Method.ONLINE,
            information=INFORMATION,
            birth_date=sitter.born,
        )
        try:
            await state_choice(means, choice, aorta=aorta, sender=None)
        except NotEntitled:
            return Ended.NOT_ENTITLED
        except IndexUnavailable:
            return Ended.UNFINISHED
        except LedgerUnavailable:
            if step is steps[0]:
                raise
            return Ended.UNFINISHED
    return Ended.SAVED
