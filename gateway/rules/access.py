"""May this party, in this situation, see this category of this patient at this custodian? One small evaluator.

Rows permit (table.py), bars forbid, silence denies. Two steps, so that the second can never be told from outside:
`admit` judges the requester alone, `decide` judges one pointer under the rows admitted. Pure; time is an argument.
Source: domain.md section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from gateway.rules.choice import ConsentState
from gateway.rules.exchange import HELD_BY, Capacity, Category, GivenBy, Kind, Pointer, Regime, View
from gateway.rules.facts import BARRED_ROLES, Facts, Relation, is_known_role
from gateway.rules.table import ROWS, Action, Need, Row, Touch


class Bar(StrEnum):
    """Why not, in the order in which the first one found is the reason."""

    UNKNOWN_PARTY = "unknown-party"
    BARRED_PROFESSION = "barred-profession"
    NO_MANDATE = "no-mandate"
    NOT_AUTHORISED = "not-authorised"
    NO_TREATMENT_RELATION = "no-treatment-relation"
    NO_COVER = "no-cover"
    NO_EMERGENCY = "no-emergency"
    CONTRADICTION = "contradiction"
    BAD_ATTESTATION = "bad-attestation"
    VERBAL_CONSENT_REQUIRED = "verbal-consent-required"
    OBJECTION = "objection"
    NO_CONSENT = "no-consent"
    SILENT_ENTRY = "silent-entry"
    """A latent entry outside the rows that see latent entries: as if nothing were registered."""


SENTENCES: dict[Bar, str] = {
    Bar.UNKNOWN_PARTY: "This organisation, system or role is not (or no longer) a party on the network.",
    Bar.BARRED_PROFESSION: "Company doctors and insurance doctors never get data through the switchpoint.",
    Bar.NO_MANDATE: "The acting role is not on the rule and no valid responsible of the same organisation covers it.",
    Bar.NOT_AUTHORISED: "No rule of a regime in force lets this kind of organisation do this.",
    Bar.NO_TREATMENT_RELATION: "No current contact with the patient: none given, not begun yet, or over for too long.",
    Bar.NO_COVER: "The rule holds only for declared cover of the patient's own practice or pharmacy.",
    Bar.NO_EMERGENCY: "The rule holds only in an emergency: ETREAT with triage, ride or emergency department visit.",
    Bar.CONTRADICTION: "The situation contradicts itself: who cannot decide, or is represented, did not consent alone.",
    Bar.BAD_ATTESTATION: "The attestation of verbal consent is not valid here: too old, in the future, unrecorded,"
    " or used for another patient, organisation or contact.",
    Bar.VERBAL_CONSENT_REQUIRED: "Ask the patient first and send the attestation of verbal consent along.",
    Bar.OBJECTION: "The patient objects.",
    Bar.NO_CONSENT: "The patient gave no consent that covers this.",
    Bar.SILENT_ENTRY: "The entry is latent and silent under the regimes in force.",
}


class Basis(StrEnum):
    """On which ground a permitted disclosure stands."""

    CONSENT = "consent"
    VERBAL = "verbal-consent"
    PRESUMED = "presumed-consent"


# --- step one: the requester -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admission:
    """What the requester may try: the rows that fit, or the bar. Knows nothing of the patient's choices."""

    facts: Facts
    rows: tuple[Row, ...]
    bar: Bar | None

    @property
    def must_ask_first(self) -> bool:
        """A row wants the patient asked, and neither an attestation came nor is the patient unable to answer."""
        asking = any(row.need is Need.ASK for row in self.rows)
        return asking and self.facts.attested_by is None and self.facts.capacity is not Capacity.INCAPABLE


@lru_cache(maxsize=1024)
def admit(facts: Facts, rows: tuple[Row, ...] = ROWS) -> Admission:
    """Which rows fit this requester in this situation, or the first bar (in Bar's order) that leaves none. Facts alone
    make it, so the same facts are judged once: a query asks at its decision and again at its release."""
    bar = _party_bar(facts)
    left = rows
    for sieve, fits in _SIEVES:
        if bar is not None:
            break
        left = tuple(row for row in left if fits(row, facts))
        bar = None if left else sieve
    bar = bar or _word_bar(facts)
    return Admission(facts, () if bar else left, bar)


