"""How fast are the people's pages with a million journal lines? Rows of issue "The people", ratios to a thousand lines.

Two countries in one process, one with few lines and one with many, sealed and indexed, and with the same last hour;
every page of the console and the patient is asked for in turn at both, as a browser would, with its session. Times are
medians; ratios are those of the quickest rounds, in which nothing else ran. It needs some 2 GB of disk for a million.
Run: `python -m benchmarks.console [--lines N] [--rounds N] [--folder F] [--json]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import httpx

from benchmarks.many_lines import PRACTICE, SOME_CHAIN, fill
from gateway.app import Gateway, open_gateway
from gateway.cli.staging import Stage, issue_all, make_authority, register_all
from gateway.fhir.auditing import audit_event
from gateway.flows.credentials import STEP_SECONDS, code_at, hash_password
from gateway.flows.finding import index_block
from gateway.flows.means import Call
from gateway.flows.reading import read_as_custodian
from gateway.rules.exchange import AortaId, Requester, Situation
from gateway.rules.identifiers import ApplicationId, Bsn
from gateway.rules.people import Role, TestPerson
from gateway.settings import Settings
from gateway.stores import people
from gateway.stores.people import Account
from source_sim import population

FEW = 1000
CONSOLE_MS, PATIENT_MS, RATIO = 300.0, 200.0, 3.0
"""What is promised: milliseconds a page, and times the same page with a thousand lines."""
_BASE, _PASSWORD = "http://localhost:8080", "twelve-or-more-1"
_PROOF = re.compile(r'name="csrf" value="([^"]+)"')

FILTERS: dict[str, str] = {
    "nothing": "",
    "kind": "?kind=gp-post",
    "category": "?category=medication",
    "outcome": "?outcome=refused",
    "a rare outcome": "?outcome=failed",
    "rule": "?rule=REG-3",
    "bar": "?rule=no-cover",
    "source": f"?source={PRACTICE}",
    "organisation": "?organisation=90001007",
    "failing leg": "?failing=malformed",
    "three at once": "?kind=pharmacy&outcome=partial&failing=timed-out",
    "two that never meet": "?kind=pharmacy&rule=EMA-2",
    "one nobody has": "?failing=wrong-patient",
    "a chain": f"?chain={SOME_CHAIN}",
    "older": "?before=500",
}
CONSOLE = {
    "front page": "/",
    **{f"log, {name}": f"/log{query}" for name, query in FILTERS.items()},
    "one call": f"/calls/{SOME_CHAIN}",
    "review": "/review",
    "messages": "/messages",
    "participants": "/participants",
    "alerts": "/alerts",
    "regimes": "/regimes",
    "metrics": "/metrics",
}
PATIENT = {
    "who looked": "/mine",
    "who looked, between days": "/mine?since=2026-01-01&until=2036-01-01",
    "print": "/mine/print",
    "known": "/mine/known",
    "choices": "/mine/choices",
}


@dataclass
class Country:
    """One exchange with so many lines, and two browsers at its desk."""

    gateway: Gateway
    person: TestPerson
    operator: httpx.AsyncClient
    patient: httpx.AsyncClient
    took: dict[str, list[float]] = field(default_factory=dict)

    async def ask(self, name: str, browser: httpx.AsyncClient, path: str) -> None:
        before = time.perf_counter()
        answer = await browser.get(path)
        self.took.setdefault(name, []).append((time.perf_counter() - before) * 1000)
        if answer.status_code != 200:
            raise SystemExit(f"{path}: status {answer.status_code}")

    async def audit(self, name: str) -> None:
        """A custodian's first page, from the question to its AuditEvents."""
        means = self.gateway.means
        party = Requester(PRACTICE, "Test", "Z3", ApplicationId("101"))
        call = Call(AortaId(means.new_id(), means.new_id()), Situation(), lambda _network: party, "search-AuditEvent")
        before = time.perf_counter()
        found = await read_as_custodian(means, call, self.person.bsn, None, None, 50)
        shown = [audit_event(kept.seq, kept.line, patient=self.person.bsn) for kept in found.lines]
        self.took.setdefault(name, []).append((time.perf_counter() - before) * 1000)
        if not shown:
            raise SystemExit("the custodian's page is empty")

    def median(self, name: str) -> float:
        return statistics.median(self.took[name])

    def least(self, name: str) -> float:
        """What the page takes when nothing else runs: what ratios are made of."""
        return min(self.took[name])


