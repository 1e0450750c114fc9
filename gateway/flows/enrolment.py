"""Who is the GP of record from now on, and who is told? What an enrolment does beside its entry in the index (IDX-2).

Runs inside the ledger unit that writes the entry's line: the history, the patient's line, the letter to the former
practice and the new road of what is under way are one. An enrolment opens nothing: no row reads it, and the rules never
ask who is enrolled. Source: domain.md section 4 row IDX-2, section 6.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.flows import notices
from gateway.flows.means import Means, who
from gateway.rules.exchange import AortaId, Pointer, Requester
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event, Json, Line
from gateway.rules.network import Network
from gateway.stores import enrolments, journal, outbox
from gateway.stores.enrolments import Change
from gateway.stores.ledger import Transaction

_log = logging.getLogger("switchpoint.enrolment")
_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")
_WATCHED = timedelta(hours=24)

ADVICE = "Ask the practice whether it took these patients over, and their former practices whether they agree."


@dataclass(frozen=True, slots=True)
class Act:
    """One enrolment or its end: whose patient, at whose hands, when (domain time), and the chain it belongs to."""

    means: Means
    network: Network
    requester: Requester
    pointer: Pointer
    aorta: AortaId
    at: datetime


@dataclass(frozen=True, slots=True)
class Alert:
    """A practice took over unusually many patients within a day."""

    practice: str
    count: int


async def former_told(act: Act, patient: Bsn) -> notices.Draft | None:
    """The letter the former practice gets if this enrolment moves the patient: drafted on what is so now, which the
    unit's own condition keeps so. None: nobody is replaced. Raises LedgerUnavailable."""
    since, key, at = since_day(act.pointer.date), act.pointer.patient, act.at
    day = max(since, at.astimezone(_DUTCH_TIME).date())
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=_DUTCH_TIME)
    former = await act.means.ledger.read(lambda tx: enrolments.gp_of_record(tx, key, noon))
    if former is None or former.custodian == act.pointer.custodian:
        return None
    return notices.enrolment_changed(
        act.means,
        patient,
        key,
        act.network,
        act.pointer.custodian,
        since.isoformat(),
        former=(former.custodian, former.system),
        at=at,
        aorta=act.aorta,
    )


def enrol(act: Act, letter: notices.Draft | None, tx: Transaction) -> Alert | None:
    """Inside the unit: write the enrolment, and when it changes who the GP of record is, all that follows from it.
    A repeat changes nothing. Returns the alert it raised."""
    pointer, since = act.pointer, since_day(act.pointer.date)
    change = enrolments.enrol(tx, pointer.patient, pointer.custodian, pointer.system, since, act.at)
    if change is None:
        return None
    _reroute(act, tx)
    if not change.moved:
        return None
    journal.append(tx, _changed_line(act, change, "moved" if change.former else "enrolled"))
    if change.former is None or change.current is None or change.current.custodian != pointer.custodian:
        return None
    assert letter is not None, "the patient's version tells that the former practice is the one that was drafted for"
    notices.write(act.means, tx, act.network, letter)
    return _watch(act, tx)


def end(act: Act, tx: Transaction) -> None:
    """Inside the unit: end the enrolment; the newest other one that stands counts again. Who ended it knows, so no
    letter; what waits for a GP of record that is no more is parked when its turn comes."""
    pointer = act.pointer
    change = enrolments.end(tx, pointer.patient, pointer.custodian, pointer.system, act.at)
    if change is None:
        return
    _reroute(act, tx)
    if change.moved:
        journal.append(tx, _changed_line(act, change, "ended"))


def warn(alert: Alert | None) -> None:
    """Tell the log of an alert, once it is durable."""
    if alert is not None:
        _log.warning("enrolment-grab", extra={"organisation": alert.practice, "count": alert.count})


def since_day(text: str) -> date:
    """The Dutch calendar day a FHIR dateTime of an enrolment begins on; a year or month begins on its first day."""
    if len(text) <= len("2000-01"):
        return date.fromisoformat((text + "-01-01")[: len("2000-01-01")])
    if len(text) == len("2000-01-01"):
        return date.fromisoformat(text)
    return datetime.fromisoformat(text).astimezone(_DUTCH_TIME).date()


def _reroute(act: Act, tx: Transaction) -> None:
    """What is under way to the GP of record goes to who that is today; an enrolment may also begin another day."""
    gp = enrolments.gp_of_record(tx, act.pointer.patient, act.at)
    if gp is not None:
        outbox.reroute(tx, act.pointer.patient, gp.custodian, act.at)


def _watch(act: Act, tx: Transaction) -> Alert | None:
    """One enrolment adds one patient at most, so every multiple is met exactly when it is crossed."""
    count = enrolments.taken_over(tx, act.pointer.custodian, act.at - _WATCHED)
    if count == 0 or count % act.means.mail.alert_at:
        return None
    practice = act.pointer.custodian
    fields: dict[str, Json] = {
        "alert": "enrolment-grab",
        "organisation": practice.digits,
        "count": count,
        "advice": ADVICE,
    }
    line = Line(Event.ALERT_RAISED, at=act.at, wall=act.means.live.wall(), aorta=act.aorta, fields=fields)
    journal.append(tx, line)
    return Alert(practice.digits, count)


def _changed_line(act: Act, change: Change, why: str) -> Line:
    former, current = change.former, change.current
    fields: dict[str, Json] = {
        **who(act.requester),
        "former": former.custodian.digits if former else "",
        "current": current.custodian.digits if current else "",
        "since": current.since.isoformat() if current else "",
        "why": why,
    }
    return Line(
        Event.GP_OF_RECORD_CHANGED,
        at=act.at,
        wall=act.means.live.wall(),
        aorta=act.aorta,
        patient=act.pointer.patient,
        custodian=former.custodian if former else act.requester.ura,
        requester=act.requester.ura,
        fields=fields,
    )
