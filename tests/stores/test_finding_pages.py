"""Does the quick search find just what reading every line finds, page by page, whatever part of it is indexed?"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.rules.exchange import AortaId, Category, Kind
from gateway.rules.finding import Outcome, Search, matches
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json, Line
from gateway.stores import finding, journal
from gateway.stores.finding import BLOCK, MOST_READ
from gateway.stores.journal import Kept
from gateway.stores.ledger import Ledger, Transaction, open_ledger

# one journal of many lines serves all
pytestmark = pytest.mark.xdist_group("finding")

START = datetime(2026, 11, 22, tzinfo=UTC)
MANY = 3 * BLOCK + 500
_AT_ONCE = 256
SOURCES = [Ura(f"9000010{n}") for n in range(4)]
TYPES = {"N6": Kind.GP_POST, "V4": Kind.HOSPITAL, "AMB": Kind.AMBULANCE}


def some_line(rng: random.Random, number: int) -> Line:
    at = START + timedelta(seconds=number)
    event = rng.choice((Event.QUERY_ANSWERED, Event.QUERY_ANSWERED, Event.DISCLOSED, Event.QUERY_REFUSED))
    fields: dict[str, Json] = {
        "organisation_type": rng.choice(list(TYPES)),
        "category": rng.choice(["gp-summary", "medication"]),
    }
    if event is Event.QUERY_ANSWERED:
        outcomes = rng.choices(("answered", "timed-out", "malformed"), (30, 2, 1), k=rng.choice((0, 1, 2)))
        legs = [{"custodian": rng.choice(SOURCES).digits, "outcome": one} for one in outcomes]
        fields |= {"legs": legs, "completeness": "complete" if set(outcomes) <= {"answered"} else "partial"}
    elif event is Event.DISCLOSED:
        fields |= {
            "row": rng.choice(("REG-1", "EMA-1")),
            "basis": "presumed-consent" if rng.random() < 0.01 else "consent",
        }
    else:
        fields["reason"] = rng.choice(("no-cover", "no-treatment-relation"))
    custodian = rng.choice(SOURCES) if event is Event.DISCLOSED else None
    chain = AortaId(f"chain-{number // 3}", f"request-{number}")
    return Line(event, at, at, chain, None, custodian, Ura("90000301"), fields)


def fill(ledger: Ledger, many: int) -> None:
    rng = random.Random(5)
    lines = [some_line(rng, number) for number in range(1, many + 1)]

    def unit(tx: Transaction, some: list[Line]) -> None:
        for one in some:
            journal.write(tx, one)

    for first in range(0, many, _AT_ONCE):
        ledger.commit_now(lambda tx, first=first: unit(tx, lines[first : first + _AT_ONCE]))  # type: ignore[misc]


def index(ledger: Ledger, most: int = 100) -> int:
    """Index at most so many complete blocks; how many were."""
    done = 0
    while done < most and (block := ledger.read_now(finding.due)) is not None:
        lines = ledger.read_now(lambda tx, block=block: finding.lines_of(tx, block, 0, 1))  # type: ignore[misc]
        bits = finding.bits_of(lines, block)
        ledger.commit_now(lambda tx, block=block, bits=bits: finding.keep(tx, block, bits))  # type: ignore[misc]
        done += 1
    return done


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Three blocks and a half; two of the blocks are indexed."""
    ledger = open_ledger(str(tmp_path_factory.mktemp("finding") / "ledger.db"))
    fill(ledger, MANY)
    assert index(ledger, 2) == 2
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def everything(filled: Ledger) -> list[Kept]:
    return filled.read_now(lambda tx: journal.tail(tx, 0, MANY))[::-1]


def pages(ledger: Ledger, search: Search, limit: int) -> list[list[int]]:
    found, before = [], None
    while True:
        page = ledger.read_now(lambda tx, before=before: finding.page(tx, search, before=before, limit=limit))  # type: ignore[misc]
        found.append([kept.seq for kept in page.lines])
        if page.before is None:
            return found
        assert before is None or page.before < before, "it goes on"
        before = page.before


VALUES: dict[str, list[object]] = {
    "event": [Event.QUERY_ANSWERED, Event.DISCLOSED, Event.QUERY_REFUSED, Event.CLOCK_SET],
    "kind": [*TYPES.values(), Kind.PHARMACY],
    "category": [Category.GP_SUMMARY, Category.MEDICATION],
    "outcome": list(Outcome),
    "rule": ["REG-1", "REG-2"],
    "reason": ["no-cover"],
    "source": list(SOURCES),
    "failing": ["timed-out", "malformed"],
    "basis": ["presumed-consent"],
    "chain": ["chain-5", "chain-1000", "chain-none"],
}
searches = st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.builds(Search, **{name: st.sampled_from(VALUES[name]) for name in names})  # type: ignore[arg-type]
)


@pytest.mark.parametrize("field", VALUES)
def test_by_one_word_every_line_is_found_and_no_other(filled: Ledger, everything: list[Kept], field: str) -> None:
    for value in VALUES[field]:
        search = Search(**{field: value})  # type: ignore[arg-type]
        found = [seq for page in pages(filled, search, 500) for seq in page]
        assert found == [kept.seq for kept in everything if matches(search, kept.line)], value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(search=searches, limit=st.sampled_from([7, 50, 4000]))
