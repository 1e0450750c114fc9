"""Does the OpenAPI document describe what is offered, and nothing else? And are the national words for data read?"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from gateway.fhir import bodies
from gateway.fhir.catalogue import REGISTRY, match
from gateway.fhir.codes import NATIONAL_CATEGORIES, NATIONAL_WORDS
from gateway.fhir.openapi import openapi
from gateway.fhir.refusal import BadRequest
from source_sim import custodians

BSN = "999900006"


@pytest.mark.parametrize("simulation", [True, False])
def test_every_offered_interaction_and_no_other_is_described(simulation: bool) -> None:
    told = openapi(url="https://exchange.test/fhir", version="1", simulation=simulation)
    described = {(method.upper(), path.lstrip("/")) for path, methods in told["paths"].items() for method in methods}
    offered = {(one.method, one.template) for one in REGISTRY if simulation or not one.simulation_only}
    assert described == offered
    names = [one["operationId"] for methods in told["paths"].values() for one in methods.values()]
    assert len(set(names)) == len(names)
    assert json.dumps(told)
    for method, path in described:
        assert not isinstance(match(method, "/fhir/" + path.replace("{id}", "x")), str)


def named(system: str, code: str) -> bytes:
    made = custodians.entry(
        BSN, "gp-summary", ura="90000101", application="400101", at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    made["code"]["coding"] = [{"system": system, "code": code}]
    return json.dumps(made).encode()


@pytest.mark.parametrize(("word", "category"), NATIONAL_WORDS.items())
def test_the_national_words_are_read_where_they_are_published(word: str, category: str) -> None:
    assert bodies.entry(named(NATIONAL_CATEGORIES, word)).category is category


def test_a_word_of_another_system_is_no_category() -> None:
    with pytest.raises(BadRequest):
        bodies.entry(named("http://example.org/words", "ALERT"))
