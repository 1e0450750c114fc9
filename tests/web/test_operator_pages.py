"""Do the operator's hands work? Regimes, review, messages, participants and alerts at the real desk, form by form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from desk_made import AtDesk, Visitor, open_desk
from exchange_made import US, Exchange

from gateway.flows import outbox_look, return_message
from gateway.flows.means import Call
from gateway.rules import regimes
from gateway.rules.exchange import AortaId, Contact, ContactKind, Professional, Regime, Requester, Situation
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.journal import Event, Line
from gateway.rules.message import Message, MessageEvent, State
from gateway.stores import journal, register

CRISIS = "CRISIS_OPT_IN"
PAGES = ("/regimes", "/review", "/messages", "/participants", "/alerts")
HOSTILE = "<script>alert(1)</script>'\"{{7*7}}\u202e"


class Office:
    """A desk with an operator, a reviewer who is an operator too, and a viewer; and what there is for them to do."""

    def __init__(self, at: AtDesk, stack: AsyncExitStack) -> None:
        self.at, self._stack = at, stack

    async def stranger(self) -> Visitor:
        return await self._stack.enter_async_context(self.at.visitor())

    async def sits(self, name: str) -> Visitor:
        return await (await self.stranger()).log_in(name)

    async def in_force(self) -> bool:
        network = await self.at.means.live.network()
        return Regime.CRISIS_OPT_IN in regimes.active(network.switches, self.at.means.live.domain(network))

    async def disclose(self, name: str = "Test Actor", *, days_ago: float = 0) -> int:
        """An ambulance's disclosure on presumed consent; returns its number."""
        at = self.at.clock() - timedelta(days=days_ago)
        fields: dict[str, Any] = {
            "organisation": "90000401",
            "organisation_name": name,
            "organisation_type": "V4",
            "actor_name": name,
            "actor_role": "01.071",
            "category": "gp-summary",
            "row": "EMA-1",
            "basis": "presumed-consent",
        }
        key = self.at.means.keys.patient(Bsn(US))
        line = Line(Event.DISCLOSED, at, at, AortaId("chain", "r"), key, Ura("90000101"), Ura("90000401"), fields)
        return await self.at.means.ledger.commit(lambda tx: journal.append(tx, line))

    async def message(self, name: str = "Test Actor") -> str:
        """A return message about a patient without a GP of record: parked. Returns its id."""
        means, now = self.at.means, self.at.clock()
        visit = Contact("c-1", ContactKind.VISIT, now - timedelta(hours=1))
        actor = Professional("000000001", name, "01.015")
        sender = Requester(Ura("90000301"), name, "N6", ApplicationId("301"), actor=actor)
        aorta = AortaId(means.new_id(), means.new_id())
        call = Call(aorta, Situation(contact=visit, cover=True), lambda _network: sender, "process-message")
        message = Message(means.new_id(), MessageEvent.RETURN_MESSAGE, sender.ura, Bsn(US))
        await return_message.accept(means, call, message, b"secret content", certificate="AB")
        return (await outbox_look.listing(means, None)).held[-1].envelope.id

    async def state(self, id: str) -> State:
        found = await outbox_look.one(self.at.means, id)
        assert found is not None
        return found[0].state

    async def everything(self) -> tuple[object, ...]:
        """What acts could change, in one value; what is refused is written as such."""
        network = await self.at.means.live.network()
        acts = {Event.DISCLOSURE_REVIEWED, Event.REGIME_SWITCHED, Event.CERTIFICATE_REVOKED, Event.DELIVERY_SWITCHED}
        acts |= {Event.MESSAGE_RESUMED}
        told = await outbox_look.listing(self.at.means, None)
        return network, told.held, told.stops, len(await self.at.lines(*acts))


@pytest_asyncio.fixture
async def office(exchange: Exchange) -> AsyncIterator[Office]:
    async with AsyncExitStack() as stack:
        yield Office(await open_desk(exchange), stack)


@pytest.mark.parametrize("lang", ["nl", "en"])
async def test_every_page_opens_for_a_viewer_without_a_single_act(office: Office, lang: str) -> None:
    line, message = await office.disclose(), await office.message()
    viewer = await office.sits("test-viewer")
    for path in (*PAGES, f"/review/{line}", f"/messages/{message}", "/participants/90000301"):
        shown = await viewer.get(f"{path}?lang={lang}")
        assert shown.status_code == 200, shown.text
        assert f'<html lang="{lang}">' in shown.text
        assert shown.text.count('method="post"') == 1, "only the one to log out"


