"""Does a call, once recorded, come out again as it did? Recorded from one country, played in a fresh one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.place import Misuse
from gateway.cli.recorded_call import read_call
from source_sim.scenarios import playing, reading, recording, telling
from source_sim.testbed import Switchpoint, no, open_country, yes


def granted(country: Switchpoint) -> Any:
    patient = country.patient(gp=country.gp_practice(), pharmacy=country.pharmacy())
    return country.gp_post().ask("gp-summary", patient)


def refused(country: Switchpoint) -> Any:
    return country.gp_post().ask("gp-summary", country.patient(gp=country.gp_practice()), cover=False)


def partial(country: Switchpoint) -> Any:
    south, north = country.pharmacy(), country.pharmacy()
    patient = country.patient(pharmacy=[south, north])
    assert north.faults is not None
    north.faults.set("garbage")
    return country.gp_post().ask("allergies", patient)


def objected(country: Switchpoint) -> Any:
    practice = country.gp_practice()
    patient = country.patient(gp=practice, consents=[yes(), no(to="gp-care")])
    return country.gp_post().ask("gp-summary", patient)


def withdrawn(country: Switchpoint) -> Any:
    practice = country.gp_practice()
    patient = country.patient(gp=practice)
    patient.withdraw(practice)
    return country.gp_post().ask("gp-summary", patient)


def presumed(country: Switchpoint) -> Any:
    country.regime.on("EMERGENCY_AVAILABLE")
    patient = country.patient(gp=country.gp_practice(), consents=[yes(to="gp-care")])
    return country.ambulance().ask("gp-summary", patient, capacity="incapable")


def asked_on_the_spot(country: Switchpoint) -> Any:
    country.regime.on("CRISIS_OPT_IN")
    patient = country.patient(gp=country.gp_practice(), consents="none", latent=True)
    return country.emergency_department().ask("gp-summary", patient, verbal="patient")


def under_mandate(country: Switchpoint) -> Any:
    patient = country.patient(gp=country.gp_practice())
    return country.gp_post().ask("gp-summary", patient, role="30.000", mandate="01.015")


def too_late(country: Switchpoint) -> Any:
    patient = country.patient(pharmacy=country.pharmacy())
    return country.specialist().ask("medication", patient, contact_started="-5d", contact_ended="-4d")


def unreachable(country: Switchpoint) -> Any:
    practice = country.gp_practice()
    patient = country.patient(gp=practice)
    assert practice.faults is not None
    practice.faults.set("down")
    return country.gp_post().ask("gp-summary", patient)


CALLS = (
    granted, refused, partial, objected, withdrawn, presumed, asked_on_the_spot, under_mandate, too_late, unreachable,
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_a_recorded_call_comes_out_again(call: Any) -> None:
    with open_country() as country:
        answer = call(country)
        world = country._world
        chain = answer.aorta_id.partition("=")[2].partition(";")[0]
        told = world.run(read_call(world.gateway.means, chain))
        assert world.run(read_call(world.gateway.means, "")) == told, "the latest question is this one"
    text = recording.scenario_of(told)
    assert "9999" not in text, "the patient's number stays behind"
    played = playing.play(reading.parse(text, Path("recorded.scenario.yaml")))
    assert played.passed, text + telling.failure(played)
    again = played.steps[0].came
    assert (again["status"], again["code"], again["row"]) == (answer.status, answer.code, answer.decision.row), text
    assert set(again["flags"]) == set(answer.flags)
    assert set(again["outcomes"].values()) == {one.code for one in answer.outcomes}


def test_there_is_nothing_to_record_of_what_never_was() -> None:
    with open_country() as country, pytest.raises(Misuse, match="no question"):
        country._world.run(read_call(country._world.gateway.means, "00000000-0000-4000-8000-000000000000"))
    with open_country() as country, pytest.raises(Misuse, match="no question was recorded yet"):
        country._world.run(read_call(country._world.gateway.means, ""))
