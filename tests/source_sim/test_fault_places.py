"""Is every fault what domain.md section 5 calls it? The sources' own answers, in process, read by the gateway's reader.

And: another patient is found wherever she hides, in every kind of answer and however it says whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sources_at_hand import BSN, NOW, ask, system, written

from gateway.fhir.answers import read_answer
from gateway.rules.exchange import Answer, AortaId, Failing, Failure
from gateway.rules.identifiers import Bsn
from gateway.sources.asking import judge
from gateway.sources.wire import Response
from source_sim.faults import SOMEBODY_ELSE, FaultName, Place, fault
from source_sim.offered import Kind
from source_sim.population import Profile
from source_sim.records import Proof
from source_sim.systems import SimulatedSystem

AORTA = AortaId("2f6b5dd4-1b1c-4f5e-9d8a-0d7f1a3c9b10", "7a1e5c0e-8f4a-4a53-9f7e-2f2b64c1c6aa")
KINDS = {
    "Bundle": Kind.GP_PRACTICE,
    "Consent": Kind.GP_PRACTICE,
    "Flag": Kind.PHARMACY,
    "MedicationRequest": Kind.PHARMACY,
}
FORMS: Mapping[str, dict[str, str]] = {
    "Bundle": {"composition.type": "http://loinc.org|60591-5"},
    "Consent": {"scope": "treatment,adr"},
    "MedicationRequest": {"_include": "MedicationRequest:medication"},
}


def source(asked: str, proof: Proof = Proof.REFERENCE) -> SimulatedSystem:
    return system(KINDS[asked], {BSN: written(Profile.TYPICAL, proof)})


async def answered(one: SimulatedSystem, asked: str) -> Answer | Failure:
    """What the gateway makes of this source's reply."""
    reply = await ask(one, asked, FORMS.get(asked))
    body = judge(_response(reply), AORTA)
    if isinstance(body, Failure):
        return body
    return read_answer(body, patient=Bsn(BSN), resource_type=asked, endpoint=one.endpoint)


def _response(reply: httpx.Response) -> Response:
    headers = {name.lower(): value for name, value in reply.headers.raw}
    return Response(reply.status_code, headers, reply.content)


@pytest.mark.parametrize("proof", Proof)
@pytest.mark.parametrize("asked", KINDS)
async def test_a_sound_answer_is_whole(asked: str, proof: Proof) -> None:
    found = await answered(source(asked, proof), asked)
    assert isinstance(found, Answer)
    assert found.entries
    assert not found.truncated


@pytest.mark.parametrize("proof", Proof)
@pytest.mark.parametrize("asked", KINDS)
@pytest.mark.parametrize("place", Place)
async def test_another_patient_is_found_wherever_she_hides(place: Place, asked: str, proof: Proof) -> None:
    one = source(asked, proof)
    one.faults.switch(fault("wrong-patient", place=place))
    found = await answered(one, asked)
    assert isinstance(found, Failure), f"{place} of {asked} went by"
    assert found.failing is Failing.WRONG_PATIENT


@pytest.mark.parametrize("place", [place for place in Place if place is not Place.EVERYWHERE])
@pytest.mark.parametrize("asked", ["Bundle", "Flag"])
async def test_she_hides_beside_the_right_one(place: Place, asked: str) -> None:
    one = source(asked, Proof.IDENTIFIER)
    one.faults.switch(fault("wrong-patient", place=place))
    body = (await ask(one, asked, FORMS.get(asked))).text
    assert SOMEBODY_ELSE in body
    assert BSN in body, "the whole answer is somebody else's: that is `everywhere`"


async def test_where_there_is_nothing_to_hide_in_the_answer_stays() -> None:
    one = system(Kind.PHARMACY, {})
    sound = (await ask(one, "Flag")).content
    one.faults.switch(fault("wrong-patient", place="subject"))
    assert (await ask(one, "Flag")).content == sound


