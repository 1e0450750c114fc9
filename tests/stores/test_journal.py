"""Is the journal gapless, findable and untouchable, and does planted tampering show? On SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import FIELDS, Event, Line
from gateway.stores import journal
from gateway.stores.ledger import Ledger, LedgerRefused, Transaction, open_ledger

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PATIENT, OTHER = PatientKey(b"p" * 12), PatientKey(b"q" * 12)
GP, PHARMACY, POST = Ura("00000101"), Ura("00000201"), Ura("00000401")
CHAIN, NEXT = AortaId("chain-1", "request-1"), AortaId("chain-2", "request-2", "1")


def line(event: Event = Event.DISCLOSED, hours: int = 0, **facts: object) -> Line:
    at = NOON + timedelta(hours=hours)
    given_facts = {"aorta": CHAIN, "patient": PATIENT, "custodian": GP, "requester": POST, **facts}
    return Line(event, at, NOON, **given_facts)  # type: ignore[arg-type]


STORY = [
    line(Event.QUERY_DECIDED, custodian=None),
    line(Event.DISCLOSED, 1, fields={"row": "REG-1", "resources": 3}),
    line(Event.QUERY_REFUSED, 2, aorta=NEXT, custodian=None, fields={"reason": "not-authorised"}),
    line(Event.DISCLOSED, 3, custodian=PHARMACY, fields={"row": "REG-2"}),
    line(Event.DISCLOSED, 4, patient=OTHER, fields={"row": "REG-1"}),
    line(Event.REGIME_SWITCHED, 5, aorta=None, patient=None, custodian=None, requester=None),
    line(Event.DISCLOSED, 6, aorta=NEXT, requester=GP, fields={"row": "REG-1"}),
]


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    for one in STORY:
        ledger.commit_now(lambda tx, one=one: journal.append(tx, one))
    return ledger


def seqs(ledger: Ledger, found: object) -> list[int]:
    return [kept.seq for kept in ledger.read_now(found)]  # type: ignore[arg-type]


def test_lines_are_numbered_from_one_and_come_back_as_written(told: Ledger) -> None:
    kept = told.read_now(lambda tx: journal.tail(tx, 0, 100))
    assert [(one.seq, one.line) for one in kept] == list(enumerate(STORY, 1))
    assert told.read_now(journal.last) == len(STORY)


def test_an_empty_journal_ends_at_zero(ledger: Ledger) -> None:
    assert ledger.read_now(journal.last) == 0
    assert ledger.read_now(lambda tx: journal.tail(tx, 0, 10)) == []


@pytest.mark.parametrize(
    ("find", "expected"),
    [
        pytest.param(lambda tx: journal.tail(tx, 2, 2), [3, 4], id="a page of the tail"),
        pytest.param(lambda tx: journal.tail(tx, 0, 9, event=Event.DISCLOSED), [2, 4, 5, 7], id="by event"),
        pytest.param(lambda tx: journal.tail(tx, 0, 9, custodian=PHARMACY), [4], id="by custodian"),
        pytest.param(lambda tx: journal.tail(tx, 0, 9, requester=GP), [7], id="by requester"),
        pytest.param(lambda tx: journal.tail(tx, 0, 9, patient=OTHER), [5], id="by patient"),
        pytest.param(lambda tx: journal.tail(tx, 0, 9, row="REG-1", patient=PATIENT), [2, 7], id="by row and patient"),
        pytest.param(lambda tx: journal.tail(tx, 0, 9, reason="not-authorised"), [3], id="by reason"),
        pytest.param(lambda tx: journal.by_chain(tx, "chain-2"), [3, 7], id="by chain"),
        pytest.param(lambda tx: journal.of_patient(tx, PATIENT, None, 3), [7, 4, 3], id="a patient, newest first"),
        pytest.param(lambda tx: journal.of_patient(tx, PATIENT, 3, 3), [2, 1], id="a patient's next page"),
        pytest.param(lambda tx: journal.of_custodian(tx, GP, PATIENT, None, None, 9), [7, 2], id="a custodian's"),
        pytest.param(
            lambda tx: journal.of_custodian(tx, GP, PATIENT, None, None, 9, before=7), [2], id="a custodian's next page"
        ),
        pytest.param(
            lambda tx: journal.of_custodian(tx, GP, PATIENT, NOON + timedelta(hours=6), NOON + timedelta(hours=7), 9),
            [7],
            id="a custodian's since, included, and until, not",
        ),
        pytest.param(
            lambda tx: journal.of_custodian(tx, GP, PATIENT, None, NOON + timedelta(hours=5), 9), [2], id="until"
        ),
    ],
)
def test_lines_are_found(told: Ledger, find: object, expected: list[int]) -> None:
    assert seqs(told, find) == expected


async def test_numbers_have_no_gaps_when_units_fail(ledger: Ledger) -> None:
    def failing(tx: Transaction) -> None:
        journal.append(tx, STORY[0])
        raise LookupError

    units = [failing if n % 3 == 0 else (lambda tx: journal.append(tx, STORY[1])) for n in range(30)]
    outcomes = await asyncio.gather(*(ledger.commit(unit) for unit in units), return_exceptions=True)
    assert [one for one in outcomes if isinstance(one, int)] == list(range(1, 21))
    assert seqs(ledger, lambda tx: journal.tail(tx, 0, 100)) == list(range(1, 21))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE journal SET line = '{}' WHERE seq = 2",
        "UPDATE journal SET patient = NULL",
        "DELETE FROM journal WHERE seq = 7",
        "DELETE FROM journal",
    ],
)
def test_a_line_can_be_neither_changed_nor_removed(told: Ledger, statement: str) -> None:
    with pytest.raises(LedgerRefused, match="never"):
        told.commit_now(lambda tx: tx.run(statement))
    assert len(seqs(told, lambda tx: journal.tail(tx, 0, 100))) == len(STORY)


def test_a_line_can_be_neither_replaced_nor_slipped_in(tmp_path: Path) -> None:
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    ledger.commit_now(lambda tx: journal.append(tx, STORY[0]))
    for seq in ("1", "0", "-5"):
        with pytest.raises(LedgerRefused, match="only appended"):
            ledger.commit_now(
                lambda tx, seq=seq: tx.run(
                    f"REPLACE INTO journal SELECT {seq}, wall, at, event, initial, request,"
                    " patient, custodian, requester, rule, reason, '{}' FROM journal"
                )
            )
    ledger.close()


def test_truncating_is_refused(postgres_url: str) -> None:
    ledger = open_ledger(postgres_url)
    with pytest.raises(LedgerRefused, match="never"):
        ledger.commit_now(lambda tx: tx.run("TRUNCATE journal"))
    ledger.close()


def test_the_leaves_are_faithful_until_somebody_tampers(tmp_path: Path) -> None:
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    for one in STORY:
        ledger.commit_now(lambda tx, one=one: journal.append(tx, one))
    honest = ledger.read_now(lambda tx: journal.leaves(tx, 0, 100))
    assert [leaf.text for leaf in honest] == [journal.text_of(one) for one in STORY]
    assert all(leaf.faithful for leaf in honest)
    ledger.commit_now(lambda tx: tx.run("DROP TRIGGER journal_no_update"))
    for column in ("wall", "at", "event", "initial", "request", "patient", "custodian", "requester", "rule", "reason"):
        _tamper_and_look(ledger, column)
    ledger.commit_now(lambda tx: tx.run("UPDATE journal SET line = replace(line, ':3', ': 3') WHERE seq = 2"))
    assert [leaf.faithful for leaf in ledger.read_now(lambda tx: journal.leaves(tx, 1, 2))] == [False, True]
    ledger.close()


def _tamper_and_look(ledger: Ledger, column: str) -> None:
    (before,) = ledger.read_now(lambda tx: tx.rows(f"SELECT {column} FROM journal WHERE seq = 4"))
    ledger.commit_now(lambda tx: tx.run(f"UPDATE journal SET {column} = 'another' WHERE seq = 4"))
    faithful = [leaf.faithful for leaf in ledger.read_now(lambda tx: journal.leaves(tx, 2, 3))]
    assert faithful == [True, False, True], column
    ledger.commit_now(lambda tx: tx.run(f"UPDATE journal SET {column} = ? WHERE seq = 4", *before))


unicode = st.text(st.characters(blacklist_categories=("Cs",)))
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | finite | unicode,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"é\n', max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    event=st.sampled_from([event for event in Event if FIELDS[event]]),
    at=st.datetimes(datetime(1900, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    values=st.lists(json_values, min_size=1, max_size=4),
)
def test_the_text_is_canonical_and_says_the_whole_line(event: Event, at: datetime, values: list[object]) -> None:
    fields = dict(zip(sorted(FIELDS[event]), values, strict=False))
    one = Line(event, at, NOON, CHAIN, PATIENT, GP, POST, fields)  # type: ignore[arg-type]
    backwards = Line(event, at, NOON, CHAIN, PATIENT, GP, POST, dict(reversed(fields.items())))  # type: ignore[arg-type]
    text = journal.text_of(one)
    assert journal.line_of(text) == one
    assert journal.text_of(journal.line_of(text)) == journal.text_of(backwards) == text
    assert json.loads(text)["fields"] == fields


def test_the_text_is_a_contract() -> None:
    assert journal.text_of(STORY[1]) == (
        '{"aorta":["chain-1","request-1",null],"at":1795266000000000,"custodian":"00000101","event":"disclosed",'
        '"fields":{"resources":3,"row":"REG-1"},"patient":"707070707070707070707070","requester":"00000401",'
        '"wall":1795262400000000}'
    )
