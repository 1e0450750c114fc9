"""What holds everywhere? Walks the whole finite input space of the rules against a second reading of the law.

The law below is transcribed from the prose of domain.md section 4, not from table.py, and judged differently: every row
is tried to its end, and the row that got furthest names the bar. Roles are reduced to one for each class the law tells
apart (a test proves the reduction); where no row is left by who asks, situations are reduced to their corners.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import product

import pytest

from gateway.rules.access import Admission, Bar, Basis, admit, decide, registration_bar
from gateway.rules.choice import ConsentState
from gateway.rules.exchange import SEH, Capacity, Category, GivenBy, Kind, PatientKey, Pointer, Regime
from gateway.rules.facts import Facts, Relation
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.table import ROWS, Action

# one walk serves all that look at it
pytestmark = pytest.mark.xdist_group("access-space")

# --- the law, read a second time ------------------------------------------------------------------------------------

LAW = """
REG-1| REGULAR            | gp-post    |    | gp      | gp-summary                 | cover contact           | consent
REG-2| REGULAR            | gp-post    |    | gp      | medication allergies       | cover contact           | consent
REG-3| REGULAR            | hospital   |    | medical | medication allergies       | contact                 | consent
REG-4| REGULAR            | pharmacy   |    | druggist| medication allergies       | cover contact           | consent
CRI-1| CRISIS_OPT_IN      | gp-post    |    | gp      | gp-summary                 | cover contact latent    | ask
CRI-2| CRISIS_OPT_IN      | hospital   | SEH| seh     | gp-summary                 | emergency contact latent| ask
EMA-1| EMERGENCY_AVAILABLE| hospital   | SEH| seh     | gp-summary treatment-limits| emergency contact       | presumed
EMA-2| EMERGENCY_AVAILABLE| ambulance  |    | crew    | gp-summary treatment-limits| emergency contact ride  | presumed
EMA-3| EMERGENCY_AVAILABLE| gp-post    |    | gp      | treatment-limits           | cover contact           | consent
RET-1| REGULAR            | gp-post    |    | gp      | (send-return)              | contact                 | free
RET-2| EMERGENCY_AVAILABLE| hospital   | SEH| seh     | (send-return)              | contact                 | free
RET-2| EMERGENCY_AVAILABLE| ambulance  |    | crew    | (send-return)              | contact                 | free
REF-1| REGULAR            | gp-practice|    | gp      | (send-referral)            |                         | free
"""

NOT_SPECIALISTS = ("01.000", "01.004", "01.015")
IN_CLASS = {
    "gp": lambda role: role in ("01.015", "01.004"),
    "medical": lambda role: role.startswith("01.") and role not in NOT_SPECIALISTS,
    "seh": lambda role: role.startswith("01.") and role not in ("01.004", "01.015"),
    "druggist": lambda role: role.startswith("17."),
    "crew": lambda role: role.startswith("01.") or role in ("30.000", "30.066", "80.000", "81.000"),
}


@dataclass(frozen=True)
class Rule:
    id: str
    regime: str
    kind: str
    department: str
    roles: str
    about: tuple[str, ...]
    extras: frozenset[str]
    need: str


def _read(line: str) -> Rule:
    id, regime, kind, department, roles, about, extras, need = (cell.strip() for cell in line.split("|"))
    return Rule(id, regime, kind, department, roles, tuple(about.split()), frozenset(extras.split()), need)


RULES = tuple(_read(line) for line in LAW.strip().splitlines())


@dataclass(frozen=True)
class Party:
    """Who asks for what: everything that does not depend on the visit or the patient."""

    about: str
    kind: Kind | None
    revoked: bool
    department: str | None
    role: str | None
    mandate: str | None
    barred_behind: bool
    regimes: frozenset[Regime]


# relation current, ride, cover, emergency, capacity, attested by, attestation good
Visit = tuple[bool, bool, bool, bool, Capacity, GivenBy | None, bool]
# consent state, entry stands on a yes, entry is latent
Patient = tuple[ConsentState, bool, bool]


def party_stage(party: Party, rule: Rule) -> int:
    """How far this rule carries this party: 0 not its rule, 1 no role on it, 2 both hold."""
    here = rule.regime in party.regimes and rule.kind == party.kind and party.about in rule.about
    if not here or (rule.department and rule.department != party.department):
        return 0
    roles = [role for role in (party.role, party.mandate) if role] if party.role else []
    return 2 if any(IN_CLASS[rule.roles](role) for role in roles) else 1


@cache
def visit_stage(visit: Visit, rule: Rule) -> int:
    """How far it carries the visit: 2 no relation, 3 the situation is not declared, 4 all holds."""
    current, ride, cover, emergency, *_ = visit
    if "contact" in rule.extras and not current:
        return 2
    declared = {"cover": cover, "emergency": emergency, "ride": ride}
    return 4 if all(declared[word] for word in rule.extras & declared.keys()) else 3


def shut_out(party: Party) -> str | None:
    if party.kind is None or party.revoked or (party.role and party.role.split(".")[0] not in FAMILIES):
        return "unknown-party"
    return "barred-profession" if party.role in ("01.008", "01.048") or party.barred_behind else None


def lawful_bar(party: Party, visit: Visit, reached: Sequence[int]) -> str | None:
    """The first bar; `reached` is how far each rule carries the party."""
    if shut := shut_out(party):
        return shut
    carried = [stage if stage < 2 else visit_stage(visit, RULES[n]) for n, stage in enumerate(reached)]
    furthest = max(carried)
    rule = RULES[carried.index(furthest)]
    if furthest == 3:
        return "no-cover" if "cover" in rule.extras else "no-emergency"
    if furthest < 4:
        return ("not-authorised", "no-mandate", "no-treatment-relation")[furthest]
    return _word_barred(visit)


def _word_barred(visit: Visit) -> str | None:
    *_, capacity, attested, good = visit
    alone_though_represented = capacity is Capacity.REPRESENTED and attested is GivenBy.PATIENT
    if attested and (capacity is Capacity.INCAPABLE or alone_though_represented):
        return "contradiction"
    return "bad-attestation" if attested and not good else None


def lawful_ground(rule: Rule, visit: Visit, patient: Patient) -> str | None:
    """On which ground this rule discloses to this (unbarred) visit, or None."""
    state, stands, latent = patient
    *_, capacity, attested, good = visit
    if state is ConsentState.DENIED or (latent and "latent" not in rule.extras):
        return None
    if rule.need == "ask":
        return "verbal-consent" if attested and good else ("presumed-consent" if capacity == "incapable" else None)
    if rule.need == "free" or state is ConsentState.GRANTED:
        return "consent"
    return "presumed-consent" if rule.need == "presumed" and stands and capacity == "incapable" else None


# --- the space -------------------------------------------------------------------------------------------------------

FAMILIES = ("01", "17", "30", "80", "81", "83")
CLASSES = ("01.015", "01.000", "01.016", "17.075", "30.000", "83.000", "01.008", "94.000", None)
"""One role of each class the law tells apart: covering GP, physician, specialist, pharmacist, ambulance crew, on no
row, barred, not on the network, none."""

LISTED = (
    "01.015", "01.004", "01.071", "01.000", "01.016", "01.010", "01.003", "01.014", "17.000",
    "17.060", "17.075", "83.000", "30.000", "30.066", "80.000", "81.000", "01.008", "01.048",
)  # fmt: skip
OTHERS = ("01.999", "17.999", "30.999", "80.999", "81.999", "83.999", "94.000", "00.000", "")
MANDATES = (None, "01.015", "01.000", "01.016", "17.075", "30.000")
ABOUT = (*(str(category) for category in Category), "(send-return)", "(send-referral)")
REGIMES = tuple(
    frozenset({Regime.REGULAR, *more}) for more in ([], [Regime.CRISIS_OPT_IN], [Regime.EMERGENCY_AVAILABLE], [*Regime])
)
WORDS = ((None, False), (GivenBy.PATIENT, True), (GivenBy.PATIENT, False), (GivenBy.REPRESENTATIVE, True))
VISITS: tuple[Visit, ...] = tuple(
    (current, ride, cover, emergency, capacity, *word)
    for current, ride, cover, emergency in product((True, False), repeat=4)
    for capacity, word in product(Capacity, WORDS)
)
CORNERS: tuple[Visit, ...] = (
    (True, True, True, True, Capacity.CAPABLE, GivenBy.PATIENT, True),
    (True, True, True, True, Capacity.INCAPABLE, None, False),
    (False, False, False, False, Capacity.REPRESENTED, GivenBy.PATIENT, False),
)
PATIENTS: tuple[Patient, ...] = tuple(product(ConsentState, (True, False), (False, True)))
ACTIONS = {"(send-return)": Action.SEND_RETURN, "(send-referral)": Action.SEND_REFERRAL}


def parties(regimes: frozenset[Regime]) -> Iterator[Party]:
    kinds = [(kind, False) for kind in (*Kind, None)] + [(Kind.GP_POST, True), (Kind.HOSPITAL, True)]
    for about, (kind, revoked), department, role in product(ABOUT, kinds, (None, SEH), CLASSES):
        for mandate, barred in ((None, True), *((mandate, False) for mandate in MANDATES)):
            yield Party(about, kind, revoked, department, role, mandate, barred, regimes)


def facts_of(party: Party, visit: Visit) -> Facts:
    current, ride, cover, emergency, capacity, attested, good = visit
    sending = ACTIONS.get(party.about)
    return Facts(
        sending or Action.QUERY, None if sending else Category(party.about), party.kind, party.revoked,
        party.department, party.role, party.mandate, party.barred_behind, party.regimes,
        Relation.CURRENT if current else Relation.OVER, ride, cover, emergency, capacity, attested, good,
    )  # fmt: skip


def _entry(latent: bool) -> Pointer:
    return Pointer("e", PatientKey(b"k" * 12), Ura("90000101"), ApplicationId("1"), Category.GP_SUMMARY, latent, "2026")


ENTRIES = {latent: _entry(latent) for latent in (False, True)}


@dataclass
class Findings:
    """What one walk saw. Keys of `opened` are (party less its regimes, visit, patient)."""

    walked: int = 0
    disagreements: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    reasons: set[Bar] = field(default_factory=set)
    alone: set[tuple[str, str]] = field(default_factory=set)
    grounds: dict[str, set[Basis]] = field(default_factory=lambda: defaultdict(set))
    opened: dict[frozenset[Regime], set[tuple[object, ...]]] = field(default_factory=lambda: defaultdict(set))


def walk() -> Findings:
    found = Findings()
    for regimes in REGIMES:
        for party in parties(regimes):
            reached = [party_stage(party, rule) for rule in RULES]
            for visit in VISITS if 2 in reached and not shut_out(party) else CORNERS:
                _try(found, party, visit, reached)
    return found


def _try(found: Findings, party: Party, visit: Visit, reached: Sequence[int]) -> None:
    found.walked += 1
    admission = admit(facts_of(party, visit))
    bar = lawful_bar(party, visit, reached)
    if admission.bar != bar or bool(admission.rows) == bool(bar):
        found.disagreements.append(f"{party} {visit}: {admission.bar}, the law says {bar}")
    if admission.bar is not None:
        found.reasons.add(admission.bar)
        patients = PATIENTS[::5] if 2 in reached else PATIENTS
        told = [decide(admission, ENTRIES[latent], state, stands) for state, stands, latent in patients]
        if any(decision.permitted or decision.reason is not admission.bar for decision in told):
            found.leaks.append(f"{party} {visit}")
        return
    lives = [rule for rule, stage in zip(RULES, reached, strict=True) if stage == 2 and visit_stage(visit, rule) == 4]
    for patient in PATIENTS:
        _decide(found, party, visit, patient, admission, lives)


def _decide(
    found: Findings, party: Party, visit: Visit, patient: Patient, admission: Admission, lives: list[Rule]
) -> None:
    state, stands, latent = patient
    decision = decide(admission, ENTRIES[latent], state, stands)
    lawful = {(rule.id, ground) for rule in lives if (ground := lawful_ground(rule, visit, patient))}
    if decision.row is None or decision.basis is None:
        if decision.reason is None or lawful:
            found.disagreements.append(f"{party} {visit} {patient}: {decision.reason}, the law permits {lawful}")
        else:
            found.reasons.add(decision.reason)
            _check_reason(found, decision.reason, visit, patient, lives)
        return
    if (decision.row.id, decision.basis) not in lawful:
        found.disagreements.append(f"{party} {visit} {patient}: {decision.row.id}, the law permits {lawful}")
    found.grounds[decision.row.id].add(decision.basis)
    found.opened[party.regimes].add(
        (party.about, party.kind, party.department, party.role, party.mandate, visit, patient)
    )
    if len(lawful) == 1:
        found.alone.add((decision.row.id, str(party.kind)))


def _check_reason(found: Findings, reason: Bar, visit: Visit, patient: Patient, lives: list[Rule]) -> None:
    """The journal's reason: objection first, then a question not asked, then a latent entry's silence or no consent."""
    asking = any(rule.need == "ask" for rule in lives) and visit[5] is None and visit[4] is not Capacity.INCAPABLE
    hidden = patient[2] and not any("latent" in rule.extras for rule in lives)
    if patient[0] is ConsentState.DENIED:
        due = Bar.OBJECTION
    elif asking:
        due = Bar.VERBAL_CONSENT_REQUIRED
    else:
        due = Bar.SILENT_ENTRY if hidden else Bar.NO_CONSENT
    if reason is not due:
        found.disagreements.append(f"{visit} {patient}: reason {reason}, due {due}")


@pytest.fixture(scope="module")
def space() -> Findings:
    return walk()


# --- what holds everywhere ------------------------------------------------------------------------------------------


def test_the_evaluator_agrees_with_the_law_everywhere(space: Findings) -> None:
    assert space.walked > 250_000
    assert space.disagreements[:5] == []


def test_a_refusal_of_the_requester_never_depends_on_the_patient(space: Findings) -> None:
    assert space.leaks[:5] == []


def test_no_row_is_dead_each_permits_alone_somewhere(space: Findings) -> None:
    assert space.alone == {(rule.id, rule.kind) for rule in RULES}


def test_each_row_permits_on_every_ground_it_has_and_on_no_other(space: Findings) -> None:
    grounds = {
        "ask": {Basis.VERBAL, Basis.PRESUMED},
        "presumed": {Basis.CONSENT, Basis.PRESUMED},
        "consent": {Basis.CONSENT},
        "free": {Basis.CONSENT},
    }
    assert space.grounds == {rule.id: grounds[rule.need] for rule in RULES}


def test_no_bar_is_shadowed_each_is_the_reason_somewhere(space: Findings) -> None:
    assert space.reasons == set(Bar)


def test_an_objection_never_loses(space: Findings) -> None:
    opened = [point for points in space.opened.values() for point in points]
    assert len(opened) > 1_000
    assert not any(point[-1][0] is ConsentState.DENIED for point in opened)  # type: ignore[index]


def test_under_the_standing_rules_the_emergency_flag_changes_nothing(space: Findings) -> None:
    opened = space.opened[REGIMES[0]]
    assert opened == {_with_emergency(point, value) for point in opened for value in (True, False)}


def test_the_emergency_flag_opens_only_rows_of_an_emergency_regime(space: Findings) -> None:
    for regimes, opened in space.opened.items():
        by_flag = {point for point in opened if _emergency(point) and _with_emergency(point, False) not in opened}
        kinds = {(point[1], point[2]) for point in by_flag}
        allowed = {(Kind.HOSPITAL, SEH)} if len(regimes) > 1 else set()
        if Regime.EMERGENCY_AVAILABLE in regimes:
            allowed |= {(Kind.AMBULANCE, None), (Kind.AMBULANCE, SEH)}
        assert kinds == allowed, regimes
        assert {point[0] for point in by_flag} <= {"gp-summary", "treatment-limits"}


def test_the_standing_rules_open_only_reg_3_to_hospitals_and_nothing_to_ambulances(space: Findings) -> None:
    opened = space.opened[REGIMES[0]]
    to_hospitals = [point for point in opened if point[1] is Kind.HOSPITAL]
    assert {point[0] for point in to_hospitals} == {"medication", "allergies"}
    assert {point[3] for point in to_hospitals if point[4] is None} == {"01.016"}
    assert not any(point[1] is Kind.AMBULANCE for point in opened)


def test_adding_a_regime_never_closes(space: Findings) -> None:
    for fewer, more in product(REGIMES, REGIMES):
        if fewer < more:
            assert space.opened[fewer] < space.opened[more], more - fewer


def test_nothing_opens_enrolment_or_a_return_message_to_a_question(space: Findings) -> None:
    asked = {point[0] for points in space.opened.values() for point in points}
    assert asked == set(ABOUT) - {"enrolment", "return-message"}


def test_nothing_latent_opens_outside_the_crisis(space: Findings) -> None:
    for regimes, opened in space.opened.items():
        latent = {point[0] for point in opened if point[-1][2] and point[0] not in ACTIONS}  # type: ignore[index]
        assert latent == ({"gp-summary"} if Regime.CRISIS_OPT_IN in regimes else set())


def _emergency(point: tuple[object, ...]) -> bool:
    return bool(point[5][3])  # type: ignore[index]


def _with_emergency(point: tuple[object, ...], value: bool) -> tuple[object, ...]:
    visit: Visit = point[5]  # type: ignore[assignment]
    return (*point[:5], (*visit[:3], value, *visit[4:]), point[6])


def test_every_listed_role_is_judged_as_the_law_judges_it() -> None:
    """The reduction to classes: each listed role, and others of each family, for every kind, question and regime."""
    good: Visit = (True, True, True, True, Capacity.CAPABLE, GivenBy.PATIENT, True)
    tried = 0
    for about, kind, department, regimes in product(ABOUT, Kind, (None, SEH), REGIMES):
        for role, mandate in product((*LISTED, *OTHERS), (None, *LISTED)):
            barred = mandate in ("01.008", "01.048")
            party = Party(about, kind, False, department, role or None, mandate, barred, regimes)
            reached = [party_stage(party, rule) for rule in RULES]
            assert admit(facts_of(party, good)).bar == lawful_bar(party, good, reached), party
            tried += 1
    assert tried == 8 * 5 * 2 * 4 * 27 * 19


def test_every_relation_but_a_current_one_is_none() -> None:
    party = Party("medication", Kind.HOSPITAL, False, None, "01.016", None, False, REGIMES[0])
    facts = facts_of(party, (True, False, False, False, Capacity.CAPABLE, None, False))
    for relation in Relation:
        bar = admit(_with_relation(facts, relation)).bar
        assert bar is (None if relation is Relation.CURRENT else Bar.NO_TREATMENT_RELATION)


def _with_relation(facts: Facts, relation: Relation) -> Facts:
    values = [getattr(facts, name) for name in Facts.__dataclass_fields__]
    values[list(Facts.__dataclass_fields__).index("relation")] = relation
    return Facts(*values)


# --- rows outside admission -----------------------------------------------------------------------------------------


def lawful_registration(
    kind: Kind | None, category: Category, latent: bool, crisis: bool, yes: bool, denied: bool
) -> str | None:
    """IDX-1 and IDX-2: own entries of what this kind holds; a yes to this custodian; latent in the crisis only."""
    held = {
        Kind.GP_PRACTICE: ("gp-summary", "treatment-limits", "enrolment"),
        Kind.PHARMACY: ("medication", "allergies"),
    }
    if kind is None or category not in held.get(kind, ()):
        return "not-authorised"
    if latent and not (crisis and category == "gp-summary"):
        return "not-authorised"
    if category == "enrolment":
        return None
    return "no-consent" if denied or not (yes or latent) else None


def test_registration_agrees_with_the_law_everywhere() -> None:
    outcomes = set()
    for kind, category, latent, regimes, yes, denied in product(
        (*Kind, None), Category, (False, True), REGIMES, (False, True), (False, True)
    ):
        bar = registration_bar(kind, category, latent=latent, regimes=regimes, yes=yes, denied=denied)
        crisis = Regime.CRISIS_OPT_IN in regimes
        assert bar == lawful_registration(kind, category, latent, crisis, yes, denied), (kind, category, latent)
        outcomes.add(bar)
    assert outcomes == {None, Bar.NOT_AUTHORISED, Bar.NO_CONSENT}


@pytest.mark.parametrize("action", [Action.REGISTER, Action.ENROL, Action.OWN_RECORD])
def test_rows_outside_admission_open_nothing_to_a_professional(action: Action) -> None:
    """IDX-1 and IDX-2 are judged by `registration_bar`, PAT-1 by a login: no token of a professional reaches them."""
    good: Visit = (True, True, True, True, Capacity.CAPABLE, None, False)
    for kind, role, category in product((*Kind, None), CLASSES, Category):
        facts = facts_of(Party(str(category), kind, False, SEH, role, "01.015", False, REGIMES[-1]), good)
        values = [getattr(facts, name) for name in Facts.__dataclass_fields__]
        assert admit(Facts(action, *values[1:])).bar is not None


def test_this_reading_and_the_table_name_the_same_rows() -> None:
    assert {rule.id for rule in RULES} | {"IDX-1", "IDX-2", "PAT-1"} == {row.id for row in ROWS}
