"""Do the numbers and the health tell the truth? Every family as the format wants it, counts by hand, checks that fail.

The reader of the text format here is its own, strict one; the dashboard is held against the numbers that exist.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from exchange_made import SEARCHES, US, Exchange

from gateway.flows.finding import index_block
from gateway.flows.means import Means
from gateway.flows.metering import BUCKETS_MS, Counted, Meter
from gateway.rules.exchange import Failing, Failure, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import FIELDS, Event, Json, Line
from gateway.stores import finding, journal
from gateway.stores.ledger import LedgerUnavailable, Transaction
from gateway.stores.revocation import RevocationList
from gateway.web.metrics import Family, exposition
from gateway.web.watching import CHECK_SECONDS, Readiness

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 11, 22, 3, tzinfo=UTC)
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9.e+]+)')
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


@dataclass
class Read:
    """What a scrape gave: kinds by family, values by sample as it is written."""

    kinds: dict[str, str] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)

    def of(self, prefix: str) -> dict[str, float]:
        return {name: value for name, value in self.values.items() if name.startswith(prefix) and value}


def parsed(text: str) -> Read:
    """Strictly: help and type before the samples, every family once, no sample twice."""
    read, family = Read(), ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in read.kinds
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name == family
            read.kinds[name] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] in [family + suffix for suffix in SUFFIXES[read.kinds[family]]]
            sample = line.rpartition(" ")[0]
            assert sample not in read.values
            read.values[sample] = float(found[3])
    return read


@pytest_asyncio.fixture
async def desk(exchange: Exchange) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=exchange.gateway.desk())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


async def scraped(desk: httpx.AsyncClient) -> Read:
    reply = await desk.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert US not in reply.text
    return parsed(reply.text)


# --- the numbers -----------------------------------------------------------------------------------------------------


async def test_what_happened_is_counted(exchange: Exchange, members: SimpleNamespace, desk: httpx.AsyncClient) -> None:
    await exchange.open(members.practice)
    before = await scraped(desk)
    good, no_cover = await exchange.doctor(members.post), await exchange.doctor(members.post, cover=False)
    ask: dict[str, Any] = {"by": members.post, "form": SEARCHES["Bundle"]}
    assert (await exchange.call("POST", "/Bundle/_search", token=good, **ask)).status == 200
    assert (await exchange.call("POST", "/Bundle/_search", token=no_cover, **ask)).status == 403
    exchange.door.answers[members.practice.ura] = Failure(Failing.TIMED_OUT, "8 s")
    assert (await exchange.call("POST", "/Bundle/_search", token=good, **ask)).status == 504
    assert (
        await exchange.call("POST", "/Flag/_search", token=good, by=members.post, form=SEARCHES["Flag"])
    ).status == 200
    after = await scraped(desk)
    assert after.of("switchpoint_calls_total") == {
        'switchpoint_calls_total{kind="gp-post",outcome="permitted"}': 1,
        'switchpoint_calls_total{kind="gp-post",outcome="refused"}': 1,
        'switchpoint_calls_total{kind="gp-post",outcome="failed"}': 1,
        'switchpoint_calls_total{kind="gp-post",outcome="neutral"}': 1,
    }
    assert after.of("switchpoint_refusals_total") == {'switchpoint_refusals_total{reason="no-cover"}': 1}
    assert after.of("switchpoint_disclosures_total") == {
        'switchpoint_disclosures_total{category="gp-summary",basis="consent"}': 1
    }
    assert after.of("switchpoint_source_answers_total") == {
        'switchpoint_source_answers_total{outcome="answered"}': 1,
        'switchpoint_source_answers_total{outcome="timed-out"}': 1,
    }
    assert after.values["switchpoint_query_seconds_count"] == 2, "the neutral one asked nobody"
    assert after.values['switchpoint_query_seconds_bucket{le="+Inf"}'] == 2
    written = after.values["switchpoint_journal_lines_total"] - before.values["switchpoint_journal_lines_total"]
    counted = [sum(read.of("switchpoint_journal_events_total").values()) for read in (before, after)]
    assert counted[1] - counted[0] == written == 10
    assert before.kinds == after.kinds, "every family is told from the first scrape on"


async def test_the_state_of_journal_network_and_papers(exchange: Exchange, desk: httpx.AsyncClient) -> None:
    read = await scraped(desk)
    assert read.of("switchpoint_participants") == {
        'switchpoint_participants{what="organisation"}': 6,
        'switchpoint_participants{what="system"}': 6,
    }
    assert read.of("switchpoint_regime_on") == {'switchpoint_regime_on{regime="REGULAR"}': 1}
    assert 'switchpoint_regime_on{regime="CRISIS_OPT_IN"}' in read.values
    papers = read.of("switchpoint_paper_expires_seconds")
    assert len(papers) == 3
    assert all(value > 3600 for value in papers.values())
    assert set(read.of("switchpoint_ready")) == {f'switchpoint_ready{{check="{name}"}}' for name in
                                                 ("ledger", "index", "revocation", "seal", "disk")}  # fmt: skip
    assert read.values["process_resident_memory_bytes"] > 10_000_000
    assert read.values["switchpoint_disk_free_bytes"] > 0


async def _append(means: Means, many: int) -> None:
    now = means.live.wall()

    def unit(tx: Transaction) -> None:
        for _ in range(many):
            journal.write(tx, Line(Event.CLOCK_SET, now, now))

    await means.ledger.commit(unit)


async def test_what_is_not_indexed_yet_is_told(exchange: Exchange, desk: httpx.AsyncClient) -> None:
    await _append(exchange.gateway.means, finding.BLOCK + 3)
    assert (await scraped(desk)).values["switchpoint_journal_unindexed_lines"] == finding.BLOCK + 3
    assert await index_block(exchange.gateway.means.ledger)
    assert (await scraped(desk)).values["switchpoint_journal_unindexed_lines"] == 3


async def test_only_what_this_process_saw_is_counted_and_each_line_once(exchange: Exchange) -> None:
    means = exchange.gateway.means
    await _append(means, 300)
    meter = Meter(means, means.live.wall())
    await _append(means, 600)
    first, second = await asyncio.gather(meter.read(), meter.read())
    assert first.counted.events[Event.CLOCK_SET] == second.counted.events[Event.CLOCK_SET] == 600
    assert first.book.uncounted == 0
    await _append(means, 1)
    assert (await meter.read()).counted.events[Event.CLOCK_SET] == 601


@pytest.mark.parametrize("event", Event, ids=str)
def test_no_line_puts_anything_but_codes_in_a_label(event: Event) -> None:
    """Names, numbers, free text: nothing of the kind may be a label, whatever a line holds."""
    fields: dict[str, Json] = {name: f"secret {name}" for name in FIELDS[event]}
    coded = {"reason", "error", "category", "basis"}
    fields |= (
        {"legs": [{"custodian": "secret", "system": "secret", "outcome": "answered", "ms": 1}]}
        if "legs" in FIELDS[event]
        else {}
    )
    fields.pop("completeness", None)
    counted = Counted()
    counted.count(Line(event, AT, AT, None, PatientKey(b"secret-bytes"), Ura("90000101"), Ura("90000102"), fields))
    told = f"{counted.calls} {counted.refusals} {counted.disclosures} {counted.answers} {counted.emergencies}"
    found = set(re.findall(r"secret ([a-z_]+)", told))
    assert found <= coded
    assert "90000" not in told


def test_durations_are_counted_up_to_their_bucket() -> None:
    counted = Counted()
    for ms in (0.5, 10, 10.1, 7999, 90_000):
        counted.queries.add(ms)
    counted.queries.add("soon")
    counted.queries.add(True)
    assert (counted.queries.number, counted.queries.total_ms) == (5, 98019.6)
    assert [counted.queries.buckets[bucket] for bucket in BUCKETS_MS] == [2, 3, 3, 3, 3, 3, 3, 3, 3, 4]


def test_a_label_cannot_break_out_of_its_line() -> None:
    odd = Family("switchpoint_odd", "gauge", "Odd.", (("", {"reason": 'a"} 1\nx{y="\\'}, 1),))
    assert parsed(exposition([odd])).values == {'switchpoint_odd{reason="a\\"} 1\\nx{y=\\"\\\\"}': 1}


async def test_without_a_ledger_readiness_is_still_told(exchange: Exchange) -> None:
    gateway = exchange.gateway
    ledger = gateway.means.ledger

    class Failing:
        """A ledger that went away after the start."""

        def __getattr__(self, name: str) -> Any:
            async def fail(*_: object) -> Any:
                if name == "ready":
                    return "gone"
                raise LedgerUnavailable("gone")

            return ledger.version if name == "version" else fail

    live = SimpleNamespace(wall=gateway.means.live.wall, network=gateway.means.live.network)
    means = replace(gateway.means, ledger=Failing(), live=live)  # type: ignore[arg-type]
    unwell = replace(gateway, means=means)
    transport = httpx.ASGITransport(app=unwell.desk())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        read = await scraped(client)
        ready = await client.get("/health/ready")
    assert read.values['switchpoint_ready{check="ledger"}'] == 0
    assert "switchpoint_disk_free_bytes" in read.values
    assert "switchpoint_journal_lines_total" not in read.values
    assert (ready.status_code, ready.json()["wrong"]["ledger"]) == (503, "gone")


# --- health ----------------------------------------------------------------------------------------------------------


async def test_a_revocation_list_that_cannot_be_believed_says_why(exchange: Exchange, tmp_path: Path) -> None:
    damaged = tmp_path / "crl.pem"
    damaged.write_text("no list")
    site = replace(exchange.gateway.site, revocation=RevocationList(damaged, exchange.gateway.settings.ca))
    desk = replace(exchange.gateway, site=site).furnished()
    why = await desk.checks["revocation"]()
    assert why == "the revocation list cannot be believed: cannot be parsed"


async def test_checks_run_side_by_side_each_within_its_time() -> None:
    async def hang() -> str | None:
        await asyncio.sleep(60)
        return None

    async def broken() -> str | None:
        raise KeyError

    async def well() -> str | None:
        return None

    loop = asyncio.get_running_loop()
    before = loop.time()
    found = await Readiness({"one": hang, "two": hang, "three": broken, "four": well}).found()
    assert loop.time() - before < CHECK_SECONDS + 0.5, "readiness is false within 2 s"
    assert found == {
        "one": "no answer in time", "two": "no answer in time", "three": "the check itself is broken", "four": None
    }  # fmt: skip


async def test_many_askers_make_one_check_and_the_next_one_after_half_a_second() -> None:
    made: list[float] = []

    async def check() -> str | None:
        made.append(asyncio.get_running_loop().time())
        return "first" if len(made) == 1 else None

    readiness = Readiness({"ledger": check})
    found = await asyncio.gather(*(readiness.found() for _ in range(50)))
    assert all(one == {"ledger": "first"} for one in found)
    assert len(made) == 1
    await asyncio.sleep(0.55)
    assert await readiness.found() == {"ledger": None}


async def test_a_seal_that_is_overdue_makes_it_not_ready(exchange: Exchange, desk: httpx.AsyncClient) -> None:
    assert (await desk.get("/health/ready")).status_code == 200
    old = exchange.gateway.means.live.wall().replace(year=2020)
    line = Line(Event.CLOCK_SET, old, old)
    await exchange.gateway.means.ledger.commit(lambda tx: journal.append(tx, line))
    await asyncio.sleep(0.55)
    ready = await desk.get("/health/ready")
    assert ready.status_code == 503
    assert "seal is overdue" in ready.json()["wrong"]["seal"]
    assert await exchange.gateway.sealing.round() == 1
    await asyncio.sleep(0.55)
    assert (await desk.get("/health/ready")).status_code == 200


# --- the dashboard ---------------------------------------------------------------------------------------------------


async def test_the_dashboard_asks_for_numbers_that_exist(exchange: Exchange, desk: httpx.AsyncClient) -> None:
    read = await scraped(desk)
    known = {name + suffix for name, kind in read.kinds.items() for suffix in SUFFIXES[kind]}
    dashboard = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text("utf-8"))
    asked: set[str] = set()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        assert panel["title"]
        for target in panel.get("targets", []):
            names = set(re.findall(r"\b(?:switchpoint|process)_[a-z_]+", target["expr"]))
            assert names, target
            assert names <= known, panel["title"]
            asked |= names
    families = {max((name for name in read.kinds if one.startswith(name)), key=len) for one in asked}
    never_shown = {"switchpoint_info", "process_start_time_seconds", "process_open_fds", "switchpoint_participants"}
    assert set(read.kinds) - families <= never_shown