SAID: dict[FaultName, Failing | None] = {
    FaultName.REFUSING: Failing.REFUSED,
    FaultName.REJECTING: Failing.REFUSED,
    FaultName.BUSY: Failing.REFUSED,
    FaultName.ERROR: Failing.REFUSED,
    FaultName.REDIRECT: Failing.REFUSED,
    FaultName.CLOCK_SKEW: Failing.REFUSED,
    FaultName.GARBAGE: Failing.MALFORMED,
    FaultName.TRUNCATED: Failing.MALFORMED,
    FaultName.DUPLICATE_KEYS: Failing.MALFORMED,
    FaultName.HUGE: Failing.MALFORMED,
    FaultName.DEEP: Failing.MALFORMED,
    FaultName.GZIP_BOMB: Failing.MALFORMED,
    FaultName.UNKNOWN_TYPE: Failing.MALFORMED,
    FaultName.WRONG_TYPE: Failing.MALFORMED,
    FaultName.WRONG_PATIENT: Failing.WRONG_PATIENT,
    FaultName.WITHHELD: Failing.WITHHELD,
    FaultName.NO_CONSENT: Failing.NO_CONSENT,
    FaultName.EMPTY: None,
    FaultName.STALE: None,
}
"""What the gateway says of each fault that is told by the reply itself; None: it is answered."""


@pytest.mark.parametrize("asked", ["Bundle", "MedicationRequest"])
@pytest.mark.parametrize("name", SAID)
async def test_the_fault_is_what_the_domain_calls_it(name: FaultName, asked: str) -> None:
    one = source(asked)
    one.faults.switch(fault(name))
    found = await answered(one, asked)
    assert (found.failing if isinstance(found, Failure) else None) is SAID[name]


async def test_a_page_is_delivered_and_called_truncated() -> None:
    one = source("Flag")
    one.faults.switch(fault("paging"))
    found = await answered(one, "Flag")
    assert isinstance(found, Answer)
    assert (found.truncated, bool(found.entries)) == (True, True)


async def test_a_stale_copy_is_dated_a_month_ago() -> None:
    one = source("Bundle")
    fresh = (await ask(one, "Bundle", FORMS["Bundle"])).json()
    one.faults.switch(fault("stale"))
    stale = (await ask(one, "Bundle", FORMS["Bundle"])).json()
    stamps = [answer["entry"][0]["resource"]["timestamp"][:10] for answer in (fresh, stale)]
    assert stamps == [NOW.date().isoformat(), (NOW - timedelta(days=30)).date().isoformat()]


@pytest.mark.parametrize(
    ("seconds", "status"),
    [
        pytest.param(0, 401, id="five-minutes-ahead"),
        pytest.param(61, 401, id="ahead-of-its-end"),
        pytest.param(30, 200, id="a-little-ahead"),
        pytest.param(-30, 200, id="a-little-behind"),
        pytest.param(60, 401, id="ahead-to-its-very-end"),
        pytest.param(-60, 200, id="behind-by-what-two-clocks-may-differ"),
        pytest.param(-61, 401, id="behind-its-beginning"),
    ],
)
async def test_a_wrong_clock_refuses_by_how_wrong_it_is(seconds: float, status: int) -> None:
    one = source("Flag")
    one.faults.switch(fault("clock-skew", seconds))
    assert (await ask(one, "Flag")).status_code == status
    assert [(line.fault, line.status) for line in one.log] == [("clock-skew", status)]
    one.faults.clear()
    assert (await ask(one, "Flag")).status_code == 200


async def metadata(one: SimulatedSystem) -> int:
    from source_sim.systems import app

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app(one)), base_url="https://gp.test") as web:
        return (await web.get("/fhir/metadata")).status_code


@pytest.mark.parametrize(
    ("leg", "statuses"),
    [
        pytest.param(None, (503, 503, 200), id="all-but-the-ping"),
        pytest.param("search", (503, 503, 200), id="every-search"),
        pytest.param("Flag", (503, 200, 200), id="one-type"),
        pytest.param("metadata", (200, 200, 503), id="the-ping"),
        pytest.param("$process-message", (200, 200, 200), id="messages"),
    ],
)
async def test_a_fault_holds_for_its_leg(leg: str | None, statuses: tuple[int, ...]) -> None:
    one = system(Kind.PHARMACY)
    one.faults.switch(fault("error"), leg)
    replies: list[Any] = [(await ask(one, kind)).status_code for kind in ("Flag", "AllergyIntolerance")]
    assert (*replies, await metadata(one)) == statuses
