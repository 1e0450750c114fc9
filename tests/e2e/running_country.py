"""How does a test visit a running country? Its processes, its journal, its sources' own logs, and everyone's systems.

A Country is staged once per test process; a Visit is one test's time in it, on that test's event loop. Every test takes
patients of its own (`patient`), so that no test sees another's choices; faults, regimes and the clock go back on
leaving.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import processes

from gateway.cli.ask import PERSONAS, system_from
from gateway.cli.opened import with_means_async
from gateway.cli.staging import Stage
from gateway.flows.means import Means
from gateway.flows.operating import join, switch_regime
from gateway.rules import network
from gateway.rules.exchange import Regime
from gateway.rules.identifiers import ApplicationId, Ura, UziNumber
from gateway.rules.journal import Event
from gateway.rules.network import Organisation, RegimeSwitch
from gateway.stores import journal
from gateway.stores.journal import Kept
from gateway.stores.ledger import Ledger
from source_sim import country, pki, requesters
from source_sim.country import Participant
from source_sim.custodians import Choice, Custodian
from source_sim.requesters import Ask, Reply, System

EVERYBODY = 100_000


@dataclass
class Country:
    """A staged country; `ledger` is open for reading only."""

    made: Stage = field(repr=False)
    ledger: Ledger
    strangers: Iterator[str] = field(repr=False)
    everyone: tuple[str, ...] = field(repr=False)
    heard: dict[bytes, str] = field(default_factory=dict, repr=False)
    """Every different FHIR answer that left, with where it was given first."""

    def hear(self, method: str, path: str, reply: Reply) -> None:
        if reply.body:
            self.heard.setdefault(reply.body, f"{method} {path.partition('?')[0]} {reply.status}")

    def patient(self) -> str:
        """A test person nobody has spoken of yet. All sources hold a record about her."""
        return next(self.strangers)

    @property
    def running(self) -> str:
        return str(self.made.state / "running.json")

    @property
    def authority(self) -> pki.Pki:
        return pki.load(self.made.certs)

    def chain(self, initial: str) -> list[Kept]:
        """The journal's lines of one chain, oldest first."""
        return self.ledger.read_now(lambda tx: journal.by_chain(tx, initial))

    def told(self, initial: str) -> list[Event]:
        return [kept.line.event for kept in self.chain(initial)]

    def lines(self, event: Event) -> list[Kept]:
        return self.ledger.read_now(lambda tx: journal.tail(tx, 0, EVERYBODY, event=event))

    def workers(self) -> set[int]:
        """The pids of the exchange workers that run now."""
        return processes.workers_of(self.made.processes[-1].pid)


