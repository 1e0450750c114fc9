"""What is accepted, and what does accepted mean? Durable, sealed, told; a repeat is the same message. Line by line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from flow_country import (
    AMBULANCE,
    HOSPITAL,
    PHARMACY,
    POST,
    POST_2,
    PRACTICE,
    PRACTICE_2,
    US,
    Country,
    Party_,
)
from transcript import transcript

from gateway.flows import return_message
from gateway.flows.deciding import Refused, Unsettled
from gateway.flows.return_message import Accepted, Clash, UnknownRecipient
from gateway.rules.access import Bar
from gateway.rules.choice import Say
from gateway.rules.exchange import Category, Regime, Responsible
from gateway.rules.identifiers import Ura
from gateway.rules.message import State
from gateway.stores import consents
from gateway.stores.ledger import LedgerUnavailable

RETURNS = {Category.RETURN_MESSAGE}
NOBODY_KNOWN = Ura("90009999")


async def test_a_return_message_for_an_undecided_patient_is_accepted(country: Country) -> None:
    await country.enrol()
    before = await country.forget()
    accepted = await country.send()
    assert isinstance(accepted, Accepted)
    assert (accepted.state, accepted.created, accepted.held.lane) == (State.WAITING, True, PRACTICE.ura)
    assert await transcript(country, before) == ["message-accepted return-message for 90000101 RET-1"]
    assert country.reached == ["accept", "commit"]
    assert (await country.counts()).accepted == 1


async def test_the_line_tells_who_sent_in_what_situation_and_no_word_of_content(country: Country) -> None:
    await country.enrol()
    boss = Responsible("000000002", "Test Responsible", "01.015")
    await country.send(call=country.call(POST, "83.000", responsible=boss))
    line = (await country.lines())[-1].line
    told = {name: line.fields[name] for name in ("organisation", "actor_role", "responsible_role", "contact", "bytes")}
    assert told == {
        "organisation": "90000301",
        "actor_role": "83.000",
        "responsible_role": "01.015",
        "contact": "contact-1",
        "bytes": 16,
    }
    assert (line.patient, line.custodian, line.requester) == (country.means.keys.patient(US), PRACTICE.ura, POST.ura)
    assert "a return message" not in str(line)
    assert US.digits not in str(line)


async def test_the_same_bytes_again_are_the_same_task_whatever_changed_since(country: Country) -> None:
    await country.enrol()
    first = await country.send()
    await country.say(Say.NO, None, categories=RETURNS)
    await country.revoke(POST)
    before = await country.forget()
    again = await country.send()
    assert isinstance(first, Accepted)
    assert isinstance(again, Accepted)
    assert (again.id, again.created) == (first.id, False)
    assert await transcript(country, before) == []
    assert (await country.counts()).accepted == 1


async def test_other_bytes_under_the_same_id_clash_and_another_sender_may_use_it(country: Country) -> None:
    await country.enrol()
    await country.send()
    before = await country.forget()
    assert await country.send(body=b"another message") == Clash()
    assert isinstance(await country.send(of=POST_2, body=b"another message"), Accepted)
    assert await transcript(country, before) == [
        "message-refused return-message for 90000101 message-id-taken",
        "message-accepted return-message for 90000101 RET-1",
    ]


async def test_the_same_message_handed_in_twice_at_once_is_taken_once(country: Country) -> None:
    """The second was looked up before the first was written: the ledger's own key tells."""
    await country.enrol()
    real, hit = country.ledger.commit, []

    async def commit(unit: Any, **how: bool) -> Any:
        if not hit:
            hit.append(1)
            assert isinstance(await country.send(), Accepted)
        return await real(unit)

    country.ledger.commit = commit
    again = await country.send()
    assert isinstance(again, Accepted)
    assert not again.created
    assert (await country.counts()).accepted == 1
    assert len([one for one in await transcript(country) if one.startswith("message-accepted")]) == 1


# --- what is refused -------------------------------------------------------------------------------------------------


async def _objects(country: Country) -> None:
    await country.say(Say.NO, None, categories=RETURNS)


async def _objects_there(country: Country) -> None:
    await country.say(Say.NO, PRACTICE, categories=RETURNS, requesters={"gp-care"})


async def _sender_revoked(country: Country) -> None:
    await country.revoke(POST)


async def _nothing(country: Country) -> None:
    return None


