"""What does each row permit? The table of domain.md section 4 as data a clinician can read beside the code.

Each row permits one thing. Ids are a contract: they stand in journals and source tokens and are never reused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.rules.exchange import SEH, Category, Kind, Regime, View


class Action(StrEnum):
    """What somebody wants the exchange to do."""

    QUERY = "query"
    SEND_RETURN = "send-return"
    SEND_REFERRAL = "send-referral"
    REGISTER = "register"
    ENROL = "enrol"
    OWN_RECORD = "own-record"


class Need(StrEnum):
    """What the patient must have said."""

    CONSENT = "consent"
    ASK = "ask"
    CONSENT_OR_PRESUMED = "consent-or-presumed"
    NO_OBJECTION = "no-objection"
    NOTHING = "nothing"


class Touch(StrEnum):
    """Which contact with the patient a row wants."""

    NONE = "none"
    CONTACT = "contact"
    RIDE = "ride"


@dataclass(frozen=True, slots=True)
class Roles:
    """Role codes on a row: those listed, and whole families less their exceptions."""

    codes: frozenset[str] = frozenset()
    family: str = ""
    without: frozenset[str] = frozenset()

    def include(self, role: str) -> bool:
        return role in self.codes or (bool(self.family) and role[:3] == self.family + "." and role not in self.without)


GPS = Roles(codes=frozenset({"01.015", "01.004"}))
PHARMACISTS = Roles(family="17")
SPECIALISTS = Roles(family="01", without=frozenset({"01.000", "01.004", "01.015"}))
SEH_PHYSICIANS = Roles(family="01", without=frozenset({"01.004", "01.015"}))
AMBULANCE_STAFF = Roles(codes=frozenset({"30.000", "30.066", "80.000", "81.000"}), family="01")
ANYBODY = Roles()


@dataclass(frozen=True, slots=True)
class Row:
    """One permission. `view` applies to the GP summary only; `latent` rows also see latent entries."""

    id: str
    regime: Regime
    action: Action
    kinds: frozenset[Kind]
    categories: frozenset[Category]
    roles: Roles
    sentence: str
    need: Need = Need.CONSENT
    department: str | None = None
    view: View | None = None
    touch: Touch = Touch.CONTACT
    cover: bool = False
    emergency: bool = False
    latent: bool = False


def _query(
    id: str,
    regime: Regime,
    kind: Kind,
    roles: Roles,
    categories: set[Category],
    sentence: str,
    *,
    need: Need = Need.CONSENT,
    department: str | None = None,
    view: View | None = None,
    touch: Touch = Touch.CONTACT,
    cover: bool = False,
    emergency: bool = False,
    latent: bool = False,
) -> Row:
    return Row(
        id=id,
        regime=regime,
        action=Action.QUERY,
        kinds=frozenset({kind}),
        categories=frozenset(categories),
        roles=roles,
        sentence=sentence,
        need=need,
        department=department,
        view=view,
        touch=touch,
        cover=cover,
        emergency=emergency,
        latent=latent,
    )


def _send(
    id: str, regime: Regime, kind: Kind, roles: Roles, action: Action, touch: Touch, sentence: str, **more: str
) -> Row:
    return Row(
        id=id,
        regime=regime,
        action=action,
        kinds=frozenset({kind}),
        categories=frozenset(),
        roles=roles,
        sentence=sentence,
        need=Need.NO_OBJECTION,
        touch=touch,
        department=more.get("department"),
    )


_C, _K, _R = Category, Kind, Regime
_SUMMARY, _PHARMACY_DATA, _LIMITS = {_C.GP_SUMMARY}, {_C.MEDICATION, _C.ALLERGIES}, {_C.TREATMENT_LIMITS}
_SUMMARY_AND_LIMITS = _SUMMARY | _LIMITS

ROWS: tuple[Row, ...] = (
    _query(
        "REG-1", _R.REGULAR, _K.GP_POST, GPS, _SUMMARY,
        "A covering GP at a GP post may see the professional summary of a patient in contact who gave consent.",
        view=View.COVERING, cover=True,
    ),
    _query(
        "REG-2", _R.REGULAR, _K.GP_POST, GPS, _PHARMACY_DATA,
        "A covering GP at a GP post may see the pharmacy's medication and allergies of a patient in contact"
        " who gave consent.",
        cover=True,
    ),
    _query(
        "REG-3", _R.REGULAR, _K.HOSPITAL, SPECIALISTS, _PHARMACY_DATA,
        "A treating medical specialist in a hospital may see the pharmacy's medication and allergies of a patient"
        " who gave consent.",
    ),
    _query(
        "REG-4", _R.REGULAR, _K.PHARMACY, PHARMACISTS, _PHARMACY_DATA,
        "A covering pharmacist may see another pharmacy's medication and allergies of a patient in contact"
        " who gave consent.",
        cover=True,
    ),
    _query(
        "CRI-1", _R.CRISIS_OPT_IN, _K.GP_POST, GPS, _SUMMARY,
        "During the crisis a covering GP may see the professional summary of a patient without a recorded choice,"
        " after asking on the spot.",
        need=Need.ASK, view=View.COVERING, cover=True, latent=True,
    ),
    _query(
        "CRI-2", _R.CRISIS_OPT_IN, _K.HOSPITAL, SEH_PHYSICIANS, _SUMMARY,
        "During the crisis a physician at an emergency department may see the professional summary,"
        " after asking on the spot.",
        need=Need.ASK, department=SEH, view=View.COVERING, emergency=True, latent=True,
    ),
    _query(
        "EMA-1", _R.EMERGENCY_AVAILABLE, _K.HOSPITAL, SEH_PHYSICIANS, _SUMMARY_AND_LIMITS,
        "A physician at an emergency department may see the acute summary and the treatment limits of an emergency"
        " patient who allowed it.",
        need=Need.CONSENT_OR_PRESUMED, department=SEH, view=View.ACUTE, emergency=True,
    ),
    _query(
        "EMA-2", _R.EMERGENCY_AVAILABLE, _K.AMBULANCE, AMBULANCE_STAFF, _SUMMARY_AND_LIMITS,
        "An ambulance crew on a ride may see the acute summary and the treatment limits of an emergency patient"
        " who allowed it.",
        need=Need.CONSENT_OR_PRESUMED, view=View.ACUTE, touch=Touch.RIDE, emergency=True,
    ),
    _query(
        "EMA-3", _R.EMERGENCY_AVAILABLE, _K.GP_POST, GPS, _LIMITS,
        "A covering GP at a GP post may see the treatment limits of a patient in contact who gave consent.",
        cover=True,
    ),
    _send(
        "RET-1", _R.REGULAR, _K.GP_POST, GPS, Action.SEND_RETURN, Touch.CONTACT,
        "A GP post that had contact with a patient may report back to the GP of record.",
    ),
    _send(
        "RET-2", _R.EMERGENCY_AVAILABLE, _K.HOSPITAL, SEH_PHYSICIANS, Action.SEND_RETURN, Touch.CONTACT,
        "An emergency department that had contact with a patient may report back to the GP of record.",
        department=SEH,
    ),
    _send(
        "RET-2", _R.EMERGENCY_AVAILABLE, _K.AMBULANCE, AMBULANCE_STAFF, Action.SEND_RETURN, Touch.CONTACT,
        "An ambulance service that had contact with a patient may report back to the GP of record.",
    ),
    _send(
        "REF-1", _R.REGULAR, _K.GP_PRACTICE, GPS, Action.SEND_REFERRAL, Touch.NONE,
        "A GP practice may refer its patient to a named hospital or GP post.",
    ),
    Row(
        "IDX-1", _R.REGULAR, Action.REGISTER, frozenset({_K.GP_PRACTICE, _K.PHARMACY}),
        frozenset({_C.GP_SUMMARY, _C.TREATMENT_LIMITS, _C.MEDICATION, _C.ALLERGIES}), ANYBODY,
        "A GP practice or pharmacy may register and end its own entries for a patient who said yes to it.",
        touch=Touch.NONE,
    ),
    Row(
        "IDX-2", _R.REGULAR, Action.ENROL, frozenset({_K.GP_PRACTICE}), frozenset({_C.ENROLMENT}), ANYBODY,
        "A GP practice may register and end its own enrolments; they route return messages and are never localised.",
        need=Need.NOTHING, touch=Touch.NONE,
    ),
    Row(
        "PAT-1", _R.REGULAR, Action.OWN_RECORD, frozenset(), frozenset(), ANYBODY,
        "A patient or representative may see who asked for what, and give, refuse or withdraw consent.",
        need=Need.NOTHING, touch=Touch.NONE,
    ),
)  # fmt: skip
"""The law. RET-2 stands twice because it names two kinds of sender with different roles."""
