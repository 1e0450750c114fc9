"""How does a sentinel patient come into a country of the testbed? What her row says happened, in order, at its time.

The data is the simulation's own (source_sim.sentinels); here it is only lived through. Judges nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from source_sim import sentinels
from source_sim.country import Participant
from source_sim.custodians import Choice
from source_sim.sentinel import DOWN, Act, Enrolled, Said, Sentinel
from source_sim.testbed.custodians import Custodian, NotTaken
from source_sim.testbed.patients import Patient
from source_sim.testbed.transcript import DUTCH_TIME

if TYPE_CHECKING:
    from source_sim.testbed.switchpoint import Switchpoint


def plant(country: Switchpoint, key: str) -> Patient:
    """Live through one sentinel's row. Raises KeyError for a key that is none, NotTaken."""
    row = _row(key)
    now = country.clock.now
    patient = _person(country, row, now)
    country.clock.to(now - timedelta(days=row.days_ago))
    if row.regime:
        country.regime.on(row.regime)
    for act in row.acts:
        _live(country, patient, act)
    if row.regime:
        country.regime.off(row.regime)
    country.clock.to(now)
    for trouble in row.troubles:
        faults = country.custodian(trouble.custodian).faults
        assert faults is not None, "a simulated system has a switchboard"
        whole = trouble.fault == DOWN
        faults.set(trouble.fault, trouble.seconds, leg=None if whole else "search", patient=None if whole else patient)
    return patient


def planted(country: Switchpoint, key: str) -> Patient:
    """The one who lives in the running simulation already. Raises KeyError for a key that is none."""
    row = _row(key)
    keepers = [country.found(one) for one in _organisations(row)]
    person = row.person(country.clock.now.astimezone(DUTCH_TIME).date())
    return country.known_patient(row.key, person, keepers, stays=True)


def _row(key: str) -> Sentinel:
    row = sentinels.SENTINELS.get(key)
    if row is None:
        raise KeyError(f"no sentinel {key!r}; there are {', '.join(sentinels.SENTINELS)}")
    return row


def _person(country: Switchpoint, row: Sentinel, now: datetime) -> Patient:
    person = row.person(now.astimezone(DUTCH_TIME).date())
    keepers = [country.custodian(one) for one in _organisations(row)]
    patient = country.known_patient(row.key, person, keepers)
    for one, profile in row.records.items():
        country.custodian(one).holds(patient, profile)
    return patient


def _organisations(row: Sentinel) -> list[Participant]:
    """Everybody her row speaks of."""
    named = [*row.records, *(trouble.custodian for trouble in row.troubles)]
    for act in row.acts:
        one = act.practice if isinstance(act, Enrolled) else act.custodian
        named += [one] if one is not None else []
    return list(dict.fromkeys(named))


def _live(country: Switchpoint, patient: Patient, act: Act) -> None:
    if isinstance(act, Said):
        through = country.custodian(act.custodian) if act.custodian else None
        patient.say(_choice(act, patient, through), through)
        return
    custodian = country.custodian(act.practice if isinstance(act, Enrolled) else act.custodian)
    if isinstance(act, Enrolled):
        replies = [custodian.enrol(patient, country.clock.now.astimezone(DUTCH_TIME).date())]
    else:
        replies = [custodian.register(patient, category, act.latent) for category in act.categories]
    for reply in replies:
        if reply.status >= 300:
            raise NotTaken(f"{custodian.name} could not register {patient.key}", reply)


def _choice(said: Said, patient: Patient, through: Custodian | None) -> Choice:
    return Choice(
        said.permit,
        through.ura if through else None,
        said.categories,
        said.requesters,
        said.emergency_only,
        said.active,
        by=said.by,
        birth_date=patient.born,
    )