class Visit:
    """One test's time in the country."""

    def __init__(self, at: Country) -> None:
        self.country = at
        self.control = httpx.AsyncClient(base_url=at.made.control, trust_env=False, timeout=10)
        self.desk = httpx.AsyncClient(base_url=at.made.desk, trust_env=False, timeout=10)
        self._systems: dict[str, System] = {}
        self._opened: list[System] = []
        self._spoiled: set[str] = set()

    async def leave(self) -> None:
        for ura in self._spoiled:
            await self.control.delete(f"/systems/{ura}/fault")
        for system in self._opened:
            await system.aclose()
        await self.control.aclose()
        await self.desk.aclose()

    # --- who ---------------------------------------------------------------------------------------------------------

    def system(self, who: Participant) -> System:
        """This participant's system, the same one throughout the visit (connections are kept alive)."""
        if who.key not in self._systems:
            self._systems[who.key] = self.another(who)
        return self._systems[who.key]

    def another(self, who: Participant | Path) -> System:
        """A system of its own connections; by the folder of its certificate for who joined later."""
        opened = system_from(who if isinstance(who, Path) else self.country.made.folder(who))
        opened.heard = self.country.hear
        self._opened.append(opened)
        return opened

    def custodian(self, who: Participant) -> Custodian:
        return Custodian(self.system(who))

    async def enter(self, who: Participant, bsn: str, *categories: str, **choice: Any) -> None:
        """Consent, then registration at this custodian."""
        stated = await self.custodian(who).state_consent(bsn, Choice(**choice))
        assert stated.status == 201, (stated.status, stated.sentence)
        await self.register(who, bsn, *categories)

    async def register(self, who: Participant, bsn: str, *categories: str, latent: bool = False) -> None:
        for category in categories:
            entered = await self.custodian(who).register_entry(bsn, category, latent=latent, at=await self.now())
            assert entered.status in (200, 201), (category, entered.status, entered.sentence)

    async def newcomer(
        self,
        folder: Path,
        ura: str,
        application: str,
        kind: str,
        *,
        flaw: pki.Flaw | None = None,
        registered: bool = True,
        endpoint: str | None = None,
    ) -> Path:
        """A system of a new organisation, its certificate (with this flaw) and join.json in `folder`."""
        authority, made = self.country.authority, self.country.made
        hosts = ("localhost", "127.0.0.1")
        authority.issue(ura, application, f"Test {ura}", now=datetime.now(UTC), dns=hosts, out=folder, flaw=flaw)
        if registered:
            organisation = Organisation(Ura(ura), kind, f"Test {ura}", frozenset())
            uzi = UziNumber(pki.uzi_of(ura, application))
            joining = network.System(ApplicationId(application), Ura(ura), uzi, endpoint)
            await self.operate(lambda means: join(means, organisation, joining, by="a test"))
        told = {"certificate": "client.pem", "key": "client.key", "ca": "ca.pem", "exchange": made.exchange,
                "token_endpoint": made.settings.token_endpoint, "application": application, "ura": ura}  # fmt: skip
        (folder / "join.json").write_text(json.dumps(told), "utf-8")
        return folder

    # --- asking ------------------------------------------------------------------------------------------------------

    async def claims(self, persona: str, **changes: Any) -> dict[str, Any]:
        now = await self.now()
        verbal = changes.pop("verbal", False)
        claims = PERSONAS[persona](now, **changes)
        return requesters.verbally(claims, now) if verbal else claims

    async def ask(
        self,
        persona: str,
        what: Ask,
        bsn: str,
        *,
        chain: str = "",
        wait: int = 0,
        system: System | None = None,
        **more: Any,
    ) -> Reply:
        headers = {"AORTA-ID": requesters.aorta_id(chain)} if chain else {}
        headers |= requesters.patience(wait) if wait else {}
        asking = system or self.system(country.REQUESTERS[persona])
        return await asking.ask(what, bsn, await self.claims(persona, **more), headers=headers)

    async def token(self, bsn: str, persona: str = "gp-post", system: System | None = None, **more: Any) -> str:
        asking = system or self.system(country.REQUESTERS[persona])
        return await asking.token({**await self.claims(persona, **more), "patient": bsn})

    async def search(
        self,
        bsn: str,
        token: str,
        *,
        kind: Ask = Ask.GP_SUMMARY,
        chain: str = "",
        wait: int = 0,
        system: System | None = None,
    ) -> Reply:
        """The first search of `kind` with a token in hand: one request, one answer, no time spent on the token."""
        search = requesters.SEARCHES[kind][0]
        headers = {"AORTA-ID": requesters.aorta_id(chain)} if chain else {}
        return await (system or self.system(country.GP_POST)).call(
            "POST",
            f"/{search.resource_type}/_search",
            token=token,
            form=[(search.patient, requesters.bsn_token(bsn)), *search.others],
            headers=headers | (requesters.patience(wait) if wait else {}),
        )

    # --- the sources -------------------------------------------------------------------------------------------------

    async def fault(self, who: Participant, name: str, seconds: float = 0.0) -> None:
        self._spoiled.add(who.ura)
        answer = await self.control.put(f"/systems/{who.ura}/fault", json={"name": name, "seconds": seconds})
        answer.raise_for_status()

    async def mend(self, who: Participant) -> None:
        (await self.control.delete(f"/systems/{who.ura}/fault")).raise_for_status()

    async def log(self, who: Participant) -> list[dict[str, Any]]:
        """Everything this source wrote down itself."""
        lines: list[dict[str, Any]] = (
            (await self.control.get(f"/systems/{who.ura}/log")).raise_for_status().json()["log"]
        )
        return lines

    async def seen(self, who: Participant, chain: str) -> list[dict[str, Any]]:
        return [line for line in await self.log(who) if line["initial"] == chain]

    # --- clock and regimes -------------------------------------------------------------------------------------------

    async def now(self) -> datetime:
        return datetime.fromisoformat((await self.desk.get("/sim/clock")).raise_for_status().json()["now"])

    async def set_clock(self, now: datetime) -> None:
        (await self.desk.put("/sim/clock", json={"now": now.isoformat()})).raise_for_status()

    @asynccontextmanager
    async def clock_back_afterwards(self) -> AsyncIterator[None]:
        ahead = await self.now() - datetime.now(UTC)
        try:
            yield
        finally:
            await self.set_clock(datetime.now(UTC) + ahead)

    async def operate(self, act: Any) -> None:
        await with_means_async(self.country.made.settings, act)

    async def switch(self, regime: Regime, on: bool, *, until: timedelta | None = None) -> None:
        async def act(means: Means) -> None:
            at = means.live.domain(await means.live.network())
            await switch_regime(means, RegimeSwitch(regime, on, at, "a test", "a test", at + until if until else None))

        await self.operate(act)

    @asynccontextmanager
    async def regime(self, regime: Regime) -> AsyncIterator[None]:
        await self.switch(regime, True)
        try:
            yield
        finally:
            await self.switch(regime, False)


async def within(seconds: float, ready: Any) -> bool:
    """Whether `ready()` (a coroutine function) comes true in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        if await ready():
            return True
        await asyncio.sleep(0.05)
    return False


def tls_of(folder: Path) -> ssl.SSLContext:
    """A client's TLS with the certificate in `folder`."""
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context
