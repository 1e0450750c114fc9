"""What must have happened before every page of the desk has something to show? A week in a small country.

Played through the real exchange and the real desk in process; only the door to the sources and the post are scripted.
Nine days ago in domain time a crisis began and some things were left lying; today the rest comes. All persons and
organisations are made up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

from desk_made import AtDesk, Visitor, open_desk
from exchange_made import GRANT, US, Exchange, Member, Reply
from test_message_requests import message

from gateway.flows import delivering, operating, tell_me
from gateway.flows.delivering import Delivery
from gateway.rules.exchange import Answer, Failing, Failure, Regime
from gateway.rules.identifiers import Bsn, InvalidIdentifier
from gateway.rules.message import Reply as Took
from gateway.rules.message import Taking
from gateway.rules.network import RegimeSwitch
from gateway.stores import outbox
from gateway.web.desk import desk_app
from source_sim import requesters
from source_sim.custodians import Choice, consent
from source_sim.pki import Pki
from source_sim.requesters import Ask, Persona

NAMES = {
    "gp": ("90000101", "Z3", "Test Huisarts De Linde"),
    "gp_2": (
        "90000102",
        "Z3",
        "Test Gezondheidscentrum Zuidoost-Achterhoek en omstreken, locatie De Oude Post",
    ),
    "pharmacy": ("90000201", "J8", "Test Apotheek Zuid"),
    "pharmacy_2": ("90000202", "J8", "Test Apotheek Noord"),
    "post": ("90000301", "N6", "Test Huisartsenpost Stad"),
    "post_2": ("90000302", "N6", "Test Huisartsenpost Land"),
    "hospital": ("90000401", "V4", "Test Ziekenhuis Oost"),
    "ambulance": ("90000501", "AMB", "Test Ambulancedienst"),
}
ENROLMENT_ALERT = 2
CHECKS = ("seal", "disk", "index", "ledger", "revocation")
MANY = 24
"""Patients one post asks about in an hour without finding anything: enough for two alerts, and a second page."""
_LATE, _SOME_HOURS = timedelta(days=9), timedelta(hours=6)


def strangers() -> Iterator[str]:
    """Test persons nobody has spoken of."""
    for number in itertools.count(999_955_000):
        try:
            yield Bsn(str(number)).digits
        except InvalidIdentifier:
            continue


def cast(authority: Pki) -> SimpleNamespace:
    """The systems of the story, by key."""
    made = {}
    for key, (ura, type, name) in NAMES.items():
        member = Member(authority, ura, type, *(["SEH"] if key == "hospital" else []))
        member.organisation = replace(member.organisation, name=name)
        made[key] = member
    return SimpleNamespace(**made)


@dataclass
class Mailman:
    """The post: takes each message of a recipient as told."""

    takes: Taking = Taking.TAKEN

    async def deliver(self, leave: Any, body: bytes, **_more: Any) -> Took:
        return Took(self.takes, "503" if self.takes is Taking.TURNED_AWAY else "")


@dataclass
class Story:
    """The country after that week; `chains` are initialRequestIDs by what they show."""

    exchange: Exchange
    who: SimpleNamespace
    desk: AtDesk
    mailman: Mailman = field(default_factory=Mailman)
    chains: dict[str, str] = field(default_factory=dict)
    nobody: Iterator[str] = field(default_factory=strangers)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def means(self) -> Any:
        return self.exchange.gateway.means

    # --- what organisations do ---------------------------------------------------------------------------------------

    async def set_time(self, before_now: timedelta) -> None:
        self.at = datetime.now(UTC) - before_now
        await operating.set_clock(self.means, self.at, by="the story")

    async def switch(self, regime: Regime, on: bool, reason: str, until: datetime | None = None) -> None:
        await operating.switch_regime(self.means, RegimeSwitch(regime, on, self.at, "the story", reason, until))

    async def say(self, custodian: Member, patient: str, choice: Choice) -> None:
        token, said = await self.exchange.token(custodian), replace(choice, custodian=custodian.ura)
        resource = consent(patient, said)
        reply = await self.exchange.call("POST", "/Consent", by=custodian, token=token, resource=resource)
        assert reply.status == 201, reply.body

    async def hold(self, custodian: Member, patient: str, *categories: str, latent: bool = False) -> None:
        token = await self.exchange.token(custodian)
        for category in categories:
            entry = custodian.entry(patient, category, at=self.at.date(), latent=latent)
            reply = await self.exchange.call("POST", "/List", by=custodian, token=token, resource=entry)
            assert reply.status in (200, 201), reply.body

    async def ask(
        self,
        shows: str,
        who: Member,
        persona: Persona,
        what: Ask,
        patient: str,
        *,
        verbal: bool = False,
        **changes: Any,
    ) -> Reply:
        """Ask all of this kind; the chain is remembered as what it `shows`."""
        claims = persona(self.at, **changes)
        claims = requesters.verbally(claims, self.at) if verbal else claims
        token = await self.exchange.token(who, patient=patient, **claims)
        self.chains[shows] = chain = str(uuid4())
        for search in requesters.SEARCHES[what]:
            form = [(search.patient, requesters.bsn_token(patient)), *search.others]
            path, header = f"/{search.resource_type}/_search", requesters.aorta_id(chain)
            reply = await self.exchange.call("POST", path, by=who, token=token, form=form, aorta_id=header)
        return reply

    async def send(self, who: Member, patient: str, *, to: str | None = None, persona: Persona | None = None) -> Reply:
        claims = (persona or requesters.gp_post)(self.at)
        token = await self.exchange.token(who, patient=patient, **claims)
        what = message(who, patient, to=to)
        return await self.exchange.call("POST", "/$process-message", by=who, token=token, resource=what)

    async def deliver(self, takes: Taking) -> None:
        """One round of everything due, taken like this."""
        self.mailman.takes = takes
        means = replace(self.means, mail=replace(self.means.mail, post=self.mailman))
        await Delivery(means, claimant=str(uuid4()), jitter=lambda: 0.0).round()

    async def claim(self) -> None:
        """What a process does that takes the next message and is not back yet."""
        means = self.means
        network = await means.live.network()
        now, wall = means.live.domain(network), means.live.wall()
        of = {"claimant": "the story", "lease": delivering.LEASE, "most": 1, "per_lane": 1, "sick": (), "busy": {}}
        claimed = await means.ledger.commit(lambda tx: outbox.claim(tx, now=now, wall=wall, **of))
        assert claimed


async def told(exchange: Exchange, authority: Pki) -> Story:
    """Play it all."""
    who = cast(authority)
    await exchange.admit(*vars(who).values())
    story = Story(exchange, who, await open_desk(exchange))
    for chapter in (_long_ago, _some_hours_ago, _today, _messages, _operators, _patients):
        await chapter(story)
    return story


# --- the chapters ----------------------------------------------------------------------------------------------------


async def _long_ago(story: Story) -> None:
    """Consent and registration; the crisis begins; what is due for review since, and a message nobody answered for."""
    who = story.who
    await story.set_time(_LATE)
    await story.hold(who.gp, US, "enrolment")
    given = {"method": "verbal", "recorder": "Test Assistente Bos", "information": "2026-01"}
    await story.say(who.gp, US, Choice(**given))
    await story.say(who.pharmacy, US, Choice())
    await story.say(who.pharmacy_2, US, Choice(categories=("medication",)))
    await story.hold(who.gp, US, "gp-summary", "treatment-limits")
    await story.hold(who.pharmacy, US, "medication", "allergies")
    await story.hold(who.pharmacy_2, US, "medication")
    await story.switch(Regime.CRISIS_OPT_IN, True, "besluit van de minister")
    hospital = requesters.emergency_department
    await story.ask("verbal", who.hospital, hospital, Ask.GP_SUMMARY, US, verbal=True)
    await story.ask("presumed", who.hospital, hospital, Ask.GP_SUMMARY, US, capacity="incapable")
    await story.ask("unasked", who.hospital, hospital, Ask.GP_SUMMARY, US)
    await story.deliver(Taking.TAKEN)
    assert (await story.send(who.post, US)).status == 202
    await story.deliver(Taking.REPLY_LOST)


async def _some_hours_ago(story: Story) -> None:
    """Time is up for that message; another one does not get through, and one has nowhere to go."""
    await story.set_time(_SOME_HOURS)
    await story.deliver(Taking.TAKEN)
    assert (await story.send(story.who.post, US)).status == 202
    await story.deliver(Taking.REJECTED)
    assert (await story.send(story.who.post, next(story.nobody))).status == 202
    assert (await story.send(story.who.post, US)).status == 202
    await story.deliver(Taking.UNREACHABLE)


async def _today(story: Story) -> None:
    who, post = story.who, requesters.gp_post
    await story.set_time(timedelta(0))
    await story.switch(Regime.CRISIS_OPT_IN, False, "de crisis is voorbij")
    await story.ask("refused", who.hospital, requesters.specialist, Ask.GP_SUMMARY, US)
    later = story.at + timedelta(days=60)
    await story.switch(Regime.EMERGENCY_AVAILABLE, True, "het programma begint in deze regio", later)
    await story.ask("permitted", who.post, post, Ask.GP_SUMMARY, US)
    await story.ask("mandate", who.post, post, Ask.MEDICATION, US, **_under_mandate(story.at))
    await story.ask("limits", who.ambulance, requesters.ambulance, Ask.TREATMENT_LIMITS, US)
    await story.ask("no-cover", who.post, post, Ask.GP_SUMMARY, US, cover=False)
    await story.ask("company-doctor", who.post, post, Ask.GP_SUMMARY, US, role="01.008")
    await _troubled_sources(story)
    await _withdrawn_meanwhile(story)
    await _numbers_tried(story)


def _under_mandate(at: datetime) -> dict[str, Any]:
    until = (at + timedelta(days=30)).isoformat()
    chief = {"uzi": "000000017", "name": "Test Chef-de-Clinique", "role": "01.015", "mandate_until": until}
    return {"role": "30.000", "name": "Test Verpleegkundige", "responsible": chief}


async def _troubled_sources(story: Story) -> None:
    answers, who = story.exchange.door.answers, story.who
    for failing in Failing:
        answers[who.pharmacy_2.ura] = Failure(failing, "told by the story", breaker=failing is Failing.TIMED_OUT)
        await story.ask(f"partial-{failing}", who.post, requesters.gp_post, Ask.MEDICATION, US)
    answers[who.pharmacy.ura] = answers[who.pharmacy_2.ura] = Failure(Failing.TIMED_OUT, "no whole answer in time")
    await story.ask("failed", who.post, requesters.gp_post, Ask.MEDICATION, US)
    answers.clear()


async def _withdrawn_meanwhile(story: Story) -> None:
    """She says no to the post while the practice is answering; afterwards her yes is back, for all but the post."""
    door, who = story.exchange.door, story.who
    ask = door.ask

    async def withdrawing(*given: Any, **more: Any) -> Answer | Failure:
        answer = await ask(*given, **more)
        await story.say(who.gp, US, Choice(permit=False, requesters=(who.post.ura,)))
        return answer

    door.ask = withdrawing
    await story.ask("dropped", who.post, requesters.gp_post, Ask.GP_SUMMARY, US)
    door.ask = ask
    await story.ask("objected", who.post, requesters.gp_post, Ask.GP_SUMMARY, US)


async def _numbers_tried(story: Story) -> None:
    """One post asks about many it finds nothing of, all in haste; one practice takes over other practices' patients."""
    who, urgent = story.who, {"purpose": "ETREAT", "contact": requesters.contact("triage", story.at)}
    for _ in range(MANY):
        await story.ask("neutral", who.post_2, requesters.gp_post, Ask.GP_SUMMARY, next(story.nobody), **urgent)
    for patient in itertools.islice(story.nobody, ENROLMENT_ALERT + 1):
        await story.hold(who.gp, patient, "enrolment")
        await story.hold(who.gp_2, patient, "enrolment")


