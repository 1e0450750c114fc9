"""Do FHIR clients written by others find their way? Each reads the metadata, registers, asks and sends.

fhirpy, fhirclient and fhir-kit-client over mutual TLS, used as they come and by their documented settings; only the
token is asked for beside them, as none of them knows RFC 8705.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from fhirclient import server as fhirclient_server
from fhirclient.models.consent import Consent
from fhirclient.models.list import List
from fhirpy import AsyncFHIRClient
from node_at_hand import NODE, node
from running_country import Visit, tls_of, within

from source_sim import cases, messages, population, requesters
from source_sim import country as cast
from source_sim.custodians import Choice, consent, entry
from source_sim.messages import Occasion
from source_sim.requesters import NAMING, Ask
from source_sim.senders import read_task

pytestmark = pytest.mark.xdist_group("country")

ASKED = requesters.SEARCHES[Ask.GP_SUMMARY][0]


async def registered(visit: Visit, bsn: str) -> dict[str, Any]:
    """The List our practice sends, as a plain dictionary."""
    return entry(bsn, "gp-summary", ura=cast.GP.ura, application=cast.GP.application, at=await visit.now())


def question(bsn: str) -> dict[str, str]:
    return {ASKED.patient: f"{NAMING}bsn|{bsn}", **dict(ASKED.others)}


async def return_message(visit: Visit, bsn: str) -> dict[str, Any]:
    now = await visit.now()
    person = population.person(bsn, now.date())
    occasion = Occasion(str(uuid4()), now, person, cast.GP_POST, requesters.gp_post, cases.CYSTITIS)
    made: dict[str, Any] = json.loads(messages.return_message(occasion))
    return made


async def delivered(visit: Visit, task: str) -> bool:
    async def ended() -> bool:
        return (await read_task(visit.system(cast.GP_POST), task)).json.get("status") == "completed"

    return await within(20, ended)


def fhirpy_of(visit: Visit, who: cast.Participant, token: str | None, **more: Any) -> AsyncFHIRClient:
    made = visit.country.made
    return AsyncFHIRClient(
        made.exchange + "/fhir",
        authorization=f"Bearer {token}" if token else None,
        aiohttp_config={"ssl": tls_of(made.folder(who)), **more},
    )


async def test_fhirpy(visit: Visit) -> None:
    bsn = visit.country.patient()
    metadata = await fhirpy_of(visit, cast.GP, None).execute("metadata", method="get")
    assert (metadata["resourceType"], metadata["fhirVersion"]) == ("CapabilityStatement", "4.0.1")

    practice = fhirpy_of(visit, cast.GP, await visit.custodian(cast.GP).token())
    stated = practice.resource("Consent", **consent(bsn, Choice(custodian=cast.GP.ura)))
    held = practice.resource("List", **await registered(visit, bsn))
    await stated.save()
    await held.save()
    assert (await practice.get("List", held.id))["code"]["coding"][0]["code"] == "gp-summary"
    assert (await practice.get("Consent", stated.id))["status"] == "active"
    await visit.register(cast.GP, bsn, "enrolment")

    token = await visit.token(bsn)
    found = await fhirpy_of(visit, cast.GP_POST, token, data=question(bsn)).execute("Bundle/_search")
    assert (found["type"], found["total"]) == ("searchset", 1)
    assert found["entry"][0]["resource"]["type"] == "document"

    message = await return_message(visit, bsn)
    task = await fhirpy_of(visit, cast.GP_POST, await visit.token(bsn)).execute("$process-message", data=message)
    assert task["resourceType"] == "Task"
    assert await delivered(visit, task["id"])


def fhirclient_of(visit: Visit, who: cast.Participant, token: str | None) -> fhirclient_server.FHIRServer:
    made = visit.country.made
    server = fhirclient_server.FHIRServer(None, base_uri=made.exchange + "/fhir")
    folder = made.folder(who)
    server.session.trust_env = False
    server.session.cert = (str(folder / "client.pem"), str(folder / "client.key"))
    server.session.verify = str(folder / "ca.pem")
    if token:
        server.session.headers["Authorization"] = f"Bearer {token}"
    return server


async def test_fhirclient(visit: Visit) -> None:
    bsn = visit.country.patient()
    metadata = fhirclient_of(visit, cast.GP, None).capabilityStatement
    assert metadata.fhirVersion == "4.0.1"
    assert {one.type for one in metadata.rest[0].resource} >= {"List", "Consent", "Bundle", "Task"}

    practice = fhirclient_of(visit, cast.GP, await visit.custodian(cast.GP).token())
    assert Consent(consent(bsn, Choice(custodian=cast.GP.ura))).create(practice)["resourceType"] == "Consent"
    held = List(await registered(visit, bsn)).create(practice)
    assert List.read(held["id"], practice).code.coding[0].code == "gp-summary"
    await visit.register(cast.GP, bsn, "enrolment")

    post = fhirclient_of(visit, cast.GP_POST, await visit.token(bsn))
    found = post.post_as_form(post.base_uri + "Bundle/_search", question(bsn)).json()
    assert (found["type"], found["total"]) == ("searchset", 1)

    post = fhirclient_of(visit, cast.GP_POST, await visit.token(bsn))
    accepted = post.post_json("$process-message", await return_message(visit, bsn))
    assert accepted.status_code == 202
    assert await delivered(visit, accepted.json()["id"])


async def test_fhir_kit_client(visit: Visit) -> None:
    program, made, bsn = node(), visit.country.made, visit.country.patient()
    await visit.register(cast.GP, bsn, "enrolment")
    post = {"token": await visit.token(bsn), "second": await visit.token(bsn)}
    told = {
        "base": made.exchange + "/fhir",
        "practice": {"folder": str(made.folder(cast.GP)), "token": await visit.custodian(cast.GP).token()},
        "post": {"folder": str(made.folder(cast.GP_POST)), **post},
        "consent": consent(bsn, Choice(custodian=cast.GP.ura)),
        "list": await registered(visit, bsn),
        "search": question(bsn),
        "message": await return_message(visit, bsn),
    }
    pipe = asyncio.subprocess.PIPE
    run = await asyncio.create_subprocess_exec(program, "fhir_kit.mjs", cwd=NODE, stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = await run.communicate(json.dumps(told).encode())
    assert run.returncode == 0, err.decode()
    got = json.loads(out)
    task = got.pop("task")
    assert got == {
        "fhirVersion": "4.0.1", "consent": "Consent", "held": "gp-summary", "total": 1, "document": "document",
    }  # fmt: skip
    assert await delivered(visit, task)
