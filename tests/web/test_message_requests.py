"""What does a sender of messages get? 202 only for what is durable, the same Task for the same bytes, and no word of
anybody else's."""

from __future__ import annotations

import asyncio
import sqlite3
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from exchange_made import THEM, US, Exchange, Member, N, Reply, S
from fhir.resources.R4B.task import Task
from joserfc import jwk, jwt

from gateway.flows.operating import revoke
from gateway.rules.exchange import Address, AortaId, Situation
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.journal import Event
from gateway.rules.message import MessageEvent, Sender, State
from gateway.rules.sending import Leave, Sending
from gateway.rules.table import ROWS
from gateway.stores import enrolments, outbox
from gateway.stores.ledger import LedgerUnavailable

PLANTED_WORD = "oorsuizen"


def message(by: Member, patient: str = US, *, to: str | None = None, id: str | None = None) -> dict[str, Any]:
    """A return message, or a referral to a URA."""
    header: dict[str, Any] = {
        "resourceType": "MessageHeader",
        "id": id or str(uuid4()),
        "eventCoding": {"system": f"{S}CodeSystem/message-event", "code": "referral" if to else "return-message"},
        "sender": {"identifier": {"system": f"{N}ura", "value": by.ura}},
        "source": {"endpoint": "https://sender.test/fhir"},
        "focus": [{"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}],
    }
    if to:
        receiver = {"identifier": {"system": f"{N}ura", "value": to}}
        header["destination"] = [{"endpoint": "https://receiver.test/fhir", "receiver": receiver}]
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "18761-7"}]},
        "subject": {"identifier": {"system": f"{N}bsn", "value": patient}},
        "date": "2026-11-21T20:00:00+01:00",
        "author": [{"display": "Test Actor"}],
        "title": PLANTED_WORD,
    }
    return {
        "resourceType": "Bundle",
        "type": "message",
        "timestamp": "2026-11-21T20:00:00+01:00",
        "entry": [
            {"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000000", "resource": header},
            {"fullUrl": "urn:uuid:11111111-1111-4111-8111-111111111111", "resource": composition},
        ],
    }


async def post(exchange: Exchange, by: Member, what: Any, token: str | None = None, **more: Any) -> Reply:
    return await exchange.call(
        "POST", "/$process-message", by=by, token=token or await exchange.doctor(by), resource=what, **more
    )


async def read(exchange: Exchange, by: Member, id: str, token: str | None = None) -> Reply:
    return await exchange.call("GET", f"/Task/{id}", by=by, token=token or await exchange.token(by))


async def enrol(exchange: Exchange, practice: Member, patient: str = US) -> None:
    means, now = exchange.gateway.means, datetime.now(UTC)
    key = means.keys.patient(Bsn(patient))
    ura, system = Ura(practice.ura), ApplicationId(practice.application)
    await means.ledger.commit(lambda tx: enrolments.enrol(tx, key, ura, system, now.date() - timedelta(days=9), now))


def location(reply: Reply) -> str:
    assert reply.headers["location"].startswith("https://exchange.test/fhir/Task/")
    return reply.headers["location"].rpartition("/")[2]


async def counts(exchange: Exchange) -> outbox.Counts:
    return await exchange.gateway.means.ledger.read(outbox.counts)


# --- accepted --------------------------------------------------------------------------------------------------------


async def test_an_accepted_message_has_a_task_its_sender_can_follow(
    exchange: Exchange, members: SimpleNamespace
) -> None:
    await enrol(exchange, members.practice)
    sent = message(members.post)
    reply = await post(exchange, members.post, sent)
    assert reply.status == 202, reply.body
    Task.model_validate(reply.json)
    assert (reply.json["id"], reply.json["status"]) == (location(reply), "requested")
    assert reply.json["focus"]["identifier"]["value"] == sent["entry"][0]["resource"]["id"]
    followed = await read(exchange, members.post, location(reply))
    assert (followed.status, followed.json) == (200, reply.json)
    other_doctor = await exchange.doctor(members.post, THEM)
    assert (await read(exchange, members.post, location(reply), other_doctor)).status == 200, "any token of the sender"