def _party_bar(facts: Facts) -> Bar | None:
    if facts.kind is None or facts.revoked or (facts.role is not None and not is_known_role(facts.role)):
        return Bar.UNKNOWN_PARTY
    if facts.role in BARRED_ROLES or facts.responsible_barred:
        return Bar.BARRED_PROFESSION
    return None


def _word_bar(facts: Facts) -> Bar | None:
    """Bars on the word of consent the requester brings: they bar every row, also rows that do not need it."""
    if facts.attested_by is None:
        return None
    if facts.capacity is Capacity.INCAPABLE:
        return Bar.CONTRADICTION
    if facts.capacity is Capacity.REPRESENTED and facts.attested_by is GivenBy.PATIENT:
        return Bar.CONTRADICTION
    return None if facts.attestation_good else Bar.BAD_ATTESTATION


def _fits_capability(row: Row, facts: Facts) -> bool:
    return (
        row.action is facts.action
        and row.regime in facts.regimes
        and facts.kind in row.kinds
        and (row.department is None or row.department == facts.department)
        and (not row.categories or facts.category in row.categories)
    )


def _fits_role(row: Row, facts: Facts) -> bool:
    if facts.role is None:
        return False
    if row.roles.include(facts.role):
        return True
    return facts.responsible_role is not None and row.roles.include(facts.responsible_role)


def _fits_relation(row: Row, facts: Facts) -> bool:
    return row.touch is Touch.NONE or facts.relation is Relation.CURRENT


def _fits_cover(row: Row, facts: Facts) -> bool:
    return facts.cover or not row.cover


def _fits_emergency(row: Row, facts: Facts) -> bool:
    return (facts.emergency or not row.emergency) and (facts.ride or row.touch is not Touch.RIDE)


_SIEVES: tuple[tuple[Bar, Callable[[Row, Facts], bool]], ...] = (
    (Bar.NOT_AUTHORISED, _fits_capability),
    (Bar.NO_MANDATE, _fits_role),
    (Bar.NO_TREATMENT_RELATION, _fits_relation),
    (Bar.NO_COVER, _fits_cover),
    (Bar.NO_EMERGENCY, _fits_emergency),
)
"""Rows are sieved in this order; the sieve that leaves none names the bar. `no-mandate` before `not-authorised` in the
list of bars makes no difference: the one supposes a row for this organisation, the other that there is none."""


def refusal(admission: Admission, bar: Bar) -> str:
    """The sentence for a bar; for `not-authorised` also which row would permit this under a regime not in force."""
    dormant = next((row for row in ROWS if bar is Bar.NOT_AUTHORISED and _sleeps(row, admission.facts)), None)
    if dormant is None:
        return SENTENCES[bar]
    return f"{SENTENCES[bar]} {dormant.id} would, under {dormant.regime}, which is not in force."


def _sleeps(row: Row, facts: Facts) -> bool:
    return row.regime not in facts.regimes and _fits_capability(row, replace(facts, regimes=frozenset({row.regime})))


def acting_role(row: Row, facts: Facts) -> str | None:
    """The role that counts: the actor's if it is on the row, else the responsible's (mandate)."""
    return facts.role if facts.role and row.roles.include(facts.role) else facts.responsible_role


# --- step two: one pointer -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decision:
    """The judgement on one pointer. Permitted: `row` and `basis` made it. Closed: `reason` is for the journal only,
    never for the requester."""

    pointer: Pointer
    row: Row | None
    basis: Basis | None
    reason: Bar | None

    @property
    def permitted(self) -> bool:
        return self.row is not None and self.basis is not None and self.reason is None


