"""What has the patient said, and who may say it? Statements in, one state per custodian, category and requester out.

Pure: statements and the moment are arguments. Knows nothing of rows, regimes or how statements are kept.
Source: domain.md section 3, interface.md section 7 "Consent".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from gateway.rules.choice import Choice, ConsentState, Party, Say, Scope, Statement
from gateway.rules.exchange import HELD_BY, Category, Group
from gateway.rules.identifiers import Ura

ONLY_WHEN_NAMED = frozenset({Category.RETURN_MESSAGE, Category.ENROLMENT})
"""Categories that "all categories" leaves out, in a yes and in an objection alike. A return message counts only when
named; an enrolment holds nothing to disclose, and ending it would strand the return messages nobody objected to."""

DENIALS = frozenset({Say.NO, Say.WITHDRAWN})

_TIE = {Say.YES: 0, Say.CLEARED: 1, Say.NO: 2, Say.WITHDRAWN: 2}
_EVERY_GROUP = frozenset(group.value for group in Group)
_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing a requester wants opened. `group` is None for an organisation in none of the groups; `emergency`: the
    situation is one that "only in emergencies" speaks of."""

    custodian: Ura
    category: Category
    requester: Ura
    group: Group | None
    emergency: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """Index entries that end at once: of this custodian (None: every custodian), in these categories (never empty)."""

    custodian: Ura | None
    categories: frozenset[Category]


# --- what a statement is about ---------------------------------------------------------------------------------------


def covers_entry(scope: Scope, custodian: Ura, category: Category) -> bool:
    """Whether the scope speaks of this custodian's entry of this category, for whichever requester."""
    if scope.custodian is not None and scope.custodian != custodian:
        return False
    return category in scope.categories if scope.categories is not None else category not in ONLY_WHEN_NAMED


def covers(scope: Scope, asked: Asked) -> bool:
    """Whether the scope speaks of this entry, to this requester, in this situation."""
    return covers_entry(scope, asked.custodian, asked.category) and _reaches(scope, _names(asked), asked.emergency)


def covers_everybody(scope: Scope) -> bool:
    """Whether the scope speaks of every requester in every situation; naming all groups is naming everybody."""
    return not scope.emergency_only and (scope.requesters is None or scope.requesters >= _EVERY_GROUP)


def _names(asked: Asked) -> frozenset[str]:
    """By which words a statement can mean this requester."""
    own = {asked.requester.digits}
    return frozenset(own if asked.group is None else own | {asked.group.value})


def _reaches(scope: Scope, names: frozenset[str], emergency: bool) -> bool:
    return (emergency or not scope.emergency_only) and (scope.requesters is None or bool(scope.requesters & names))


# --- what is in force ------------------------------------------------------------------------------------------------


def counts_from(statement: Statement) -> datetime:
    """When the statement counts: its effective time, but never later than its receipt. A date in the future can
    neither outrank words spoken after it, nor delay an objection the switchpoint has already acknowledged."""
    return min(statement.effective, statement.received)


def in_force(statements: Iterable[Statement], at: datetime) -> tuple[Statement, ...]:
    """The statements that count at `at` (domain time), one for each identical scope, in order of receipt.

    The newest by `counts_from` replaces the others of its scope. At one moment a denial goes before a cleared no, and
    that before a yes: a tie never opens anything. A statement that counts only after `at` is not in force yet. The
    same words of the same stated moment are a repeat, and count from their first receipt.
    """
    listed = tuple(statements)
    if len(listed) < 2:
        return tuple([one for one in listed if counts_from(one) <= at])
    said: dict[tuple[Scope, Say, datetime], Statement] = {}
    for statement in sorted(listed, key=lambda s: (s.received, s.id)):
        said.setdefault((statement.scope, statement.say, statement.effective), statement)
    newest: dict[Scope, Statement] = {}
    for statement in said.values():
        known = newest.get(statement.scope)
        if counts_from(statement) <= at and (known is None or _precedence(statement) > _precedence(known)):
            newest[statement.scope] = statement
    return tuple(sorted(newest.values(), key=lambda s: (s.received, s.id)))


def _precedence(statement: Statement) -> tuple[datetime, int]:
    return counts_from(statement), _TIE[statement.say]


# --- the state -------------------------------------------------------------------------------------------------------


def deciding(statements: Iterable[Statement], asked: Asked, at: datetime) -> tuple[Statement, ...]:
    """The statements in force that make the state: every denial that covers `asked`, else every yes, else none."""
    return _deciding([s for s in in_force(statements, at) if covers(s.scope, asked)])


def state(statements: Iterable[Statement], asked: Asked, at: datetime) -> ConsentState:
    """Granted, undecided or denied at `at` (domain time). An objection always wins, a yes opens only what it names."""
    return _state_by(deciding(statements, asked, at))


def _deciding(covering: Sequence[Statement]) -> tuple[Statement, ...]:
    denials = tuple(s for s in covering if s.say in DENIALS)
    return denials or tuple(s for s in covering if s.say is Say.YES)


def _state_by(decided: Sequence[Statement]) -> ConsentState:
    if not decided:
        return ConsentState.UNDECIDED
    return ConsentState.GRANTED if decided[0].say is Say.YES else ConsentState.DENIED


# --- the entry, whoever asks -----------------------------------------------------------------------------------------


def stands_on_yes(statements: Iterable[Statement], custodian: Ura, category: Category, at: datetime) -> bool:
    """Whether some requester in some situation would be granted this entry: a yes not wholly overridden by denials.

    Decides registration (IDX-1) and what presumed consent rests on (EMA-1, EMA-2). Every requester on the network
    belongs to a group, so a yes to one organisation falls when all groups are denied.
    """
    about = [s for s in in_force(statements, at) if covers_entry(s.scope, custodian, category)]
    return any(_grants(about, names, emergency) for names, emergency in _somebody(about))