async def _messages(story: Story) -> None:
    """A referral to who has no address, and one that is being delivered at this moment."""
    who = story.who
    assert (await story.send(who.gp, US, to=who.hospital.ura, persona=_referring())).status == 202
    assert (await story.send(who.post, US)).status == 202
    await story.claim()


def _referring() -> Persona:
    return Persona("Z3", "000000021", "Test Huisarts", "01.015", "consultation")


async def _operators(story: Story) -> None:
    who = story.who
    async with story.desk.visitor() as one, story.desk.visitor() as other:
        await one.log_in("test-operator")
        await _asked_to(one, "/regimes", "/regimes/propose", regime="CRISIS_OPT_IN", reason="een nieuwe golf")
        for recipient, reason in ((who.gp_2.ura, "storing daar"), ("", "onderhoud van het netwerk")):
            await _asked_to(one, "/messages", "/messages/delivery/stop", recipient=recipient, reason=reason)
        revoked = {"serial": who.post_2.serial, "reason": "laptop gestolen", "sure": "true"}
        await _asked_to(one, "/participants", "/participants/revoke", **revoked)
        await other.log_in("test-reviewer")
        cases = await _cases(other)
        await _asked_to(other, f"/review/{cases[0]}", f"/review/{cases[0]}", verdict="ask", note="Wie was erbij?")
        await _asked_to(other, f"/review/{cases[-1]}", f"/review/{cases[-1]}", verdict="in-order")
    grant = {"grant_type": GRANT, "assertion": story.exchange.assertion(who.post_2)}
    assert (await story.exchange.post_token(who.post_2, grant)).status == 401, "revoked"