def decide(admission: Admission, pointer: Pointer, state: ConsentState, stands_on_yes: bool) -> Decision:
    """Judge one pointer under the admitted rows: the row with the strongest ground permits, in table order.

    `state` is the consent state for this custodian, category, requester and situation; `stands_on_yes`: somebody's
    request for this entry would be granted (what `presumed` rests on). An objection closes whatever the row says.
    """
    if admission.bar is not None:
        return Decision(pointer, None, None, admission.bar)
    if state is ConsentState.DENIED:
        return Decision(pointer, None, None, Bar.OBJECTION)
    seeing = [row for row in admission.rows if row.latent or not pointer.latent]
    grounds = [(_basis(row.need, admission.facts, state, stands_on_yes), row) for row in seeing]
    for ground in _STRONGEST_FIRST:
        for basis, row in grounds:
            if basis is ground:
                return Decision(pointer, row, basis, None)
    return Decision(pointer, None, None, _closed_because(admission, seeing))


_STRONGEST_FIRST = (Basis.CONSENT, Basis.VERBAL, Basis.PRESUMED)
"""What the patient recorded beforehand outweighs what was said on the spot, and that outweighs what is presumed: a
patient who consented is not disclosed to on a presumption, nor in the view that goes with it."""


def _basis(need: Need, facts: Facts, state: ConsentState, stands_on_yes: bool) -> Basis | None:
    granted, incapable = state is ConsentState.GRANTED, facts.capacity is Capacity.INCAPABLE
    if need is Need.ASK:
        if facts.attested_by is not None:
            return Basis.VERBAL
        return Basis.PRESUMED if incapable else None
    if granted or need in (Need.NO_OBJECTION, Need.NOTHING):
        return Basis.CONSENT
    if need is Need.CONSENT_OR_PRESUMED and incapable and stands_on_yes:
        return Basis.PRESUMED
    return None


def _closed_because(admission: Admission, seeing: list[Row]) -> Bar:
    if not seeing:
        return Bar.SILENT_ENTRY
    if admission.must_ask_first and any(row.need is Need.ASK for row in seeing):
        return Bar.VERBAL_CONSENT_REQUIRED
    return Bar.NO_CONSENT


class NotPermitted(TypeError):
    """Somebody tried to make a permit from a decision that permits nothing."""


class Permit:
    """Leave to ask one source, once. Can only be made from a permitting Decision, so that no road to a source can skip
    `decide`. Raises NotPermitted."""

    __slots__ = ("basis", "pointer", "row", "view")

    def __init__(self, decision: Decision) -> None:
        if not decision.permitted or decision.row is None or decision.basis is None:
            raise NotPermitted("only a permitting decision makes a permit")
        self.pointer: Pointer = decision.pointer
        self.row: Row = decision.row
        self.basis: Basis = decision.basis
        self.view: View | None = decision.row.view if decision.pointer.category is Category.GP_SUMMARY else None


# --- registration (IDX-1, IDX-2) -------------------------------------------------------------------------------------


def registration_bar(
    kind: Kind | None, category: Category, *, latent: bool, regimes: frozenset[Regime], yes: bool, denied: bool
) -> Bar | None:
    """Why this custodian may not register this category, or None. `yes`: the patient said yes to this custodian for it;
    `denied`: an objection covers all requesters. Latent needs no yes, but the crisis regime and no objection."""
    row = next((r for r in ROWS if r.action in (Action.REGISTER, Action.ENROL) and category in r.categories), None)
    if row is None or kind not in row.kinds or not holds(kind, category):
        return Bar.NOT_AUTHORISED
    if latent and (category is not Category.GP_SUMMARY or Regime.CRISIS_OPT_IN not in regimes):
        return Bar.NOT_AUTHORISED
    if row.need is Need.NOTHING or (latent and not denied):
        return None
    return None if yes and not denied else Bar.NO_CONSENT


def holds(kind: Kind | None, category: Category) -> bool:
    """Whether organisations of this kind hold this category (domain.md section 2)."""
    return kind is not None and HELD_BY.get(category) is kind