def test_the_pages_are_what_reading_every_line_finds(
    filled: Ledger, everything: list[Kept], search: Search, limit: int
) -> None:
    found = pages(filled, search, limit)
    assert [seq for page in found for seq in page] == [kept.seq for kept in everything if matches(search, kept.line)]
    assert all(len(page) <= limit for page in found)


@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_they_are_the_same_whatever_is_indexed(ledger: Ledger, blocks: int) -> None:
    """On both databases."""
    fill(ledger, 3 * BLOCK)
    assert index(ledger, blocks) == blocks
    assert ledger.read_now(finding.blocks) == blocks
    wanted = Search(kind=Kind.HOSPITAL, failing="malformed")
    lines = ledger.read_now(lambda tx: journal.tail(tx, 0, 3 * BLOCK))
    expected = [kept.seq for kept in reversed(lines) if matches(wanted, kept.line)]
    assert [seq for page in pages(ledger, wanted, 5) for seq in page] == expected
    assert len(expected) > 5


def test_a_page_reads_only_so_much_and_says_where_to_go_on(tmp_path: Path) -> None:
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    fill(ledger, MOST_READ + 10)
    first = ledger.read_now(lambda tx: finding.page(tx, Search(kind=Kind.PHARMACY), before=None, limit=5))
    assert (first.lines, first.before) == ((), 11)
    last = ledger.read_now(lambda tx: finding.page(tx, Search(kind=Kind.PHARMACY), before=11, limit=5))
    assert (last.lines, last.before) == ((), None)
    ledger.close()


def test_indexing_twice_changes_nothing_and_only_complete_blocks_are(tmp_path: Path) -> None:
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    fill(ledger, BLOCK - 1)
    assert ledger.read_now(finding.due) is None
    ledger.commit_now(lambda tx: journal.append(tx, some_line(random.Random(1), BLOCK)))
    assert index(ledger) == 1
    before = ledger.read_now(lambda tx: tx.rows("SELECT * FROM journal_term ORDER BY term"))
    bits = finding.bits_of(ledger.read_now(lambda tx: finding.lines_of(tx, 0, 0, 1)), 0)
    ledger.commit_now(lambda tx: finding.keep(tx, 0, bits))
    assert ledger.read_now(lambda tx: tx.rows("SELECT * FROM journal_term ORDER BY term")) == before
    ledger.close()


def test_bits_that_lie_show_no_wrong_line(tmp_path: Path) -> None:
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    fill(ledger, BLOCK)
    index(ledger)
    everywhere = b"\xff" * (BLOCK // 8)
    ledger.commit_now(lambda tx: tx.run("UPDATE journal_term SET bits = ? WHERE term = 'kind:hospital'", everywhere))
    found = ledger.read_now(lambda tx: finding.page(tx, Search(kind=Kind.HOSPITAL), before=None, limit=BLOCK))
    assert found.lines
    assert all(matches(Search(kind=Kind.HOSPITAL), kept.line) for kept in found.lines)
    ledger.close()


def test_bits_of_another_version_are_not_believed(tmp_path: Path) -> None:
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    fill(ledger, BLOCK)
    index(ledger)
    assert not ledger.read_now(finding.of_another_version)
    ledger.commit_now(lambda tx: tx.run("UPDATE journal_term SET term = '=0' WHERE term LIKE '=%'"))
    assert ledger.read_now(finding.of_another_version)
    assert ledger.read_now(finding.blocks) == 0
    ledger.commit_now(finding.forget_all)
    assert not ledger.read_now(finding.of_another_version)
    assert index(ledger) == 1
    ledger.close()


def test_lines_that_went_to_an_archive_are_passed_over(tmp_path: Path) -> None:
    ledger = open_ledger(str(tmp_path / "ledger.db"))
    fill(ledger, 2 * BLOCK)
    index(ledger, 1)
    ledger.commit_now(lambda tx: tx.run("DROP TRIGGER journal_no_delete"))
    ledger.commit_now(lambda tx: tx.run("DELETE FROM journal WHERE seq <= ?", BLOCK + 100))
    assert index(ledger) == 1
    found = [seq for page in pages(ledger, Search(kind=Kind.AMBULANCE), 50) for seq in page]
    assert found
    assert min(found) > BLOCK + 100
    assert ledger.read_now(journal.first) == BLOCK + 101
    ledger.close()


@pytest.mark.parametrize(
    ("wall", "expected"),
    [
        pytest.param(START, 1, id="before everything"),
        pytest.param(START + timedelta(seconds=1), 1, id="the first"),
        pytest.param(START + timedelta(seconds=1000), 1000, id="exactly one"),
        pytest.param(START + timedelta(seconds=1000.5), 1001, id="between two"),
        pytest.param(START + timedelta(seconds=MANY), MANY, id="the newest"),
        pytest.param(START + timedelta(days=9), MANY + 1, id="after everything"),
    ],
)
def test_where_a_moment_begins(filled: Ledger, wall: datetime, expected: int) -> None:
    assert filled.read_now(lambda tx: finding.since(tx, wall)) == expected


def test_a_moment_in_an_empty_journal(ledger: Ledger) -> None:
    assert ledger.read_now(lambda tx: finding.since(tx, START)) == 1
    page = ledger.read_now(lambda tx: finding.page(tx, Search(kind=Kind.GP_POST), before=None, limit=5))
    assert (page.lines, page.before) == ((), None)
