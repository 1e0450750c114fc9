"""Did a patient's number get out? After all other tests of a country: its ledger, logs and folders, searched for all of
them, in clear and as they would look inside a token. (The name puts this file last.)
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from running_country import Country, Visit

from gateway.rules.journal import Event
from source_sim.country import GP, SOURCES
from source_sim.requesters import Ask

MAY_HOLD = {"sources.json"}
"""The simulated sources' own configuration: a custodian knows its patients."""
GROUPS = [pytest.param(name, marks=pytest.mark.xdist_group(name), id=name) for name in ("country", "rough-country")]


def disguises(number: str) -> Iterator[bytes]:
    """The number in clear, in UTF-16, and the stable middle of its base64 at each of the three alignments."""
    yield number.encode()
    yield number.encode("utf-16-le")
    for pad in range(3):
        text = base64.b64encode(b"\0" * pad + number.encode() + b"\0\0").rstrip(b"=")
        yield text[4 if pad else 0 : 12]


def found_in(folder: Path, numbers: Iterable[str]) -> set[str]:
    """Names of the files in which any number stands."""
    pattern = re.compile(b"|".join(re.escape(look) for number in numbers for look in disguises(number)))
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name for path in files if pattern.search(path.read_bytes())}


@pytest.mark.parametrize("group", GROUPS)
async def test_no_number_of_a_patient_lies_anywhere_but_with_the_custodians(
    country: Country, visit: Visit, group: str
) -> None:
    bsn = country.patient()
    await visit.enter(GP, bsn, "gp-summary")
    assert (await visit.ask("gp-post", Ask.GP_SUMMARY, bsn)).matches
    assert (await visit.search("999940003", await visit.token(bsn))).status in (400, 403)
    spoken_of = country.everyone[: country.everyone.index(bsn) + 1]
    assert len(country.lines(Event.DISCLOSED)) > 0
    state = country.made.state
    assert {"ledger.sqlite", "gateway.log", "sources.log", "running.json"} <= {one.name for one in state.iterdir()}
    assert found_in(state, spoken_of) == MAY_HOLD
    assert found_in(country.made.certs, spoken_of) == set()


@pytest.mark.parametrize("group", GROUPS)
async def test_what_the_desk_and_the_sources_controls_tell_names_nobody(visit: Visit, group: str) -> None:
    numbers = re.compile("|".join(visit.country.everyone))
    for path in ("/health/live", "/health/ready", "/sim/clock", "/openapi.json", "/docs", "/nothing"):
        assert not numbers.search((await visit.desk.get(path)).text)
    for who in SOURCES:
        assert not numbers.search(str(await visit.log(who)))


@pytest.mark.parametrize("group", GROUPS)
async def test_every_disclosure_of_this_country_is_in_its_source_s_own_log(visit: Visit, group: str) -> None:
    """Once more over everything that all tests did: no line without the source having been asked under that id."""
    own = {who.ura: {line["request"] for line in await visit.log(who)} for who in SOURCES}
    lines = [kept.line for kept in visit.country.lines(Event.DISCLOSED)]
    ours = [line for line in lines if line.custodian is not None and line.custodian.digits in own]
    assert ours
    for line in ours:
        assert line.custodian is not None
        assert line.fields["source_request"] in own[line.custodian.digits]


def test_the_search_sees_a_planted_number_in_every_disguise(tmp_path: Path) -> None:
    number = "999912345"
    (tmp_path / "clear").write_text(f"GET /Patient?bsn={number}")
    (tmp_path / "wide").write_bytes(f"x{number}".encode("utf-16-le"))
    for pad in range(3):
        (tmp_path / f"token-{pad}").write_bytes(
            base64.urlsafe_b64encode(b'{"patient":"'[pad:] + number.encode() + b'"}')
        )
    (tmp_path / "innocent").write_text("999912346")
    assert found_in(tmp_path, [number]) == {"clear", "wide", "token-0", "token-1", "token-2"}
