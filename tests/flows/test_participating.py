"""What do operators see of participants and of messages? Register, certificates shown, envelopes; nobody's content."""

from __future__ import annotations

from flow_country import HOSPITAL, PARTIES, POST, PRACTICE, US, Country

from gateway.flows import operating, outbox_look, participating
from gateway.flows.grant import grant_once
from gateway.rules.exchange import Kind
from gateway.rules.identifiers import Ura
from gateway.rules.message import State


async def token(country: Country, certificate: str, jti: str) -> None:
    call = country.call(POST)
    requester = call.party(await country.means.live.network())
    expires = int(country.now.timestamp()) + 60
    await grant_once(country.means, requester, US, call.aorta, jti=jti, expires=expires, certificate=certificate)


async def test_everybody_is_listed_with_kind_and_systems(country: Country) -> None:
    found = await participating.members(country.means)
    assert {one.organisation.ura for one in found.members} == {party.ura for party in PARTIES}
    hospital = next(one for one in found.members if one.organisation.ura == HOSPITAL.ura)
    assert (hospital.kind, [one.application for one in hospital.systems]) == (Kind.HOSPITAL, [HOSPITAL.application])
    assert hospital.systems[0].endpoint is None
    assert found.revoked == ()


async def test_the_certificates_of_the_newest_tokens_are_told_once_each(country: Country) -> None:
    await token(country, "AA", "1")
    country.tick(minutes=1)
    await token(country, "BB", "2")
    country.tick(minutes=1)
    await token(country, "AA", "3")
    await operating.revoke(country.means, "BB", by="operator", reason="lost")
    found = await participating.member(country.means, POST.ura)
    assert found is not None
    assert [(one.serial, one.application, one.revoked) for one in found[1]] == [
        ("AA", POST.application.digits, False),
        ("BB", POST.application.digits, True),
    ]
    assert found[1][0].last == country.now
    assert (await participating.members(country.means)).revoked == ("BB",)


async def test_other_peoples_tokens_are_not_ones_own(country: Country) -> None:
    await token(country, "AA", "1")
    found = await participating.member(country.means, HOSPITAL.ura)
    assert found is not None
    assert found[1] == ()
    assert await participating.member(country.means, Ura("99999999")) is None


async def test_messages_are_listed_page_by_page_and_by_state(country: Country) -> None:
    await country.say()
    await country.enrol()
    for number in range(outbox_look.PAGE + 1):
        await country.send(f"m-{number}")
    first = await outbox_look.listing(country.means, None)
    assert len(first.held) == outbox_look.PAGE
    rest = await outbox_look.listing(country.means, State.WAITING, after=first.next)
    assert [one.envelope.message_id for one in rest.held] == [f"m-{outbox_look.PAGE}"]
    assert rest.next is None
    assert (await outbox_look.listing(country.means, State.PARKED)).held == ()


async def test_one_message_and_none(country: Country) -> None:
    await country.send()
    held = await country.held()
    found = await outbox_look.one(country.means, held.envelope.id)
    assert found is not None
    assert found[0] == held
    assert await outbox_look.one(country.means, "nothing") is None


async def test_a_name_is_told_with_its_number(country: Country) -> None:
    names = (await country.means.live.network()).organisations
    assert participating.named(names, PRACTICE.ura) == f"Test {PRACTICE.ura} ({PRACTICE.ura})"
    assert participating.named(names, Ura("99999999")) == "99999999"
    assert participating.named(names, None) == ""
