"""One contract for every store of the reference index (SQL twice, Redis, Valkey), and keys that tell nothing.

What Redis must bear besides (killed, flushed, hanging, foreign) follows the contract.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.rules.exchange import Category, PatientKey, Pointer
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.stores import index_entry, register
from gateway.stores.index import Index, IndexUnavailable
from gateway.stores.index_entry import Record, content_bytes, custodian_bytes, patient_at, place_of, system_bytes
from gateway.stores.index_redis import RedisIndex
from gateway.stores.index_sql import SqlIndex
from gateway.stores.keys import CATEGORY_NUMBER, Keys, SecretUnusable, load_or_create
from gateway.stores.ledger import Ledger, open_ledger

if TYPE_CHECKING:
    from conftest import IndexServer

KEYS = Keys(bytes(range(32)))
ANN, BOB, NOBODY = (KEYS.patient(Bsn(digits)) for digits in ("999900006", "999900018", "999900031"))
GP, PHARMACY = Ura("00000101"), Ura("00000201")
HIS, EPD, PIS = ApplicationId("0101"), ApplicationId("101"), ApplicationId("9999999999999999")
HELD = sorted(CATEGORY_NUMBER, key=lambda category: CATEGORY_NUMBER[category])


def pointer(
    patient: PatientKey,
    custodian: Ura,
    system: ApplicationId,
    category: Category,
    latent: bool = False,
    date: str = "2026-11-21",
) -> Pointer:
    return Pointer(KEYS.entry_id(patient, system, category), patient, custodian, system, category, latent, date)


SUMMARY = pointer(ANN, GP, HIS, Category.GP_SUMMARY)
LIMITS = pointer(ANN, GP, HIS, Category.TREATMENT_LIMITS)
MEDICATION = pointer(ANN, PHARMACY, PIS, Category.MEDICATION)
BOBS = pointer(BOB, GP, HIS, Category.GP_SUMMARY, latent=True)


@pytest.fixture(params=["sqlite", "postgresql", "redis", "valkey"])
async def index(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Index]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else str(tmp_path / "ledger.db")
    ledger = open_ledger(url)
    if request.param in ("redis", "valkey"):
        server: IndexServer = request.getfixturevalue(f"{request.param}_server")
        store: Index = RedisIndex(server.url, ledger=ledger, keys=KEYS, prefix=f"t{time.monotonic_ns()}")
    else:
        store = SqlIndex(ledger, KEYS)
    await store.initialise()
    yield store
    await store.close()
    ledger.close()


async def test_an_entry_is_new_once_and_then_updated(index: Index) -> None:
    assert await index.put(SUMMARY)
    assert not await index.put(SUMMARY)
    changed = replace(SUMMARY, latent=True, date="2026-11-22T10:00:00+01:00")
    assert not await index.put(changed)
    assert await index.find(ANN, None) == (changed,)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (replace(SUMMARY, patient=BOB), "patient"),
        (replace(SUMMARY, custodian=PHARMACY), "custodian"),
        (replace(SUMMARY, system=EPD), "system"),
        (replace(SUMMARY, category=Category.ENROLMENT), "category"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_an_entry_differs_by(index: Index, other: Pointer, what: str) -> None:
    other = replace(other, id=KEYS.entry_id(other.patient, other.system, other.category))
    assert await index.put(SUMMARY)
    assert await index.put(other), what
    assert await index.remove(SUMMARY.patient, SUMMARY.custodian, SUMMARY.system, SUMMARY.category)
    assert await index.find(other.patient, None) == (other,)


async def test_a_patient_is_found_whole_or_by_category(index: Index) -> None:
    assert await index.put_many([MEDICATION, LIMITS, SUMMARY, BOBS, SUMMARY]) == [True, True, True, True, False]
    assert await index.find(ANN, None) == (SUMMARY, LIMITS, MEDICATION)
    assert await index.find(ANN, Category.MEDICATION) == (MEDICATION,)
    assert await index.find(ANN, Category.RETURN_MESSAGE) == ()
    assert await index.find(BOB, None) == (BOBS,)
    assert await index.find(NOBODY, None) == ()


async def test_one_entry_is_got_by_what_its_id_names(index: Index) -> None:
    moved = replace(SUMMARY, custodian=PHARMACY)
    await index.put_many([SUMMARY, moved])
    named = KEYS.open_entry_id(SUMMARY.id)
    assert named is not None
    assert await index.get(*named) == SUMMARY
    assert await index.get(*named, custodian=PHARMACY) == moved
    assert await index.get(ANN, EPD, Category.GP_SUMMARY) is None
    assert await index.get(NOBODY, HIS, Category.GP_SUMMARY) is None


async def test_an_entry_ends_once(index: Index) -> None:
    await index.put_many([SUMMARY, LIMITS])
    assert not await index.remove(ANN, PHARMACY, HIS, Category.GP_SUMMARY)
    assert not await index.remove(NOBODY, GP, HIS, Category.GP_SUMMARY)
    assert await index.remove(ANN, GP, HIS, Category.GP_SUMMARY)
    assert not await index.remove(ANN, GP, HIS, Category.GP_SUMMARY)
    assert await index.find(ANN, None) == (LIMITS,)
    assert await index.put(SUMMARY)


@pytest.mark.parametrize(
    ("custodian", "categories", "left"),
    [
        pytest.param(None, None, (), id="everything"),
        pytest.param(GP, None, (MEDICATION,), id="one custodian"),
        pytest.param(None, frozenset({Category.GP_SUMMARY, Category.MEDICATION}), (LIMITS,), id="two categories"),
        pytest.param(GP, frozenset({Category.MEDICATION}), (SUMMARY, LIMITS, MEDICATION), id="not its category"),
        pytest.param(GP, frozenset({Category.TREATMENT_LIMITS}), (SUMMARY, MEDICATION), id="one of one"),
        pytest.param(None, frozenset(), (SUMMARY, LIMITS, MEDICATION), id="no category"),
        pytest.param(None, frozenset({Category.RETURN_MESSAGE}), (SUMMARY, LIMITS, MEDICATION), id="return messages"),
    ],
)
async def test_a_denial_ends_what_it_covers(
    index: Index, custodian: Ura | None, categories: frozenset[Category] | None, left: tuple[Pointer, ...]
) -> None:
    await index.put_many([SUMMARY, LIMITS, MEDICATION, BOBS])
    assert await index.remove_all(ANN, custodian, categories) == 3 - len(left)
    assert await index.find(ANN, None) == left
    assert await index.find(BOB, None) == (BOBS,)


async def test_a_custodian_pages_through_its_own_entries(index: Index) -> None:
    patients = [KEYS.patient(Bsn(digits)) for digits in citizen_numbers(60)]
    mine = [pointer(one, GP, system, category) for one in patients for system, category in OWN]
    await index.put_many([*mine, *(pointer(one, PHARMACY, PIS, Category.MEDICATION) for one in patients)])
    await index.remove(patients[0], GP, HIS, Category.GP_SUMMARY)
    mine.remove(pointer(patients[0], GP, HIS, Category.GP_SUMMARY))
    mine.sort(key=lambda one: (one.patient, index_entry.system_number(one.system), CATEGORY_NUMBER[one.category]))
    assert await all_pages(index, GP, None, 17) == mine
    assert await all_pages(index, GP, HIS, 50) == [one for one in mine if one.system == HIS]
    assert await index.own(GP, PIS, 10) == ()
    assert await index.own(Ura("00009999"), None, 10) == ()
    with pytest.raises(ValueError, match="not the id"):
        await index.own(GP, None, 10, "guessed")


OWN = [(HIS, Category.GP_SUMMARY), (HIS, Category.ENROLMENT), (EPD, Category.GP_SUMMARY)]


async def all_pages(index: Index, custodian: Ura, system: ApplicationId | None, limit: int) -> list[Pointer]:
    found: list[Pointer] = []
    while page := await index.own(custodian, system, limit, found[-1].id if found else None):
        assert len(page) <= limit
        found += page
    return found


def citizen_numbers(count: int) -> list[str]:
    """The first citizen numbers of the test range that pass the eleven-test."""
    found = []
    for number in range(999_990_000, 999_999_999):
        digits = str(number)
        if (sum((9 - n) * int(digits[n]) for n in range(8)) - int(digits[8])) % 11 == 0:
            found.append(digits)
        if len(found) == count:
            break
    return found


async def test_many_at_once_do_not_lose_each_other(index: Index) -> None:
    entries = [pointer(ANN, Ura(f"{n:08}"), ApplicationId(str(n)), Category.MEDICATION) for n in range(1, 41)]
    assert all(await asyncio.gather(*(index.put(one) for one in entries)))
    assert len(await index.find(ANN, None)) == 40
    gone = await asyncio.gather(*(index.remove(ANN, one.custodian, one.system, one.category) for one in entries[:30]))
    assert all(gone)
    assert await index.find(ANN, None) == tuple(entries[30:])


async def test_a_large_batch_keeps_its_order(index: Index) -> None:
    patients = [PatientKey(random.Random(n).randbytes(12)) for n in range(1200)]
    entries = [pointer(one, GP, HIS, Category.GP_SUMMARY) for one in patients]
    await index.put(entries[700])
    assert [n for n, created in enumerate(await index.put_many(entries)) if not created] == [700]


async def test_a_model_agrees(index: Index) -> None:
    """A random walk of every operation, against a dictionary."""
    walk, model = random.Random(26), dict[tuple[PatientKey, Ura, ApplicationId, Category], Pointer]()
    for _ in range(150):
        one = pointer(
            walk.choice([ANN, BOB]),
            walk.choice([GP, PHARMACY]),
            walk.choice([HIS, EPD]),
            walk.choice(HELD),
            latent=walk.random() < 0.5,
            date=walk.choice(["2026-11-21", "2026-11", "1899-12-31"]),
        )
        key = (one.patient, one.custodian, one.system, one.category)
        if walk.random() < 0.6:
            assert await index.put(one) is (key not in model)
            model[key] = one
        elif walk.random() < 0.8:
            assert await index.remove(*key) is (model.pop(key, None) is not None)
        else:
            ended = [k for k in model if k[0] == one.patient and k[1] == one.custodian and k[3] == one.category]
            assert await index.remove_all(one.patient, one.custodian, frozenset({one.category})) == len(ended)
            for k in ended:
                del model[k]
        held = {(p.patient, p.custodian, p.system, p.category): p for p in await index.find(one.patient, None)}
        assert held == {k: p for k, p in model.items() if k[0] == one.patient}


async def test_a_ready_index_says_nothing(index: Index) -> None:
    await index.ready()


# --- what Redis must bear --------------------------------------------------------------------------------------------


@pytest.fixture
def other_ledger(tmp_path: Path) -> Ledger:
    return open_ledger(str(tmp_path / "other.db"))


@pytest.fixture
async def remote(index_server: IndexServer, sqlite_ledger: Ledger) -> AsyncIterator[RedisIndex]:
    index_server.flush()
    store = RedisIndex(index_server.url, ledger=sqlite_ledger, keys=KEYS, timeout=0.5)
    await store.initialise()
    await store.put_many([SUMMARY, BOBS])
    yield store
    await store.close()


async def assert_silent(store: RedisIndex) -> None:
    """Unavailable for everything that would otherwise say "nothing registered"."""
    for patient in (ANN, NOBODY):
        with pytest.raises(IndexUnavailable):
            await store.find(patient, None)
    with pytest.raises(IndexUnavailable):
        await store.get(ANN, HIS, Category.GP_SUMMARY)
    with pytest.raises(IndexUnavailable):
        await store.own(GP, None, 10)
    with pytest.raises(IndexUnavailable):
        await store.ready()


async def test_a_flushed_index_is_unavailable_until_rebuilt(remote: RedisIndex, index_server: IndexServer) -> None:
    assert await remote.find(NOBODY, None) == ()
    index_server.flush()
    await assert_silent(remote)
    await remote.initialise()  # a restart of the gateway does not make a lost index complete
    await assert_silent(remote)
    assert await remote.put(SUMMARY)
    assert not await remote.remove(BOB, GP, HIS, Category.GP_SUMMARY)
    await assert_silent(remote)
    await remote.rebuild_done()
    assert await remote.find(ANN, None) == (SUMMARY,)
    assert await remote.find(BOB, None) == ()
    await remote.ready()


async def test_another_worker_sees_the_rebuild(
    remote: RedisIndex, index_server: IndexServer, sqlite_ledger: Ledger
) -> None:
    worker = RedisIndex(index_server.url, ledger=sqlite_ledger, keys=KEYS)
    assert await worker.find(ANN, None) == (SUMMARY,)
    index_server.flush()
    await remote.put(SUMMARY)
    await remote.rebuild_done()
    assert await worker.find(ANN, None) == (SUMMARY,)
    await worker.close()


async def test_a_partly_lost_index_is_unavailable_there(remote: RedisIndex, index_server: IndexServer) -> None:
    shard = place_of(ANN).shard
    assert place_of(BOB).shard != shard
    with index_server.client() as client:
        assert client.delete(f"{{sp:{shard}}}g") == 1
    with pytest.raises(IndexUnavailable):
        await remote.find(ANN, None)
    assert await remote.find(BOB, None) == (BOBS,)
    with pytest.raises(IndexUnavailable):
        await remote.own(GP, None, 10)
    with pytest.raises(IndexUnavailable):
        await remote.ready()


async def test_a_server_of_another_ledger_is_unavailable(
    remote: RedisIndex, index_server: IndexServer, other_ledger: Ledger
) -> None:
    stranger = RedisIndex(index_server.url, ledger=other_ledger, keys=KEYS)
    await assert_silent(stranger)
    await stranger.close()
    other_ledger.close()


async def test_an_interrupted_first_start_goes_on_at_the_next(index_server: IndexServer, other_ledger: Ledger) -> None:
    index_server.flush()
    other_ledger.commit_now(lambda tx: register.set_generation(tx, "pending:first"))
    store = RedisIndex(index_server.url, ledger=other_ledger, keys=KEYS)
    await assert_silent(store)
    await store.initialise()
    assert await store.find(ANN, None) == ()
    assert other_ledger.read_now(register.generation) == "first"
    await store.close()
    other_ledger.close()


async def test_a_killed_server_is_told_and_recovered_from(remote: RedisIndex, index_server: IndexServer) -> None:
    index_server.kill()
    await assert_silent(remote)
    with pytest.raises(IndexUnavailable):
        await remote.put(SUMMARY)
    index_server.start()
    await assert_silent(remote)  # it came back empty
    await remote.put_many([SUMMARY])
    await remote.rebuild_done()
    assert await remote.find(ANN, None) == (SUMMARY,)
    assert await remote.remove(ANN, GP, HIS, Category.GP_SUMMARY)


async def test_a_kept_data_set_is_served_again_in_time(remote: RedisIndex, index_server: IndexServer) -> None:
    await asyncio.gather(*(remote.find(ANN, None) for _ in range(20)))
    with index_server.client() as client:
        client.save()
    index_server.kill()
    with pytest.raises(IndexUnavailable):
        await remote.find(ANN, None)
    index_server.start()
    until = time.monotonic() + 5
    # every connection kept from before is dead: none of them may cost a request
    assert await asyncio.gather(*(remote.find(ANN, None) for _ in range(20))) == [(SUMMARY,)] * 20
    assert time.monotonic() < until
    with index_server.client() as client:
        client.config_set("save", "")
    (index_server.directory / "dump.rdb").unlink()


async def test_a_hanging_server_is_told_in_time(remote: RedisIndex, index_server: IndexServer) -> None:
    index_server.hang()
    try:
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(remote.find(ANN, None) for _ in range(50)), remote.put(SUMMARY), remote.ready(), return_exceptions=True
        )
        assert {type(one) for one in outcomes} == {IndexUnavailable}
        assert time.monotonic() - began < 5.0
    finally:
        index_server.go_on()
    assert await remote.find(ANN, None) == (SUMMARY,)
    assert await remote.find(BOB, None) == (BOBS,)


async def test_a_server_that_may_evict_is_not_ready(remote: RedisIndex, index_server: IndexServer) -> None:
    await remote.ready()
    with index_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("maxmemory", "100mb")
        with pytest.raises(IndexUnavailable, match="noeviction"):
            await remote.ready()
        client.config_set("maxmemory-policy", "noeviction")
        await remote.ready()
        client.config_set("maxmemory", "0")


async def test_a_look_up_is_one_command_whether_known_or_not(remote: RedisIndex, index_server: IndexServer) -> None:
    await remote.find(ANN, None)
    with index_server.client() as client:
        counts = []
        for patient in (ANN, NOBODY):
            before = client.info("commandstats")
            await remote.find(patient, Category.MEDICATION)
            after = client.info("commandstats")
            counts.append({c: after[c]["calls"] - before.get(c, {"calls": 0})["calls"] for c in after})
        assert counts[0] == counts[1]
        assert counts[0]["cmdstat_evalsha"] == 1
        assert {c for c, n in counts[0].items() if n} == {
            "cmdstat_evalsha",
            "cmdstat_get",
            "cmdstat_hget",
            "cmdstat_info",
        }


async def test_no_citizen_number_reaches_the_server(remote: RedisIndex, index_server: IndexServer) -> None:
    await remote.put(SUMMARY)
    with index_server.client() as client:
        stored = b"".join(
            key + (b"".join([*client.hgetall(key)]) if client.type(key) == b"hash" else b"") for key in client.keys("*")
        )
    assert ANN[2:] in stored
    assert re.search(rb"9999[0-9]{5}", stored) is None


# --- the shape of an entry -------------------------------------------------------------------------------------------


@given(
    custodian=st.integers(0, 99_999_999).map(lambda n: Ura(f"{n:08}")),
    system=st.from_regex(r"[0-9]{1,16}", fullmatch=True).map(ApplicationId),
    category=st.sampled_from(HELD),
    latent=st.booleans(),
    date=st.dates().map(str) | st.sampled_from(["2026", "2026-W47-6", "20261121", "2026-11-21T12:00:00Z", ""]),
    times=st.integers(1, 4),
)
def test_a_record_reads_back(
    custodian: Ura, system: ApplicationId, category: Category, latent: bool, date: str, times: int
) -> None:
    body = custodian_bytes(custodian) + system_bytes(system) + bytes([CATEGORY_NUMBER[category]])
    body += content_bytes(latent, date)
    kept = (bytes([len(body)]) + body) * times
    assert list(index_entry.records(kept)) == [Record(custodian, system, category, latent, date)] * times


def test_a_plain_entry_takes_sixteen_bytes() -> None:
    assert 1 + 4 + 7 + 1 + len(content_bytes(True, "2026-11-21")) == 16


def test_a_date_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        content_bytes(False, "2" * 65)


@given(key=st.binary(min_size=12, max_size=12).map(PatientKey))
def test_a_place_leads_back_to_its_patient_in_order(key: PatientKey) -> None:
    place = place_of(key)
    assert 0 <= place.shard < index_entry.SHARDS
    assert patient_at(place.shard, place.bucket, place.field) == key
    nearby = PatientKey(bytes(12))
    first, second = sorted([key, nearby])
    assert (place_of(first).shard, place_of(first).bucket) <= (place_of(second).shard, place_of(second).bucket)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_patient_key_is_a_contract() -> None:
    assert len(ANN) == 12
    assert KEYS.patient(Bsn("999900006")) == ANN
    assert ANN != BOB
    assert Keys(bytes(32)).patient(Bsn("999900006")) != ANN


@given(
    patient=st.binary(min_size=12, max_size=12).map(PatientKey),
    system=st.from_regex(r"[0-9]{1,16}", fullmatch=True).map(ApplicationId),
    category=st.sampled_from(HELD),
)
def test_an_entry_id_opens_to_what_it_names(patient: PatientKey, system: ApplicationId, category: Category) -> None:
    text = KEYS.entry_id(patient, system, category)
    assert re.fullmatch(r"e[A-Za-z0-9\-.]{48}e", text)  # an R4 id: A-Z a-z 0-9 - . and at most 64
    assert text == KEYS.entry_id(patient, system, category)
    assert KEYS.open_entry_id(text) == (patient, system, category)
    assert Keys(bytes(32)).open_entry_id(text) is None
    assert patient.hex() not in text


@given(position=st.integers(0, 49), character=st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_id_opens_to_nothing(position: int, character: str) -> None:
    changed = SUMMARY.id[:position] + character + SUMMARY.id[position + 1 :]
    assume(changed != SUMMARY.id)
    assert KEYS.open_entry_id(changed) is None


def test_an_id_has_one_text_only() -> None:
    ids = [KEYS.entry_id(ANN, ApplicationId(str(n)), Category.MEDICATION) for n in range(50)]
    plus = next(one for one in ids if "-" in one)
    slash = next(one for one in ids if "." in one)
    assert KEYS.open_entry_id(plus.replace("-", "+")) is None
    assert KEYS.open_entry_id(slash.replace(".", "/")) is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(SUMMARY.id.upper(), id="upper case"),
        pytest.param(SUMMARY.id[:-1], id="cut"),
        pytest.param(SUMMARY.id + "a", id="longer"),
        pytest.param(SUMMARY.id[:-1] + "=", id="padding"),
        pytest.param("_" * 50, id="not the alphabet"),
        pytest.param("é" * 50, id="not ASCII"),
        pytest.param("e" + "A" * 48 + "e", id="all zero"),
    ],
)
def test_another_text_opens_to_nothing(text: str) -> None:
    assert KEYS.open_entry_id(text) is None


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    first = load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create(path).patient(Bsn("999900006")) == first.patient(Bsn("999900006"))
    assert [file.name for file in path.parent.iterdir()] == ["secret"]
    path.chmod(0o640)
    with pytest.raises(SecretUnusable, match="0600"):
        load_or_create(path)


async def test_processes_starting_together_share_one_secret(tmp_path: Path) -> None:
    made = await asyncio.gather(*(asyncio.to_thread(load_or_create, tmp_path / "secret") for _ in range(16)))
    assert len({keys.patient(Bsn("999900006")) for keys in made}) == 1
    assert os.listdir(tmp_path) == ["secret"]


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").touch(0o600)
    with pytest.raises(SecretUnusable, match="32 bytes"):
        load_or_create(tmp_path / "secret")
