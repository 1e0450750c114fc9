"""Does each row permit exactly its case, and each bar say its name? The table of domain.md section 4, case by case.

Every row has one case it permits and, for each condition on it, the case that misses just that one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.rules.access import SENTENCES, Bar, Decision, NotPermitted, Permit, admit, decide, registration_bar
from gateway.rules.choice import ConsentState
from gateway.rules.exchange import (
    SEH,
    Capacity,
    Category,
    Contact,
    ContactKind,
    GivenBy,
    Kind,
    PatientKey,
    Pointer,
    Professional,
    Purpose,
    Regime,
    Requester,
    Responsible,
    Situation,
    VerbalConsent,
    View,
)
from gateway.rules.facts import Facts, gather
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.network import RegimeSwitch
from gateway.rules.regimes import active
from gateway.rules.table import ROWS, Action, Need, Row, Touch

NOW = datetime(2026, 5, 2, 23, 30, tzinfo=UTC)
GRANTED, UNDECIDED, DENIED = ConsentState.GRANTED, ConsentState.UNDECIDED, ConsentState.DENIED
SUMMARY, MEDICATION, ALLERGIES, LIMITS = (
    Category.GP_SUMMARY,
    Category.MEDICATION,
    Category.ALLERGIES,
    Category.TREATMENT_LIMITS,
)
CRISIS, EMERGENCY = Regime.CRISIS_OPT_IN, Regime.EMERGENCY_AVAILABLE
OPEN_VISIT = Contact("c1", ContactKind.VISIT, NOW - timedelta(hours=1))
TRIAGE = replace(OPEN_VISIT, kind=ContactKind.TRIAGE)
RIDE = replace(OPEN_VISIT, kind=ContactKind.RIDE)
ASKED = VerbalConsent("v1", GivenBy.PATIENT, NOW - timedelta(minutes=5), "900025039")
BY_REPRESENTATIVE = replace(ASKED, given_by=GivenBy.REPRESENTATIVE)


@dataclass(frozen=True, slots=True)
class Case:
    """One request about one patient at one custodian, in the words of a token, a register and a consent."""

    type: str = "N6"
    role: str | None = "01.015"
    category: Category | None = SUMMARY
    action: Action = Action.QUERY
    department: str | None = None
    responsible: Responsible | None = None
    revoked: bool = False
    switched_on: frozenset[Regime] = frozenset()
    purpose: Purpose = Purpose.TREAT
    contact: Contact | None = OPEN_VISIT
    cover: bool = False
    capacity: Capacity = Capacity.CAPABLE
    verbal: VerbalConsent | None = None
    bound_elsewhere: bool = False
    state: ConsentState = GRANTED
    stands: bool = True
    latent: bool = False


def facts_of(case: Case) -> Facts:
    actor = None if case.role is None else Professional("900000001", "Testarts", case.role)
    requester = Requester(
        Ura("90000401"), "Testpost", case.type, ApplicationId("400001"), case.department, actor, case.responsible,
        case.revoked,
    )  # fmt: skip
    situation = Situation(case.purpose, case.contact, case.cover, case.capacity, case.verbal)
    return gather(
        requester, situation, case.action, case.category, at=NOW,
        regimes=case.switched_on | {Regime.REGULAR}, attestation_bound_elsewhere=case.bound_elsewhere,
    )  # fmt: skip


def judge(case: Case) -> Decision:
    category = case.category or Category.RETURN_MESSAGE
    pointer = Pointer("e1", PatientKey(b"k" * 12), Ura("90000101"), ApplicationId("1"), category, case.latent, "2026")
    return decide(admit(facts_of(case)), pointer, case.state, case.stands)


def told(case: Case) -> str:
    """The row, ground and view that permit, or the bar."""
    decision = judge(case)
    if not decision.permitted:
        assert decision.reason is not None
        assert decision.row is None
        return str(decision.reason)
    permit = Permit(decision)
    return " ".join([permit.row.id, permit.basis, *([permit.view] if permit.view else [])])


def on(*regimes: Regime) -> frozenset[Regime]:
    return frozenset(regimes)


GP_POST = Case(cover=True)
ED = Case(
    type="V4", department=SEH, role="01.071", purpose=Purpose.ETREAT, contact=TRIAGE, switched_on=on(EMERGENCY)
)  # fmt: skip
CRISIS_ED = replace(ED, switched_on=on(CRISIS), verbal=ASKED, state=UNDECIDED, stands=False, latent=True)
AMBULANCE = Case(type="AMB", role="30.000", purpose=Purpose.ETREAT, contact=RIDE, switched_on=on(EMERGENCY))
RETURNING = Case(action=Action.SEND_RETURN, category=None, state=UNDECIDED)

PERMITTED = {
    "REG-1": (GP_POST, "REG-1 consent covering"),
    "REG-2": (replace(GP_POST, category=MEDICATION), "REG-2 consent"),
    "REG-3": (Case(type="V4", role="01.016", category=MEDICATION), "REG-3 consent"),
    "REG-4": (Case(type="J8", role="17.075", category=ALLERGIES, cover=True), "REG-4 consent"),
    "CRI-1": (
        replace(GP_POST, switched_on=on(CRISIS), verbal=ASKED, state=UNDECIDED, latent=True),
        "CRI-1 verbal-consent covering",
    ),
    "CRI-2": (CRISIS_ED, "CRI-2 verbal-consent covering"),
    "EMA-1": (ED, "EMA-1 consent acute"),
    "EMA-2": (AMBULANCE, "EMA-2 consent acute"),
    "EMA-3": (replace(GP_POST, category=LIMITS, switched_on=on(EMERGENCY)), "EMA-3 consent"),
    "RET-1": (RETURNING, "RET-1 consent"),
    "RET-2 hospital": (replace(ED, action=Action.SEND_RETURN, category=None, state=UNDECIDED), "RET-2 consent"),
    "RET-2 ambulance": (replace(AMBULANCE, action=Action.SEND_RETURN, category=None, state=UNDECIDED), "RET-2 consent"),
    "REF-1": (
        Case(type="Z3", action=Action.SEND_REFERRAL, category=None, contact=None, state=UNDECIDED),
        "REF-1 consent",
    ),
}

NOT_AUTHORISED, NO_MANDATE = Bar.NOT_AUTHORISED, Bar.NO_MANDATE
NO_RELATION, NO_COVER, NO_EMERGENCY = Bar.NO_TREATMENT_RELATION, Bar.NO_COVER, Bar.NO_EMERGENCY
NO_CONSENT, OBJECTION, SILENT = Bar.NO_CONSENT, Bar.OBJECTION, Bar.SILENT_ENTRY
ASK_FIRST = Bar.VERBAL_CONSENT_REQUIRED

# what misses each condition: changes to the permitted case, and the bar that then must be told
_CONTACT = ("contact", {"contact": None}, NO_RELATION)
_COVER = ("cover", {"cover": False}, NO_COVER)
_CONSENT = ("need", {"state": UNDECIDED}, NO_CONSENT)
_OBJECTION = ("objection", {"state": DENIED}, OBJECTION)
_LATENT = ("latent", {"latent": True}, SILENT)
_NO_REGIME = ("regime", {"switched_on": on()}, NOT_AUTHORISED)
_NOT_ETREAT = ("emergency", {"purpose": Purpose.TREAT}, NO_EMERGENCY)
_NO_SEH = ("department", {"department": None}, NOT_AUTHORISED)

MISSES: dict[str, list[tuple[str, dict[str, object], Bar]]] = {
    "REG-1": [_CONTACT, _COVER, _CONSENT, _OBJECTION, _LATENT, ("role", {"role": "01.071"}, NO_MANDATE),
              ("kind", {"type": "J8"}, NOT_AUTHORISED), ("category", {"category": LIMITS}, NOT_AUTHORISED)],
    "REG-2": [_CONTACT, _COVER, _CONSENT, _OBJECTION, _LATENT, ("role", {"role": "17.075"}, NO_MANDATE),
              ("kind", {"type": "AMB"}, NOT_AUTHORISED), ("category", {"category": LIMITS}, NOT_AUTHORISED)],
    "REG-3": [_CONTACT, _CONSENT, _OBJECTION, _LATENT, ("role", {"role": "01.000"}, NO_MANDATE),
              ("role", {"role": "01.015"}, NO_MANDATE), ("role", {"role": "01.004"}, NO_MANDATE),
              ("kind", {"type": "AMB"}, NOT_AUTHORISED), ("category", {"category": SUMMARY}, NOT_AUTHORISED)],
    "REG-4": [_CONTACT, _COVER, _CONSENT, _OBJECTION, _LATENT, ("role", {"role": "83.000"}, NO_MANDATE),
              ("kind", {"type": "Z3"}, NOT_AUTHORISED), ("category", {"category": SUMMARY}, NOT_AUTHORISED)],
    "CRI-1": [_CONTACT, _COVER, _OBJECTION, ("regime", {"switched_on": on()}, SILENT),
              ("regime", {"switched_on": on(), "latent": False}, NO_CONSENT), ("need", {"verbal": None}, ASK_FIRST),
              ("role", {"role": "01.071"}, NO_MANDATE), ("kind", {"type": "J8"}, NOT_AUTHORISED),
              ("category", {"category": MEDICATION, "latent": False}, NO_CONSENT)],
    "CRI-2": [_CONTACT, _OBJECTION, _NO_REGIME, _NO_SEH, _NOT_ETREAT, ("need", {"verbal": None}, ASK_FIRST),
              ("need", {"verbal": None, "state": GRANTED}, ASK_FIRST),
              ("emergency", {"contact": replace(TRIAGE, kind=ContactKind.CONSULTATION)}, NO_EMERGENCY),
              ("role", {"role": "01.015"}, NO_MANDATE), ("role", {"role": "30.000"}, NO_MANDATE),
              ("kind", {"type": "AMB"}, NOT_AUTHORISED), ("category", {"category": LIMITS}, NOT_AUTHORISED)],
    "EMA-1": [_CONTACT, _CONSENT, _OBJECTION, _NO_REGIME, _NO_SEH, _NOT_ETREAT, _LATENT,
              ("role", {"role": "01.004"}, NO_MANDATE), ("role", {"role": "81.000"}, NO_MANDATE),
              ("emergency", {"contact": replace(TRIAGE, kind=ContactKind.ADMISSION)}, NO_EMERGENCY),
              ("kind", {"type": "J8"}, NOT_AUTHORISED), ("category", {"category": Category.ENROLMENT}, NOT_AUTHORISED)],
    "EMA-2": [_CONTACT, _CONSENT, _OBJECTION, _NO_REGIME, _NOT_ETREAT, _LATENT,
              ("ride", {"contact": TRIAGE}, NO_EMERGENCY), ("role", {"role": "83.000"}, NO_MANDATE),
              ("role", {"role": "17.000"}, NO_MANDATE), ("kind", {"type": "Z3"}, NOT_AUTHORISED),
              ("category", {"category": MEDICATION}, NOT_AUTHORISED)],
    "EMA-3": [_CONTACT, _COVER, _CONSENT, _OBJECTION, _NO_REGIME, _LATENT, ("role", {"role": "01.071"}, NO_MANDATE),
              ("kind", {"type": "Z3"}, NOT_AUTHORISED), ("category", {"category": Category.ENROLMENT}, NOT_AUTHORISED)],
    "RET-1": [_CONTACT, ("need", {"state": DENIED}, OBJECTION), ("role", {"role": "30.000"}, NO_MANDATE),
              ("kind", {"type": "Z3"}, NOT_AUTHORISED)],
    "RET-2 hospital": [_CONTACT, _NO_REGIME, _NO_SEH, ("need", {"state": DENIED}, OBJECTION),
                       ("role", {"role": "01.015"}, NO_MANDATE), ("kind", {"type": "J8"}, NOT_AUTHORISED)],
    "RET-2 ambulance": [_CONTACT, _NO_REGIME, ("need", {"state": DENIED}, OBJECTION),
                        ("role", {"role": "83.000"}, NO_MANDATE), ("kind", {"type": "J8"}, NOT_AUTHORISED)],
    "REF-1": [("need", {"state": DENIED}, OBJECTION), ("role", {"role": "01.016"}, NO_MANDATE),
              ("kind", {"type": "N6"}, NOT_AUTHORISED)],
}  # fmt: skip

OUTSIDE_ADMISSION = {"IDX-1", "IDX-2", "PAT-1"}
"""Registration is judged by `registration_bar`; a patient's own page is behind a login, not on the exchange."""