async def test_it_is_durable_before_it_is_accepted(exchange: Exchange, members: SimpleNamespace) -> None:
    """At the last named point before 202 another process finds envelope, sealed content and journal line."""
    await enrol(exchange, members.practice)
    found: list[tuple[int, ...]] = []

    def look(point: str) -> None:
        path = exchange.gateway.settings.state_dir / "ledger.sqlite"
        if point == "answer":
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as other:
                counted = [other.execute(f"SELECT count(*) FROM {table}") for table in ("outbox", "payload")]
                found.append(tuple(one.fetchone()[0] for one in counted))
            other.close()

    mail = replace(exchange.gateway.means.mail, reached=look)
    watched = Exchange(replace(exchange.gateway, means=replace(exchange.gateway.means, mail=mail)))
    assert (await post(watched, members.post, message(members.post))).status == 202
    assert found == [(1, 1)]
    assert Event.MESSAGE_ACCEPTED in [line.event for line in await exchange.journal()]


async def test_a_repeat_is_the_same_message_and_other_bytes_are_none(
    exchange: Exchange, members: SimpleNamespace
) -> None:
    await enrol(exchange, members.practice)
    sent = message(members.post)
    first, *others = [await post(exchange, members.post, sent) for _ in range(5)]
    assert {(one.status, location(one)) for one in others} == {(202, location(first))}
    changed = deepcopy(sent)
    changed["entry"][1]["resource"]["title"] = "iets anders"
    clash = await post(exchange, members.post, changed)
    assert (clash.status, clash.code) == (409, "message-id-taken")
    counted = await counts(exchange)
    assert (counted.accepted, counted.of[State.WAITING]) == (1, 1)
    another = await post(exchange, members.post_2, {**changed, "entry": message_entries(changed, members.post_2)})
    assert another.status == 202, "another sender's id is another message"


def message_entries(of: dict[str, Any], by: Member) -> list[Any]:
    entries = deepcopy(of["entry"])
    entries[0]["resource"]["sender"]["identifier"]["value"] = by.ura
    return list(entries)


async def test_the_same_message_five_times_at_once_is_one(exchange: Exchange, members: SimpleNamespace) -> None:
    await enrol(exchange, members.practice)
    sent, token = message(members.post), await exchange.doctor(members.post)
    replies = await asyncio.gather(*(post(exchange, members.post, sent, token) for _ in range(5)))
    assert {(one.status, location(one)) for one in replies} == {(202, location(replies[0]))}
    assert (await counts(exchange)).accepted == 1


async def test_without_a_gp_of_record_it_is_parked_and_visible(exchange: Exchange, members: SimpleNamespace) -> None:
    reply = await post(exchange, members.post, message(members.post))
    assert reply.status == 202
    Task.model_validate(reply.json)
    assert reply.json["status"] == "on-hold"
    assert reply.json["statusReason"]["coding"][0]["code"] == "no-gp-of-record"


async def test_a_referral_goes_to_the_hospital_it_names(exchange: Exchange, members: SimpleNamespace) -> None:
    await exchange.admit(*vars(members).values())
    reply = await post(exchange, members.practice, message(members.practice, to=members.hospital.ura))
    assert reply.status == 202, reply.body
    assert reply.json["owner"]["identifier"]["value"] == members.hospital.ura


# --- refused ---------------------------------------------------------------------------------------------------------


async def test_nobody_speaks_for_another(exchange: Exchange, members: SimpleNamespace) -> None:
    reply = await post(exchange, members.post, message(members.post_2))
    assert (reply.status, reply.code) == (403, "unknown-party")


async def test_a_message_is_about_the_tokens_patient(exchange: Exchange, members: SimpleNamespace) -> None:
    for token in (await exchange.doctor(members.post, THEM), await exchange.token(members.post)):
        reply = await post(exchange, members.post, message(members.post), token)
        assert (reply.status, reply.code) == (403, "token-patient-mismatch")
        assert US.encode() not in reply.body


async def test_a_bar_is_told_with_its_sentence(exchange: Exchange, members: SimpleNamespace) -> None:
    reply = await post(exchange, members.pharmacy, message(members.pharmacy))
    assert (reply.status, reply.code) == (403, "not-authorised")


