"""Which patients behave as told in every simulation? The sentinels of interface.md section 6, one row each.

A row says what she stands for, what is known of her where, what happened before today, what goes wrong at a source, and
what whoever asks for her gets. Data only: it may not know a socket, a ledger or a clock. How a row gets into a country
is the business of who sets one up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from source_sim.country import GP, PHARMACY, SECOND_GP, SECOND_PHARMACY, Participant
from source_sim.population import Profile
from source_sim.sentinel import (
    AMBULANCE_LIMITS,
    AMBULANCE_SUMMARY,
    DOWN,
    HOSPITAL_LIMITS,
    HOSPITAL_MEDICATION,
    HOSPITAL_SUMMARY,
    NOTHING,
    NUMBERS,
    POST_ALLERGIES,
    POST_MEDICATION,
    POST_SUMMARY,
    Act,
    Answered,
    Enrolled,
    Held,
    Question,
    Said,
    Sentinel,
    Trouble,
)

DOWN_GP: Final = Participant("down-gp-practice", "90000104", "400104", "Z3", "Test Huisarts De Wilg", serves=True)
SLOW_PHARMACY: Final = Participant("slow-pharmacy", "90000205", "400205", "J8", "Test Apotheek Traag", serves=True)
GARBAGE_PHARMACY: Final = Participant(
    "garbage-pharmacy", "90000206", "400206", "J8", "Test Apotheek Wartaal", serves=True
)
TROUBLED: Final = (DOWN_GP, SLOW_PHARMACY, GARBAGE_PHARMACY)
"""Custodians that always fail. Organisations of their own: a source that fails often is not asked for a while, and that
must not reach the other sentinels."""

_OF_A_PRACTICE: Final = ("gp-summary", "treatment-limits")
_OF_A_PHARMACY: Final = ("medication", "allergies")


def _from(*sources: Participant, missing: tuple[tuple[Participant, str], ...] = (), flag: str = "") -> Answered:
    flags = (flag,) if flag else ()
    return Answered(completeness="partial" if missing else "complete", sources=sources, missing=missing, flags=flags)


def _failed(code: str) -> Answered:
    return Answered(502, "none", code=code)


def _answers(
    summary: Answered = NOTHING,
    medication: Answered = NOTHING,
    *,
    limits: Answered | None = None,
    in_hospital: Answered | None = None,
) -> Mapping[Question, Answered]:
    """What everybody gets. Limits come as the summary does, and the hospital is answered as others are, unless told."""
    limits = summary if limits is None else limits
    return {
        POST_SUMMARY: summary,
        POST_MEDICATION: medication,
        POST_ALLERGIES: medication,
        HOSPITAL_MEDICATION: medication if in_hospital is None else in_hospital,
        HOSPITAL_SUMMARY: summary if in_hospital is None else in_hospital,
        HOSPITAL_LIMITS: limits if in_hospital is None else in_hospital,
        AMBULANCE_SUMMARY: summary,
        AMBULANCE_LIMITS: limits,
    }


# --- the table -------------------------------------------------------------------------------------------------------

_USUAL: Final = {GP: Profile.TYPICAL, PHARMACY: Profile.TYPICAL}
_BOTH: Final = _answers(_from(GP), _from(PHARMACY))
_MEDICATION_ONLY: Final = _answers(medication=_from(PHARMACY))
_AT_GP: Final = Enrolled(GP)


def _opened(custodian: Participant, by: tuple[str, ...] = ("patient",), **scope: Any) -> tuple[Act, ...]:
    """Yes to this custodian, then its registration of all it holds."""
    held = _OF_A_PRACTICE if custodian.organisation_type == "Z3" else _OF_A_PHARMACY
    return Said(custodian, by=by, **scope), Held(custodian, held)


_OPEN: Final = (_AT_GP, *_opened(GP), *_opened(PHARMACY))


def _rows() -> Iterator[Sentinel]:
    yield Sentinel("all-open", "Said yes to GP and pharmacy; everything is registered.", _OPEN, _BOTH, _USUAL)
    yield Sentinel("objected", "Objects to everything, everywhere.", (_AT_GP, Said(permit=False)), _answers(), _USUAL)
    yield Sentinel("undecided", "Never chose; nobody registered anything.", (_AT_GP,), _answers(), _USUAL)
    yield Sentinel(
        "latent",
        "Never chose; registered in the days of CRISIS_OPT_IN, and silent outside it.",
        (_AT_GP, Held(GP, ("gp-summary",), latent=True)),
        _answers(),
        _USUAL,
        days_ago=1800,
        regime="CRISIS_OPT_IN",
    )
    yield Sentinel(
        "withdrawn",
        "Said yes to GP and pharmacy, and withdrew both: the entries ended.",
        (*_OPEN, Said(GP, active=False), Said(PHARMACY, active=False)),
        _answers(),
        _USUAL,
    )
    yield Sentinel("unknown", "Nobody knows this number; enrolled nowhere.", (), _answers(), {}, returned="on-hold")
    yield Sentinel("gp-only", "Said yes to the GP alone.", (_AT_GP, *_opened(GP)), _answers(_from(GP)), _USUAL)
    yield Sentinel(
        "pharmacy-only", "Said yes to the pharmacy alone.", (_AT_GP, *_opened(PHARMACY)), _MEDICATION_ONLY, _USUAL
    )
    yield Sentinel(
        "hospital-objected",
        "All open, but hospitals may see nothing.",
        (*_OPEN, Said(permit=False, requesters=("hospital",))),
        _answers(_from(GP), _from(PHARMACY), in_hospital=NOTHING),
        _USUAL,
    )
    yield from _in_emergencies_only()
    yield from _in_trouble()
    yield from _at_several_custodians()
    yield from _minors()
    yield Sentinel(
        "no-gp-of-record",
        "All open, but enrolled with no practice: return messages are parked.",
        (*_opened(GP), *_opened(PHARMACY)),
        _BOTH,
        _USUAL,
        returned="on-hold",
    )
    yield Sentinel(
        "large-record", "All open; the summary is about 1 MB.", _OPEN, _BOTH, dict.fromkeys(_USUAL, Profile.LARGE)
    )
    yield Sentinel(
        "empty-record",
        "All open and registered, but nothing is written down.",
        _OPEN,
        _answers(),
        dict.fromkeys(_USUAL, Profile.EMPTY),
    )


def _in_emergencies_only() -> Iterator[Sentinel]:
    answers = {question: answer if question.requester != "gp-post" else NOTHING for question, answer in _BOTH.items()}
    yield Sentinel(
        "emergency-only",
        "Said yes to GP and pharmacy for emergencies only.",
        (_AT_GP, *_opened(GP, emergency_only=True), *_opened(PHARMACY, emergency_only=True)),
        answers,
        _USUAL,
    )


def _in_trouble() -> Iterator[Sentinel]:
    yield Sentinel(
        "slow-pharmacy",
        "One of two pharmacies answers after half a minute: too late.",
        (*_OPEN, *_opened(SLOW_PHARMACY)),
        _answers(_from(GP), _from(PHARMACY, missing=((SLOW_PHARMACY, "timed-out"),))),
        {**_USUAL, SLOW_PHARMACY: Profile.TYPICAL},
        (Trouble(SLOW_PHARMACY, "slow", 30),),
    )
    yield Sentinel(
        "down-gp",
        "The GP's system is always down; return messages wait for it.",
        (Enrolled(DOWN_GP), *_opened(DOWN_GP), *_opened(PHARMACY)),
        _answers(_failed("unreachable"), _from(PHARMACY)),
        {DOWN_GP: Profile.TYPICAL, PHARMACY: Profile.TYPICAL},
        (Trouble(DOWN_GP, DOWN),),
        returned="in-progress",
    )
    yield Sentinel(
        "garbage-pharmacy",
        "One of two pharmacies answers with a page of HTML.",
        (*_OPEN, *_opened(GARBAGE_PHARMACY)),
        _answers(_from(GP), _from(PHARMACY, missing=((GARBAGE_PHARMACY, "malformed"),))),
        {**_USUAL, GARBAGE_PHARMACY: Profile.TYPICAL},
        (Trouble(GARBAGE_PHARMACY, "garbage"),),
    )
    yield Sentinel(
        "wrong-patient",
        "The GP's system answers with somebody else's record.",
        _OPEN,
        _answers(_failed("wrong-patient"), _from(PHARMACY)),
        _USUAL,
        (Trouble(GP, "wrong-patient"),),
    )
    yield Sentinel(
        "withholding-gp",
        "The GP keeps the record back for reasons of good care.",
        _OPEN,
        _answers(_from(missing=((GP, "withheld"),)), _from(PHARMACY)),
        _USUAL,
        (Trouble(GP, "withheld"),),
    )


def _at_several_custodians() -> Iterator[Sentinel]:
    yield Sentinel(
        "two-gps",
        "Known to two practices; both may be asked.",
        (*_OPEN, *_opened(SECOND_GP)),
        _answers(_from(GP, SECOND_GP), _from(PHARMACY)),
        {**_USUAL, SECOND_GP: Profile.TYPICAL},
    )
    yield Sentinel(
        "two-pharmacies-one-objected",
        "Said yes to one pharmacy and no to the other: nothing tells of the second.",
        (*_OPEN, Said(SECOND_PHARMACY, permit=False)),
        _BOTH,
        {**_USUAL, SECOND_PHARMACY: Profile.TYPICAL},
    )
    yield Sentinel(
        "contradictory-limits",
        "One practice says resuscitate, the other says do not: both come, flagged.",
        (*_OPEN, *_opened(SECOND_GP)),
        _answers(
            _from(GP, SECOND_GP),
            _from(PHARMACY),
            limits=_from(GP, SECOND_GP, flag="contradictory-limits"),
        ),
        {GP: Profile.LIMITS_PERMIT, SECOND_GP: Profile.LIMITS_DENY, PHARMACY: Profile.TYPICAL},
    )


def _minors() -> Iterator[Sentinel]:
    def agreed(*by: str) -> tuple[Act, ...]:
        return (_AT_GP, *_opened(GP, by), *_opened(PHARMACY, by))

    yield Sentinel("minor-11", "Eleven years old; a parent said yes.", agreed("parent"), _BOTH, _USUAL)
    yield Sentinel(
        "minor-14",
        "Fourteen years old; patient and parent said yes together.",
        agreed("patient", "parent"),
        _BOTH,
        _USUAL,
        days_ago=400,
    )
    yield Sentinel(
        "parent-consent-now-16",
        "Sixteen by now; the parent's yes of years ago still holds.",
        agreed("parent"),
        _BOTH,
        _USUAL,
        days_ago=2200,
    )


SENTINELS: Final[Mapping[str, Sentinel]] = {
    one.key: one for one in sorted(_rows(), key=lambda one: list(NUMBERS).index(one.key))
}
"""Every sentinel by key, in the order of interface.md section 6."""


def held_at(custodian: Participant) -> list[dict[str, Any]]:
    """Whose records this custodian's system keeps, as the `patients` of its configuration (serving.py)."""
    return [_held(one, custodian) for one in SENTINELS.values() if custodian in one.records]


def _held(one: Sentinel, custodian: Participant) -> dict[str, Any]:
    told: dict[str, Any] = {"bsn": one.number, "profile": one.records[custodian].value}
    following = [each for each in one.troubles if each.custodian == custodian and each.fault != DOWN]
    return told | ({"fault": {"name": following[0].fault, "seconds": following[0].seconds}} if following else {})


def lasting_fault(custodian: Participant) -> dict[str, Any] | None:
    """The fault of a system that is never up, as in its configuration; None for one that works."""
    troubles = [each for one in SENTINELS.values() for each in one.troubles if each.custodian == custodian]
    return next(({"name": each.fault} for each in troubles if each.fault == DOWN), None)
