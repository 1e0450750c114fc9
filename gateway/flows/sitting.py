"""Who may sit down at the desk, who sits there, and until when? Logging in and out, every attempt in the journal.

Wall time rules here, whatever the simulated clock says; only whether somebody may act for a patient is asked in domain
time. Knows no cookie and no page: a token is a text to it.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from gateway.flows.credentials import NOBODY, is_password, step_of
from gateway.flows.means import Means
from gateway.rules import consent
from gateway.rules.choice import Party
from gateway.rules.exchange import PatientKey
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event, Json, Line
from gateway.rules.people import OperatorSits, PatientSits, Sitter
from gateway.stores import consents, journal, people
from gateway.stores.ledger import LedgerUnavailable, Transaction
from gateway.stores.people import Account, Seat

IDLE = timedelta(minutes=30)
LASTS = timedelta(hours=8)
WINDOW = timedelta(minutes=15)
"""How long a failed attempt counts."""
PER_ACCOUNT, PER_ADDRESS = 5, 20
"""After so many failed attempts in a window nothing is looked at any more, not even the right password."""
_SEEN_EVERY = timedelta(minutes=1)


class Why(StrEnum):
    """Why somebody was not let in. The journal tells it; the person at the door is told TOO_MANY or nothing."""

    UNKNOWN_ACCOUNT = "unknown-account"
    CLOSED_ACCOUNT = "closed-account"
    WRONG_PASSWORD = "wrong-password"
    WRONG_CODE = "wrong-code"
    USED_CODE = "used-code"
    TOO_MANY = "too-many-attempts"
    MAY_NOT_ACT = "may-not-act-for-patient"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What somebody typed at the door, and from which network address."""

    name: str = field(repr=False)
    password: str = field(repr=False)
    code: str = field(repr=False)
    remote: str

    @property
    def whom(self) -> tuple[str, ...]:
        """Under which names the attempt is counted."""
        return f"account {self.name}", f"address {self.remote}"


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody sits down: `token` is the cookie's, shown to nobody else."""

    token: str = field(repr=False)
    sitter: Sitter


# --- operators -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Admitted:
    """An attempt that is looked at; it counts as failed until it has succeeded."""

    id: bytes
    account: Account | None


async def log_in(means: Means, attempt: Attempt) -> Entered | Why:
    """Let an operator in who knows the password and this moment's code. Raises LedgerUnavailable.

    Whatever is wrong takes the same time and, but for TOO_MANY, must be told in the same words.
    """
    at = means.live.domain(await means.live.network())
    wall = means.live.wall()
    admitted = await means.ledger.commit(lambda tx: _admit(tx, attempt, at, wall))
    if admitted is None:
        return Why.TOO_MANY
    judged = await asyncio.to_thread(_judge, means, admitted.account, attempt, wall)
    return await means.ledger.commit(lambda tx: _enter(tx, attempt, admitted, judged, at, wall))


def _admit(tx: Transaction, attempt: Attempt, at: datetime, wall: datetime) -> _Admitted | None:
    """Count first, look after: attempts made at the same moment cannot outrun the count."""
    since = wall - WINDOW
    people.purge(tx, ended=wall, attempts=since)
    account = people.find(tx, attempt.name)
    limits = zip(attempt.whom, (PER_ACCOUNT, PER_ADDRESS), strict=True)
    if any(people.attempts(tx, whom, since) >= limit for whom, limit in limits):
        _refuse(tx, attempt, account, Why.TOO_MANY, at, wall)
        return None
    return _Admitted(people.note_attempt(tx, attempt.whom, wall), account)


def _judge(means: Means, account: Account | None, attempt: Attempt, wall: datetime) -> int | Why:
    """In a thread of its own: the time step of the right code, or what is wrong. Nothing is skipped on the way."""
    right = is_password(account.password if account else NOBODY, attempt.password)
    step = step_of(means.keys.code_secret(account.salt if account else b""), attempt.code, wall)
    if account is None:
        return Why.UNKNOWN_ACCOUNT
    if account.closed is not None:
        return Why.CLOSED_ACCOUNT
    if not right:
        return Why.WRONG_PASSWORD
    return Why.WRONG_CODE if step is None else step


def _enter(
    tx: Transaction, attempt: Attempt, admitted: _Admitted, judged: int | Why, at: datetime, wall: datetime
) -> Entered | Why:
    account = admitted.account
    if isinstance(judged, int) and account is not None:
        if people.use_step(tx, account, judged):
            people.forget_attempt(tx, admitted.id, attempt.whom)
            return _seat_operator(tx, account, attempt.remote, at, wall)
        judged = Why.USED_CODE
    assert isinstance(judged, Why), "a step is judged for an account only"
    _refuse(tx, attempt, account, judged, at, wall)
    return judged


def _seat_operator(tx: Transaction, account: Account, remote: str, at: datetime, wall: datetime) -> Entered:
    token = people.new_token()
    people.sit_operator(tx, token, account.name, wall, wall + LASTS)
    fields: dict[str, Json] = {"by": account.name, "roles": [*sorted(account.roles)], "remote": remote}
    journal.append(tx, Line(Event.OPERATOR_LOGGED_IN, at=at, wall=wall, fields=fields))
    return Entered(token, OperatorSits(account.name, account.roles))


def _refuse(tx: Transaction, attempt: Attempt, account: Account | None, why: Why, at: datetime, wall: datetime) -> None:
    # a name nobody has is not written: people type their password, or a patient's number, into the wrong field
    fields: dict[str, Json] = {"by": account.name if account else "", "why": why, "remote": attempt.remote}
    journal.append(tx, Line(Event.OPERATOR_LOGIN_REFUSED, at=at, wall=wall, fields=fields))