# --- who may do what -------------------------------------------------------------------------------------------------

ACTS: dict[str, tuple[str, dict[str, str], str]] = {
    "propose": ("/regimes/propose", {"regime": CRISIS, "reason": "x"}, "operator"),
    "confirm": ("/regimes/confirm", {"proposal": "1"}, "operator"),
    "drop": ("/regimes/drop", {"proposal": "1"}, "operator"),
    "stop a regime": (f"/regimes/stop/{CRISIS}", {"reason": "x"}, "operator"),
    "judge": ("/review/{line}", {"verdict": "in-order"}, "reviewer"),
    "stop delivery": ("/messages/delivery/stop", {"reason": "x"}, "operator"),
    "start delivery": ("/messages/delivery/start", {"reason": "x"}, "operator"),
    "retry": ("/messages/{message}/retry", {"reason": "x"}, "operator"),
    "park": ("/messages/{message}/park", {}, "operator"),
    "revoke": ("/participants/revoke", {"serial": "AB", "reason": "x", "sure": "true"}, "operator"),
}


@pytest.mark.parametrize("act", ACTS)
async def test_an_act_is_for_its_role_from_its_own_form_and_never_by_a_link(office: Office, act: str) -> None:
    path, form, role = ACTS[act]
    path = path.format(line=await office.disclose(), message=await office.message())
    lower = await office.sits("test-viewer" if role == "operator" else "test-operator")
    await lower.get("/review")
    right, stranger, patient = await office.sits("test-reviewer"), await office.stranger(), await office.stranger()
    await stranger.get("/login")
    await patient.log_in_patient()
    await patient.get("/login")
    before = await office.everything()
    assert (await lower.post(path, **form)).status_code == 403, "the role is too low"
    assert (await right.post(path, proof="forged", **form)).status_code == 403, "not from our form"
    assert (await right.post(path, headers={"origin": "https://elsewhere.test"}, **form)).status_code == 403
    assert (await stranger.post(path, **form)).status_code == 401, "nobody is logged in"
    assert (await patient.post(path, proof="x", **form)).status_code == 403, "a patient is no operator"
    if not path.startswith(("/regimes/stop", "/review")):
        assert (await right.get(path)).status_code in (404, 405), "not by a link"
    assert await office.everything() == before
    refused = [line.fields["by"] for line in await office.at.lines(Event.OPERATOR_ACT_REFUSED)]
    assert len(refused) >= 3


# --- regimes ---------------------------------------------------------------------------------------------------------


async def propose(visitor: Visitor, **more: str) -> Any:
    await visitor.get("/regimes")
    return await visitor.post("/regimes/propose", **{"regime": CRISIS, "reason": "a drill", **more})


async def test_a_regime_goes_on_with_two_operators_and_off_with_one(office: Office) -> None:
    one, two = await office.sits("test-operator"), await office.sits("test-reviewer")
    assert (await propose(one)).status_code == 303
    assert not await office.in_force()
    assert "Another operator has to confirm" in (await one.get("/regimes")).text
    assert (await one.post("/regimes/confirm", proposal="1")).status_code == 409
    assert not await office.in_force()
    await two.get("/regimes")
    assert (await two.post("/regimes/confirm", proposal="1")).status_code == 303
    assert await office.in_force()
    asked = await one.get(f"/regimes/stop/{CRISIS}")
    assert "Stop now" in asked.text
    assert await office.in_force(), "looking at the button stops nothing"
    assert (await one.post(f"/regimes/stop/{CRISIS}", reason="over")).status_code == 303
    assert not await office.in_force()
    switched = [line.fields for line in await office.at.lines(Event.REGIME_SWITCHED)]
    assert [(line["on"], line["by"], line["reason"]) for line in switched] == [
        (True, "test-operator, test-reviewer", "a drill"),
        (False, "test-operator", "over"),
    ]


async def test_an_end_is_taken_as_dutch_time(office: Office) -> None:
    one, two = await office.sits("test-operator"), await office.sits("test-reviewer")
    assert (await propose(one, until="2099-07-01T12:00")).status_code == 303
    await two.get("/regimes")
    await two.post("/regimes/confirm", proposal="1")
    (line,) = await office.at.lines(Event.REGIME_SWITCHED)
    assert line.fields["until"] == "2099-07-01T10:00:00+00:00"