@pytest.mark.parametrize(("case", "expected"), PERMITTED.values(), ids=PERMITTED.keys())
def test_the_row_permits_its_case(case: Case, expected: str) -> None:
    assert told(case) == expected


@pytest.mark.parametrize(
    ("row", "changes", "bar"),
    [pytest.param(row, m[1], m[2], id=f"{row} {m[0]} {n}") for row in MISSES for n, m in enumerate(MISSES[row])],
)
def test_missing_one_condition_is_barred(row: str, changes: dict[str, object], bar: Bar) -> None:
    assert told(replace(PERMITTED[row][0], **changes)) == bar  # type: ignore[arg-type]


def conditions(row: Row) -> set[str]:
    """The conditions a row of the table really has, read off the data."""
    found = {
        "role", "kind", "need",
        "regime" if row.regime is not Regime.REGULAR else "",
        "department" if row.department else "",
        "category" if row.categories else "",
        "contact" if row.touch is not Touch.NONE else "",
        "ride" if row.touch is Touch.RIDE else "",
        "cover" if row.cover else "",
        "emergency" if row.emergency else "",
        "latent" if row.action is Action.QUERY and not row.latent else "",
        "objection" if row.action is Action.QUERY else "",
    }  # fmt: skip
    return found - {""}


def test_every_condition_of_every_row_has_a_case_that_misses_it() -> None:
    named = {key: judge(case).row for key, (case, _) in PERMITTED.items()}
    for row in ROWS:
        if row.id in OUTSIDE_ADMISSION:
            continue
        (key,) = [key for key, permitting in named.items() if permitting is row]
        assert conditions(row) <= {miss[0] for miss in MISSES[key]}, row.id


