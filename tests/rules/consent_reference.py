"""What has the patient said? The slow obvious answer, to hold `gateway.rules.consent` against. For tests only.

Written the other way round: every statement colours the squares of a board (one square per custodian, category,
requester and situation), and a square is read off by its colours. Shares nothing but the words with the real one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from itertools import product

from gateway.rules.choice import ConsentState, Party, Say, Scope, Statement
from gateway.rules.exchange import Category, Group
from gateway.rules.identifiers import Ura

CUSTODIANS = (Ura("90000101"), Ura("90000202"))
NAMED_REQUESTERS = (Ura("90000401"), Ura("90000402"))
NEVER_NAMED = Ura("90000499")
GROUPS = (Group.GP_CARE, Group.PHARMACY, Group.HOSPITAL, Group.AMBULANCE)

Square = tuple[Ura, Category, Ura, Group | None, bool]

BOARD: tuple[Square, ...] = tuple(
    product(CUSTODIANS, Category, (*NAMED_REQUESTERS, NEVER_NAMED), (*GROUPS, None), (False, True))
)


def colours(statements: Iterable[Statement], at: datetime) -> dict[Square, list[Say]]:
    """Everything still said about every square at `at`."""
    board: dict[Square, list[Say]] = {square: [] for square in BOARD}
    for statement in _surviving(list(statements), at):
        for square in BOARD:
            if _touches(statement.scope, square):
                board[square].append(statement.say)
    return board


def read_off(said: list[Say]) -> ConsentState:
    if Say.NO in said or Say.WITHDRAWN in said:
        return ConsentState.DENIED
    return ConsentState.GRANTED if Say.YES in said else ConsentState.UNDECIDED


def somebody_granted(statements: Iterable[Statement], custodian: Ura, category: Category, at: datetime) -> bool:
    """Whether a requester belonging to a group reads a granted square of this entry."""
    board = colours(statements, at)
    return any(
        read_off(said) is ConsentState.GRANTED
        for square, said in board.items()
        if square[:2] == (custodian, category) and square[3] is not None
    )


def one_denial_fills(statements: Iterable[Statement], custodian: Ura, category: Category, at: datetime) -> bool:
    """Whether one single denial colours every square (of requesters belonging to a group) of this entry."""
    entry = [square for square in BOARD if square[:2] == (custodian, category) and square[3] is not None]
    return any(
        all(_touches(s.scope, square) for square in entry)
        for s in _surviving(list(statements), at)
        if s.say in (Say.NO, Say.WITHDRAWN)
    )


def said_of_all(statements: Iterable[Statement], scope: Scope, at: datetime) -> list[Say]:
    """What is still said of every square this scope touches, by one statement each."""
    squares = [square for square in BOARD if _touches(scope, square)]
    return [s.say for s in _surviving(list(statements), at) if all(_touches(s.scope, square) for square in squares)]


def _surviving(statements: list[Statement], at: datetime) -> list[Statement]:
    firsts = [s for s in statements if not any(_repeats(s, other) for other in statements)]
    begun = [s for s in firsts if _begins(s) <= at]
    return [s for s in begun if not any(_replaces(other, s) for other in begun)]


def _begins(statement: Statement) -> datetime:
    return sorted([statement.effective, statement.received])[0]


def _repeats(later: Statement, earlier: Statement) -> bool:
    alike = (later.scope, later.say, later.effective) == (earlier.scope, earlier.say, earlier.effective)
    return alike and (earlier.received, earlier.id) < (later.received, later.id)


def _replaces(new: Statement, old: Statement) -> bool:
    if new.scope != old.scope or new is old:
        return False
    if _begins(new) != _begins(old):
        return _begins(new) > _begins(old)
    stricter = {
        Say.YES: {Say.CLEARED, Say.NO, Say.WITHDRAWN},
        Say.CLEARED: {Say.NO, Say.WITHDRAWN},
        Say.NO: set[Say](),
        Say.WITHDRAWN: set[Say](),
    }
    return new.say in stricter[old.say]


def _touches(scope: Scope, square: Square) -> bool:
    custodian, category, requester, group, emergency = square
    custodians = set(CUSTODIANS) if scope.custodian is None else {scope.custodian}
    everything = {Category.GP_SUMMARY, Category.MEDICATION, Category.ALLERGIES, Category.TREATMENT_LIMITS}
    categories = everything if scope.categories is None else set(scope.categories)
    situations = {True} if scope.emergency_only else {True, False}
    words = {requester.digits, "" if group is None else str(group)}
    reached = scope.requesters is None or not words.isdisjoint(scope.requesters)
    return custodian in custodians and category in categories and reached and emergency in situations


def may_state(say: Say, by: frozenset[Party], years: int | None) -> bool:
    """Domain.md section 3, "Who may state", one sentence per line; `years` None: age unknown."""
    patient, parent = Party.PATIENT in by, Party.PARENT in by or Party.GUARDIAN in by
    representative = Party.REPRESENTATIVE in by
    opening = say in (Say.YES, Say.CLEARED)
    if years is None or years >= 18:
        return (patient or representative) and not (opening and parent)
    if years >= 16:
        return patient and not (opening and (parent or representative))
    if years >= 12:
        return patient and parent and not representative if opening else patient or parent
    return parent and not (opening and representative)


def birth_date_at(years: int, at: datetime) -> date:
    """A birth date that makes somebody exactly so many whole years old around `at` (no birthday near)."""
    return date(at.year - years - 1, 7, 1) if at.month < 7 else date(at.year - years, 1, 1)
