"""What do all objects of one country share? The gateway, its ground, the seed; and the calls between them.

The gateway is the real one, composed by gateway.app, with a ledger that forgets; the ground says how it is reached.
Decides nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx

from gateway.app import Gateway, open_gateway
from gateway.flows import operating
from gateway.flows.operating import Turn
from gateway.rules.identifiers import ApplicationId, Bsn, InvalidIdentifier, Ura, UziNumber
from gateway.rules.network import Network, Organisation, RegimeSwitch
from gateway.rules.network import System as Registered
from gateway.stores import journal, register
from gateway.stores.transaction import Transaction
from source_sim.admission import Gate
from source_sim.country import GATEWAY, Participant
from source_sim.testbed import live
from source_sim.testbed.client import Client, Inward
from source_sim.testbed.ground import Ground, Standing
from source_sim.testbed.holding import hold
from source_sim.testbed.papers import Papers
from source_sim.testbed.share import ACTING, Share
from source_sim.testbed.transcript import Told, Transcript, tell

T = TypeVar("T")

_MOST = 1_000_000
_MOMENT = 0.001
_ASTRAY = timedelta(seconds=5)
"""How far leaps may lead wall time away from today's where somebody outside compares times."""


class NotOurs(Exception):
    """In a running simulation only what we added is ours to change."""