async def note_refused_act(means: Means, sitter: OperatorSits, act: str, why: str, remote: str) -> None:
    """Write that somebody who sits here tried what is not for them. `act` names a route, never what was filled in.
    Raises LedgerUnavailable."""
    fields: dict[str, Json] = {"by": sitter.name, "act": act, "why": why, "remote": remote}
    await _note(means, Event.OPERATOR_ACT_REFUSED, fields)


async def note_look(means: Means, sitter: OperatorSits, patient: PatientKey, *, looked_at: str, shown: int) -> None:
    """Write that an operator looked at what the journal has on one patient, before it is shown: domain.md section 7.
    `looked_at` names the page. Raises LedgerUnavailable."""
    fields: dict[str, Json] = {"by": sitter.name, "looked_at": looked_at, "shown": shown}
    await _note(means, Event.OPERATOR_LOOKED, fields, patient)


# --- patients --------------------------------------------------------------------------------------------------------


async def log_in_patient(means: Means, sitter: PatientSits, *, method: str) -> Entered | Why:
    """Open a patient's page for whom the login vouches; MAY_NOT_ACT when this party has no say at her age.
    Raises LedgerUnavailable."""
    network = await means.live.network()
    at, wall, patient = means.live.domain(network), means.live.wall(), means.keys.patient(sitter.bsn)

    def unit(tx: Transaction) -> Entered | Why:
        people.purge(tx, ended=wall, attempts=wall - WINDOW)
        if not _has_say(tx, patient, sitter, at):
            fields: dict[str, Json] = {"by": sitter.party, "why": Why.MAY_NOT_ACT}
            journal.append(tx, Line(Event.PATIENT_LOGIN_REFUSED, at=at, wall=wall, patient=patient, fields=fields))
            return Why.MAY_NOT_ACT
        token = people.new_token()
        people.sit_patient(tx, token, _written(sitter), wall, wall + LASTS)
        fields = {"by": sitter.party, "method": method}
        journal.append(tx, Line(Event.PATIENT_LOGGED_IN, at=at, wall=wall, patient=patient, fields=fields))
        return Entered(token, sitter)

    return await means.ledger.commit(unit)


async def still_has_say(means: Means, sitter: PatientSits) -> bool:
    """Whether this party may still act for her, at this moment of domain time: a parent's view ends at midnight.
    Raises LedgerUnavailable."""
    at, patient = means.live.domain(await means.live.network()), means.keys.patient(sitter.bsn)
    return await means.ledger.read(lambda tx: _has_say(tx, patient, sitter, at))


def _has_say(tx: Transaction, patient: PatientKey, sitter: PatientSits, at: datetime) -> bool:
    """The birth date told first stands, as for a consent statement; the login's own only where there is none."""
    return consent.may_act_for(sitter.party, consents.birth_date(tx, patient) or sitter.born, at)


def _written(sitter: PatientSits) -> bytes:
    born = sitter.born.isoformat() if sitter.born else None
    return json.dumps([sitter.bsn.digits, sitter.party, born, sitter.name]).encode()


def _read(sealed: bytes) -> PatientSits:
    digits, party, born, name = json.loads(sealed)
    return PatientSits(Bsn(digits), Party(party), date.fromisoformat(born) if born else None, name)


# --- everybody -------------------------------------------------------------------------------------------------------


def new_token() -> str:
    """A token nobody sits with: for the forms at the door."""
    return people.new_token()


async def sits(means: Means, token: str) -> Sitter | None:
    """Who sits here with this cookie; None when nobody does, or no longer. Raises LedgerUnavailable."""
    wall = means.live.wall()
    seat = await means.ledger.read(lambda tx: people.seat(tx, token), single=True)
    if seat is None or wall >= seat.ends or wall - seat.seen >= IDLE:
        return None
    if wall - seat.seen >= _SEEN_EVERY:
        # a ledger that cannot be written is when an operator must be able to look: the sitting then ends as idle
        with suppress(LedgerUnavailable):
            await means.ledger.commit(lambda tx: people.see(tx, token, wall))
    return _sitter(seat)


def _sitter(seat: Seat) -> Sitter | None:
    if seat.account is not None:
        return OperatorSits(seat.account.name, seat.account.roles)
    return None if seat.patient is None else _read(seat.patient)


async def log_out(means: Means, token: str, *, remote: str) -> None:
    """End this sitting; the cookie is worth nothing from here on. Raises LedgerUnavailable."""
    sitter = await sits(means, token)
    at, wall = means.live.domain(await means.live.network()), means.live.wall()

    def unit(tx: Transaction) -> None:
        if people.rise(tx, token) and sitter is not None:
            journal.append(tx, _left(means, sitter, remote, at, wall))

    await means.ledger.commit(unit)


def _left(means: Means, sitter: Sitter, remote: str, at: datetime, wall: datetime) -> Line:
    if isinstance(sitter, OperatorSits):
        fields: dict[str, Json] = {"by": sitter.name, "remote": remote}
        return Line(Event.OPERATOR_LOGGED_OUT, at=at, wall=wall, fields=fields)
    patient = means.keys.patient(sitter.bsn)
    return Line(Event.PATIENT_LOGGED_OUT, at=at, wall=wall, patient=patient, fields={"by": sitter.party})


async def _note(means: Means, event: Event, fields: dict[str, Json], patient: PatientKey | None = None) -> None:
    at = means.live.domain(await means.live.network())
    line = Line(event, at=at, wall=means.live.wall(), patient=patient, fields=fields)
    await means.ledger.commit(lambda tx: journal.append(tx, line))
