"""What do the tests of `check client` watch? A requester's system at a recorded front of a real exchange, over mTLS.

The exchange is opened with its stores in a folder, without sources: what it answers hardly matters to what is judged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from gateway.cli.check_front import Front, front
from gateway.rules.identifiers import ApplicationId, Ura, UziNumber
from gateway.rules.network import Organisation, System
from gateway.settings import Settings
from gateway.stores import register
from gateway.stores.ledger import open_ledger
from source_sim import cases, messages, pki, population, requesters
from source_sim.checking.findings import Report
from source_sim.checking.judging import judge_client
from source_sim.country import GP_POST
from source_sim.messages import Occasion
from source_sim.requesters import Search, bsn_token

KNOWN, OTHER = "999900006", "999900018"
SUMMARY = requesters.SEARCHES[requesters.Ask.GP_SUMMARY][0]


def wall() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Exchange:
    """A fresh exchange's settings, and the folder with the papers of its one participant."""

    settings: Settings
    folder: Path

    @classmethod
    def made(cls, folder: Path, **settings: Any) -> Exchange:
        authority = pki.create(folder / "pki", now=wall())
        hosts = ("localhost", "127.0.0.1")
        authority.issue("90000001", "400001", "Test Switchpoint", now=wall(), dns=hosts, out=folder, stem="gateway")
        authority.issue(GP_POST.ura, GP_POST.application, GP_POST.name, now=wall(), out=folder)
        given = Settings(
            state_dir=folder / "state", certificate=folder / "gateway.pem", key=folder / "gateway.key",
            ca=folder / "ca.pem", crl=folder / "pki" / "crl.pem", simulation=True, **settings,
        )  # fmt: skip
        given.state_dir.mkdir()
        return cls(given, folder)

    async def admit(self) -> None:
        ledger = open_ledger(self.settings.ledger_address)
        uzi = UziNumber(pki.uzi_of(GP_POST.ura, GP_POST.application))

        def unit(tx: Any) -> None:
            register.put_organisation(tx, Organisation(Ura(GP_POST.ura), "N6", GP_POST.name))
            register.put_system(tx, System(ApplicationId(GP_POST.application), Ura(GP_POST.ura), uzi))

        try:
            await ledger.commit(unit)
        finally:
            ledger.close()


@dataclass
class Client(requesters.System):
    """A system at work, with the few moves that the tests spoil."""

    def claims(self, **changes: Any) -> dict[str, Any]:
        return requesters.gp_post(wall(), **{"patient": KNOWN, **changes})

    async def search(
        self, token: str, search: Search = SUMMARY, bsn: str = KNOWN, chain: str | None = None, **headers: str
    ) -> requesters.Reply:
        form = [(search.patient, bsn_token(bsn)), *search.others]
        said = {"AORTA-ID": requesters.aorta_id(chain), **{k.replace("_", "-"): v for k, v in headers.items()}}
        return await self.call("POST", f"/{search.resource_type}/_search", token=token, form=form, headers=said)

    async def send(self, message: bytes, **claims: Any) -> requesters.Reply:
        token = await self.token(self.claims(**claims))
        return await self.call("POST", "/$process-message", token=token, resource=message)


def message(id: str | None = None, bsn: str = KNOWN, at: datetime | None = None) -> bytes:
    person = population.person(bsn, wall().date())
    occasion = Occasion(id or str(uuid4()), at or wall(), person, GP_POST, requesters.gp_post, cases.CYSTITIS)
    return messages.return_message(occasion)


Act = Callable[[Client], Awaitable[None]]


@dataclass
class Watched:
    """A session: the client, and the front that saw it."""

    client: Client
    front: Front
    reports: list[Report] = field(default_factory=list)

    def report(self, application: str = "") -> Report:
        return judge_client(self.front.seen, self.front.token_endpoint, wall(), application)


@asynccontextmanager
async def session(exchange: Exchange, *, trouble: bool = False) -> AsyncIterator[Watched]:
    async with front(exchange.settings, "https://localhost:0", trouble=trouble) as opened:
        folder = exchange.folder
        client = Client(
            folder / "client.pem", folder / "client.key", folder / "ca.pem", opened.base, opened.token_endpoint,
            GP_POST.application, GP_POST.ura,
        )  # fmt: skip
        async with client:
            yield Watched(client, opened)


async def watched(exchange: Exchange, act: Act, *, trouble: bool = False) -> Report:
    """The report on one act of a client."""
    async with session(exchange, trouble=trouble) as one:
        await act(one.client)
        return one.report()