class World:
    """One country's inside. `start` is domain time; None: what it is already."""

    def __init__(self, seed: int, start: datetime | None, ground: Ground) -> None:
        self.seed, self.ground = seed, ground
        self.running, self.authority = ground.running, ground.authority
        self._ids = random.Random(f"switchpoint {seed}{ground.salt}")
        self._wall, self._begun = self.authority.begin(), self.running.time()
        self.real = self.held = False
        self._clients: dict[str, Client] = {}
        self._known: dict[str, Participant] = {}
        self._told: list[Told] = []
        self._heard = 0
        self.share = Share(ground.alone)
        self.others: tuple[datetime, ...] = ()
        """Moments for which others recorded that a regime is switched."""
        self._meanwhile: list[tuple[Callable[[], object], float]] = []
        self._ending: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.answers: list[Any] = []
        self.journal = Transcript(self.told)
        self.gateway: Gateway = self.run(self._open())
        self._keys = ground.keys(self.gateway)
        self.opened = self.begin(start)

    async def _open(self) -> Gateway:
        settings, ledger = self.authority.settings(self.ground.base), self.ground.ledger()
        reach = self.ground.reach()
        made = await open_gateway(settings, wall=self.wall, new_id=self.new_id, ledger=ledger, reach=reach)
        await self.ground.open(made)
        return made

    def begin(self, start: datetime | None) -> datetime:
        """Let the story begin at this moment of domain time: what the journal told before is not ours."""
        if start is not None:
            self.turn(Turn(start))
        self._heard = 0 if self.ground.alone else self.read(journal.last)
        return start or self.now()

    def close(self) -> None:
        try:
            self.run(self._end())
        finally:
            self.running.close()

    def at_end(self, end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """What is to be done before the country is closed."""
        self._ending.append(end)

    async def _end(self) -> None:
        for end in reversed(self._ending):
            await end()
        for client in self._clients.values():
            await client.aclose()
        await self.ground.close()
        await self.gateway.close()

    # --- running, time and ids ---------------------------------------------------------------------------------------

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.running.run(work)

    def act(self, work: Coroutine[Any, Any, T]) -> T:
        """Run what somebody does; a moment passes before, for no two things are done at one time."""
        self.tick()
        return self.run(work)

    def meanwhile(self, act: Callable[[], object], seconds: float) -> None:
        """While the next question is under way, after so many seconds, somebody does this."""
        self._meanwhile.append((act, seconds))

    async def with_what_happens(self, work: Coroutine[Any, Any, T]) -> T:
        """Run this, and what is to happen meanwhile. What an act raises is raised."""
        waiting, self._meanwhile = self._meanwhile, []
        acts = [asyncio.create_task(_after(seconds, act)) for act, seconds in waiting]
        try:
            return await work
        finally:
            await asyncio.gather(*acts)

    def tick(self) -> None:
        """Let a moment pass."""
        self.run(self._moment())

    async def _moment(self) -> None:
        await asyncio.sleep(_MOMENT)
        await self.come_back()

    def new_id(self) -> str:
        """A uuid (version 4) from the seed."""
        number = self._ids.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | (0x4 << 76) | (0x2 << 62)
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def chance(self, what: str) -> random.Random:
        """A chance of its own for something, from the country's seed."""
        return random.Random(f"switchpoint {self.seed} {what}")

    def wall(self) -> datetime:
        """Wall time: that of the opening, and what the loop's clock has gone on since."""
        return self._wall + timedelta(seconds=self.running.time() - self._begun)

    def be_real(self) -> None:
        """Somebody outside compares times: from here on wall time is today's. Domain time stays where it is."""
        self.real = self.ground.leaps
        self.run(self.come_back())

    def hold(self) -> None:
        """Somebody outside may be at work at any time: from here on the loop does not leap."""
        self.held = True
        self.running.run_real()

    async def come_back(self) -> None:
        """Where wall time is to be today's and leaps have led it away it is so again; domain time stays."""
        if not self.real or abs(self.wall() - datetime.now(UTC)) < _ASTRAY:
            return
        now = self.today()
        self._wall, self._begun = datetime.now(UTC), self.running.time()
        await operating.turn_clock(self.gateway.means, Turn(now), by=ACTING)

    def network(self) -> Network:
        return self.run(self.gateway.means.live.network())

    def now(self) -> datetime:
        """Domain time."""
        return self.gateway.means.live.domain(self.network())

    def today(self) -> datetime:
        """Domain time as a system of the country sees it, from within the loop."""
        means = self.gateway.means
        return means.live.domain(means.ledger.read_now(register.load))

    def turn(self, turn: Turn) -> None:
        """Turn domain time. Raises Uncountable."""
        self.run(self.turned(turn))

    async def turned(self, turn: Turn) -> None:
        """The same within the loop."""
        await self.changed(operating.turn_clock(self.gateway.means, turn, by=ACTING))

    async def switched(self, switch: RegimeSwitch) -> None:
        """Switch a regime, within the loop, whatever others recorded for a later moment."""
        means, later = self.gateway.means, [at for at in self.others if at > switch.at]

        def outweigh(tx: Transaction) -> None:
            for at in later:
                register.switch(tx, replace(switch, at=at))

        await operating.switch_regime(means, switch)
        await self.changed(means.ledger.commit(outweigh))

    async def changed(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do what changes the network, within the loop, and let everybody know."""
        await work
        await self.ground.hear(await self.gateway.means.live.network())

    # --- the journal -------------------------------------------------------------------------------------------------

    def read(self, unit: Callable[[Transaction], T]) -> T:
        """Look into the ledger."""
        return self.run(self.gateway.means.ledger.read(unit))

    def told(self) -> list[Told]:
        """Every line of the journal that is ours. Lines are never changed, so each is read once."""
        new = self.read(lambda tx: journal.tail(tx, self._heard, _MOST))
        self._heard = new[-1].seq if new else self._heard
        self._told += [tell(kept.seq, kept.line, self.name_of) for kept in new if self.share.tells_of(kept.line)]
        return list(self._told)

    def about(self, bsn: str) -> list[Told]:
        """What was written about one patient; nothing for a number that is none."""
        try:
            patient = self.gateway.means.keys.patient(Bsn(bsn))
        except InvalidIdentifier:
            return []
        return [told for told in self.told() if told.patient == patient]

    def key_of(self, ura: str) -> str:
        """What the testbed calls this organisation; its URA if it does not know it."""
        known = self._known.get(ura)
        return known.key if known else ura

    def name_of(self, ura: str) -> str:
        known = self._known.get(ura)
        return known.name if known else ura

    # --- who takes part ----------------------------------------------------------------------------------------------

    def papers(self, one: Participant) -> Papers:
        return self.authority.papers(one.ura, one.application, one.name)

    @property
    def jwks(self) -> dict[str, Any]:
        """The exchange's public keys."""
        return self.gateway.site.signing.jwks()

    def gate(self, application: str) -> Gate:
        """Whom a system of the country lets in: this gateway alone."""
        return Gate(application, self._keys, self.wall, GATEWAY.ura, self.ground.base)

    def stand(self, standing: Standing) -> None:
        """Let a system answer at the endpoint it claimed."""
        self.run(self.ground.stand(standing))

    def enter(self, one: Participant, endpoint: str | None) -> None:
        """Put a participant in the register."""
        papers = self.papers(one)
        ura, application = Ura(one.ura), ApplicationId(one.application)
        organisation = Organisation(ura, one.organisation_type, one.name, frozenset(one.departments))
        system = Registered(application, ura, UziNumber(papers.uzi), endpoint)
        self.know(one)
        self.share.organisations.add(one.ura)
        self.run(self.changed(operating.join(self.gateway.means, organisation, system, by=ACTING)))
        if endpoint is not None:
            self.deliver_when_told(one)

    def deliver_when_told(self, one: Participant) -> None:
        """Where an exchange delivers by itself, nothing goes to this organisation until we say so, or leave."""
        if not self.ground.alone:
            self.run(hold(self.gateway.means, one.ura))

    def know(self, one: Participant) -> None:
        """Have a key and a name for who takes part."""
        self._known[one.ura] = one

    def participant(self, ura: str) -> Participant | None:
        """Who this is, if we added it."""
        return self._known.get(ura) if ura in self.share.organisations else None

    def meet(self, bsn: str) -> None:
        """This patient is one of ours."""
        with suppress(InvalidIdentifier):
            self.share.patients.add(self.gateway.means.keys.patient(Bsn(bsn)))

    def join(self, one: Participant, endpoint: str | None) -> dict[str, Any]:
        """What join.json tells, with absolute paths."""
        papers, base = self.papers(one), self.ground.base
        return {
            "exchange": base,
            "fhir": base + "/fhir",
            "desk": self.ground.desk,
            "token_endpoint": base + "/token",
            "ura": one.ura,
            "name": one.name,
            "type": one.organisation_type,
            "departments": list(one.departments),
            "application": one.application,
            "uzi": papers.uzi,
            "endpoint": endpoint,
            "certificate": str(papers.certificate),
            "key": str(papers.key),
            "ca": str(papers.ca),
        }

    def http(self, one: Participant) -> httpx.Client:
        """A plain client of the exchange with the participant's certificate."""
        papers = self.papers(one)
        way = self.ground.way(papers)
        if way is None:
            return live.client(self.ground.base, papers)
        return httpx.Client(base_url=self.ground.base, transport=Inward(way, self.run), trust_env=False)

    def client(self, one: Participant) -> Client:
        """The participant's system as it calls the exchange. Raises NotOurs."""
        if one.ura not in self.share.organisations:
            raise NotOurs(f"{one.name} belongs to the simulation, where others count on it")
        known = self._clients.get(one.ura)
        if known is None:
            known = self._clients[one.ura] = self._client(one)
        return known

    def _client(self, one: Participant) -> Client:
        papers, base = self.papers(one), self.ground.base
        files = papers.certificate, papers.key, papers.ca
        way = self.ground.way(papers)
        return Client(
            *files,
            base,
            base + "/token",
            one.application,
            one.ura,
            wall=self.wall,
            transport=way,
            new_id=self.new_id,
        )


async def _after(seconds: float, act: Callable[[], object]) -> None:
    await asyncio.sleep(seconds)
    await asyncio.to_thread(act)
