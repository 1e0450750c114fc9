"""Who visits the desk in tests? Browsers without a screen: they keep cookies, and send the proof their form has.

The application is the real one, in process; only its wall clock can be moved.
"""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import httpx
from exchange_made import THEM, US, Exchange

from gateway.cli.scenarios_aside import ScenariosAside
from gateway.flows import sitting
from gateway.flows.credentials import STEP_SECONDS, code_at, hash_password
from gateway.flows.means import Live, Means
from gateway.rules.identifiers import Bsn
from gateway.rules.journal import Event
from gateway.rules.people import Role, TestPerson
from gateway.stores import journal, people
from gateway.stores.people import Account
from gateway.web.desk import desk_app
from gateway.web.pages import Desk, PageLengths

BASE = "http://localhost:8080"
PASSWORD = "twelve-or-more-1"
OPERATORS: dict[str, frozenset[Role]] = {
    "test-viewer": frozenset({Role.VIEWER}),
    "test-operator": frozenset({Role.OPERATOR}),
    "test-reviewer": frozenset({Role.REVIEWER, Role.OPERATOR}),
}
PERSONS = (
    TestPerson("all-open", Bsn(US), "Annelies Testbeek", date(1948, 3, 14)),
    TestPerson("a-child", Bsn(THEM), "Teun Testlinde", date(2012, 6, 1)),
)
WHOLE = PageLengths(*[10_000] * len(fields(PageLengths)))
"""For a desk that shows everything on one page, where a page is shown at a time."""
_PROOF = re.compile(r'name="csrf" value="([^"]+)"')


class Clock:
    """Wall time, with a push."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@cache
def _hash() -> str:
    return hash_password(PASSWORD)


@dataclass
class AtDesk:
    """One desk with three operators and two test persons, and whoever comes to it."""

    means: Means
    desk: Desk
    app: Any
    clock: Clock
    used: dict[str, int] = field(default_factory=dict)

    @asynccontextmanager
    async def visitor(self, *, client: str = "127.0.0.1", base: str = BASE) -> AsyncIterator[Visitor]:
        """A new browser, at this network address."""
        transport = httpx.ASGITransport(app=self.app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url=base, headers=BROWSER) as http:
            yield Visitor(self, http)

    async def code(self, name: str) -> str:
        """A code this account has not used yet: time goes on if it must."""
        step = int(self.clock().timestamp()) // STEP_SECONDS
        if self.used.get(name, -1) >= step:
            self.clock.ahead += timedelta(seconds=STEP_SECONDS * (self.used[name] + 1 - step))
            step = self.used[name] + 1
        self.used[name] = step
        account = await self.means.ledger.read(lambda tx: people.find(tx, name))
        assert account is not None
        return code_at(self.means.keys.code_secret(account.salt), self.clock())

    async def lines(self, *events: Event) -> list[Any]:
        """The journal's lines of these events, oldest first; of every event when none is named."""
        kept = await self.means.ledger.read(lambda tx: journal.tail(tx, 0, 10_000))
        return [one.line for one in kept if not events or one.line.event in events]


BROWSER = {"accept": "text/html,application/xhtml+xml", "accept-language": "en"}


@dataclass
class Visitor:
    """One browser: its cookies, and the last page it got."""

    desk: AtDesk
    http: httpx.AsyncClient
    page: str = ""

    @property
    def proof(self) -> str:
        """What the form on the last page carries."""
        found = _PROOF.search(self.page)
        assert found, "there is no form on the page"
        return html.unescape(found[1])

    @property
    def token(self) -> str:
        return next((cookie.value or "" for cookie in self.http.cookies.jar if "sitting" in cookie.name), "")

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return self._seen(await self.http.get(path, **more))

    async def post(
        self, path: str, *, headers: dict[str, str] | None = None, proof: str | None = None, **form: str
    ) -> httpx.Response:
        """Post a form with the proof of the last page, or the given one."""
        given = {"csrf": self.proof if proof is None else proof, **form}
        return self._seen(await self.http.post(path, data=given, headers={"origin": BASE, **(headers or {})}))

    async def try_login(self, name: str, password: str = PASSWORD, code: str | None = None) -> httpx.Response:
        if "/login" not in self.page:
            await self.get("/login")
        return await self.post("/login", name=name, password=password, code=code or await self.desk.code(name))

    async def log_in(self, name: str = "test-operator") -> Visitor:
        """Sit down as an operator, and be at the front page."""
        await self.get("/login")
        came = await self.try_login(name)
        assert (came.status_code, came.headers["location"]) == (303, "/"), came.text
        await self.get("/")
        return self

    async def log_in_patient(self, key: str = "all-open", party: str = "patient", **more: str) -> httpx.Response:
        """Try to open a patient's page."""
        await self.get("/digid")
        return await self.post("/digid", person=key, party=party, **more)

    def _seen(self, answer: httpx.Response) -> httpx.Response:
        if answer.headers.get("content-type", "").startswith("text/html"):
            self.page = answer.text
        return answer


async def open_desk(exchange: Exchange, *, lengths: PageLengths | None = None, **settings: Any) -> AtDesk:
    """The desk of this exchange, with its operators."""
    clock, gateway = Clock(), exchange.gateway
    means = replace(gateway.means, live=Live(gateway.means.ledger, clock))
    gateway = replace(
        gateway,
        means=means,
        site=replace(gateway.site, means=means),
        settings=gateway.settings.model_copy(update=settings),
    )
    at = clock()
    accounts = [Account(name, _hash(), name.encode(), roles) for name, roles in OPERATORS.items()]
    await means.ledger.commit(lambda tx: [people.put(tx, one, at) for one in accounts])
    desk = replace(gateway.furnished(PERSONS, ScenariosAside()), lengths=lengths or PageLengths())
    return AtDesk(means, desk, desk_app(desk), clock)


assert sitting.PER_ACCOUNT < sitting.PER_ADDRESS, "the tables of attempts rest on this"
