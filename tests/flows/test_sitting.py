"""How do people come in, stay and leave, told line by line by the journal? And what does none of it tell?"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from statistics import median

import pytest
from argon2 import extract_parameters
from flow_country import NOBODY, THEM, US, Country
from transcript import transcript

from gateway.flows import accounts, credentials, operating, sitting
from gateway.flows.accounts import NoSuchAccount
from gateway.flows.credentials import STEP_SECONDS, code_at, hash_password, is_password, new_password, step_of
from gateway.flows.sitting import Attempt, Entered, Why
from gateway.rules.choice import Party
from gateway.rules.journal import Audience, Event, view
from gateway.rules.people import OperatorSits, PatientSits, Role, is_account_name, pseudonym
from gateway.stores import consents, people
from gateway.stores.people import Account

PASSWORD, NAME, REMOTE = "twelve-or-more-1", "test-operator", "127.0.0.1"
ROLES = frozenset({Role.OPERATOR})
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@cache
def encoded() -> str:
    return hash_password(PASSWORD)


async def with_operator(country: Country, **changed: object) -> Account:
    account = replace(Account(NAME, encoded(), b"sixteen-bytes-00", ROLES), **changed)  # type: ignore[arg-type]
    await country.means.ledger.commit(lambda tx: people.put(tx, account, country.now))
    return account


def attempt(country: Country, account: Account, **changed: str) -> Attempt:
    code = code_at(country.means.keys.code_secret(account.salt), country.now)
    return replace(Attempt(account.name, PASSWORD, code, REMOTE), **changed)


async def entered(country: Country) -> Entered:
    came = await sitting.log_in(country.means, attempt(country, await with_operator(country)))
    assert isinstance(came, Entered)
    return came


async def test_a_login_is_told_and_sits(country: Country) -> None:
    start = len(await country.lines())
    came = await entered(country)
    assert came.sitter == OperatorSits(NAME, ROLES)
    assert await sitting.sits(country.means, came.token) == OperatorSits(NAME, ROLES)
    await sitting.log_out(country.means, came.token, remote=REMOTE)
    assert await sitting.sits(country.means, came.token) is None
    await sitting.log_out(country.means, came.token, remote=REMOTE)
    lines = [kept.line for kept in (await country.lines())[start:]]
    assert [(line.event, dict(line.fields)) for line in lines] == [
        (Event.OPERATOR_LOGGED_IN, {"by": NAME, "roles": ["operator"], "remote": REMOTE}),
        (Event.OPERATOR_LOGGED_OUT, {"by": NAME, "remote": REMOTE}),
    ]


REFUSALS: dict[str, tuple[dict[str, str], dict[str, object], Why, str]] = {
    "no such account": ({"name": "nobody"}, {}, Why.UNKNOWN_ACCOUNT, ""),
    "what looks like a number": ({"name": "999900006"}, {}, Why.UNKNOWN_ACCOUNT, ""),
    "closed": ({}, {"closed": datetime(2026, 1, 1, tzinfo=UTC)}, Why.CLOSED_ACCOUNT, NAME),
    "wrong password": ({"password": "something else"}, {}, Why.WRONG_PASSWORD, NAME),
    "endless password": ({"password": PASSWORD + "x" * 100_000}, {}, Why.WRONG_PASSWORD, NAME),
    "wrong code": ({"code": "000000"}, {}, Why.WRONG_CODE, NAME),
    "code with something behind": ({"code": "1234567"}, {}, Why.WRONG_CODE, NAME),
    "code used before": ({}, {"step": 10**9}, Why.USED_CODE, NAME),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_is_told_with_its_reason_and_nothing_that_was_typed(country: Country, case: str) -> None:
    typed, changed, why, by = REFUSALS[case]
    account = await with_operator(country, **changed)
    assert await sitting.log_in(country.means, attempt(country, account, **typed)) is why
    line = (await country.lines())[-1].line
    assert line.event is Event.OPERATOR_LOGIN_REFUSED
    assert line.fields == {"by": by, "why": why, "remote": REMOTE}
    assert await country.means.ledger.read(lambda tx: tx.rows("SELECT 1 FROM sitting")) == []


@pytest.mark.parametrize(("steps", "comes_in"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_a_phone_s_clock_may_be_a_step_off(country: Country, steps: int, comes_in: bool) -> None:
    account = await with_operator(country)
    off = country.now + timedelta(seconds=steps * STEP_SECONDS)
    code = code_at(country.means.keys.code_secret(account.salt), off)
    came = await sitting.log_in(country.means, attempt(country, account, code=f"{code[:3]} {code[3:]}"))
    assert isinstance(came, Entered) is comes_in


async def test_what_changed_while_the_password_was_looked_at_counts(country: Country) -> None:
    """The account is closed between the question and the answer: nobody gets in."""
    account = await with_operator(country)
    real = country.means.ledger.commit
    calls = 0

    async def commit(unit: Callable[..., object]) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            await real(lambda tx: people.put(tx, replace(account, password="$other"), country.now))
        return await real(unit)

    ledger = country.means.ledger
    means = replace(country.means, ledger=_Committing(ledger, commit))  # type: ignore[arg-type]
    assert await sitting.log_in(means, attempt(country, account)) is Why.USED_CODE


class _Committing:
    """A ledger with another way to commit."""

    def __init__(self, ledger: object, commit: object) -> None:
        self._ledger, self.commit = ledger, commit

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)


async def test_wall_time_rules_sittings_whatever_the_simulation_says(country: Country) -> None:
    came = await entered(country)
    await operating.set_clock(country.means, datetime(2020, 4, 20, tzinfo=UTC), by="test")
    assert await sitting.sits(country.means, came.token) is not None
    await operating.set_clock(country.means, country.now + timedelta(days=400), by="test")
    assert await sitting.sits(country.means, came.token) is not None
    country.now += sitting.IDLE
    assert await sitting.sits(country.means, came.token) is None


async def test_a_ledger_that_cannot_be_written_does_not_throw_the_operator_out(country: Country) -> None:
    from gateway.stores.ledger import LedgerUnavailable

    came = await entered(country)
    country.now += timedelta(minutes=5)

    async def full(_unit: object) -> object:
        raise LedgerUnavailable("disk full")

    means = replace(country.means, ledger=_Committing(country.means.ledger, full))  # type: ignore[arg-type]
    assert await sitting.sits(means, came.token) == came.sitter


async def test_whatever_is_wrong_takes_the_same_time(country: Country) -> None:
    """Looking at a password is what takes long; an account that does not exist must not be quicker than that."""
    account = await with_operator(country)

    async def seconds(**typed: str) -> float:
        taken = []
        for n in range(5):
            began = time.process_time()
            await sitting.log_in(country.means, attempt(country, account, remote=f"test {typed} {n}", **typed))
            taken.append(time.process_time() - began)
            await country.means.ledger.commit(lambda tx: people.purge(tx, ended=country.now, attempts=LATER))
        return median(taken)

    wrong_code = await seconds(code="000000")
    for typed in ({"name": "nobody"}, {"password": "something else"}):
        assert 0.5 < await seconds(**typed) / wrong_code < 2, typed


def test_nobody_s_hash_is_as_slow_as_a_real_one() -> None:
    assert extract_parameters(credentials.NOBODY) == extract_parameters(hash_password(PASSWORD))
    assert extract_parameters(credentials.NOBODY).memory_cost >= 19 * 1024


# --- patients --------------------------------------------------------------------------------------------------------

AGES = {
    # (years old, party) -> may open the page: domain.md section 3
    "a child of 11 herself": (11, Party.PATIENT, False),
    "her parent": (11, Party.PARENT, True),
    "her guardian": (11, Party.GUARDIAN, True),
    "a child of 14 herself": (14, Party.PATIENT, True),
    "her parent too": (14, Party.PARENT, True),
    "at 16 she alone": (16, Party.PATIENT, True),
    "no longer her parent": (16, Party.PARENT, False),
    "nor a representative yet": (17, Party.REPRESENTATIVE, False),
    "a grown-up": (40, Party.PATIENT, True),
    "her representative": (40, Party.REPRESENTATIVE, True),
    "not her parent": (40, Party.PARENT, False),
}


@pytest.mark.parametrize("case", AGES)
async def test_who_opens_a_patient_s_page(country: Country, case: str) -> None:
    years, party, opens = AGES[case]
    born = date(country.now.year - years, country.now.month, 1)
    sitter = PatientSits(US, party, born, "Test Name")
    came = await sitting.log_in_patient(country.means, sitter, method="test")
    line = (await country.lines())[-1].line
    assert line.patient == country.means.keys.patient(US)
    if opens:
        assert isinstance(came, Entered)
        assert await sitting.sits(country.means, came.token) == sitter
        assert (line.event, line.fields) == (Event.PATIENT_LOGGED_IN, {"by": party, "method": "test"})
    else:
        assert came is Why.MAY_NOT_ACT
        assert (line.event, line.fields) == (Event.PATIENT_LOGIN_REFUSED, {"by": party, "why": Why.MAY_NOT_ACT})


async def test_the_birth_date_told_first_goes_before_the_login_s(country: Country) -> None:
    key = country.means.keys.patient(THEM)
    await country.means.ledger.commit(lambda tx: consents.set_birth_date(tx, key, date(1980, 1, 1)))
    child = PatientSits(THEM, Party.PARENT, date(2020, 1, 1))
    assert await sitting.log_in_patient(country.means, child, method="test") is Why.MAY_NOT_ACT


async def test_a_parent_loses_view_at_midnight_of_the_sixteenth_birthday(country: Country) -> None:
    """The Dutch midnight: 1 June begins at 22:00 UTC on 31 May."""
    born = date(2012, 6, 1)
    midnight = datetime(2028, 5, 31, 22, 0, tzinfo=UTC)
    await operating.set_clock(country.means, midnight - timedelta(seconds=1), by="test")
    parent = PatientSits(US, Party.PARENT, born)
    assert isinstance(await sitting.log_in_patient(country.means, parent, method="test"), Entered)
    assert await sitting.still_has_say(country.means, parent)
    country.now += timedelta(seconds=1)
    assert not await sitting.still_has_say(country.means, parent)


async def test_a_patient_leaving_is_told_about_her(country: Country) -> None:
    came = await sitting.log_in_patient(country.means, PatientSits(NOBODY), method="test")
    assert isinstance(came, Entered)
    await sitting.log_out(country.means, came.token, remote=REMOTE)
    line = (await country.lines())[-1].line
    assert (line.event, line.patient) == (Event.PATIENT_LOGGED_OUT, country.means.keys.patient(NOBODY))


def test_no_number_prints_of_who_sits_there() -> None:
    sitter = PatientSits(US, Party.PATIENT, date(1948, 3, 14), "Test Name")
    for text in (repr(sitter), str(Entered("a-token", sitter)), repr(Attempt("a-name", "a-word", "123456", REMOTE))):
        for secret in (US.digits, US.digits[-3:], "1948", "Test Name", "a-token", "a-name", "a-word", "123456"):
            assert secret not in text


# --- what is written beside ------------------------------------------------------------------------------------------


async def test_an_operator_s_look_is_told_to_the_patient_and_a_refused_act_is_not_hers(country: Country) -> None:
    who = OperatorSits(NAME, ROLES)
    key = country.means.keys.patient(US)
    await sitting.note_look(country.means, who, key, looked_at="/calls/{initial}", shown=3)
    await sitting.note_refused_act(country.means, who, "POST /regimes", "needs-operator", REMOTE)
    look, act = [kept.line for kept in (await country.lines())[-2:]]
    assert (look.event, look.patient) == (Event.OPERATOR_LOOKED, key)
    assert view(look, Audience.PATIENT) == {"by": NAME, "looked_at": "/calls/{initial}"}
    assert view(look, Audience.CUSTODIAN) == {}
    assert (act.event, act.patient) == (Event.OPERATOR_ACT_REFUSED, None)
    assert act.fields == {"by": NAME, "act": "POST /regimes", "why": "needs-operator", "remote": REMOTE}


def test_a_patient_is_shown_to_operators_by_a_piece_of_her_key(country: Country) -> None:
    key = country.means.keys.patient(US)
    assert pseudonym(key) == f"P-{key.hex()[:8]}"


# --- accounts --------------------------------------------------------------------------------------------------------


async def test_an_account_s_life_is_told_without_its_secrets(country: Country) -> None:
    start = len(await country.lines())
    made = await accounts.add_operator(country.means, NAME, [Role.VIEWER], by="test")
    renewed = await accounts.renew_password(country.means, NAME, by="test")
    recoded = await accounts.renew_code(country.means, NAME, by="test")
    await accounts.close_account(country.means, NAME, by="test")
    assert await transcript(country, start) == [
        f"operator-account-changed {why}" for why in ("added", "password", "code", "closed")
    ]
    text = str([kept.line.fields for kept in (await country.lines())[start:]])
    for login in (made, renewed, recoded):
        assert login.totp not in text
        assert not login.password or login.password not in text
        assert login.totp not in repr(login)
    assert renewed.password != made.password
    assert (renewed.totp == made.totp, recoded.totp == made.totp) == (True, False)


async def test_what_is_handed_out_opens_the_door(country: Country) -> None:
    made = await accounts.add_operator(country.means, NAME, [Role.REVIEWER], by="test")
    code = await accounts.code_now(country.means, NAME)
    came = await sitting.log_in(country.means, Attempt(NAME, made.password, code, REMOTE))
    assert isinstance(came, Entered)
    assert came.sitter == OperatorSits(NAME, frozenset({Role.REVIEWER}))
    assert f"secret={made.totp}" in made.totp_uri


async def test_the_ledger_alone_makes_no_code(country: Country) -> None:
    made = await accounts.add_operator(country.means, NAME, [Role.VIEWER], by="test")
    kept = await country.means.ledger.read(lambda tx: people.find(tx, NAME))
    assert kept is not None
    assert credentials.secret_text(country.means.keys.code_secret(kept.salt)) == made.totp
    assert credentials.secret_text(kept.salt) not in made.totp


CHANGES = {"password": accounts.renew_password, "code": accounts.renew_code, "closing": accounts.close_account}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_an_account_ends_who_sits_there(country: Country, change: str) -> None:
    came = await entered(country)
    await CHANGES[change](country.means, NAME, by="test")
    assert await sitting.sits(country.means, came.token) is None


@pytest.mark.parametrize("change", CHANGES)
async def test_an_account_that_is_not_there_or_closed_is_not_changed(country: Country, change: str) -> None:
    await with_operator(country, closed=country.now)
    for name in (NAME, "test-nobody"):
        with pytest.raises(NoSuchAccount):
            await CHANGES[change](country.means, name, by="test")


async def test_a_new_password_does_not_make_a_used_code_good_again(country: Country) -> None:
    account = await with_operator(country)
    again = attempt(country, account)
    assert isinstance(await sitting.log_in(country.means, again), Entered)
    renewed = await accounts.renew_password(country.means, NAME, by="test")
    assert await sitting.log_in(country.means, replace(again, password=renewed.password)) is Why.USED_CODE


UNFIT = {
    "no name": ({"name": ""}, "2 to 32"),
    "a number": ({"name": "999900006"}, "2 to 32"),
    "capitals": ({"name": "Test"}, "2 to 32"),
    "too long a name": ({"name": "a" * 33}, "2 to 32"),
    "markup": ({"name": "<b>"}, "2 to 32"),
    "no role": ({"roles": []}, "role"),
    "short password": ({"password": "elevenchars"}, "12 to 1024"),
    "endless password": ({"password": "x" * 1025}, "12 to 1024"),
}


@pytest.mark.parametrize("case", UNFIT)
async def test_an_unfit_account_is_not_added(country: Country, case: str) -> None:
    changed, told = UNFIT[case]
    given = {"name": NAME, "roles": [Role.VIEWER], "by": "test", **changed}
    with pytest.raises(ValueError, match=told):
        await accounts.add_operator(country.means, given.pop("name"), given.pop("roles"), **given)  # type: ignore[arg-type]
    assert await accounts.operators(country.means) == []


def test_roles_say_what_one_may() -> None:
    may = {role: {one for one in Role if OperatorSits(NAME, frozenset({role})).may(one)} for role in Role}
    assert may == {
        Role.VIEWER: {Role.VIEWER},
        Role.OPERATOR: {Role.VIEWER, Role.OPERATOR},
        Role.REVIEWER: {Role.VIEWER, Role.REVIEWER},
    }
    assert not OperatorSits(NAME, frozenset()).may(Role.VIEWER)


def test_codes_are_those_of_the_standard() -> None:
    """RFC 6238 appendix B, its last six digits, with the secret of twenty bytes."""
    secret = b"12345678901234567890"
    published = {59: "287082", 1111111109: "081804", 1234567890: "005924", 2000000000: "279037"}
    for seconds, code in published.items():
        at = datetime.fromtimestamp(seconds, UTC)
        assert code_at(secret, at) == code
        assert step_of(secret, code, at) == seconds // STEP_SECONDS


def test_random_passwords_differ_and_fit() -> None:
    made = {new_password() for _ in range(50)}
    assert len(made) == 50
    assert all(len(one) == 23 for one in made)
    assert not is_password("not a hash", "x")
    assert is_account_name("test-operator")