def test_row_ids_are_the_laws() -> None:
    assert {row.id for row in ROWS} == {*OUTSIDE_ADMISSION, *(key.split()[0] for key in PERMITTED)}


ROLES = {
    "covering GP with dispensary": (replace(GP_POST, role="01.004"), "REG-1 consent covering"),
    "any specialist of a hospital": (replace(PERMITTED["REG-3"][0], role="01.014"), "REG-3 consent"),
    "an emergency physician for medication": (replace(PERMITTED["REG-3"][0], role="01.071"), "REG-3 consent"),
    "an unspecialised physician at the ED": (replace(ED, role="01.000"), "EMA-1 consent acute"),
    "a hospital pharmacist covering": (replace(PERMITTED["REG-4"][0], type="K9", role="17.060"), "REG-4 consent"),
    "a nurse specialist on a ride": (replace(AMBULANCE, role="30.066"), "EMA-2 consent acute"),
    "a medical assistant on a ride": (replace(AMBULANCE, role="80.000"), "EMA-2 consent acute"),
    "a physician assistant on a ride": (replace(AMBULANCE, role="81.000"), "EMA-2 consent acute"),
    "a GP on a ride": (replace(AMBULANCE, role="01.015"), "EMA-2 consent acute"),
    "a nurse of another specialism on a ride": (replace(AMBULANCE, role="30.001"), "no-mandate"),
    "limits at the ED have no view": (replace(ED, category=LIMITS), "EMA-1 consent"),
    "limits on a ride have no view": (replace(AMBULANCE, category=LIMITS), "EMA-2 consent"),
    "a university hospital": (replace(ED, type="V5"), "EMA-1 consent acute"),
    "a visit to the emergency department": (replace(ED, contact=OPEN_VISIT), "EMA-1 consent acute"),
    "a system by itself": (replace(GP_POST, role=None), "no-mandate"),
    "an institution's GP is not a post": (replace(GP_POST, type="H1"), "not-authorised"),
}


