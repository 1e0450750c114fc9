"""Can a system that nobody here wrote take part? It joins, registers, and its bytes reach the GP post as they are."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from outside_source import OutsideClient, OutsideSource, consent, entry
from running_country import Visit

from gateway.cli.ports import free_port
from source_sim.country import GP_POST, SECOND_GP
from source_sim.population import is_bsn
from source_sim.requesters import Ask, System

pytestmark = pytest.mark.xdist_group("country")

URA, APPLICATION = "90000911", "400911"
_OUTSIDERS = (str(number) for number in range(999_950_000, 1_000_000_000) if is_bsn(str(number)))


def document(bsn: str) -> str:
    """A summary as a stranger writes it: blanks, 0.10, escapes, and keys in an order of its own."""
    return (
        '{ "type" :"document",\t"id":"van-buiten-1" , "timestamp":"2026-11-20T08:00:00+01:00",\n'
        '  "entry":[ {"fullUrl":"urn:uuid:7c9f2a5e-2c55-4a11-9a0e-1d2f3b4c5d6e","resource":'
        '{"status":"final","resourceType" : "Composition", "title":"Samenvatting \\u00e9\\u00e9n \\/ twee",'
        '"type":{"coding":[{"code":"60591-5","system":"http://loinc.org"}]},'
        '"subject":{"reference":"urn:uuid:0b8e6d1c-6f0e-4f57-8a53-9a7d4c3b2a10"},'
        '"date":"2026-11-20T08:00:00+01:00","author":[{"display":"Test"}],'
        '"section":[{"title":"Metingen","entry":[{"reference":"urn:uuid:5f1d3e7a-93c8-4d0b-8b47-6e2a1c0f9d88"}]}]}},\r\n'
        '   {"resource":{"identifier":[{"value":"' + bsn + '","system":"http://fhir.nl/fhir/NamingSystem/bsn"}],'
        '"resourceType":"Patient"},"fullUrl":"urn:uuid:0b8e6d1c-6f0e-4f57-8a53-9a7d4c3b2a10"},'
        '{"fullUrl":"urn:uuid:5f1d3e7a-93c8-4d0b-8b47-6e2a1c0f9d88","resource":{"valueQuantity":'
        '{"unit":"mmol\\/L","value": 0.10 },"code":{"text":"Bilirubine \\ud83e\\uddea"},"status":"final",'
        '"subject":{"reference":"urn:uuid:0b8e6d1c-6f0e-4f57-8a53-9a7d4c3b2a10"},"resourceType":"Observation"}} ] ,'
        '"identifier":{"system":"urn:ietf:rfc:3986","value":"urn:uuid:1e0d9c8b-7a69-4857-b645-342312f0e1d2"}'
        ',"resourceType":"Bundle"   }'
    )


def searchset(documents: list[str]) -> bytes:
    entries = ",".join(f' {{ "search" : {{"mode":"match"}} , "resource":{one}}}' for one in documents)
    return f'{{"total":{len(documents)}, "entry":[{entries}],\n"resourceType":"Bundle","type":"searchset"}}\n'.encode()


async def switchpoint(*words: str, cwd: Path) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *words, cwd=cwd,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest_asyncio.fixture
async def joined(visit: Visit, tmp_path: Path) -> AsyncIterator[tuple[OutsideSource, OutsideClient]]:
    """A practice from outside that has joined by the command line and serves."""
    source, folder = OutsideSource(free_port()), tmp_path / "joined"
    code, out, err = await switchpoint(
        "join", "--ura", URA, "--type", "Z3", "--name", "Test Praktijk van Buiten", "--app-id", APPLICATION,
        "--endpoint", source.endpoint, "--out", str(folder), "--running", visit.country.running, cwd=tmp_path,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "joined" in out
    source.start(folder)
    try:
        yield source, OutsideClient(folder)
    finally:
        source.stop()


async def enter(client: OutsideClient, bsn: str, at: str) -> None:
    status, body = await asyncio.to_thread(client.create, "Consent", consent(bsn, URA))
    assert status == 201, body
    status, body = await asyncio.to_thread(client.create, "List", entry(bsn, URA, APPLICATION, "gp-summary", at))
    assert status == 201, body


async def test_its_bytes_arrive_unchanged(visit: Visit, joined: tuple[OutsideSource, OutsideClient]) -> None:
    source, client = joined
    bsn, at = next(_OUTSIDERS), (await visit.now()).isoformat()
    await enter(client, bsn, at)
    source.page = (200, "application/fhir+json; charset=utf-8", searchset([document(bsn)]))
    reply = await visit.ask("gp-post", Ask.GP_SUMMARY, bsn)
    assert (reply.status, reply.completeness, set(reply.sources)) == (200, "complete", {URA})
    assert document(bsn).encode() in reply.body
    (seen,) = source.asked
    assert seen["path"] == "/r4/van-buiten/Bundle/_search"
    assert bsn not in seen["path"]
    assert seen["form"]["composition.patient.identifier"] == [f"http://fhir.nl/fhir/NamingSystem/bsn|{bsn}"]
    voucher = seen["voucher"]
    assert (voucher["aud"], voucher["patient"], voucher["requester"]) == (APPLICATION, bsn, GP_POST.ura)
    assert (voucher["rule"], voucher["view"], voucher["actor"]["role"]) == ("REG-1", "covering", "01.015")
    assert reply.aorta_id.split(";")[0] == seen["chain"].split(";")[0]
    assert reply.aorta_id != seen["chain"]


async def test_two_strangers_documents_and_a_known_practice_stand_side_by_side(
    visit: Visit, joined: tuple[OutsideSource, OutsideClient]
) -> None:
    source, client = joined
    bsn = visit.country.patient()
    await enter(client, bsn, (await visit.now()).isoformat())
    await visit.enter(SECOND_GP, bsn, "gp-summary")
    other = document(bsn).replace("van-buiten-1", "van-buiten-2").replace(" 0.10 ", "1.50")
    source.page = (200, "application/json", searchset([document(bsn), other]))
    reply = await visit.ask("gp-post", Ask.GP_SUMMARY, bsn)
    assert (len(reply.matches), set(reply.sources)) == (3, {URA, SECOND_GP.ura})
    assert all(one.encode() in reply.body for one in (document(bsn), other))
    urls = [one.get("fullUrl") for one in reply.json["entry"]]
    assert len(set(urls)) == len(urls) == 3


async def test_somebody_else_s_document_is_never_let_through(
    visit: Visit, joined: tuple[OutsideSource, OutsideClient]
) -> None:
    source, client = joined
    bsn, somebody = next(_OUTSIDERS), next(_OUTSIDERS)
    await enter(client, bsn, (await visit.now()).isoformat())
    source.page = (
        200,
        "application/fhir+json",
        searchset([document(bsn), document(somebody).replace("van-buiten-1", "van-buiten-2")]),
    )
    reply = await visit.ask("gp-post", Ask.GP_SUMMARY, bsn)
    assert (reply.status, reply.code) == (502, "wrong-patient")
    assert somebody.encode() not in reply.body
    assert b"Composition" not in reply.body


async def test_it_is_live_within_two_seconds_of_joining(visit: Visit, tmp_path: Path) -> None:
    """Join once more with a new system; the clock starts when the command is done."""
    folder = tmp_path / "later"
    code, _, err = await switchpoint(
        "join", "--ura", "90000912", "--type", "N6", "--name", "Test Post van Buiten", "--app-id", "400912",
        "--out", str(folder), "--running", visit.country.running, cwd=tmp_path,
    )  # fmt: skip
    assert (code, err) == (0, "")
    began, client = time.monotonic(), OutsideClient(folder)
    status, _ = await asyncio.to_thread(client.call, "GET", client.told["fhir"] + "/metadata", b"", {})
    assert status == 200
    assert await asyncio.to_thread(client.token)
    assert time.monotonic() - began < 2.0


async def test_a_source_that_keeps_failing_is_left_alone_and_probed_after_ten_seconds(
    visit: Visit, joined: tuple[OutsideSource, OutsideClient]
) -> None:
    """The breaker: opens after five failures; then nobody asks until one probe does. One connection is one worker."""
    source, client = joined
    bsn, system = visit.country.patient(), visit.another(GP_POST)
    await enter(client, bsn, (await visit.now()).isoformat())
    token = await visit.token(bsn, system=system)
    source.page = (503, "text/plain", b"later")
    for _ in range(5):
        assert (await visit.search(bsn, token, system=system)).code == "refused"
    asked = len(source.asked)
    opened = time.monotonic()
    for _ in range(3):
        reply = await visit.search(bsn, token, system=system)
        assert (reply.status, reply.code) == (502, "unreachable")
    assert len(source.asked) == asked == 5
    source.page = (200, "application/fhir+json", searchset([document(bsn)]))
    await _idle(system, opened + 9.0)
    assert (await visit.search(bsn, token, system=system)).code == "unreachable"
    assert len(source.asked) == 5
    await _idle(system, opened + 10.3)
    reply = await visit.search(bsn, token, system=system)
    assert (reply.status, len(reply.matches)) == (200, 1)
    assert len(source.asked) == 6


async def _idle(system: System, until: float) -> None:
    """Wait, with the connection in use: a client drops one that lies idle, and the next may be the other worker's."""
    while (left := until - time.monotonic()) > 0:
        await asyncio.sleep(min(left, 1.0))
        assert (await system.call("GET", "/metadata")).status == 200
