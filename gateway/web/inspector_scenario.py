"""How is a recorded call told as a scenario? The questions of one chain as a file that `switchpoint scenario` plays.

Told from the journal alone: no number and no content. What the journal does not hold (a contact's times, what a patient
who is no sentinel had said) is usual, or left for the reader to fill in. Only questions are told, no messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

from gateway.flows.retelling import Chain, Step
from gateway.rules.exchange import ORGANISATION_TYPES, Capacity, Category, Kind, PatientKey, Regime
from gateway.rules.journal import Event, Json

_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")
_ASKED = frozenset({Event.QUERY_DECIDED, Event.QUERY_REFUSED, Event.LOCALISED})
_KINDS = {
    Kind.GP_POST: "gp-post",
    Kind.AMBULANCE: "ambulance",
    Kind.HOSPITAL: "specialist",
    Kind.PHARMACY: "covering-pharmacy",
}
_QUESTIONS = frozenset({Category.GP_SUMMARY, Category.MEDICATION, Category.ALLERGIES, Category.TREATMENT_LIMITS})


def scenario(chain: Chain, sentinels: Mapping[PatientKey, str]) -> str | None:
    """The chain's questions as YAML; None when it has none. `sentinels` tells which patients need no setting up."""
    steps = _questions(chain)
    if not steps:
        return None
    first = steps[0]
    sentinel = next((sentinels[one] for one in chain.patients if one in sentinels), None)
    lines = [
        f"scenario: Call {chain.initial} again",
        "story: Recorded from a call. Say here what happens, as a nurse would tell it.",
        "given:",
        f"  time: {first.at.astimezone(_DUTCH_TIME):%Y-%m-%dT%H:%M}",
        *_regimes(first),
        *_people(first, sentinel),
        "when:",
        *(line for step in steps for line in _step(chain, step)),
    ]
    return "\n".join(lines) + "\n"


def _questions(chain: Chain) -> list[Step]:
    """The first search of each question: medication and allergies take several."""
    found: dict[str, Step] = {}
    for step in chain.steps:
        if step.event in _ASKED and _what(step):
            found.setdefault(_what(step), step)
    return [*found.values()]


def _what(step: Step) -> str:
    if step.event is Event.LOCALISED:
        return "localise"
    category = step.seen.get("category")
    return str(category) if category in _QUESTIONS else ""


# --- given -----------------------------------------------------------------------------------------------------------


def _regimes(step: Step) -> Iterator[str]:
    told = step.seen.get("regimes")
    regimes = [one for one in told if one in set(Regime) and one != Regime.REGULAR] if isinstance(told, list) else []
    if regimes:
        yield f"  regimes: [{', '.join(map(str, regimes))}]"


def _people(step: Step, sentinel: str | None) -> list[str]:
    asker = f"    asker: {_asker(step)}"
    if sentinel:
        return ["  organisations:", asker, "  patients:", f"    patient: {sentinel}"]
    return [
        "  organisations:",
        "    practice: gp-practice",
        "    pharmacy: pharmacy",
        asker,
        "  patients:",
        "    # not a sentinel: say here what she had said, and to whom",
        "    patient: {gp: practice, pharmacy: pharmacy, consents: all}",
    ]


def _asker(step: Step) -> str:
    """A usual kind of requester, or any other by its type and the role its people act in."""
    type_ = str(step.seen.get("organisation_type"))
    kind = ORGANISATION_TYPES.get(type_)
    if kind is Kind.HOSPITAL and step.seen.get("department"):
        return "emergency-department"
    if kind in _KINDS:
        return _KINDS[kind]
    return f"{{type: {json.dumps(type_)}, role: {json.dumps(str(step.seen.get('actor_role')))}}}"


# --- when and then ---------------------------------------------------------------------------------------------------


def _step(chain: Chain, step: Step) -> Iterator[str]:
    words = ["by: asker", "for: patient"]
    verb = "localise"
    if step.event is not Event.LOCALISED:
        verb = "ask"
        words.append(f"what: {step.seen['category']}")
    yield f"  - {verb}: {{{', '.join([*words, *_situation(step.seen)])}}}"
    expected = [*_expected(chain, step)]
    if expected:
        yield f"    then: {{{', '.join(expected)}}}"


def _situation(seen: Mapping[str, Json]) -> Iterator[str]:
    """The situation as it was recorded."""
    if seen.get("actor_role"):
        yield f"role: {json.dumps(seen['actor_role'])}"
    if seen.get("responsible_role"):
        yield f"mandate: {json.dumps(seen['responsible_role'])}"
    yield f"cover: {json.dumps(bool(seen.get('cover')))}"
    yield f"purpose: {seen.get('purpose')}"
    yield f"contact: {seen.get('contact_kind') or 'none'}"
    capacity = seen.get("capacity")
    if capacity not in (None, Capacity.CAPABLE):
        yield f"capacity: {capacity}"
    if seen.get("attestation"):
        yield f"verbal: {'representative' if capacity == Capacity.REPRESENTED else 'patient'}"


def _expected(chain: Chain, step: Step) -> Iterator[str]:
    """What came of it: the refusal's code, or how complete the answer was and by which row."""
    if step.event is Event.QUERY_REFUSED:
        yield "status: 403"
        yield f"code: {step.seen.get('reason')}"
        return
    same = [one for one in chain.steps if one.request == step.request]
    for one in same:
        if one.event is Event.QUERY_ANSWERED:
            yield f"completeness: {one.seen.get('completeness')}"
    rows = {str(one.seen.get("row")) for one in same if one.event is Event.DISCLOSED}
    if len(rows) == 1:
        yield f"row: {rows.pop()}"
