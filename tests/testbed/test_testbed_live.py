"""Is a country in process the same as one on sockets? The same faults, the same outcomes, the same journal."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator

import httpx
import pytest

from source_sim.testbed import Answer, Switchpoint, open_country

FAULTS: dict[str, dict] = {
    "none": {},
    "slow": {"seconds": 30},
    "down": {},
    "blackhole": {},
    "stall": {},
    "drip": {},
    "reset": {},
    "lost-reply": {},
    "refusing": {},
    "rejecting": {},
    "busy": {"seconds": 5},
    "error": {},
    "redirect": {},
    "clock-skew": {"seconds": 600},
    "garbage": {},
    "truncated": {},
    "duplicate-keys": {},
    "deep": {},
    "unknown-type": {},
    "wrong-type": {},
    "wrong-patient": {},
    "paging": {},
    "empty": {},
    "withheld": {},
    "no-consent": {},
    "expired-certificate": {},
    "wrong-certificate": {},
    "foreign-certificate": {},
    "revoked-certificate": {},
}
"""The catalogue, without the two that only weigh more."""


SOME = ("none", "slow", "down", "lost-reply", "busy", "truncated", "paging", "no-consent", "wrong-certificate")


def played(country: Switchpoint, names: Iterable[str]) -> Iterator[tuple[str, Answer]]:
    """One practice for every fault, so that none that failed too often is spared the next."""
    post = country.gp_post()
    for name in names:
        how = FAULTS[name]
        gp = country.gp_practice(f"Test {name}")
        patient = country.patient(name, gp=gp)
        if name != "none":
            assert gp.faults is not None
            gp.faults.set(name, **how)
        yield name, post.ask("gp-summary", patient, wait=1)


def told(answer: Answer) -> tuple[object, ...]:
    outcomes = tuple(sorted(one.code for one in answer.outcomes))
    details = [leg.get("detail") for line in answer.transcript for leg in line.fields.get("legs") or ()]
    return answer.status, answer.code, answer.completeness, outcomes, answer.total, answer.decision.outcome, details


@pytest.mark.parametrize("names", [SOME, pytest.param(tuple(FAULTS), marks=pytest.mark.wide)], ids=["some", "all"])
def test_every_fault_gives_the_same_outcome_in_process_and_on_sockets(names: tuple[str, ...]) -> None:
    with open_country() as country:
        in_process = {name: told(answer) for name, answer in played(country, names)}
    with open_country(live=True) as country:
        live = {name: told(answer) for name, answer in played(country, names)}
    assert in_process == live
    assert in_process["none"][:3] == (200, "", "complete")
    assert in_process["slow"][:2] == (504, "timed-out")
    assert {in_process[name][1] for name in ("down", "wrong-certificate")} == {"unreachable"}


def test_a_live_country_answers_at_its_addresses() -> None:
    with open_country(live=True) as country:
        gp, post = country.gp_practice(), country.gp_post()
        anna = country.patient("anna", gp=gp)
        assert post.ask("gp-summary", anna).total == 1
        assert httpx.get(country.desk_url + "/health/live", trust_env=False).status_code == 200
        join = post.join
        context = ssl.create_default_context(cafile=join["ca"])
        context.load_cert_chain(join["certificate"], join["key"])
        with httpx.Client(verify=context, trust_env=False) as client:
            assert client.get(country.url + "/fhir/metadata").status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(country.url + "/fhir/metadata", verify=ssl.create_default_context(cafile=join["ca"]))
        sent = post.send_return(anna)
        country.deliver()
        sent.expect("completed")
        gp.faults.set("down")
        late = post.send_return(anna)
        country.wait(minutes=2)
        assert late.state == "in-progress"
        gp.faults.clear()
        country.wait(minutes=2)
        late.expect("completed")
    with pytest.raises(httpx.TransportError):
        httpx.get(country.desk_url + "/health/live", trust_env=False)
