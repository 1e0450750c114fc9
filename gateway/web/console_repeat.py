"""How does somebody else do this call again? The recorded call as a `curl` command and as a test to run.

The journal holds no patient's number and no content, so both take the number of a test person from the environment.
Only searches can be told again: what a message said is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.fhir.catalogue import DOCUMENT_PATIENT, PATIENT, REGISTRY, SUBJECT, Act, Interaction
from gateway.flows.retelling import Chain, Step
from gateway.rules.exchange import ORGANISATION_TYPES, Category
from gateway.rules.identifiers import BSN_SYSTEM
from gateway.rules.journal import Event, Json

_DECIDED = Event.QUERY_DECIDED, Event.QUERY_REFUSED, Event.LOCALISED
_SEARCHES = {one.name: one for one in REGISTRY if one.act is Act.SEARCH and one.method == "POST"}
_FIXED = {
    "Bundle": (("composition.type", "http://loinc.org|60591-5"),),
    "Consent": (("scope", "treatment,adr"),),
}


@dataclass(frozen=True, slots=True)
class Repeated:
    """The two texts, ready to be copied."""

    curl: str
    scenario: str


def repeated(chain: Chain, base: str) -> Repeated | None:
    """The chain's first search; None when it has none. `base` is the exchange's address."""
    step = next((one for one in chain.of(*_DECIDED) if one.seen.get("interaction") in _SEARCHES), None)
    if step is None:
        return None
    search = _SEARCHES[str(step.seen["interaction"])]
    return Repeated(_curl(step, search, base), _scenario(chain, step, search))


def _parameters(search: Interaction, seen: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Name and value, `{bsn}` where the patient's number goes. Optional ones were not recorded."""
    patient = next(one for one in search.parameters if one in (PATIENT, DOCUMENT_PATIENT, SUBJECT))
    told = [(patient.name, f"{BSN_SYSTEM}|{{bsn}}"), *_FIXED.get(search.resource_type or "", ())]
    if search.resource_type == "List" and seen.get("category") in set(Category):
        told.append(("code", str(seen["category"])))
    return told


def _curl(step: Step, search: Interaction, base: str) -> str:
    data = [
        f'  --data-urlencode "{name}={value.replace("{bsn}", "$BSN")}" \\'
        for name, value in _parameters(search, step.seen)
    ]
    return "\n".join(
        (
            f"# asked by a system of type {_type(step.seen)}; `switchpoint join --type … --out mine` makes one",
            'BSN="${SWITCHPOINT_BSN:?set it to the number of a test person}"',
            'TOKEN=$(switchpoint token --as ./mine --bsn "$BSN")',
            "curl --cacert mine/ca.pem --cert mine/client.pem --key mine/client.key \\",
            '  --header "Authorization: Bearer $TOKEN" \\',
            *data,
            f"  {base}/fhir/{search.template}",
            "",
        )
    )


def _type(seen: Mapping[str, Json]) -> str:
    """The organisation's type; what stands in a comment must be one of ours."""
    told = str(seen.get("organisation_type"))
    return told if told in ORGANISATION_TYPES else "unknown"


def _claims(seen: Mapping[str, Json]) -> dict[str, object]:
    """The claims as they were recorded; the number of the person and times are made anew."""
    told: dict[str, object] = {"sub": "000000001", "name": "Test Actor", "purpose": seen.get("purpose")}
    told |= {"role": seen.get("actor_role"), "cover": seen.get("cover"), "capacity": seen.get("capacity")}
    if seen.get("department"):
        told["department"] = seen["department"]
    if seen.get("responsible_role"):
        told["responsible"] = {"uzi": "000000002", "name": "Test Responsible", "role": seen["responsible_role"]}
    return {name: value for name, value in told.items() if value is not None}


def _expected(chain: Chain, step: Step) -> str:
    """What the answer must be: refused with this code, or an answer."""
    refusals = [one for one in chain.of(Event.QUERY_REFUSED) if one.request == step.request]
    if refusals:
        return f"assert answer.status_code == 403, answer.text\n    assert {_code(refusals[0])} in answer.text"
    if any(one.request == step.request for one in chain.of(Event.QUERY_FAILED)):
        return "assert answer.status_code in (502, 503, 504), answer.text"
    return "assert answer.status_code == 200, answer.text"


def _code(refusal: Step) -> str:
    return json.dumps(str(refusal.seen.get("reason")))


def _scenario(chain: Chain, step: Step, search: Interaction) -> str:
    seen = step.seen
    form = dict(_parameters(search, seen))
    return _SCENARIO.format(
        initial=chain.initial,
        kind=_type(seen),
        claims=_python(_claims(seen)),
        contact=repr(seen.get("contact_kind")),
        verbal=repr(bool(seen.get("attestation"))),
        template=search.template,
        form=_python(form).replace("{bsn}", "' + BSN + '"),
        expected=_expected(chain, step),
    )


def _python(value: Mapping[str, object]) -> str:
    """A dictionary as Python writes it, one entry on a line."""
    return "{\n" + "".join(f"    {name!r}: {one!r},\n" for name, one in value.items()) + "}"


_SCENARIO = '''"""Call {initial} again, as it was recorded. Needs httpx and joserfc; set SWITCHPOINT_JOINED to a folder
that `switchpoint join` made for an organisation of type {kind}, and SWITCHPOINT_BSN to a test person's number."""

import json
import os
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from time import time

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey

MINE = Path(os.environ["SWITCHPOINT_JOINED"])
BSN = os.environ["SWITCHPOINT_BSN"]
TOLD = json.loads((MINE / "join.json").read_text())
CLAIMS = {claims}
CONTACT, ASKED_ON_THE_SPOT = {contact}, {verbal}
FORM = {form}


def test_call_again():
    tls = httpx.create_ssl_context(verify=str(MINE / TOLD["ca"]), trust_env=False)
    tls.load_cert_chain(MINE / TOLD["certificate"], MINE / TOLD["key"])
    with httpx.Client(verify=tls, trust_env=False) as client:
        token = client.post(
            TOLD["token_endpoint"],
            data={{
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": assertion(domain_now()),
            }},
        ).json()["access_token"]
        answer = client.post(
            TOLD["fhir"] + "/{template}", data=FORM, headers={{"Authorization": "Bearer " + token}}
        )
    {expected}


def domain_now():
    clock = httpx.get(TOLD["desk"] + "/sim/clock", trust_env=False).json()
    return datetime.fromisoformat(clock["now"])


def assertion(now):
    wall = int(time())
    begun = (now - timedelta(hours=1)).isoformat()
    claims = {{**CLAIMS, "patient": BSN, "organisation": TOLD["ura"], "iss": TOLD["application"]}}
    claims |= {{"aud": TOLD["token_endpoint"], "iat": wall, "exp": wall + 60, "jti": str(uuid.uuid4())}}
    if CONTACT:
        claims["contact"] = {{"id": str(uuid.uuid4()), "kind": CONTACT, "start": begun}}
    if ASKED_ON_THE_SPOT:
        said = {{"id": str(uuid.uuid4()), "given_by": "patient", "at": now.isoformat(), "recorded_by": "Test Actor"}}
        claims["verbal_consent"] = said
    key = ECKey.import_key((MINE / TOLD["key"]).read_text())
    return jwt.encode({{"alg": "ES256", "typ": "JWT"}}, claims, key)
'''
