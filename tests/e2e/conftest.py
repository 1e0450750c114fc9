"""Which country do these tests visit? One per test process: real processes, real sockets, mutual TLS, two workers."""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path

import pytest
import pytest_asyncio
from program import Run, runner
from running_country import Country, Visit

from gateway.cli.staging import Stage, stage
from gateway.stores.ledger import open_ledger
from source_sim import country as cast
from source_sim import population

ROOT = Path(__file__).parent.parent.parent
PATIENTS = 700


@pytest.fixture(scope="session")
def real_records() -> Path:
    """The folder of real instances. Absent, the tests that play the main job on it fail: they are never skipped."""
    return Path(os.environ.get("SWITCHPOINT_RECORDS", ROOT.parent / "shared" / "data" / "zib2020")).absolute()


@pytest.fixture(scope="session")
def country(tmp_path_factory: pytest.TempPathFactory, real_records: Path) -> Iterator[Country]:
    """A country with two exchange workers, whose sources know a crowd of test persons and the folder's patients."""
    place = tmp_path_factory.mktemp("country")
    people = tuple(one.bsn for one in population.crowd(PATIENTS, date(2026, 1, 1)))
    made = _staged(place, people, real_records if real_records.is_dir() else None)
    try:
        ledger = open_ledger(made.settings.ledger_address, read_only=True)
        try:
            yield Country(made, ledger, iter(people), people)
        finally:
            ledger.close()
    finally:
        _end(made)


def _staged(place: Path, people: tuple[str, ...], records: Path | None) -> Stage:
    held = {one.key: [{"bsn": bsn} for bsn in people] for one in cast.SOURCES}
    with warnings.catch_warnings():
        # staging leaves the log files it hands to its processes to the collector
        warnings.simplefilter("ignore", ResourceWarning)
        return stage(
            place / "state",
            place / "certs",
            patients=held,
            records=records,
            workers=2,
            exchange_port=0,
            desk_port=0,
        )


def _end(made: Stage) -> None:
    made.close()
    for process in made.processes:
        if process.stdout is not None:
            process.stdout.close()


@pytest_asyncio.fixture
async def visit(country: Country) -> AsyncIterator[Visit]:
    """One test's time in the country; what it spoiled is mended afterwards."""
    here = Visit(country)
    try:
        yield here
    finally:
        await here.leave()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The program, typed in an empty folder: no simulation nearby unless `--running` names one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return runner(monkeypatch, capfd)
