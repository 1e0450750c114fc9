"""Does every sentinel behave in a country of the testbed as her row says? Every question, and a return message."""

from __future__ import annotations

import pytest

from source_sim.sentinel import Question, Sentinel
from source_sim.sentinels import SENTINELS
from source_sim.testbed import Answer, Patient, Requester, Switchpoint, open_country


def asker(country: Switchpoint, who: str) -> Requester:
    known = {
        "gp-post": country.gp_post,
        "emergency-department": country.emergency_department,
        "ambulance": country.ambulance,
    }
    return known[who]()


def asked(country: Switchpoint, question: Question, patient: Patient) -> Answer:
    if question.regime:
        country.regime.on(question.regime, until="+1h")
    return asker(country, question.requester).ask(question.category, patient)


def countries(row: Sentinel):
    """Each question in a country of its own where something is to go wrong: a source that failed often rests."""
    if not row.troubles:
        with open_country() as country:
            patient = country.sentinel(row.key)
            for question, wanted in row.answers.items():
                yield asked(country, question, patient), wanted
        return
    for question, wanted in row.answers.items():
        with open_country() as country:
            yield asked(country, question, country.sentinel(row.key)), wanted


@pytest.mark.parametrize("key", SENTINELS)
def test_a_sentinel_answers_as_her_row_says(key: str) -> None:
    for came, wanted in countries(SENTINELS[key]):
        if wanted.status != 200:
            came.expect(status=wanted.status, code=wanted.code)
            continue
        came.expect(
            status=200,
            completeness=wanted.completeness,
            sources=[one.key for one in wanted.sources],
            flags=set(wanted.flags),
        )
        told = {(one.source, one.code) for one in came.outcomes}
        assert told == {(one.key, code) for one, code in wanted.missing}, came.why


@pytest.mark.parametrize("key", SENTINELS)
def test_her_return_message_ends_as_her_row_says(key: str) -> None:
    with open_country() as country:
        sent = country.gp_post().send_return(country.sentinel(key))
        country.deliver()
        wanted = SENTINELS[key].returned
        assert sent.state in {wanted, {"requested": "in-progress"}.get(wanted)}, sent.reason


def test_a_key_that_is_no_sentinel_is_told_with_those_that_are() -> None:
    with open_country() as country, pytest.raises(KeyError, match="all-open"):
        country.sentinel("all-opened")
