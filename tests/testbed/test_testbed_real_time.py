"""Can a system that reads its own clock take part in a country whose time leaps? Signed now is now, on both sides."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from uuid import uuid4

import fastapi
import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from source_sim.testbed import Switchpoint, open_country
from source_sim.testbed.own_client import Question

NEAR = 60
"""Seconds that two clocks may differ."""


@pytest.fixture
def country():
    with open_country() as opened:
        yield opened


def by_its_own_clock(question: Question, http: httpx.Client) -> httpx.Response:
    """A client that asks nobody what time it is."""
    now, join = int(time.time()), question.join
    envelope = {"iss": join["application"], "aud": join["token_endpoint"], "iat": now, "exp": now + 60}
    claims = {**envelope, "jti": str(uuid4()), "organisation": join["ura"], "patient": question.bsn, **question.claims}
    with open(join["key"], "rb") as file:
        assertion = jwt.encode({"alg": "ES256"}, claims, ECKey.import_key(file.read()))
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    token = http.post("/token", data=grant).raise_for_status().json()["access_token"]
    (path, form), *_ = question.searches
    return http.post(path, data=dict(form), headers={"Authorization": f"Bearer {token}"})


def strict(country: Switchpoint, seen: list[float]) -> fastapi.FastAPI:
    """A source that holds the voucher's times against its own clock, and takes messages."""
    app, keys = fastapi.FastAPI(), KeySet.import_key_set(country.jwks)

    @app.post("/fhir/{what:path}")
    async def take(request: fastapi.Request) -> fastapi.Response:
        claims = jwt.decode(request.headers["authorization"].removeprefix("Bearer "), keys).claims
        seen.append(claims["iat"] - time.time())
        empty = {"resourceType": "Bundle", "type": "searchset", "total": 0}
        return fastapi.Response(json.dumps(empty), media_type="application/fhir+json")

    return app


def test_a_client_that_reads_its_own_clock_gets_its_token(country: Switchpoint) -> None:
    gp = country.gp_practice()
    anna, post = country.patient("anna", gp=gp), country.gp_post(client=by_its_own_clock)
    post.ask("gp-summary", anna).expect(total=1)
    gp.faults.set("slow", seconds=30)
    for _ in range(9):
        post.ask("gp-summary", anna, wait=8)
    gp.faults.clear()
    country.wait(days=2)
    post.ask("gp-summary", anna).expect(total=1)


def test_a_voucher_is_of_this_moment_however_much_time_has_passed(country: Switchpoint) -> None:
    seen: list[float] = []
    gp = country.gp_practice(source=strict(country, seen))
    anna, post, before = country.patient("anna", gp=gp), country.gp_post(), country.clock.now
    post.ask("gp-summary", anna).expect(status=200)
    gp.faults.set("down", leg=None)
    sent = post.send_return(anna)
    country.wait(hours=1)
    gp.faults.clear()
    country.wait(days=2)
    sent.expect("completed")
    post.ask("gp-summary", anna).expect(status=200)
    assert country.clock.now - before >= timedelta(days=2)
    assert len(seen) == 3
    assert max(map(abs, seen)) < NEAR


def test_waiting_takes_no_time_beside_a_source_at_an_address(country: Switchpoint) -> None:
    country.gp_practice(source="https://localhost:9/fhir")
    before, began = country.clock.now, time.monotonic()
    country.wait(hours=3)
    assert timedelta(hours=3) <= country.clock.now - before < timedelta(hours=3, minutes=1)
    assert time.monotonic() - began < 10
