"""Does the drawer of people keep what it must, and nothing it must not? On both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.rules.people import Role
from gateway.stores import people
from gateway.stores.ledger import Ledger, LedgerRefused
from gateway.stores.people import Account, Seat
from gateway.stores.schema import instant

AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ACCOUNT = Account("test-operator", "$argon2id$a-hash", b"sixteen-bytes-00", frozenset({Role.OPERATOR, Role.REVIEWER}))


@pytest.fixture
def operator(ledger: Ledger) -> Account:
    ledger.commit_now(lambda tx: people.put(tx, ACCOUNT, AT))
    return ACCOUNT


def seat(ledger: Ledger, token: str) -> Seat | None:
    return ledger.read_now(lambda tx: people.seat(tx, token))


def test_an_account_is_kept_as_it_is(ledger: Ledger, operator: Account) -> None:
    assert ledger.read_now(lambda tx: people.find(tx, operator.name)) == operator
    assert ledger.read_now(lambda tx: people.find(tx, "test-nobody")) is None


def test_putting_again_replaces_all_of_it(ledger: Ledger, operator: Account) -> None:
    other = Account(operator.name, "$other", b"other-salt", frozenset({Role.VIEWER}), 7, AT)
    ledger.commit_now(lambda tx: people.put(tx, other, AT))
    assert ledger.read_now(people.everybody) == [other]


def test_accounts_come_by_name(ledger: Ledger, operator: Account) -> None:
    ledger.commit_now(lambda tx: people.put(tx, replace(operator, name="another"), AT))
    assert [one.name for one in ledger.read_now(people.everybody)] == ["another", operator.name]


def test_no_hash_salt_or_patient_prints(operator: Account) -> None:
    seated = Seat(operator, b"999900006", AT, AT, AT)
    for secret in ("argon2id", "sixteen", "999900006"):
        assert secret not in f"{operator!r} {seated!r}"


STEPS = {
    "a later step": (100, 101, {}, True),
    "the same step": (100, 100, {}, False),
    "an earlier step": (100, 99, {}, False),
    "the first step": (-1, 0, {}, True),
    "the password was changed": (-1, 5, {"password": "$other"}, False),
    "the secret was changed": (-1, 5, {"salt": b"other"}, False),
    "the account was closed": (-1, 5, {"closed": AT}, False),
}


@pytest.mark.parametrize("case", STEPS)
def test_a_code_is_used_up_once_and_only_on_the_account_that_was_looked_at(ledger: Ledger, case: str) -> None:
    used, step, changed, fits = STEPS[case]
    looked_at = replace(ACCOUNT, step=used)
    ledger.commit_now(lambda tx: people.put(tx, replace(looked_at, **changed), AT))
    assert ledger.commit_now(lambda tx: people.use_step(tx, looked_at, step)) is fits
    kept = ledger.read_now(lambda tx: people.find(tx, ACCOUNT.name))
    assert kept is not None
    assert kept.step == (step if fits else used)


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {people.new_token() for _ in range(200)}
    assert len(tokens) == 200
    assert {len(token) for token in tokens} == {43}


def test_an_operator_sits_with_the_token_and_nobody_with_another(ledger: Ledger, operator: Account) -> None:
    token = people.new_token()
    ledger.commit_now(lambda tx: people.sit_operator(tx, token, operator.name, AT, AT + HOUR))
    assert seat(ledger, token) == Seat(operator, None, AT, AT, AT + HOUR)
    assert seat(ledger, people.new_token()) is None


def test_roles_are_those_of_this_moment(ledger: Ledger, operator: Account) -> None:
    token = people.new_token()
    ledger.commit_now(lambda tx: people.sit_operator(tx, token, operator.name, AT, AT + HOUR))
    ledger.commit_now(lambda tx: people.put(tx, replace(operator, roles=frozenset({Role.VIEWER})), AT))
    seated = seat(ledger, token)
    assert seated is not None
    assert seated.account is not None
    assert seated.account.roles == {Role.VIEWER}


def test_nobody_sits_with_a_closed_account(ledger: Ledger, operator: Account) -> None:
    token = people.new_token()
    ledger.commit_now(lambda tx: people.sit_operator(tx, token, operator.name, AT, AT + HOUR))
    ledger.commit_now(lambda tx: people.put(tx, replace(operator, closed=AT), AT))
    assert seat(ledger, token) is None


def test_nobody_sits_without_an_account(ledger: Ledger) -> None:
    with pytest.raises(LedgerRefused):
        ledger.commit_now(lambda tx: people.sit_operator(tx, people.new_token(), "test-nobody", AT, AT + HOUR))


def test_a_patient_s_seal_opens_with_the_token_alone(ledger: Ledger) -> None:
    token, other = people.new_token(), people.new_token()
    ledger.commit_now(lambda tx: people.sit_patient(tx, token, b"who she is", AT, AT + HOUR))
    ledger.commit_now(lambda tx: people.sit_patient(tx, other, b"who he is", AT, AT + HOUR))
    assert seat(ledger, token) == Seat(None, b"who she is", AT, AT, AT + HOUR)
    ledger.commit_now(
        lambda tx: tx.run(
            "UPDATE sitting SET sealed = (SELECT sealed FROM sitting WHERE token = ?) WHERE token = ?",
            people._hash(other),
            people._hash(token),
        )
    )
    swapped = seat(ledger, token)
    assert swapped is not None
    assert swapped.patient is None, "another's seal is not opened by this token"


def test_what_is_kept_names_neither_token_nor_patient(ledger: Ledger) -> None:
    token = people.new_token()
    ledger.commit_now(lambda tx: people.sit_patient(tx, token, b"999900006", AT, AT + HOUR))
    rows = ledger.read_now(lambda tx: tx.rows("SELECT * FROM sitting"))
    kept = b"".join(bytes(value) for row in rows for value in row if isinstance(value, bytes | memoryview))
    assert len(kept) > 32
    assert token.encode() not in kept
    assert b"999900006" not in kept


def test_a_ledger_file_holds_no_number_of_who_sits_there(tmp_path: Path) -> None:
    from gateway.stores.ledger import open_ledger

    ledger = open_ledger(f"sqlite://{tmp_path / 'ledger.db'}")
    token = people.new_token()
    ledger.commit_now(lambda tx: people.sit_patient(tx, token, b'["999900006"]', AT, AT + HOUR))
    found = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    ledger.close()
    assert b"999900006" not in found
    assert token.encode() not in found


def test_being_seen_and_leaving(ledger: Ledger, operator: Account) -> None:
    token = people.new_token()
    ledger.commit_now(lambda tx: people.sit_operator(tx, token, operator.name, AT, AT + HOUR))
    ledger.commit_now(lambda tx: people.see(tx, token, AT + HOUR / 2))
    seated = seat(ledger, token)
    assert seated is not None
    assert (seated.began, seated.seen) == (AT, AT + HOUR / 2)
    assert ledger.commit_now(lambda tx: people.rise(tx, token)) is True
    assert ledger.commit_now(lambda tx: people.rise(tx, token)) is False
    assert seat(ledger, token) is None


def test_all_of_an_account_leave_and_nobody_else(ledger: Ledger, operator: Account) -> None:
    tokens = [people.new_token() for _ in range(3)]
    ledger.commit_now(lambda tx: people.put(tx, replace(operator, name="another"), AT))
    for token, name in zip(tokens, (operator.name, operator.name, "another"), strict=True):
        ledger.commit_now(lambda tx, token=token, name=name: people.sit_operator(tx, token, name, AT, AT + HOUR))
    assert ledger.commit_now(lambda tx: people.rise_all(tx, operator.name)) == 2
    assert [seat(ledger, token) is None for token in tokens] == [True, True, False]


def test_attempts_are_counted_per_name_and_window(ledger: Ledger) -> None:
    for minutes in (0, 5, 10):
        when = AT + timedelta(minutes=minutes)
        ledger.commit_now(lambda tx, when=when: people.note_attempt(tx, ("account a", "address b"), when))
    ledger.commit_now(lambda tx: people.note_attempt(tx, ("account c", "address b"), AT))

    def count(whom: str, since: datetime = AT) -> int:
        return ledger.read_now(lambda tx: people.attempts(tx, whom, since))

    assert (count("account a"), count("address b"), count("account c"), count("account d")) == (3, 4, 1, 0)
    assert count("account a", AT + timedelta(minutes=5)) == 2


def test_an_attempt_that_succeeded_is_forgotten_alone(ledger: Ledger) -> None:
    whom = ("account a", "address b")
    kept = ledger.commit_now(lambda tx: people.note_attempt(tx, whom, AT))
    gone = ledger.commit_now(lambda tx: people.note_attempt(tx, whom, AT))
    ledger.commit_now(lambda tx: people.forget_attempt(tx, gone, whom))
    assert [ledger.read_now(lambda tx, one=one: people.attempts(tx, one, AT)) for one in whom] == [1, 1]
    ids = ledger.read_now(lambda tx: {bytes(row[0]) for row in tx.rows("SELECT id FROM login_attempt")})
    assert ids == {kept}


def test_what_is_over_is_purged_and_the_rest_stays(ledger: Ledger, operator: Account) -> None:
    over, lasting = people.new_token(), people.new_token()
    ledger.commit_now(lambda tx: people.sit_operator(tx, over, operator.name, AT - HOUR, AT - timedelta(seconds=1)))
    ledger.commit_now(lambda tx: people.sit_operator(tx, lasting, operator.name, AT, AT))
    for when in (AT - HOUR, AT):
        ledger.commit_now(lambda tx, when=when: people.note_attempt(tx, ("account a",), when))
    ledger.commit_now(lambda tx: people.purge(tx, ended=AT, attempts=AT))
    assert seat(ledger, over) is None
    assert seat(ledger, lasting) is not None
    assert ledger.read_now(lambda tx: tx.rows("SELECT at FROM login_attempt")) == [(instant(AT),)]