def in_trouble(desk: AtDesk) -> AtDesk:
    """The same desk on a very bad day: every check fails, and the exchange's papers cannot be read."""

    async def failing() -> str:
        return "told by the story"

    nowhere = desk.desk.settings.state_dir / "nowhere.pem"
    settings = replace(desk.desk.settings, certificate=nowhere, crl=nowhere)
    ill = replace(desk.desk, checks=dict.fromkeys((*desk.desk.checks, *CHECKS), failing), settings=settings)
    return replace(desk, desk=ill, app=desk_app(ill))


async def _cases(reviewer: Visitor) -> list[str]:
    page = (await reviewer.get("/review")).text
    return [part.partition('"')[0] for part in page.split('href="/review/')[1:]]


async def _asked_to(person: Visitor, page: str, act: str, **form: str) -> None:
    await person.get(page)
    answer = await person.post(act, **form)
    assert answer.status_code == 303, answer.text


async def _patients(story: Story) -> None:
    """She wants to be told and is; a parent proposed a yes that waits for the child."""
    async with story.desk.visitor() as she, story.desk.visitor() as parent:
        await she.log_in_patient()
        await _asked_to(she, "/mine/notices", "/mine/notices", subjects="asked")
        await story.ask("told", story.who.ambulance, requesters.ambulance, Ask.GP_SUMMARY, US)
        await tell_me.tell(story.means.ledger)
        await parent.log_in_patient("a-child", "parent")
        await parent.get("/mine/choices")
        shown = await parent.post("/mine/choices/effect", preset="everything")
        version = shown.text.partition('name="version" value="')[2].partition('"')[0]
        answer = await parent.post("/mine/choices", preset="everything", version=version)
        assert answer.status_code == 303, answer.text