@pytest.mark.parametrize(("case", "expected"), ROLES.values(), ids=ROLES.keys())
def test_who_stands_on_a_row(case: Case, expected: str) -> None:
    assert told(case) == expected


def by(role: str, until: datetime | None = None) -> Responsible:
    return Responsible("900000002", "Testverantwoordelijke", role, until)


MANDATE = {
    "a nurse under a GP's mandate": (by("01.015"), "30.000", "REG-1 consent covering"),
    "valid to this very moment": (by("01.015", NOW), "30.000", "REG-1 consent covering"),
    "lapsed a second ago": (by("01.015", NOW - timedelta(seconds=1)), "30.000", "no-mandate"),
    "the responsible is not on the row either": (by("01.071"), "30.000", "no-mandate"),
    "no responsible": (None, "30.000", "no-mandate"),
    "the actor's own role suffices": (by("01.071"), "01.015", "REG-1 consent covering"),
    "own role with a lapsed mandate": (by("01.015", NOW - timedelta(days=1)), "01.015", "REG-1 consent covering"),
    "a barred responsible": (by("01.008"), "30.000", "barred-profession"),
    "a barred responsible behind an own role": (by("01.048"), "01.015", "barred-profession"),
    "a barred responsible with a lapsed mandate": (
        by("01.008", NOW - timedelta(days=1)),
        "01.015",
        "barred-profession",
    ),
    "a mandate does not clean a barred actor": (by("01.015"), "01.008", "barred-profession"),
    "a mandate does not bring in a stranger": (by("01.015"), "88.000", "unknown-party"),
    "a mandate to nobody": (by("01.015"), None, "no-mandate"),
}


@pytest.mark.parametrize(("responsible", "role", "expected"), MANDATE.values(), ids=MANDATE.keys())
def test_mandate(responsible: Responsible | None, role: str | None, expected: str) -> None:
    assert told(replace(GP_POST, role=role, responsible=responsible)) == expected


