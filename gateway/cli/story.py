"""What happens on this Saturday night? The story of the demo: each step asks, tells what came, and checks it.

A step that comes out otherwise than told fails the story. The order matters: regimes and choices of one step hold in
the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console

from gateway.app import wall_clock
from gateway.cli import story_messages
from gateway.cli.ask import PERSONAS, system_from
from gateway.cli.opened import with_means_async
from gateway.cli.showing import show
from gateway.cli.staging import Stage
from gateway.flows.means import Means
from gateway.flows.operating import switch_regime
from gateway.flows.sealing_journal import open_sealer, seal
from gateway.flows.verifying_journal import Report, verify
from gateway.rules.exchange import Regime
from gateway.rules.journal import Event
from gateway.rules.network import RegimeSwitch
from gateway.stores import journal
from source_sim import country, requesters
from source_sim.country import Participant
from source_sim.custodians import Choice, Custodian
from source_sim.requesters import Ask, Claims, Reply, System

_DUTCH_TIME = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True, slots=True)
class Cast:
    """Whom the story is about: BSNs by role in the story. All are test persons, or fictitious patients of a folder."""

    main: str = field(repr=False)
    main_name: str
    recorded: bool
    """The main patient's record is a folder's: what it holds is not ours to foretell."""
    others: dict[str, str] = field(repr=False)


class Unlike(AssertionError):
    """A step came out otherwise than told."""


def expect(condition: bool, told: str) -> None:
    """Raises Unlike."""
    if not condition:
        raise Unlike(told)


class Story:
    """Plays the steps against a running country."""

    def __init__(self, made: Stage, cast: Cast, console: Console) -> None:
        self.made, self.cast, self.console = made, cast, console
        self.systems: dict[str, System] = {}
        self.control = httpx.AsyncClient(base_url=made.control, trust_env=False)
        self.desk = httpx.AsyncClient(base_url=made.desk, trust_env=False)
        self.first_chain = ""

    async def play(self) -> int:
        """Play every step; returns how many came out otherwise than told."""
        for one in country.PARTICIPANTS:
            self.systems[one.key] = system_from(self.made.folder(one))
        failed = 0
        try:
            for number, (title, step) in enumerate(self._steps(), 1):
                self.console.print(f"\n[bold]{number}. {title}[/]")
                failed += not await self._played(step)
        finally:
            for system in self.systems.values():
                await system.aclose()
            await self.control.aclose()
            await self.desk.aclose()
        return failed

    async def _played(self, step: Callable[[], Awaitable[None]]) -> bool:
        try:
            await step()
        except Unlike as wrong:
            self.console.print(f"   [bold red]NOT AS TOLD[/]: {wrong}")
            return False
        except (httpx.HTTPError, requesters.TokenRefused) as wrong:
            self.console.print(f"   [bold red]FAILED[/]: {type(wrong).__name__}: {wrong}")
            return False
        return True

    def _steps(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        name = self.cast.main_name
        return [
            (f"By day, {name} says yes to her GP and her pharmacy; only then can they register her.", self.register),
            ("Saturday night, 23:40. The GP post asks for summary and medication, and gets both.", self.after_hours),
            ("One of two pharmacies is slow. The post gets the other's data, and is told what is missing.", self.slow),
            ("A second patient objected. The post cannot tell that from a patient nobody knows.", self.objected),
            ("The emergency department asks for the summary. Under the regular rules it may not.", self.refused),
            ("EMERGENCY_AVAILABLE is switched on: emergency department and ambulance see what they need.", self.acute),
            ("The crisis regime: a patient who never chose is asked first.", self.ask_first),
            ("An unconscious patient cannot be asked: consent is presumed, and flagged.", self.presumed),
            ("Her GP hears of both.", partial(story_messages.notices, self)),
            ("The stop button: from this second the latent entry is silent, even after a yes on the spot.", self.stop),
            ("She withdraws her consent while a query is running: the answer is dropped.", self.withdrawal),
            (
                "Sunday. The post reports back while the practice's system is down.",
                partial(story_messages.report_back, self),
            ),
            (
                "Who never chose is reported on, too; who objects to just that is not.",
                partial(story_messages.without_choice, self),
            ),
            ("The journal tells all of it.", self.told),
        ]

    expect = staticmethod(expect)

    # --- what people do ----------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        self.console.print(f"   {text}")

    def custodian(self, who: Participant) -> Custodian:
        return Custodian(self.systems[who.key])

    async def now(self) -> datetime:
        return datetime.fromisoformat((await self.desk.get("/sim/clock")).raise_for_status().json()["now"])

    async def ask(self, persona: str, what: Ask, bsn: str, *, wait: int = 0, **changes: Any) -> Reply:
        claims: Claims = PERSONAS[persona](await self.now(), **changes)
        if "verbal" in changes:
            claims = requesters.verbally({k: v for k, v in claims.items() if k != "verbal"}, await self.now())
        headers = requesters.patience(wait) if wait else None
        return await self.systems[country.REQUESTERS[persona].key].ask(what, bsn, claims, headers=headers)

    async def fault(self, who: Participant, name: str, seconds: float = 0.0) -> None:
        body = {"name": name, "seconds": seconds}
        (await self.control.put(f"/systems/{who.ura}/fault", json=body)).raise_for_status()

    async def mend(self, who: Participant) -> None:
        (await self.control.delete(f"/systems/{who.ura}/fault")).raise_for_status()

    async def switch(self, regime: Regime, on: bool, reason: str) -> None:
        async def act(means: Means) -> None:
            at = means.live.domain(await means.live.network())
            await switch_regime(means, RegimeSwitch(regime, on, at, "the story", reason))

        await with_means_async(self.made.settings, act)

    async def enter(self, who: Participant, bsn: str, *categories: str, **choice: Any) -> None:
        """Consent, then registration: what a practice or pharmacy does once the patient said yes."""
        reply = await self.custodian(who).state_consent(bsn, Choice(**choice))
        expect(reply.status == 201, f"{who.name} could not record the consent: {reply.status} {reply.sentence}")
        for category in categories:
            reply = await self.custodian(who).register_entry(bsn, category, at=await self.now())
            expect(reply.status == 201, f"{who.name} could not register {category}: {reply.status} {reply.sentence}")

    # --- the steps ---------------------------------------------------------------------------------------------------

    async def register(self) -> None:
        bsn = self.cast.main
        early = await self.custodian(country.GP).register_entry(bsn, "gp-summary", at=await self.now())
        expect((early.status, early.code) == (403, "no-consent"), f"registering before consent gave {early.status}")
        self.say(f"Before her yes: 403 {early.code}. {early.sentence}")
        await self.enter(country.GP, bsn, "gp-summary", "treatment-limits")
        await self.enter(country.PHARMACY, bsn, "medication", "allergies")
        await story_messages.enrol(self)
        self.say("After it: practice and pharmacy are registered. The switchpoint knows where, not what.")

    async def after_hours(self) -> None:
        await self.desk.put("/sim/clock", json={"now": _saturday_night(await self.now()).isoformat()})
        summary = await self.ask("gp-post", Ask.GP_SUMMARY, self.cast.main)
        expect(summary.status == 200, f"{summary.status} {summary.sentence}")
        expect((summary.completeness, len(summary.matches)) == ("complete", 1), "no complete summary")
        self.first_chain = summary.aorta_id
        show(summary, self.console, most=4)
        medication = await self.ask("gp-post", Ask.MEDICATION, self.cast.main)
        expect(medication.completeness == "complete", f"medication was {medication.completeness}")
        allergies = await self.ask("gp-post", Ask.ALLERGIES, self.cast.main)
        expect(allergies.completeness == "complete", f"allergies were {allergies.completeness}")
        held = medication.matches or allergies.matches
        expect(bool(held) or self.cast.recorded, "the pharmacy gave nothing")
        show(medication, self.console, most=4)

    async def slow(self) -> None:
        bsn = self.cast.main
        await self.enter(country.SECOND_PHARMACY, bsn, "medication")
        await self.fault(country.SECOND_PHARMACY, "slow", 6)
        reply = await self.ask("gp-post", Ask.MEDICATION, bsn, wait=1)
        await self.mend(country.SECOND_PHARMACY)
        late = {(one.code, one.ura) for one in reply.outcomes}
        expect(reply.completeness == "partial", f"the answer was {reply.completeness}, not partial")
        expect(late == {("timed-out", country.SECOND_PHARMACY.ura)}, "the slow pharmacy was not named")
        self.say(f"{reply.completeness}: {country.SECOND_PHARMACY.name} {reply.outcomes[0].code}; the rest arrived.")

    async def objected(self) -> None:
        bsn, stranger = self.cast.others["objected"], self.cast.others["unknown"]
        await self.enter(country.GP, bsn, "gp-summary")
        refusal = await self.custodian(country.GP).state_consent(bsn, Choice(permit=False))
        expect(refusal.status == 201, f"the objection was not taken: {refusal.status}")
        first = await self.ask("gp-post", Ask.GP_SUMMARY, bsn)
        second = await self.ask("gp-post", Ask.GP_SUMMARY, stranger)
        same = _shape(first) == _shape(second) and len(first.body) == len(second.body)
        expect(same and first.status == 200 and not first.matches, "the two answers can be told apart")
        self.say(f"Both: 200, {first.completeness}, nothing found, {len(first.body)} bytes. The journal knows better.")

    async def refused(self) -> None:
        reply = await self.ask("emergency-department", Ask.GP_SUMMARY, self.cast.main)
        expect((reply.status, reply.code) == (403, "not-authorised"), f"{reply.status} {reply.code}")
        self.say(f"403 {reply.code}. {reply.sentence}")

    async def acute(self) -> None:
        await self.switch(Regime.EMERGENCY_AVAILABLE, True, "the programme starts in this region")
        for persona in ("emergency-department", "ambulance"):
            summary = await self.ask(persona, Ask.GP_SUMMARY, self.cast.main)
            expect(
                (summary.status, len(summary.matches)) == (200, 1), f"{persona}: {summary.status} {summary.sentence}"
            )
            limits = await self.ask(persona, Ask.TREATMENT_LIMITS, self.cast.main)
            held = bool(limits.matches) or self.cast.recorded
            expect(limits.completeness == "complete" and held, f"{persona}: no treatment limits")
            self.say(f"{persona.replace('-', ' ')}: acute summary and {len(limits.matches)} treatment limits.")
        show(limits, self.console, most=6)

    async def ask_first(self) -> None:
        await self.switch(Regime.CRISIS_OPT_IN, True, "the crisis arrangement")
        bsn = self.cast.others["latent"]
        reply = await self.custodian(country.GP).register_entry(bsn, "gp-summary", latent=True, at=await self.now())
        expect(reply.status == 200, f"latent registration: {reply.status} {reply.sentence}")
        unasked = await self.ask("gp-post", Ask.GP_SUMMARY, bsn)
        expect((unasked.status, unasked.code) == (403, "verbal-consent-required"), f"{unasked.status} {unasked.code}")
        self.say(f"403 {unasked.code}. {unasked.sentence}")
        asked = await self.ask("gp-post", Ask.GP_SUMMARY, bsn, verbal=True)
        expect(asked.status == 200 and len(asked.matches) == 1, f"after asking: {asked.status} {asked.sentence}")
        expect("verbal-consent" in asked.flags, "the answer is not flagged")
        self.say("She says yes on the spot: the summary comes, flagged as verbal consent.")

    async def presumed(self) -> None:
        bsn = self.cast.others["latent"]
        reply = await self.ask("emergency-department", Ask.GP_SUMMARY, bsn, capacity="incapable")
        expect(reply.status == 200 and len(reply.matches) == 1, f"{reply.status} {reply.sentence}")
        expect("presumed-consent" in reply.flags, "the answer is not flagged")
        self.say(
            "The summary comes, flagged as presumed consent: GP and patient will be told, and it will be reviewed."
        )

    async def stop(self) -> None:
        await self.switch(Regime.CRISIS_OPT_IN, False, "stop button")
        reply = await self.ask("gp-post", Ask.GP_SUMMARY, self.cast.others["latent"], verbal=True)
        expect(reply.status == 200 and not reply.matches, f"the latent entry still speaks: {reply.status}")
        self.say("Nothing found, complete. Choices really made would have stayed.")

    async def withdrawal(self) -> None:
        bsn = self.cast.main
        await self.fault(country.GP, "slow", 1.5)
        query = asyncio.create_task(self.ask("gp-post", Ask.GP_SUMMARY, bsn))
        await asyncio.sleep(0.7)
        taken = await self.custodian(country.GP).state_consent(bsn, Choice(active=False))
        expect(taken.status == 201, f"the withdrawal was not taken: {taken.status}")
        reply = await query
        await self.mend(country.GP)
        expect(reply.status == 200 and not reply.matches, "the answer was released after the withdrawal")
        self.say("The practice had answered already; nothing was released. Her withdrawal came first.")
        await self.enter(country.GP, bsn, "gp-summary", "treatment-limits")
        self.say("Next day she says yes again. That wants a new registration: the withdrawal had ended the old one.")

    async def told(self) -> None:
        chain = self.first_chain.partition("=")[2].partition(";")[0]

        async def read(means: Means) -> tuple[list[journal.Kept], Report]:
            found = await means.ledger.read(lambda tx: journal.by_chain(tx, chain))
            sealer = open_sealer(means.ledger, self.made.state, wall_clock)
            while await seal(sealer):
                pass
            return found, verify(means.ledger)

        found, report = await with_means_async(self.made.settings, read)
        events = [kept.line.event for kept in found]
        expect(events == [Event.QUERY_DECIDED, Event.DISCLOSED, Event.QUERY_ANSWERED], f"the chain tells {events}")
        for kept in found:
            row = kept.line.fields.get("row") or ""
            self.say(f"{kept.seq:>4}  {kept.line.at:%H:%M:%S}  {kept.line.event:<15} {row}")
        self.say(f"{report.entries} lines in all; never a BSN, never content. `switchpoint journal tail` shows them.")
        told = report.first_wrong.told if report.first_wrong else ""
        self.expect(not report.wrong and report.sealed >= found[-1].seq, f"the journal does not verify: {told}")
        self.say(
            f"`switchpoint journal verify`: {report.sealed} sealed in {report.checkpoints} checkpoints, untouched."
        )


def _saturday_night(now: datetime) -> datetime:
    """23:40 Dutch time on the coming Saturday (today, if it is one)."""
    local = now.astimezone(_DUTCH_TIME)
    day = local + timedelta(days=(5 - local.weekday()) % 7)
    return day.replace(hour=23, minute=40, second=0, microsecond=0)


def _shape(reply: Reply) -> dict[str, Any]:
    """An answer without its id and time."""
    body = dict(reply.json)
    body.pop("id", None)
    body["meta"] = {name: value for name, value in body.get("meta", {}).items() if name != "lastUpdated"}
    return body
