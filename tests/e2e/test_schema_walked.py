"""Does the exchange answer as its own OpenAPI document says, whatever is sent? Schemathesis over mutual TLS.

Good and broken requests of every operation, with a fresh token of a practice and of a covering GP: no 5xx but those the
document names for missing sources, no status, media type or shape it does not describe.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from running_country import Country, Visit
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from source_sim import country as cast
from source_sim import custodians, requesters

CASES = 7
SOAKED = 400
BSN = requesters.NAMING + "bsn|"
HELD = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


class Walk:
    """The document and a caller's papers; a token is asked anew before it ends."""

    def __init__(self, country: Country) -> None:
        self._country, self._made = country, country.made
        self._patient = country.patient()
        self._tokens: dict[str, str] = {}
        self._until = 0.0
        self._session = requests.Session()
        self._session.trust_env = False
        described = self.got("/openapi.json", cast.GP)
        assert described.status_code == 200
        self.schema = schemathesis.openapi.from_dict(described.json())

    def papers(self, who: cast.Participant) -> dict[str, Any]:
        folder = self._made.folder(who)
        return {"cert": (str(folder / "client.pem"), str(folder / "client.key")), "verify": str(folder / "ca.pem")}

    def got(self, path: str, who: cast.Participant) -> requests.Response:
        return self._session.get(self._made.exchange + path, timeout=10, **self.papers(who))

    def caller(self, operation: str) -> cast.Participant:
        custodian = any(word in operation for word in ("List", "Consent", "batch", "AuditEvent"))
        return cast.GP if custodian else cast.GP_POST

    def token(self, who: cast.Participant) -> str:
        if time.monotonic() > self._until:
            self._tokens = asyncio.run(self._fresh())
            self._until = time.monotonic() + 30
        return self._tokens[who.key]

    async def _fresh(self) -> dict[str, str]:
        visit = Visit(self._country)
        try:
            custodian = await visit.custodian(cast.GP).token(patient=self._patient)
            return {cast.GP.key: custodian, cast.GP_POST.key: await visit.token(self._patient)}
        finally:
            await visit.leave()

    def deepen(self, case: Any, operation: str) -> None:
        """What is drawn names nobody this token is for, and no whole resource: fill in what lets it come further."""
        own = requesters.bsn_token(self._patient)
        if isinstance(case.body, dict) and operation.startswith("search-"):
            case.body = {name: own if str(value).startswith(BSN) else value for name, value in case.body.items()}
        elif operation in ("create-List", "create-Consent"):
            whole = custodians.entry(
                self._patient, "gp-summary", ura=cast.GP.ura, application=cast.GP.application, at=datetime.now(UTC)
            )
            stated = custodians.consent(self._patient, custodians.Choice(custodian=cast.GP.ura))
            case.body = {**(whole if operation == "create-List" else stated), **case.body}

    def hold(self, case: Any, operation: str) -> None:
        who = self.caller(operation)
        headers = {"Authorization": f"Bearer {self.token(who)}"}
        response = case.call(
            base_url=self._made.exchange + "/fhir", headers=headers, session=self._session, **self.papers(who)
        )
        case.validate_response(response, checks=[CHECKS.get_one(name) for name in HELD])


@pytest.fixture(scope="module")
def walk(country: Country) -> Walk:
    return Walk(country)


def walker(walk: Walk, operation: Any, mode: GenerationMode, cases: int) -> Callable[[], None]:
    @settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def walked(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            walk.deepen(case, operation.definition.raw["operationId"])
        walk.hold(case, operation.definition.raw["operationId"])

    return walked


@pytest.mark.xdist_group("country")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as-described", "broken"])
def test_every_operation_answers_as_described(walk: Walk, mode: GenerationMode, soak: bool) -> None:
    walked = 0
    for found in walk.schema.get_all_operations():
        walker(walk, found.ok(), mode, SOAKED if soak else CASES)()
        walked += 1
    assert walked > 25
