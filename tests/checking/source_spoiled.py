"""How can a source be spoiled? Small pieces of ASGI around a good one, each with one thing wrong."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from source_checked import KNOWN, UNKNOWN, Network, Scope, Spoil, answering, searchset

Headers = dict[bytes, bytes]
Claims = dict[str, Any]


def entries(change: Any) -> Spoil:
    """Change the list of entries of every answer that holds something."""

    def changed(bundle: Any) -> Any:
        entries = copy.deepcopy(bundle["entry"])
        change(entries)
        return bundle | {"entry": entries, "total": sum(one["search"]["mode"] == "match" for one in entries)}

    return searchset(changed)


def without_patient(entries: list[Any]) -> None:
    for entry in entries:
        if entry["search"]["mode"] == "match":
            entry["resource"].pop("patient", entry["resource"].pop("subject", None))


def floating(bundle: Any) -> bytes:
    """Every decimal once more, after a sum in floating point."""
    return re.sub(rb"(?<=[0-9])\.([0-9]+)(?=[,}])", rb".\g<1>0000000000000004", json.dumps(bundle).encode())


def repeated_name(bundle: Any) -> bytes:
    return json.dumps(bundle).replace('{"', '{"total": 1, "', 1).encode()


def silent_statement(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    return status, headers, body.replace(b'"MedicationStatement"', b'"Slot"') if b"fhirVersion" in body else body


def rounded(bundle: Any) -> Any:
    return json.loads(json.dumps(bundle), parse_float=float)


def bsn_in_link(bundle: Any) -> Any:
    return bundle | {"link": [{"relation": "self", "url": f"https://x.test/fhir/Flag?patient={KNOWN}"}]}


def paging(bundle: Any) -> Any:
    return bundle | {"link": [{"relation": "next", "url": "https://x.test/fhir/_page/1"}]}


def not_found(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    empty = status == 200 and b"searchset" in body and b'"entry"' not in body
    return (404, headers, body) if empty else (status, headers, body)


def html(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    found = status == 200 and scope["path"].endswith("_search")
    return status, headers | ({b"content-type": b"text/html"} if found else {}), body


def html_refusals(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    if status < 400 or b"withheld" in body:
        return status, headers, body
    return status, headers | {b"content-type": b"text/html"}, b"<h1>no</h1>"


def mute(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    return status, {name: value for name, value in headers.items() if name != b"aorta-id"}, body


def other_chain(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    constant = b"initialRequestID=00000000-0000-4000-8000-000000000000; requestID=00000000-0000-4000-8000-000000000001"
    return status, headers | {b"aorta-id": constant}, body


def bare_403(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    return status, headers, body.replace(b'"withheld"', b'"forbidden"')


def old_fhir(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    return status, headers, body.replace(b'"fhirVersion": "4.0.1"', b'"fhirVersion": "3.0.2"')


def taken_as_200(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    return (200 if scope["path"].endswith("process-message") and status in (400, 422) else status), headers, body


def broken_for_the_known(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    found = "MedicationRequest" in scope["path"] and status == 200 and b'"entry"' in body
    return (500 if found else status), headers, body


def broken_for_other_types(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    return (500 if "/Slot/" in scope["path"] else status), headers, body


def broken_for_long_messages(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    length = int(dict(scope["headers"]).get(b"content-length", b"0"))
    return (500 if scope["path"].endswith("process-message") and length > 100_000 else status), headers, body


def takes_nothing(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
    return (503 if scope["path"].endswith("process-message") and status == 200 else status), headers, body


def unheard_of(entries: list[Any]) -> None:
    entries.append({"resource": {"resourceType": "Zonderling", "id": "z"}, "search": {"mode": "include"}})


def conflict(application: Any) -> Any:
    """A receiver that calls a repeat a conflict."""
    seen: set[bytes] = set()

    async def spoiled(scope: Any, receive: Any, send: Any) -> None:
        body = await _whole(receive)
        fresh = body not in seen

        async def kept(message: Any) -> None:
            if message["type"] == "http.response.start" and scope["path"].endswith("process-message"):
                if message["status"] == 200 and not fresh:
                    message = message | {"status": 409}
                elif message["status"] == 200:
                    seen.add(body)
            await send(message)

        await application(scope, _again(body), kept)

    return spoiled


async def _whole(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def _again(body: bytes) -> Any:
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        return parts.pop() if parts else await asyncio.Event().wait()

    return receive


def forgetful(application: Any) -> Any:
    """A receiver that takes every message anew: the ids are made its own first."""
    count = iter(range(10_000))

    async def spoiled(scope: Any, receive: Any, send: Any) -> None:
        body = await _whole(receive)
        if scope["path"].endswith("process-message"):
            found = re.search(rb'"resourceType":\s*"MessageHeader",\s*"id":\s*"([0-9a-f-]{36})"', body)
            body = body.replace(found[1], b"%08d" % next(count) + found[1][8:]) if found else body
        await application(scope, _again(body), send)

    return spoiled


def reading_form(change: Any) -> Spoil:
    """Change the form before the source reads it: it then seems not to care for what was changed."""

    def spoil(application: Any) -> Any:
        async def spoiled(scope: Any, receive: Any, send: Any) -> None:
            body = await _whole(receive)
            if scope["path"].endswith("_search") and scope["method"] == "POST" and len(body) < 10_000:
                body = urlencode(change(parse_qsl(body.decode()), scope["path"])).encode()
            await application(scope, _again(body), send)

        return spoiled

    return spoil


def ignoring(form: list[tuple[str, str]], path: str) -> list[tuple[str, str]]:
    return [pair for pair in form if not pair[0].startswith("x-check")]


def everybody(form: list[tuple[str, str]], path: str) -> list[tuple[str, str]]:
    """Without a patient in the form, the last one is meant."""
    name = "composition.patient.identifier" if "/Bundle/" in path else "patient.identifier"
    patient = (name, f"http://fhir.nl/fhir/NamingSystem/bsn|{KNOWN}")
    return form if any("identifier" in pair[0] for pair in form) else [patient, *form]


def get_too(application: Any) -> Any:
    async def spoiled(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "GET" and not scope["path"].endswith("metadata"):
            body = b'{"resourceType":"Bundle","type":"searchset"}'
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})
        else:
            await application(scope, receive, send)

    return spoiled


def falling_over(application: Any) -> Any:
    """A server that answers 500 to what is far too large."""

    def change(scope: Scope, status: int, headers: Headers, body: bytes) -> Any:
        return (500 if status == 413 else status), headers, body

    return answering(change)(application)


def slow(seconds: float) -> Spoil:
    def spoil(application: Any) -> Any:
        async def spoiled(scope: Any, receive: Any, send: Any) -> None:
            if "MedicationDispense" in scope["path"]:
                await asyncio.sleep(seconds)
            await application(scope, receive, send)

        return spoiled

    return spoil


def privacy(entries: list[Any]) -> None:
    for entry in entries:
        if entry["resource"]["resourceType"] == "Consent":
            entry["resource"]["scope"]["coding"][0]["code"] = "patient-privacy"


def twice(entries: list[Any]) -> None:
    entries.append(copy.deepcopy(entries[0]))


def stranger_in(entries: list[Any]) -> None:
    number = {"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": UNKNOWN}
    patient = {"resourceType": "Patient", "id": "somebody", "identifier": [number]}
    entries.append(
        {"fullUrl": "https://x.test/fhir/Patient/somebody", "resource": patient, "search": {"mode": "include"}}
    )


def all_match(entries: list[Any]) -> None:
    for entry in entries:
        entry["search"]["mode"] = "match"


def believing(network: Network, change: Callable[[Claims, bool, str], Claims | None]) -> Spoil:
    """A source that takes vouchers which it should not: `change` gives the claims it believes, from those it got,
    whether the signature was good, and the BSN in the form; None leaves the voucher as it came."""

    def spoil(application: Any) -> Any:
        async def spoiled(scope: Any, receive: Any, send: Any) -> None:
            body = await _whole(receive)
            headers = dict(scope["headers"])
            token = headers.get(b"authorization", b"").decode().removeprefix("Bearer ")
            believed = (
                change(claims_of(token), _verifies(network, token), _bsn(body)) if token.count(".") == 2 else None
            )
            if believed is not None:
                fresh = jwt.encode({"alg": "ES256", "kid": "the-tests"}, believed, network.pen.key)
                headers[b"authorization"] = f"Bearer {fresh}".encode()
            await application({**scope, "headers": list(headers.items())}, _again(body), send)

        return spoiled

    return spoil


def claims_of(token: str) -> Claims:
    part = token.split(".")[1]
    found: Claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def _verifies(network: Network, token: str) -> bool:
    try:
        jwt.decode(token, network.pen.key, algorithms=["ES256"])
    except (JoseError, ValueError):
        return False
    return True


def _bsn(body: bytes) -> str:
    found = re.search(rb"bsn%7C([0-9]{9})", body)
    return found[1].decode() if found else ""


def any_signature(claims: Claims, good: bool, _: str) -> Claims | None:
    return None if good else claims


def any_time(claims: Claims, good: bool, _: str) -> Claims | None:
    return claims | {"exp": int(datetime.now(UTC).timestamp()) + 60} if good else None


def any_audience(claims: Claims, good: bool, _: str) -> Claims | None:
    return claims | {"aud": "400101"} if good else None


def any_patient(claims: Claims, good: bool, asked: str) -> Claims | None:
    return claims | {"patient": asked} if good and asked else None


def no_voucher(network: Network) -> Spoil:
    """A source that does not ask for a voucher at all, but verifies one that comes."""

    def spoil(application: Any) -> Any:
        async def spoiled(scope: Any, receive: Any, send: Any) -> None:
            body, headers = await _whole(receive), dict(scope["headers"])
            if headers.get(b"authorization", b"").count(b".") != 2 and _bsn(body):
                now = int(datetime.now(UTC).timestamp())
                claims = {"iss": "https://exchange.test", "aud": "400101", "iat": now, "exp": now + 60}
                claims |= {"patient": _bsn(body), "requester": "90000301", "rule": "REG-2"}
                fresh = jwt.encode({"alg": "ES256", "kid": "the-tests"}, claims, network.pen.key)
                headers[b"authorization"] = f"Bearer {fresh}".encode()
            await application({**scope, "headers": list(headers.items())}, _again(body), send)

        return spoiled

    return spoil


def outdated(network: Network) -> dict[str, Any]:
    """TLS options of a listener that still speaks TLS 1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1_1
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(network.folder / "source.pem", network.folder / "source.key")
    context.load_verify_locations(network.folder / "ca.pem")
    return {"ssl_context_factory": lambda config, default: context}