REFERRALS = {"nobody": ("90000999", 422, "unknown-recipient"), "a pharmacy": ("90000201", 403, "not-authorised")}


@pytest.mark.parametrize("case", REFERRALS)
async def test_a_referral_names_who_may_be_referred_to(exchange: Exchange, members: SimpleNamespace, case: str) -> None:
    to, status, code = REFERRALS[case]
    reply = await post(exchange, members.practice, message(members.practice, to=to))
    assert (reply.status, reply.code) == (status, code)


async def test_a_refusal_is_in_the_journal_once_and_leaves_nothing_else(
    exchange: Exchange, members: SimpleNamespace
) -> None:
    before = len(await exchange.journal())
    await post(exchange, members.pharmacy, message(members.pharmacy))
    new = [line for line in (await exchange.journal())[before:] if line.event is not Event.TOKEN_ISSUED]
    assert [(line.event, line.fields["reason"]) for line in new] == [(Event.MESSAGE_REFUSED, "not-authorised")]
    before += len(new) + 1
    await post(exchange, members.post, message(members.post_2))
    new = [line for line in (await exchange.journal())[before:] if line.event is not Event.TOKEN_ISSUED]
    assert [(line.event, line.fields["reason"]) for line in new] == [(Event.CALL_REFUSED, "unknown-party")]
    assert (await counts(exchange)).accepted == 0


def _with(change: Any) -> Any:
    def of(by: Member) -> Any:
        made = message(by)
        change(made)
        return made

    return of