REFUSED: dict[str, tuple[Callable[[Country], Awaitable[None]], dict[str, Any], Bar]] = {
    "an objection that names return messages": (_objects, {}, Bar.OBJECTION),
    "the same for one custodian and group": (_objects_there, {}, Bar.OBJECTION),
    "a revoked sender": (_sender_revoked, {}, Bar.UNKNOWN_PARTY),
    "another organisation named as sender": (_nothing, {"sender": POST_2.ura}, Bar.UNKNOWN_PARTY),
    "a pharmacy": (_nothing, {"of": PHARMACY}, Bar.NOT_AUTHORISED),
    "a practice": (_nothing, {"of": PRACTICE_2}, Bar.NOT_AUTHORISED),
    "an ambulance outside the regime": (_nothing, {"of": AMBULANCE}, Bar.NOT_AUTHORISED),
    "a referral by a post": (_nothing, {"to": HOSPITAL.ura}, Bar.NOT_AUTHORISED),
    "a referral to a pharmacy": (_nothing, {"of": PRACTICE, "to": PHARMACY.ura}, Bar.NOT_AUTHORISED),
    "a referral to a practice": (_nothing, {"of": PRACTICE, "to": PRACTICE_2.ura}, Bar.NOT_AUTHORISED),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_may_not_go_is_refused_before_it_is_accepted(country: Country, case: str) -> None:
    act, sent, bar = REFUSED[case]
    await country.enrol()
    await act(country)
    before = await country.forget()
    assert await country.send(**sent) == Refused(bar)
    event = "referral" if "to" in sent else "return-message"
    to = sent.get("to", PRACTICE.ura)
    assert await transcript(country, before) == [f"message-refused {event} for {to} {bar}"]
    assert (await country.counts()).accepted == 0
    line = (await country.lines())[-1].line
    assert "message" not in line.fields
    assert line.requester == sent.get("of", POST).ura


async def test_a_broad_no_leaves_the_return_message_alone(country: Country) -> None:
    await country.enrol()
    await country.say(Say.NO, None)
    assert isinstance(await country.send(), Accepted)


async def test_a_referral_to_nobody_is_told_apart(country: Country) -> None:
    before = await country.forget()
    assert await country.send(of=PRACTICE, to=NOBODY_KNOWN) == UnknownRecipient()
    assert await transcript(country, before) == ["message-refused referral for 90009999 unknown-recipient"]


REFERRED: dict[str, Party_] = {"a hospital": HOSPITAL, "a GP post": POST}


@pytest.mark.parametrize("case", REFERRED)
async def test_a_referral_goes_to_the_organisation_named(country: Country, case: str) -> None:
    to = REFERRED[case]
    await country.enrol()
    await country.move(to, "https://named.test/fhir")
    accepted = await country.send(of=PRACTICE, to=to.ura, body=b"a referral")
    assert isinstance(accepted, Accepted)
    assert await country.rounds(0) == [1]
    assert country.post.told == [f"{to.ura} a referral"]
    line = (await country.lines())[-1].line
    assert (line.custodian, line.fields["row"]) == (PRACTICE.ura, "REF-1")


async def test_an_emergency_report_needs_its_regime(country: Country) -> None:
    await country.enrol()
    call = country.emergency()
    assert await country.send(of=HOSPITAL, call=call) == Refused(Bar.NOT_AUTHORISED)
    await country.regime(Regime.EMERGENCY_AVAILABLE)
    assert isinstance(await country.send(of=HOSPITAL, call=call), Accepted)
    assert (await transcript(country))[-1] == "message-accepted return-message for 90000101 RET-2"


# --- nowhere to go yet -----------------------------------------------------------------------------------------------


async def test_without_a_gp_of_record_it_is_accepted_and_parked(country: Country) -> None:
    accepted = await country.send()
    assert isinstance(accepted, Accepted)
    assert (accepted.state, accepted.held.reason) == (State.PARKED, "no-gp-of-record")
    assert await transcript(country) == [
        "message-accepted return-message RET-1",
        "message-parked return-message no-gp-of-record",
    ]


async def test_without_an_endpoint_it_is_accepted_and_parked(country: Country) -> None:
    accepted = await country.send(of=PRACTICE, to=HOSPITAL.ura)
    assert isinstance(accepted, Accepted)
    assert (accepted.state, accepted.held.reason) == (State.PARKED, "no-endpoint")


# --- whose Task ------------------------------------------------------------------------------------------------------


async def test_a_task_is_for_its_sender_only(country: Country) -> None:
    accepted = await country.send()
    assert isinstance(accepted, Accepted)
    own, other = country.call(POST, None), country.call(POST_2, None)
    assert await return_message.read_task(country.means, own, accepted.id) == accepted.held
    assert await return_message.read_task(country.means, other, accepted.id) is None
    assert await return_message.read_task(country.means, own, "nothing") is None
    await country.revoke(POST)
    assert await return_message.read_task(country.means, own, accepted.id) is None


# --- when things move or fail ----------------------------------------------------------------------------------------


async def test_an_objection_that_arrives_between_judging_and_writing_wins(country: Country) -> None:
    await country.enrol()
    real, hit = country.ledger.commit, []

    async def commit(unit: Any, **how: bool) -> Any:
        if not hit:
            hit.append(1)
            await _objects(country)
        return await real(unit)

    country.ledger.commit = commit
    assert await country.send() == Refused(Bar.OBJECTION)
    assert (await country.counts()).accepted == 0


async def test_a_move_between_resolving_and_writing_queues_it_for_the_new_gp(country: Country) -> None:
    await country.enrol()
    real, hit = country.ledger.commit, []

    async def commit(unit: Any, **how: bool) -> Any:
        if not hit:
            hit.append(1)
            await country.enrol(PRACTICE_2, since="2026-11-02")
        return await real(unit)

    country.ledger.commit = commit
    accepted = await country.send()
    assert isinstance(accepted, Accepted)
    assert accepted.held.lane == PRACTICE_2.ura


async def test_what_is_not_durable_is_not_accepted(country: Country) -> None:
    await country.enrol()
    before = await country.forget()
    country.ledger.good_commits = 0
    with pytest.raises(LedgerUnavailable):
        await country.send()
    country.ledger.good_commits = None
    assert (await country.counts()).accepted == 0
    assert await transcript(country, before) == []
    assert country.reached == ["accept"]


async def test_an_acceptance_nobody_heard_of_is_found_by_the_repeat(country: Country) -> None:
    await country.enrol()
    country.ledger.lost_replies = 1
    with pytest.raises(LedgerUnavailable):
        await country.send()
    again = await country.send()
    assert isinstance(again, Accepted)
    assert not again.created
    assert (await country.counts()).accepted == 1


async def test_a_storm_accepts_nothing(country: Country) -> None:
    key, real = country.means.keys.patient(US), country.ledger.commit

    async def commit(unit: Any, **how: bool) -> Any:
        await country.real_ledger.commit(lambda tx: consents.bump(tx, key))
        return await real(unit)

    country.ledger.commit = commit
    with pytest.raises(Unsettled):
        await country.send()
    assert (await country.counts()).accepted == 0