WRONG_PROPOSALS = {
    "an end in the past": ({"until": "2020-01-01T00:00"}, 409),
    "an end that is no time": ({"until": "soon"}, 409),
    "the standing rules": ({"regime": "REGULAR"}, 409),
    "no such regime": ({"regime": "MARTIAL_LAW"}, 400),
    "only spaces as a reason": ({"reason": "  "}, 409),
    "a reason without end": ({"reason": "x" * 501}, 400),
    "the end of all calendars": ({"until": "9999-12-31T23:59"}, 303),
    "the beginning of all calendars": ({"until": "0001-01-01T00:00"}, 409),
}


@pytest.mark.parametrize("case", WRONG_PROPOSALS)
async def test_what_can_be_proposed(office: Office, case: str) -> None:
    form, status = WRONG_PROPOSALS[case]
    operator = await office.sits("test-operator")
    assert (await propose(operator, **form)).status_code == status
    assert (await operator.get("/regimes")).status_code == 200


async def test_there_is_no_button_for_the_standing_rules(office: Office) -> None:
    operator = await office.sits("test-operator")
    assert (await operator.get("/regimes/stop/REGULAR")).status_code == 404
    assert (await operator.post("/regimes/stop/REGULAR", proof=operator.proof, reason="x")).status_code == 409
    assert await office.at.lines(Event.REGIME_SWITCHED) == []


# --- review ----------------------------------------------------------------------------------------------------------


async def test_a_reviewer_judges_and_the_case_leaves_the_queue(office: Office) -> None:
    late, fresh = await office.disclose(days_ago=8), await office.disclose()
    reviewer = await office.sits("test-reviewer")
    queue = (await reviewer.get("/review")).text
    assert queue.index(f"/review/{late}") < queue.index(f"/review/{fresh}"), "the oldest first"
    assert queue.count("overdue</span>") == 2, "its own badge, and the number's"
    assert US not in queue
    await reviewer.get(f"/review/{late}")
    assert (await reviewer.post(f"/review/{late}", verdict="ask")).status_code == 422, "what is asked?"
    assert (await reviewer.post(f"/review/{late}", verdict="ask", note="who was present?")).status_code == 303
    asked = (await reviewer.get(f"/review/{late}")).text
    assert "who was present?" in asked
    assert (await reviewer.post(f"/review/{late}", verdict="in-order")).status_code == 303
    assert f"/review/{late}" not in (await reviewer.get("/review")).text
    assert f"/review/{late}" in (await reviewer.get("/review?closed=true")).text


@pytest.mark.parametrize("path", ["/review/0", "/review/-1", "/review/999", f"/review/{2**70}", "/review/x"])
async def test_no_case_is_not_found(office: Office, path: str) -> None:
    reviewer = await office.sits("test-reviewer")
    assert (await reviewer.get(path)).status_code in (400, 404)
    assert (await reviewer.post(path, verdict="in-order")).status_code in (400, 404)


# --- messages --------------------------------------------------------------------------------------------------------


async def test_a_message_is_seen_without_content_and_retried_when_there_is_a_road(office: Office) -> None:
    id = await office.message()
    operator = await office.sits("test-operator")
    assert "1 accepted" in (await operator.get("/messages?state=parked")).text
    shown = (await operator.get(f"/messages/{id}")).text
    assert "secret content" not in shown
    assert US not in shown
    answer = await operator.post(f"/messages/{id}/retry", reason="try again")
    assert (answer.status_code, await office.state(id)) == (409, State.PARKED)
    assert "no GP of record, or no address" in answer.text
    assert (await operator.post(f"/messages/{id}/park")).status_code == 303, "parked stays parked"
    assert (await operator.get("/messages/nothing")).status_code == 404
    assert (await operator.post("/messages/nothing/park")).status_code == 404


@pytest.mark.parametrize("recipient", ["", "90000101"], ids=["everybody", "one recipient"])
async def test_delivery_is_stopped_and_started_with_who_and_why(office: Office, recipient: str) -> None:
    operator = await office.sits("test-operator")
    await operator.get("/messages")
    for act in ("stop", "start"):
        answer = await operator.post(f"/messages/delivery/{act}", recipient=recipient, reason=f"to {act}")
        assert answer.status_code == 303
        stops = (await outbox_look.listing(office.at.means, None)).stops
        assert len(stops) == (act == "stop")
    told = [line.fields for line in await office.at.lines(Event.DELIVERY_SWITCHED)]
    assert [(one["recipient"], one["on"], one["by"], one["reason"]) for one in told] == [
        (recipient, False, "test-operator", "to stop"),
        (recipient, True, "test-operator", "to start"),
    ]


