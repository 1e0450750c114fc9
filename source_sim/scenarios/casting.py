"""How does what a scenario gives come to stand in a country? Organisations, patients, choices, faults, by name.

It knows the testbed's country. It may not know what happens afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from source_sim.custodians import Choice as Said
from source_sim.scenarios.form import Part
from source_sim.scenarios.given import Choice, Fault, Organisation
from source_sim.scenarios.given import Patient as Given
from source_sim.scenarios.scenario import Scenario
from source_sim.scenarios.steps import Choosing, Ending, Enrolling, Mending, Registering
from source_sim.testbed import Custodian, Faults, GpPractice, Patient, Pharmacy, Requester, Switchpoint
from source_sim.testbed.sending import Sent


@dataclass(slots=True)
class Cast:
    """A scenario's organisations, patients and messages in a country, by the scenario's names.

    `names` maps what the country calls an organisation (URA, name, key) to the scenario's name; `faulty` says per URA
    which fault is switched on there now.
    """

    switchpoint: Switchpoint
    scenario: Scenario
    custodians: dict[str, Custodian] = field(default_factory=dict)
    requesters: dict[str, Requester] = field(default_factory=dict)
    patients: dict[str, Patient] = field(default_factory=dict)
    messages: dict[str, Sent] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    faulty: dict[str, str] = field(default_factory=dict)

    def organisation(self, name: str) -> Custodian | Requester:
        """Whoever has this name."""
        return self.custodians[name] if name in self.custodians else self.requesters[name]

    def whom(self, names: Sequence[str]) -> tuple[str, ...]:
        """Requester groups as they are, organisations of the scenario by URA."""
        known = {*self.custodians, *self.requesters}
        return tuple(self.organisation(name).ura if name in known else name for name in names)


def cast(switchpoint: Switchpoint, scenario: Scenario) -> Cast:
    """Put everything in place: first who takes part, then who lives there, then what goes wrong."""
    made, given = Cast(switchpoint, scenario), scenario.given
    for name, one in given.organisations.items():
        _enter(made, name, one)
    for name in given.regimes:
        switchpoint.regime.on(name)
    for key, who in given.patients.items():
        made.patients[key] = _settle(made, key, who)
    for fault in given.faults:
        break_down(made, fault)
    return made


def _enter(made: Cast, name: str, one: Organisation) -> None:
    switchpoint = made.switchpoint
    entered: Custodian | Requester
    match one.kind:
        case "gp-practice":
            entered = switchpoint.gp_practice(one.name or name)
        case "pharmacy":
            entered = switchpoint.pharmacy(one.name or name)
        case "gp-post":
            entered = switchpoint.gp_post(one.name or name)
        case "emergency-department":
            entered = switchpoint.emergency_department(one.name or name)
        case "ambulance":
            entered = switchpoint.ambulance(one.name or name)
        case "specialist":
            entered = switchpoint.specialist(one.name or name)
        case "covering-pharmacy":
            entered = switchpoint.covering_pharmacy(one.name or name)
        case _:
            entered = switchpoint.organisation(
                one.type or "", one.name or name, role=one.role or "01.000", departments=tuple(one.departments)
            )
    _name(made, name, entered)


def _name(made: Cast, name: str, one: Custodian | Requester) -> None:
    if isinstance(one, Custodian):
        made.custodians[name] = one
    else:
        made.requesters[name] = one
    for known in (one.ura, one.key, one.name):
        made.names[known] = name


def _settle(made: Cast, key: str, who: Given) -> Patient:
    if who.sentinel:
        return _sentinel(made, who.sentinel, changing=_is_changed(made.scenario, key))
    known = made.custodians.values()
    practices = [one for one in known if isinstance(one, GpPractice) and made.names[one.ura] == who.gp]
    pharmacies = [one for one in known if isinstance(one, Pharmacy) and made.names[one.ura] in who.pharmacy]
    choices = who.consents if isinstance(who.consents, str) else [said(made, one) for one in who.consents]
    return made.switchpoint.patient(
        key,
        gp=next(iter(practices), None),
        pharmacy=pharmacies,
        consents=choices,
        born=who.born if who.born else who.age,
        record=who.record,
        latent=who.latent,
    )


def _is_changed(scenario: Scenario, sentinel: str) -> bool:
    """Whether a step has her say something, an entry of hers change, or trouble come to her own custodians."""
    acts = [act for step in scenario.when for _, act in step]
    told = {getattr(act, name) for act in acts for kind, name in _CHANGING.items() if isinstance(act, kind)}
    broken = {act.at for act in (*scenario.given.faults, *acts) if isinstance(act, Fault | Mending)}
    return sentinel in told or bool(broken - scenario.given.organisations.keys())


_CHANGING: Final[Mapping[type[Part], str]] = MappingProxyType(
    {Choosing: "of", Registering: "patient", Ending: "patient", Enrolling: "patient"}
)


def _sentinel(made: Cast, key: str, *, changing: bool) -> Patient:
    patient = made.switchpoint.sentinel(key, changing=changing)
    for one in patient.custodians:
        if one.key not in made.custodians:
            _name(made, one.key, one)
    return patient


def said(made: Cast, choice: Choice) -> Said:
    """A choice in the words custodians write it down with."""
    return Said(
        permit=choice.says in ("yes", "withdraw"),
        custodian=made.custodians[choice.custodian].ura if choice.custodian else None,
        categories=tuple(choice.categories),
        requesters=made.whom(choice.to),
        emergency_only=choice.emergency_only,
        active=choice.says in ("yes", "no"),
        by=tuple(choice.stated_by) or ("patient",),
    )


_HOW = "seconds", "spread", "place", "probability", "seed", "call", "leg"


def break_down(made: Cast, fault: Fault) -> None:
    """Switch a fault on."""
    custodian = made.custodians[fault.at]
    how = {name: value for name, value in fault.told.items() if name in _HOW}
    patient = made.patients[fault.patient] if fault.patient else None
    _faults(custodian).set(fault.fault, patient=patient, **how)
    made.faulty[custodian.ura] = fault.fault


def mend(made: Cast, name: str) -> None:
    """Switch all faults of a source off."""
    custodian = made.custodians[name]
    _faults(custodian).clear()
    made.faulty.pop(custodian.ura, None)


def _faults(custodian: Custodian) -> Faults:
    if custodian.faults is None:
        raise ValueError(f"{custodian.name} is a system of one's own: its faults are its owner's")
    return custodian.faults