PARTIES = {
    "an organisation type not on the network": (replace(GP_POST, type="X9"), Bar.UNKNOWN_PARTY),
    "a revoked party": (replace(GP_POST, revoked=True), Bar.UNKNOWN_PARTY),
    "a role outside the families": (replace(GP_POST, role="94.000"), Bar.UNKNOWN_PARTY),
    "a company doctor": (replace(GP_POST, role="01.008"), Bar.BARRED_PROFESSION),
    "an insurance doctor at the ED": (replace(ED, role="01.048"), Bar.BARRED_PROFESSION),
    "a company doctor on a ride": (replace(AMBULANCE, role="01.008"), Bar.BARRED_PROFESSION),
    "a company doctor sending": (replace(RETURNING, role="01.008"), Bar.BARRED_PROFESSION),
}


@pytest.mark.parametrize(("case", "bar"), PARTIES.values(), ids=PARTIES.keys())
def test_parties_that_get_nothing_whatever_the_patient_said(case: Case, bar: Bar) -> None:
    for state in ConsentState:
        assert told(replace(case, state=state)) == bar


def contact(start: timedelta, end: timedelta | None = None, kind: ContactKind = ContactKind.VISIT) -> Contact:
    return Contact("c1", kind, NOW - start, None if end is None else NOW - end)


H, D, S = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
CONTACTS = {
    # contact, whether current for asking (72 h), whether current for sending (30 days)
    "none": (None, False, False),
    "begun now": (contact(0 * H), True, True),
    "ended 72 hours ago": (contact(80 * H, 72 * H), True, True),
    "ended 72 hours and a second ago": (contact(80 * H, 72 * H + S), False, True),
    "open since 72 hours": (contact(72 * H), True, True),
    "open since longer": (contact(72 * H + S), False, True),
    "ended 30 days ago": (contact(31 * D, 30 * D), False, True),
    "ended 30 days and a second ago": (contact(31 * D, 30 * D + S), False, False),
    "begins in a minute: clocks differ": (contact(-60 * S), True, True),
    "begins later than that": (contact(-61 * S), False, False),
    "ends before it begins": (contact(1 * H, 2 * H), False, False),
    "an admission ended 73 hours ago": (contact(90 * D, 73 * H, ContactKind.ADMISSION), False, True),
}


@pytest.mark.parametrize(("given", "asking", "sending"), CONTACTS.values(), ids=CONTACTS.keys())
def test_treatment_relation(given: Contact | None, asking: bool, sending: bool) -> None:
    assert told(replace(GP_POST, contact=given)) == ("REG-1 consent covering" if asking else NO_RELATION)
    assert told(replace(RETURNING, contact=given)) == ("RET-1 consent" if sending else NO_RELATION)


def test_an_open_admission_does_not_age() -> None:
    admitted = contact(400 * D, None, ContactKind.ADMISSION)
    assert told(replace(PERMITTED["REG-3"][0], contact=admitted)) == "REG-3 consent"


EMERGENCIES = {
    # purpose, kind of contact, department, whether an emergency ("only in emergencies" of a consent rests on it too)
    "triage": (Purpose.ETREAT, ContactKind.TRIAGE, None, True),
    "a ride": (Purpose.ETREAT, ContactKind.RIDE, None, True),
    "a visit to the emergency department": (Purpose.ETREAT, ContactKind.VISIT, SEH, True),
    "a visit anywhere else": (Purpose.ETREAT, ContactKind.VISIT, None, False),
    "a call to the emergency department": (Purpose.ETREAT, ContactKind.CALL, SEH, False),
    "an admission through it": (Purpose.ETREAT, ContactKind.ADMISSION, SEH, False),
    "triage in daily care": (Purpose.TREAT, ContactKind.TRIAGE, SEH, False),
    "the flag without a contact": (Purpose.ETREAT, None, SEH, False),
}


@pytest.mark.parametrize(("purpose", "kind", "department", "expected"), EMERGENCIES.values(), ids=EMERGENCIES.keys())
def test_what_an_emergency_is(
    purpose: Purpose, kind: ContactKind | None, department: str | None, expected: bool
) -> None:
    given = None if kind is None else replace(OPEN_VISIT, kind=kind)
    case = Case(type="V4", department=department, purpose=purpose, contact=given)
    assert facts_of(case).emergency is expected


