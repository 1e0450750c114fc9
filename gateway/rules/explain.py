"""Why, and what would have to change? Every row tried against one request, for people who test (`$explain`).

Judges nothing: it lists, per row, which conditions hold and which do not. The decision itself is access.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.rules.access import SENTENCES, Admission, Bar
from gateway.rules.choice import ConsentState
from gateway.rules.exchange import Capacity, Regime
from gateway.rules.facts import Facts, Relation
from gateway.rules.table import ROWS, Action, Need, Row, Touch


@dataclass(frozen=True, slots=True)
class Trial:
    """One row tried: the conditions that hold and those that are missing, as words."""

    row: Row
    matched: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """`outcome` is permitted, neutral or refused; `reason` the bar's code or the row's id; `change` the smallest change
    that would turn a refusal."""

    outcome: str
    reason: str
    sentence: str
    trials: tuple[Trial, ...]
    change: str


def _by_role(row: Row, facts: Facts) -> bool:
    return facts.role is not None and (
        row.roles.include(facts.role)
        or (facts.responsible_role is not None and row.roles.include(facts.responsible_role))
    )


_CONDITIONS: tuple[tuple[str, Callable[[Row, Facts], bool]], ...] = (
    ("regime", lambda row, facts: row.regime in facts.regimes),
    ("organisation type", lambda row, facts: facts.kind in row.kinds),
    ("department", lambda row, facts: row.department is None or row.department == facts.department),
    ("category", lambda row, facts: not row.categories or facts.category in row.categories),
    ("role", _by_role),
    ("contact", lambda row, facts: row.touch is Touch.NONE or facts.relation is Relation.CURRENT),
    ("ride", lambda row, facts: row.touch is not Touch.RIDE or facts.ride),
    ("cover", lambda row, facts: facts.cover or not row.cover),
    ("emergency", lambda row, facts: facts.emergency or not row.emergency),
)

_CHANGES: dict[str, str] = {
    "organisation type": "another kind of organisation would have to ask",
    "department": "the department would have to be SEH, in the token and in the register",
    "category": "another category would have to be asked",
    "role": "the actor, or a responsible with a valid mandate, would need a role on the row",
    "contact": "a current contact with the patient would have to be given",
    "ride": "the contact would have to be a ride",
    "cover": "cover would have to be declared",
    "emergency": "the purpose would have to be ETREAT with triage, ride or an emergency department visit",
    "consent": "the patient would have to consent",
    "verbal consent": "the patient would have to be asked, and the attestation sent along",
    "no objection": "the patient would have to withdraw the objection",
}


def explain(
    admission: Admission, states: tuple[tuple[ConsentState, bool], ...], permitted_row: str | None
) -> Explanation:
    """Explain one request. `states` holds (consent state, stands on a yes) per pointer found; `permitted_row` is the
    row that permits something, if any does."""
    facts = admission.facts
    trials = tuple(_try(row, facts, states) for row in ROWS if row.action is Action.QUERY)
    nearest = min(trials, key=lambda trial: len(trial.missing))
    if permitted_row is not None:
        sentence = next(row.sentence for row in ROWS if row.id == permitted_row)
        return Explanation("permitted", permitted_row, sentence, trials, "")
    bar = admission.bar or (Bar.VERBAL_CONSENT_REQUIRED if admission.must_ask_first else None)
    if bar is not None:
        return Explanation("refused", bar, SENTENCES[bar], trials, _change(bar, nearest))
    reason = _closed(states)
    return Explanation("neutral", reason, SENTENCES.get(reason, _NOTHING), trials, _change(reason, nearest))


_NOTHING = "Nothing about this patient is registered for this category."


def _closed(states: tuple[tuple[ConsentState, bool], ...]) -> Bar:
    if any(state is ConsentState.DENIED for state, _ in states):
        return Bar.OBJECTION
    return Bar.NO_CONSENT if states else Bar.SILENT_ENTRY


def _try(row: Row, facts: Facts, states: tuple[tuple[ConsentState, bool], ...]) -> Trial:
    held = {name: holds(row, facts) for name, holds in _CONDITIONS}
    name, fulfilled = _need(row, facts, states)
    held[name] = fulfilled
    matched = tuple(word for word, holds in held.items() if holds)
    return Trial(row, matched, tuple(word for word, holds in held.items() if not holds))


def _need(row: Row, facts: Facts, states: tuple[tuple[ConsentState, bool], ...]) -> tuple[str, bool]:
    if states and all(state is ConsentState.DENIED for state, _ in states):
        return "no objection", False
    incapable = facts.capacity is Capacity.INCAPABLE
    if row.need is Need.ASK:
        return "verbal consent", incapable or facts.attestation_good
    granted = any(state is ConsentState.GRANTED for state, _ in states)
    presumed = row.need is Need.CONSENT_OR_PRESUMED and incapable
    return "consent", granted or (presumed and any(state is not ConsentState.DENIED and yes for state, yes in states))


def _change(bar: Bar, nearest: Trial) -> str:
    if bar in (Bar.UNKNOWN_PARTY, Bar.BARRED_PROFESSION, Bar.CONTRADICTION, Bar.BAD_ATTESTATION):
        return SENTENCES[bar]
    wanted = [_one_change(nearest.row.regime, word) for word in nearest.missing]
    return f"{nearest.row.id}: " + "; ".join(wanted) if wanted else f"{nearest.row.id}: an entry would have to exist"


def _one_change(regime: Regime, word: str) -> str:
    return f"regime {regime} would have to be in force" if word == "regime" else _CHANGES[word]
