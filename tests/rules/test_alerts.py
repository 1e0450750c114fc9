"""When is an operator told that something is wrong? Each rule at its edge, and a quiet country that stays quiet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.alerts import (
    EXPIRES_NOW,
    EXPIRES_SOON,
    FEWEST_ASKED,
    LIST_EXPIRES_SOON,
    NOTHING_FOUND_FOR,
    OLDEST_MESSAGE,
    Alert,
    Expiry,
    Facts,
    Level,
    Paper,
    Raised,
    Traffic,
    raised,
)
from gateway.rules.exchange import Kind
from gateway.rules.identifiers import Ura

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
QUIET = Facts(NOW)
POST = Ura("90000301")
SECOND = timedelta(seconds=1)


def asked(kind: Kind | None = Kind.GP_POST, **counts: int) -> Facts:
    told = Traffic(kind, **{"calls": 0, "emergencies": 0, "patients": 0, "found_nothing": 0, **counts})
    return replace(QUIET, traffic={POST: told})


def ends(paper: Paper, left: timedelta | None) -> Facts:
    return replace(QUIET, expiries=(Expiry(paper, "one", None if left is None else NOW + left),))


MANY = NOTHING_FOUND_FOR
CERT, LIST = Paper.CERTIFICATE, Paper.REVOCATION_LIST

TABLE: dict[str, tuple[Facts, list[tuple[Alert, Level]]]] = {
    "a quiet country": (QUIET, []),
    "nineteen without data": (asked(patients=MANY - 1, found_nothing=MANY - 1), []),
    "twenty without data": (asked(patients=MANY, found_nothing=MANY), [(Alert.ENUMERATION, Level.BAD)]),
    "twenty of forty": (asked(patients=2 * MANY, found_nothing=MANY), [(Alert.ENUMERATION, Level.BAD)]),
    "twenty of forty-one": (asked(patients=2 * MANY + 1, found_nothing=MANY), []),
    "half emergencies at a post": (asked(calls=20, emergencies=10), [(Alert.EMERGENCY_SHARE, Level.WARN)]),
    "fewer than half at a post": (asked(calls=20, emergencies=9), []),
    "too few calls to say": (asked(calls=FEWEST_ASKED - 1, emergencies=FEWEST_ASKED - 1), []),
    "an ambulance service": (asked(Kind.AMBULANCE, calls=100, emergencies=100), []),
    "a busy emergency department": (asked(Kind.HOSPITAL, calls=100, emergencies=94), []),
    "a hospital that calls all of it an emergency": (
        asked(Kind.HOSPITAL, calls=100, emergencies=95),
        [(Alert.EMERGENCY_SHARE, Level.WARN)],
    ),
    "a pharmacy in a hurry": (asked(Kind.PHARMACY, calls=20, emergencies=2), [(Alert.EMERGENCY_SHARE, Level.WARN)]),
    "nobody on the network": (asked(None, calls=100, emergencies=100), []),
    "enrolments taken over": (replace(QUIET, grabs={POST: 50}), [(Alert.ENROLMENT_GRAB, Level.BAD)]),
    "a certificate for a long time": (ends(CERT, EXPIRES_SOON + SECOND), []),
    "a certificate for a month": (ends(CERT, EXPIRES_SOON), [(Alert.CERTIFICATE, Level.WARN)]),
    "an authority for a week": (ends(Paper.AUTHORITY, EXPIRES_NOW), [(Alert.CERTIFICATE, Level.BAD)]),
    "a certificate that is over": (ends(CERT, timedelta()), [(Alert.CERTIFICATE, Level.BAD)]),
    "no certificate to read": (ends(CERT, None), [(Alert.CERTIFICATE, Level.BAD)]),
    "a list for a day": (ends(LIST, timedelta(days=1)), []),
    "a list for hours": (ends(LIST, LIST_EXPIRES_SOON), [(Alert.REVOCATION_LIST, Level.WARN)]),
    "a list that is over": (ends(LIST, -SECOND), [(Alert.REVOCATION_LIST, Level.BAD)]),
    "a list that is not believed": (
        replace(ends(LIST, timedelta(days=1)), wrong={"revocation": "forged"}),
        [(Alert.REVOCATION_LIST, Level.BAD)],
    ),
    "a list that is over and not believed": (
        replace(ends(LIST, -SECOND), wrong={"revocation": "expired"}),
        [(Alert.REVOCATION_LIST, Level.BAD)],
    ),
    "the seal": (replace(QUIET, wrong={"seal": "waits"}), [(Alert.SEAL, Level.BAD)]),
    "the disk": (replace(QUIET, wrong={"disk": "full"}), [(Alert.DISK, Level.BAD)]),
    "the index": (replace(QUIET, wrong={"index": "empty"}), [(Alert.INDEX, Level.BAD)]),
    "the ledger": (replace(QUIET, wrong={"ledger": "locked"}), [(Alert.LEDGER, Level.BAD)]),
    "a young message": (replace(QUIET, oldest_message=OLDEST_MESSAGE - SECOND), []),
    "an old message": (replace(QUIET, oldest_message=OLDEST_MESSAGE), [(Alert.OUTBOX_OLD, Level.WARN)]),
    "one recipient stopped": (replace(QUIET, lanes_stopped=1), [(Alert.LANES_STOPPED, Level.WARN)]),
    "everybody stopped": (replace(QUIET, all_stopped=True), [(Alert.DELIVERY_STOPPED, Level.BAD)]),
    "a late review": (replace(QUIET, reviews_overdue=1), [(Alert.REVIEW_OVERDUE, Level.WARN)]),
}


@pytest.mark.parametrize(("facts", "expected"), TABLE.values(), ids=TABLE.keys())
def test_each_rule_at_its_edge(facts: Facts, expected: list[tuple[Alert, Level]]) -> None:
    assert [(one.alert, one.level) for one in raised(facts)] == expected


def test_every_alert_has_a_row_in_the_table() -> None:
    assert {alert for _facts, expected in TABLE.values() for alert, _level in expected} == set(Alert)


def test_the_worst_comes_first_and_says_whom_it_concerns() -> None:
    facts = replace(asked(patients=30, found_nothing=30, calls=20, emergencies=20), wrong={"disk": "full"})
    told = raised(facts)
    assert [one.level for one in told] == [Level.BAD, Level.BAD, Level.WARN]
    assert [(one.organisation, one.count, one.of, one.share) for one in told[1:]] == [
        (POST, 30, 30, 100),
        (POST, 20, 20, 100),
    ]


_COUNTS = st.fixed_dictionaries({name: st.integers(0, 500) for name in ("calls", "emergencies", "patients")})


@given(_COUNTS, st.integers(0, 500), st.sampled_from([*Kind, None]))
def test_more_of_what_is_wrong_never_silences_an_alert(counts: Any, nothing: int, kind: Kind | None) -> None:
    few = {one.alert for one in raised(asked(kind, **{**counts, "found_nothing": nothing}))}
    more = {**counts, "emergencies": counts["emergencies"] + 1, "found_nothing": nothing + 1}
    assert few <= {one.alert for one in raised(asked(kind, **more))}


def test_a_share_of_nothing_is_nothing() -> None:
    assert Raised(Alert.DISK, Level.BAD).share == 0