CRISIS_POST = PERMITTED["CRI-1"][0]
ATTESTATIONS = {
    "given an hour ago": (replace(ASKED, at=NOW - H), False, "CRI-1 verbal-consent covering"),
    "given 72 hours ago": (replace(ASKED, at=NOW - 72 * H), False, "CRI-1 verbal-consent covering"),
    "older": (replace(ASKED, at=NOW - 72 * H - S), False, "bad-attestation"),
    "a minute ahead: clocks differ": (replace(ASKED, at=NOW + 60 * S), False, "CRI-1 verbal-consent covering"),
    "in the future": (replace(ASKED, at=NOW + 61 * S), False, "bad-attestation"),
    "no recorder": (replace(ASKED, recorded_by=None), False, "bad-attestation"),
    "an empty recorder": (replace(ASKED, recorded_by=""), False, "bad-attestation"),
    "used for another patient, organisation or contact": (ASKED, True, "bad-attestation"),
    "given by a representative": (BY_REPRESENTATIVE, False, "CRI-1 verbal-consent covering"),
}


@pytest.mark.parametrize(("verbal", "elsewhere", "expected"), ATTESTATIONS.values(), ids=ATTESTATIONS.keys())
def test_attestation(verbal: VerbalConsent, elsewhere: bool, expected: str) -> None:
    assert told(replace(CRISIS_POST, verbal=verbal, bound_elsewhere=elsewhere)) == expected


CONTRADICTIONS = {
    "incapable, yet consenting": (Capacity.INCAPABLE, ASKED, "contradiction"),
    "incapable, a representative consenting": (Capacity.INCAPABLE, BY_REPRESENTATIVE, "contradiction"),
    "represented, given by the patient alone": (Capacity.REPRESENTED, ASKED, "contradiction"),
    "represented, given by the representative": (
        Capacity.REPRESENTED,
        BY_REPRESENTATIVE,
        "CRI-1 verbal-consent covering",
    ),
    "contradiction before a bad attestation": (Capacity.INCAPABLE, replace(ASKED, recorded_by=None), "contradiction"),
}