def ends_entry(statements_after: Iterable[Statement], custodian: Ura, category: Category, at: datetime) -> bool:
    """Whether a denial in force covers this entry for all requesters in any situation: the entry must not exist.
    Several narrower denials together close an entry but leave it standing, as one narrower denial does."""
    return any(
        s.say in DENIALS and covers_everybody(s.scope) and covers_entry(s.scope, custodian, category)
        for s in in_force(statements_after, at)
    )


def entries_ended(stated: Choice | Statement) -> Ended | None:
    """Which entries this statement ends *if it is in force* (confirm each with `ends_entry`: a late arrival may already
    have been replaced). None: it ends nothing."""
    scope = stated.scope
    named = HELD_BY.keys() - ONLY_WHEN_NAMED if scope.categories is None else HELD_BY.keys() & scope.categories
    if stated.say not in DENIALS or not covers_everybody(scope) or not named:
        return None
    return Ended(scope.custodian, frozenset(named))


def _grants(about: Sequence[Statement], names: frozenset[str], emergency: bool) -> bool:
    reaching = [s for s in about if _reaches(s.scope, names, emergency)]
    return _state_by(_deciding(reaching)) is ConsentState.GRANTED


def _somebody(about: Sequence[Statement]) -> Iterator[tuple[frozenset[str], bool]]:
    """A witness for every kind of requester these statements can tell apart in their favour: a nameless member of each
    group, and each organisation named by a yes as a member of each group; in and out of emergency."""
    named = {name for s in about if s.say is Say.YES for name in s.scope.requesters or ()} - _EVERY_GROUP
    for group in sorted(_EVERY_GROUP):
        for names in (frozenset({group}), *(frozenset({group, name}) for name in sorted(named))):
            yield names, False
            yield names, True


# --- the state of one statement's own scope --------------------------------------------------------------------------


def state_of_scope(statements: Iterable[Statement], scope: Scope, at: datetime) -> ConsentState:
    """What holds for the whole of this scope, as a sender is told after stating it: denied if a denial in force speaks
    of all of it, else granted if a yes does, else undecided."""
    about = [one for one in in_force(statements, at) if _contains(one.scope, scope)]
    return _state_by(_deciding(about))


def _contains(broad: Scope, narrow: Scope) -> bool:
    """Whether `broad` speaks of everything `narrow` speaks of."""
    if broad.custodian not in (None, narrow.custodian) or (broad.emergency_only and not narrow.emergency_only):
        return False
    return _all_of(broad.requesters, narrow.requesters) and _all_of(broad.categories, narrow.categories)


def _all_of(broad: frozenset[str] | frozenset[Category] | None, narrow: frozenset[str] | None) -> bool:
    if broad is None:
        return narrow is None or not narrow & ONLY_WHEN_NAMED
    return narrow is not None and narrow <= broad


# --- who may state ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Voices:
    """At one age: one of each set in `needed` must state; beside them only `welcome` may join in a yes."""

    needed: tuple[frozenset[Party], ...]
    welcome: frozenset[Party]


_PATIENT = frozenset({Party.PATIENT})
_PARENTS = frozenset({Party.PARENT, Party.GUARDIAN})
_ADULTS = frozenset({Party.PATIENT, Party.REPRESENTATIVE})

_VOICES_FROM: tuple[tuple[int, _Voices], ...] = (
    (18, _Voices((_ADULTS,), _ADULTS)),
    (16, _Voices((_PATIENT,), _PATIENT)),
    (12, _Voices((_PATIENT, _PARENTS), _PATIENT | _PARENTS)),
)
_YOUNGER = _Voices((_PARENTS,), _PATIENT | _PARENTS)


def age(birth_date: date, at: datetime) -> int:
    """Age in whole years on the Dutch calendar day of `at` (aware). Who was born on 29 February turns a year older on
    1 March in other years. Negative before birth."""
    today = at.astimezone(_DUTCH_TIME).date()
    return today.year - birth_date.year - ((today.month, today.day) < (birth_date.month, birth_date.day))


def entitled(choice_say: Say, by: frozenset[Party], birth_date: date | None, at: datetime) -> bool:
    """Whether these parties together may state this. `at` is the moment of *receipt* in domain time: an earlier
    effective time does not give a parent back the voice that ended. No birth date known: an adult.

    Under 12 a parent or guardian; 12 to 15 patient and parent or guardian together; from 16 the patient alone; from 18
    also the representative (an incapable minor of 16 or 17 has none: "incapable *adult*"). A no or a withdrawal needs
    only one of those with a voice, whoever stands beside. A yes, and clearing a no, needs all of them and nobody
    without a voice, so that neither patient nor parent overrides the other's no. A child may stand beside its parent.
    """
    voices = _voices(birth_date, at)
    if choice_say in DENIALS:
        return any(by & needed for needed in voices.needed)
    return by <= voices.welcome and all(by & needed for needed in voices.needed)


def may_act_for(party: Party, birth_date: date | None, at: datetime) -> bool:
    """Whether this party by itself may see the patient's page and refuse there at `at`: whoever's single no counts.
    A parent's or guardian's view ends at 16; a child's own begins at 12; a representative's at 18."""
    return entitled(Say.NO, frozenset({party}), birth_date, at)


def _voices(birth_date: date | None, at: datetime) -> _Voices:
    if birth_date is None:
        return _VOICES_FROM[0][1]
    years = age(birth_date, at)
    return next((voices for least, voices in _VOICES_FROM if years >= least), _YOUNGER)