BROKEN = {
    "no Bundle": (lambda by: {"resourceType": "List"}, 400, "malformed"),
    "no message": (_with(lambda made: made.update(type="batch")), 400, "malformed"),
    "an event of the exchange": (
        _with(lambda made: made["entry"][0]["resource"]["eventCoding"].update(code="disclosure-notice")),
        422,
        "not-supported",
    ),
    "a return message to somebody": (
        _with(lambda made: made["entry"][0]["resource"].update(destination=[{"endpoint": "https://r.test"}])),
        422,
        "destination-not-allowed",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_what_is_no_message_is_refused(exchange: Exchange, members: SimpleNamespace, case: str) -> None:
    make, status, code = BROKEN[case]
    reply = await post(exchange, members.post, make(members.post))
    assert (reply.status, reply.code) == (status, code)


async def test_a_message_comes_as_json_without_parameters(exchange: Exchange, members: SimpleNamespace) -> None:
    wrong = await post(exchange, members.post, message(members.post), content_type="text/plain")
    assert (wrong.status, wrong.code) == (415, "unsupported-media-type")
    odd = await post(exchange, members.post, message(members.post), query="async=true")
    assert (odd.status, odd.code) == (400, "not-supported")


async def test_a_ledger_that_cannot_be_written_accepts_nothing(exchange: Exchange, members: SimpleNamespace) -> None:
    await enrol(exchange, members.practice)
    token, ledger = await exchange.doctor(members.post), exchange.gateway.means.ledger

    class Full:
        """The ledger, its disk full: it reads, and writes nothing."""

        async def commit(self, unit: Any, **_how: bool) -> Any:
            raise LedgerUnavailable("disk full")

        def __getattr__(self, name: str) -> Any:
            return getattr(ledger, name)

    means: Any = replace(exchange.gateway.means, ledger=Full())  # type: ignore[arg-type]
    full = Exchange(replace(exchange.gateway, means=means))
    reply = await post(full, members.post, message(members.post), token)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "ledger-unavailable", "1")
    assert (await counts(exchange)).accepted == 0


# --- what leaves with it ---------------------------------------------------------------------------------------------

AORTA = AortaId("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")


def test_the_recipient_gets_a_voucher_of_ours_for_its_system(exchange: Exchange, members: SimpleNamespace) -> None:
    mail, key = exchange.gateway.means.mail, jwk.ECKey.import_key(exchange.gateway.site.signing.jwks()["keys"][0])
    address = Address(Ura(members.practice.ura), ApplicationId(members.practice.application), "https://gp.test/fhir")
    sender = Sender(Ura(members.post.ura), ApplicationId("301"), None, None, None, "0A", Situation())
    row = next(one for one in ROWS if one.id == "RET-1")
    told = {
        MessageEvent.RETURN_MESSAGE: (row, sender, {"rule": "RET-1", "requester": members.post.ura}),
        MessageEvent.DISCLOSURE_NOTICE: (None, None, {"rule": "notice"}),
    }
    for event, (judged_by, by, expected) in told.items():
        leave = Leave(Sending(event, address.ura, row=judged_by), address)
        claims = jwt.decode(mail.vouch(leave, by, Bsn(US), AORTA), key, algorithms=["ES256"]).claims
        wanted = {"iss": "https://exchange.test", "aud": members.practice.application, "jti": AORTA.request, **expected}
        assert wanted.items() <= claims.items()
        assert claims["patient"] == US
        assert abs(claims["exp"] - datetime.now(UTC).timestamp()) < 90


# --- whose Task ------------------------------------------------------------------------------------------------------


async def test_a_task_is_its_senders_alone(exchange: Exchange, members: SimpleNamespace) -> None:
    await enrol(exchange, members.practice)
    id = location(await post(exchange, members.post, message(members.post)))
    for other in (members.post_2, members.practice, members.hospital):
        reply = await read(exchange, other, id)
        assert (reply.status, reply.code) == (404, "not-found")
        assert reply.body == (await read(exchange, other, str(uuid4()))).body, "as if there were none"
    for verb in ("POST", "PUT", "DELETE"):
        reply = await exchange.call(verb, f"/Task/{id}", by=members.post, token=await exchange.token(members.post))
        assert reply.status == 405


async def test_a_revoked_sender_reads_nothing(exchange: Exchange, members: SimpleNamespace) -> None:
    id = location(await post(exchange, members.post, message(members.post)))
    token = await exchange.token(members.post)
    await revoke(exchange.gateway.means, members.post.serial, by="test", reason="lost")
    assert (await read(exchange, members.post, id, token)).code == "unknown-party"


# --- at rest, and in numbers -----------------------------------------------------------------------------------------


async def test_nothing_readable_rests_in_the_state_folder(exchange: Exchange, members: SimpleNamespace) -> None:
    await enrol(exchange, members.practice)
    assert (await post(exchange, members.post, message(members.post))).status == 202
    files = [path for path in exchange.gateway.settings.state_dir.rglob("*") if path.is_file()]
    for path in files:
        content = path.read_bytes()
        assert PLANTED_WORD.encode() not in content
        assert US.encode() not in content
    ring = exchange.gateway.settings.state_dir / "outbox.keys"
    assert ring in files
    assert ring.stat().st_mode & 0o077 == 0


def numbers(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_the_metrics_conserve(exchange: Exchange, members: SimpleNamespace) -> None:
    await enrol(exchange, members.practice)
    for patient in (US, US, THEM):
        token = await exchange.doctor(members.post, patient)
        assert (await post(exchange, members.post, message(members.post, patient), token)).status == 202
    transport = httpx.ASGITransport(app=exchange.gateway.desk())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as desk:
        reply = await desk.get("/metrics")
    told = numbers(reply.text)
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert told["switchpoint_messages_accepted_total"] == 3
    states = {state: told[f'switchpoint_messages{{state="{state.value}"}}'] for state in State}
    assert states == {state: {State.WAITING: 2, State.PARKED: 1}.get(state, 0) for state in State}
    assert 0 < told["switchpoint_oldest_waiting_seconds"] < 60
    assert (
        told['switchpoint_delivery_stopped{lane="all"}'],
        told['switchpoint_delivery_stopped{lane="recipient"}'],
    ) == (0, 0)
    assert US not in reply.text
    assert "900003" not in reply.text


async def test_the_metrics_are_for_this_machine_only(exchange: Exchange) -> None:
    strangers = [("192.0.2.1", "http://localhost:8080"), ("127.0.0.1", "http://desk.test:8080")]
    for address, name in strangers:
        transport = httpx.ASGITransport(app=exchange.gateway.desk(), client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=name) as desk:
            assert (await desk.get("/metrics")).status_code == 403