@pytest.mark.parametrize(("capacity", "verbal", "expected"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_contradiction(capacity: Capacity, verbal: VerbalConsent, expected: str) -> None:
    assert told(replace(CRISIS_POST, capacity=capacity, verbal=verbal)) == expected


@pytest.mark.parametrize("key", PERMITTED)
def test_a_contradiction_or_a_bad_attestation_bars_every_row(key: str) -> None:
    case = PERMITTED[key][0]
    assert told(replace(case, capacity=Capacity.REPRESENTED, verbal=ASKED)) == Bar.CONTRADICTION
    assert told(replace(case, verbal=replace(ASKED, recorded_by=None))) == Bar.BAD_ATTESTATION


BOTH = on(CRISIS, EMERGENCY)
INCAPABLE = Capacity.INCAPABLE
ASKING = {
    "the post need not ask who consented": (replace(CRISIS_POST, verbal=None, state=GRANTED, latent=False),
                                            "REG-1 consent covering"),
    "the post must ask the undecided": (replace(CRISIS_POST, verbal=None, latent=False), "verbal-consent-required"),
    "nobody asks who objected": (replace(CRISIS_POST, state=DENIED), "objection"),
    "represented and not asked": (replace(CRISIS_POST, verbal=None, capacity=Capacity.REPRESENTED),
                                  "verbal-consent-required"),
    "incapable at the post: presumed": (replace(CRISIS_POST, verbal=None, capacity=INCAPABLE),
                                        "CRI-1 presumed-consent covering"),
    "incapable at the ED: presumed": (replace(CRISIS_ED, verbal=None, capacity=INCAPABLE),
                                      "CRI-2 presumed-consent covering"),
    "incapable and objected": (replace(CRISIS_ED, verbal=None, capacity=INCAPABLE, state=DENIED), "objection"),
    "EMA-1 spares the question of CRI-2": (replace(ED, switched_on=BOTH), "EMA-1 consent acute"),
    "who consented is not presumed about": (replace(ED, switched_on=BOTH, capacity=INCAPABLE), "EMA-1 consent acute"),
    "who consented need not have been asked": (replace(ED, switched_on=BOTH, verbal=ASKED), "EMA-1 consent acute"),
    "without a yes CRI-2 still asks": (replace(ED, switched_on=BOTH, state=UNDECIDED), "verbal-consent-required"),
    "asked, EMA-1 closed, CRI-2 opens": (replace(ED, switched_on=BOTH, state=UNDECIDED, verbal=ASKED),
                                         "CRI-2 verbal-consent covering"),
    "no question about treatment limits": (replace(ED, switched_on=BOTH, category=LIMITS, state=UNDECIDED),
                                           "no-consent"),
    "presumed at the ED on a yes to another": (replace(ED, state=UNDECIDED, capacity=INCAPABLE),
                                               "EMA-1 presumed-consent acute"),
    "presumed on a ride": (replace(AMBULANCE, state=UNDECIDED, capacity=INCAPABLE), "EMA-2 presumed-consent acute"),
    "nothing to presume on": (replace(ED, state=UNDECIDED, capacity=INCAPABLE, stands=False), "no-consent"),
    "represented is not presumed": (replace(ED, state=UNDECIDED, capacity=Capacity.REPRESENTED), "no-consent"),
    "an objection is never presumed away": (replace(ED, state=DENIED, capacity=INCAPABLE), "objection"),
    "verbal consent does not open EMA-1": (replace(ED, state=UNDECIDED, verbal=ASKED), "no-consent"),
    "a covering post presumes nothing for REG-1": (replace(GP_POST, state=UNDECIDED, capacity=INCAPABLE), "no-consent"),
    "a latent entry is silent without the regime": (replace(CRISIS_POST, switched_on=on()), "silent-entry"),
    "after the stop button agreeing does not help": (replace(CRISIS_POST, switched_on=on(EMERGENCY)), "silent-entry"),
    "EMA-1 does not see latent entries": (replace(ED, latent=True), "silent-entry"),
    "the flag alone opens nothing": (replace(ED, switched_on=on()), "not-authorised"),
    "the flag adds nothing at a post": (replace(GP_POST, purpose=Purpose.ETREAT, contact=TRIAGE, state=UNDECIDED),
                                        "no-consent"),
}  # fmt: skip


@pytest.mark.parametrize(("case", "expected"), ASKING.values(), ids=ASKING.keys())
def test_asking_presuming_and_silence(case: Case, expected: str) -> None:
    assert told(case) == expected


# everything wrong at once; each step mends the first bar, and the next one in the order must be told
STEPS: list[tuple[Bar, dict[str, object]]] = [
    (Bar.UNKNOWN_PARTY, {"type": "AMB", "department": None}),
    (Bar.BARRED_PROFESSION, {"role": "17.075"}),
    (Bar.NOT_AUTHORISED, {"type": "V4", "department": SEH}),
    (Bar.NO_MANDATE, {"role": "01.071"}),
    (Bar.NO_TREATMENT_RELATION, {"contact": TRIAGE}),
    (Bar.NO_EMERGENCY, {"purpose": Purpose.ETREAT}),
    (Bar.CONTRADICTION, {"capacity": Capacity.CAPABLE}),
    (Bar.BAD_ATTESTATION, {"verbal": None}),
    (Bar.OBJECTION, {"state": UNDECIDED}),
    (Bar.VERBAL_CONSENT_REQUIRED, {"verbal": ASKED}),
]


def test_the_bars_are_told_in_their_order() -> None:
    case = Case(
        type="X9", role="01.008", contact=None, capacity=INCAPABLE, verbal=replace(ASKED, recorded_by=None),
        state=DENIED, switched_on=on(CRISIS),
    )  # fmt: skip
    for bar, mend in STEPS:
        assert told(case) == bar
        case = replace(case, **mend)  # type: ignore[arg-type]
    assert told(case) == "CRI-2 verbal-consent covering"


def test_cover_is_told_after_the_relation_and_before_the_contradiction() -> None:
    case = replace(GP_POST, cover=False, contact=None, capacity=INCAPABLE, verbal=ASKED)
    assert told(case) == NO_RELATION
    assert told(replace(case, contact=OPEN_VISIT)) == NO_COVER
    assert told(replace(case, contact=OPEN_VISIT, cover=True)) == Bar.CONTRADICTION


def test_every_bar_has_a_sentence_of_its_own() -> None:
    assert SENTENCES.keys() == set(Bar)
    assert len(set(SENTENCES.values())) == len(Bar)


@pytest.mark.parametrize("need", [Need.CONSENT, Need.ASK, Need.CONSENT_OR_PRESUMED])
def test_no_permit_without_a_permitting_decision(need: Need) -> None:
    case = next(case for case, _ in PERMITTED.values() if (row := judge(case).row) is not None and row.need is need)
    assert Permit(judge(case)).row.need is need
    closed = judge(replace(case, state=DENIED))
    for decision in (closed, replace(closed, row=judge(case).row), replace(judge(case), basis=None)):
        with pytest.raises(NotPermitted):
            Permit(decision)


def test_only_the_summary_has_a_view() -> None:
    assert Permit(judge(ED)).view is View.ACUTE
    assert Permit(judge(replace(ED, category=LIMITS))).view is None


# --- registration ----------------------------------------------------------------------------------------------------

REGISTRATIONS = {
    # kind, category, latent, regimes, yes, denied -> bar
    "with a yes": (Kind.GP_PRACTICE, SUMMARY, False, on(), True, False, None),
    "a pharmacy's medication": (Kind.PHARMACY, MEDICATION, False, on(), True, False, None),
    "without a yes": (Kind.GP_PRACTICE, SUMMARY, False, on(), False, False, NO_CONSENT),
    "against an objection": (Kind.GP_PRACTICE, SUMMARY, False, on(), True, True, NO_CONSENT),
    "not its category": (Kind.PHARMACY, SUMMARY, False, on(), True, False, NOT_AUTHORISED),
    "a practice holds no pharmacy data": (Kind.GP_PRACTICE, ALLERGIES, False, on(), True, False, NOT_AUTHORISED),
    "a hospital holds nothing": (Kind.HOSPITAL, SUMMARY, False, on(), True, False, NOT_AUTHORISED),
    "an unknown kind": (None, SUMMARY, False, on(), True, False, NOT_AUTHORISED),
    "return messages are no entry": (
        Kind.GP_PRACTICE,
        Category.RETURN_MESSAGE,
        False,
        on(),
        True,
        False,
        NOT_AUTHORISED,
    ),
    "latent in the crisis": (Kind.GP_PRACTICE, SUMMARY, True, on(CRISIS), False, False, None),
    "latent against an objection": (Kind.GP_PRACTICE, SUMMARY, True, on(CRISIS), False, True, NO_CONSENT),
    "latent outside the crisis": (Kind.GP_PRACTICE, SUMMARY, True, on(EMERGENCY), True, False, NOT_AUTHORISED),
    "latent treatment limits": (Kind.GP_PRACTICE, LIMITS, True, on(CRISIS), True, False, NOT_AUTHORISED),
    "latent medication": (Kind.PHARMACY, MEDICATION, True, on(CRISIS), True, False, NOT_AUTHORISED),
    "an enrolment needs no consent": (Kind.GP_PRACTICE, Category.ENROLMENT, False, on(), False, True, None),
    "a pharmacy enrols nobody": (Kind.PHARMACY, Category.ENROLMENT, False, on(), True, False, NOT_AUTHORISED),
    "a latent enrolment": (Kind.GP_PRACTICE, Category.ENROLMENT, True, on(CRISIS), True, False, NOT_AUTHORISED),
}


@pytest.mark.parametrize(
    ("kind", "category", "latent", "extra", "yes", "denied", "bar"), REGISTRATIONS.values(), ids=REGISTRATIONS.keys()
)
def test_registration(
    kind: Kind | None,
    category: Category,
    latent: bool,
    extra: frozenset[Regime],
    yes: bool,
    denied: bool,
    bar: Bar | None,
) -> None:
    regimes = extra | {Regime.REGULAR}
    assert registration_bar(kind, category, latent=latent, regimes=regimes, yes=yes, denied=denied) is bar


# --- regimes ---------------------------------------------------------------------------------------------------------


def switch(on: bool, hours_ago: float, until: float | None = None, regime: Regime = CRISIS) -> RegimeSwitch:
    ending = None if until is None else NOW - until * H
    return RegimeSwitch(regime, on, NOW - hours_ago * H, "beheerder", "oefening", ending)


SWITCHES = {
    "never switched": ([], False),
    "on": ([switch(True, 2)], True),
    "on from this moment": ([switch(True, 0)], True),
    "on later": ([switch(True, -1)], False),
    "stop button": ([switch(True, 2), switch(False, 1)], False),
    "stop button, records out of order": ([switch(False, 1), switch(True, 2)], False),
    "on and stopped at one moment": ([switch(True, 1), switch(False, 1)], False),
    "on again": ([switch(True, 3), switch(False, 2), switch(True, 1)], True),
    "a stop yet to come": ([switch(True, 2), switch(False, -1)], True),
    "ended by itself": ([switch(True, 2, until=1)], False),
    "ends at this moment": ([switch(True, 2, until=0)], False),
    "ends later": ([switch(True, 2, until=-1)], True),
    "the older one does not come back": ([switch(True, 3), switch(True, 2, until=1)], False),
    "another regime": ([switch(True, 2, regime=EMERGENCY)], False),
}


@pytest.mark.parametrize(("switches", "expected"), SWITCHES.values(), ids=SWITCHES.keys())
def test_which_regimes_are_in_force(switches: list[RegimeSwitch], expected: bool) -> None:
    assert (CRISIS in active(switches, NOW)) is expected
    assert Regime.REGULAR in active([*switches, switch(False, 1, regime=Regime.REGULAR)], NOW)
