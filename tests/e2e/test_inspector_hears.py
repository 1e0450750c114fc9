"""Does the inspector hear what really travelled, over real sockets? A source's own headers, its nonsense, its size."""

from __future__ import annotations

import sqlite3
from uuid import uuid4

import pytest
from running_country import Visit, within

from gateway.inspecting.kept import FILE, Exchanged, Ring, Way
from source_sim.country import GP
from source_sim.requesters import Ask
from source_sim.sentinels import GARBAGE_PHARMACY, SENTINELS

pytestmark = pytest.mark.xdist_group("country")


async def heard(visit: Visit, chain: str, count: int) -> list[Exchanged]:
    """What is kept of a chain, once there is that much of it."""
    path = visit.country.made.state / FILE
    ring = Ring(path)
    try:

        async def there() -> bool:
            return len(ring.read(chain)) >= count

        assert await within(5, there), len(ring.read(chain))
        return ring.read(chain)
    finally:
        ring.close()


async def test_both_legs_of_a_query_are_kept_as_they_travelled(visit: Visit) -> None:
    bsn, chain = visit.country.patient(), str(uuid4())
    await visit.enter(GP, bsn, "gp-summary")
    reply = await visit.ask("gp-post", Ask.GP_SUMMARY, bsn, chain=chain)
    ours, source = await heard(visit, chain, 2)
    assert (ours.way, ours.party, ours.status) == (Way.IN, "90000301", 200)
    assert ours.answer is not None
    assert ours.answer.size == len(reply.body)
    assert (source.way, source.party, source.status, source.outcome) == (Way.OUT, GP.ura, 200, "answered")
    assert '"view": "covering"' in source.sent.claims
    assert source.answer is not None
    assert dict(source.answer.headers)["content-type"].startswith("application/fhir+json")
    assert source.answer.shape[0] == "Bundle"
    assert source.answer.content is not None
    assert 0 < source.ms < ours.ms


async def test_nonsense_is_kept_as_the_nonsense_it_was(visit: Visit) -> None:
    bsn, chain = visit.country.patient(), str(uuid4())
    await visit.enter(GP, bsn, "gp-summary")
    await visit.fault(GP, "garbage")
    await visit.ask("gp-post", Ask.GP_SUMMARY, bsn, chain=chain)
    await visit.mend(GP)
    source = next(one for one in await heard(visit, chain, 2) if one.way is Way.OUT)
    assert source.outcome == "malformed: not FHIR JSON"
    assert source.answer is not None
    assert dict(source.answer.headers)["content-type"] == "text/html"
    assert source.answer.shape == ("not JSON",)


async def test_no_sentinel_s_number_lies_in_the_file(visit: Visit) -> None:
    """The crowd's are searched for with all other files of a country, after all its tests."""
    chain = str(uuid4())
    await visit.ask("gp-post", Ask.ALLERGIES, SENTINELS["garbage-pharmacy"].number, chain=chain)
    kept = await heard(visit, chain, 6)  # two searches, each asked of two pharmacies
    assert GARBAGE_PHARMACY.ura in {one.party for one in kept}
    state = visit.country.made.state
    everything = b"".join(path.read_bytes() for path in state.glob(f"{FILE}*"))
    with sqlite3.connect(state / FILE) as file:
        assert file.execute("SELECT count(*) FROM exchanged").fetchone()[0] <= 2_000
    assert not [one.key for one in SENTINELS.values() if one.number.encode() in everything]