async def prepare(folder: Path, lines: int) -> Country:
    """Stage, fill, seal, index, and let an operator and a patient sit down."""
    certs, state = folder / "certs", folder / "state"
    settings = Settings(
        state_dir=state, certificate=certs / "gateway.pem", key=certs / "gateway.key", ca=certs / "ca.pem",
        crl=certs / "crl.pem", simulation=True,
    )  # fmt: skip
    stage = Stage(state, certs, settings, {})
    state.mkdir(parents=True)
    issue_all(stage, make_authority(stage))
    await register_all(stage)
    gateway = await open_gateway(settings)
    one = next(iter(population.persons(date(2026, 1, 1))))
    person = TestPerson(one.key, Bsn(one.bsn), one.name, one.birth_date)
    tell(f"{lines} lines: writing")
    patient = gateway.means.keys.patient(person.bsn)
    await asyncio.to_thread(fill, gateway.means.ledger, lines, patient, datetime.now(UTC))
    tell(f"{lines} lines: sealing")
    while await gateway.sealing.round():
        pass
    tell(f"{lines} lines: indexing")
    while await index_block(gateway.means.ledger):
        pass
    return await _seated(gateway, person)


async def _seated(gateway: Gateway, person: TestPerson) -> Country:
    app = gateway.desk((person,))

    def browser() -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
        return httpx.AsyncClient(transport=transport, base_url=_BASE, headers={"accept": "text/html", "origin": _BASE})

    country = Country(gateway, person, browser(), browser())
    means, wall = gateway.means, datetime.now(UTC)
    account = Account("benchmark", hash_password(_PASSWORD), b"benchmark", frozenset({Role.REVIEWER, Role.OPERATOR}))
    await means.ledger.commit(lambda tx: people.put(tx, account, wall))
    code = code_at(means.keys.code_secret(account.salt), wall)
    assert STEP_SECONDS >= 30, "the code still holds when it is used"
    await _post(country.operator, "/login", name=account.name, password=_PASSWORD, code=code)
    await _post(country.patient, "/digid", person=person.key, party="patient")
    return country


async def _post(browser: httpx.AsyncClient, path: str, **form: str) -> None:
    proof = _PROOF.search((await browser.get(path)).text)
    assert proof, f"there is no form at {path}"
    answer = await browser.post(path, data={"csrf": proof[1], **form})
    if answer.status_code != 303:
        raise SystemExit(f"{path}: status {answer.status_code}")


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


Act = Callable[[Country], Awaitable[None]]


def acts() -> Iterator[tuple[str, float, Act]]:
    """Name, promised milliseconds, and how it is done."""
    for name, path in CONSOLE.items():
        yield name, CONSOLE_MS, lambda country, name=name, path=path: country.ask(name, country.operator, path)  # type: ignore[misc]
    for name, path in PATIENT.items():
        yield name, PATIENT_MS, lambda country, name=name, path=path: country.ask(name, country.patient, path)  # type: ignore[misc]
    yield "AuditEvent, a custodian", CONSOLE_MS, lambda country: country.audit("AuditEvent, a custodian")


async def measure(folder: Path, lines: int, rounds: int, settle: float) -> list[dict[str, object]]:
    countries = [await prepare(folder / str(many), many) for many in (FEW, lines)]
    await _settle(countries, settle)
    todo = list(acts())
    for _ in range(rounds):
        for _, _, act in todo:
            for country in countries:
                await act(country)
    few, many = countries
    rows = []
    for name, promised, _ in todo:
        ratio = many.least(name) / few.least(name)
        kept = many.median(name) <= promised and ratio <= RATIO
        rows.append(
            {
                "page": name,
                "few_ms": few.median(name),
                "many_ms": many.median(name),
                "worst_ms": max(many.took[name]),
                "ratio": ratio,
                "promised_ms": promised,
                "kept": kept,
            }
        )
    for country in countries:
        await country.operator.aclose()
        await country.patient.aclose()
        await country.gateway.close()
    return rows


async def _settle(countries: list[Country], seconds: float) -> None:
    """Everything once, unmeasured; then time for the front page to have counted a whole day in the background."""
    for country in countries:
        for _, _, act in acts():
            await act(country)
        country.took.clear()
    tell("settling")
    await asyncio.sleep(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--settle", type=float, default=60, help="seconds between filling and measuring")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        rows = asyncio.run(measure(Path(folder), wanted.lines, wanted.rounds, wanted.settle))
    if wanted.json:
        print(json.dumps({"lines": wanted.lines, "few": FEW, "rows": rows, "load": os.getloadavg()}))
    else:
        print(f"{'page':28} {FEW:>9} {wanted.lines:>9} {'worst':>8} {'ratio':>6} {'promised':>9}")
        for row in rows:
            print("{page:28} {few_ms:9.1f} {many_ms:9.1f} {worst_ms:8.1f} {ratio:6.2f} {promised_ms:9.0f}".format(**row)
                  + ("" if row["kept"] else "  NOT KEPT"))  # fmt: skip
    return 0 if all(row["kept"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