@pytest.mark.parametrize("recipient", ["99999999", "x", "9000010", " 90000101 x"])
async def test_a_slip_of_the_pen_stops_nobody(office: Office, recipient: str) -> None:
    operator = await office.sits("test-operator")
    await operator.get("/messages")
    answer = await operator.post("/messages/delivery/stop", recipient=recipient, reason="x")
    assert answer.status_code == 422
    assert (await outbox_look.listing(office.at.means, None)).stops == ()


# --- participants ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serial", ["00:ab:0C", "ab0c", " AB0C ", "0xAB0C"])
async def test_a_certificate_is_revoked_by_its_number_however_it_is_written(office: Office, serial: str) -> None:
    operator = await office.sits("test-operator")
    await operator.get("/participants")
    answer = await operator.post("/participants/revoke", serial=serial, reason="lost", sure="true")
    assert answer.status_code == 303
    assert (await office.at.means.live.network()).revoked == {"AB0C"}
    (line,) = await office.at.lines(Event.CERTIFICATE_REVOKED)
    assert dict(line.fields) == {"serial": "AB0C", "by": "test-operator", "reason": "lost"}
    assert "AB0C" in (await operator.get("/participants")).text


NOT_REVOKED = {
    "no number": {"serial": "certificate", "reason": "lost", "sure": "true"},
    "nothing but zeros": {"serial": "0000", "reason": "lost", "sure": "true"},
    "too long": {"serial": "A" * 41, "reason": "lost", "sure": "true"},
    "not sure": {"serial": "AB", "reason": "lost"},
    "no reason": {"serial": "AB", "reason": " ", "sure": "true"},
}


@pytest.mark.parametrize("case", NOT_REVOKED)
async def test_what_revokes_nothing(office: Office, case: str) -> None:
    operator = await office.sits("test-operator")
    await operator.get("/participants")
    assert (await operator.post("/participants/revoke", **NOT_REVOKED[case])).status_code == 422
    assert (await office.at.means.live.network()).revoked == frozenset()


async def test_a_participant_nobody_knows_is_not_found(office: Office) -> None:
    viewer = await office.sits("test-viewer")
    for number in ("99999999", "x"):
        assert (await viewer.get(f"/participants/{number}")).status_code == 404


# --- alerts ----------------------------------------------------------------------------------------------------------


async def test_each_alert_says_what_is_wrong_and_what_to_do(office: Office) -> None:
    operator = await office.sits("test-operator")
    await office.disclose(days_ago=8)
    await operator.get("/messages")
    await operator.post("/messages/delivery/stop", recipient="", reason="x")
    shown = (await operator.get("/alerts")).text
    for words in ("Reviews overdue", "Have a reviewer look", "Delivery is stopped, for everybody", "See at Messages"):
        assert words in shown
    assert shown.index("Delivery stopped") < shown.index("Reviews overdue"), "the serious one first"


async def test_a_certificate_about_to_expire_is_an_alert(office: Office) -> None:
    operator = await office.sits("test-operator")
    assert "Certificate expires" not in (await operator.get("/alerts")).text
    office.at.clock.ahead += timedelta(days=340)
    operator = await office.sits("test-operator")
    assert "Certificate expires" in (await operator.get("/alerts")).text


# --- hostile strings -------------------------------------------------------------------------------------------------


async def test_what_others_wrote_is_text_on_every_page(office: Office) -> None:
    line, message = await office.disclose(HOSTILE), await office.message(HOSTILE)
    network = await office.at.means.live.network()
    renamed = replace(network.organisations[Ura("90000301")], name=HOSTILE)
    await office.at.means.ledger.commit(lambda tx: register.put_organisation(tx, renamed))
    reviewer = await office.sits("test-reviewer")
    await propose(reviewer, reason=HOSTILE)
    await reviewer.post("/messages/delivery/stop", recipient="90000301", reason=HOSTILE)
    await reviewer.post(f"/review/{line}", verdict="ask", note=HOSTILE)
    for path in (*PAGES, f"/review/{line}", f"/messages/{message}", "/participants/90000301"):
        shown = await reviewer.get(path)
        assert shown.status_code == 200
        assert "<script>alert" not in shown.text
        assert "&lt;script&gt;" in shown.text or path in ("/alerts",), path
