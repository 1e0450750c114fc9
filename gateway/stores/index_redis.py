"""How does a country's reference index live in Redis or Valkey, and how is a lost one told from an empty one?

Patients share small hashes that the server keeps packed; every call is one script in one round trip. A generation mark
in every shard, equal to the one in the ledger, says that the index is complete: a flushed or foreign server is
unavailable, never empty. Keys of one shard share a hash tag, so a shard lives on one node of a cluster.

The server must not evict (`noeviction`), and stays small with `hash-max-listpack-value` and `hash-max-listpack-entries`
at 512 and `set-max-intset-entries` at 4096. What a failover loses costs an entry, never privacy: consent is in the
ledger.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway.rules.exchange import Category, PatientKey, Pointer
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.stores import register
from gateway.stores.index import IndexUnavailable
from gateway.stores.index_entry import (
    SHARDS,
    Place,
    Record,
    category_byte,
    content_bytes,
    custodian_bytes,
    patient_at,
    place_of,
    records,
    system_bytes,
)
from gateway.stores.index_scripts import FIND, PUT, REMOVE, Script
from gateway.stores.keys import CATEGORY_NUMBER, Keys
from gateway.stores.ledger import Ledger, LedgerUnavailable, Transaction

T = TypeVar("T")

_CONNECTIONS = 32
_BATCH = 500
_BUCKETS_A_TRIP = 64
_PENDING = "pending:"


class RedisIndex:
    """The index on a server at `url` (`redis://`, `rediss://`, `unix://`). `timeout` in seconds bounds every call."""

    def __init__(self, url: str, *, ledger: Ledger, keys: Keys, prefix: str = "sp", timeout: float = 1.0) -> None:
        self._ledger = ledger
        self._keys = keys
        self._prefix = prefix
        self._timeout = timeout
        self._generation: bytes | None = None
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis: Redis = Redis.from_pool(pool)

    async def put(self, pointer: Pointer) -> bool:
        keys, values = self._putting(pointer)
        return bool(await self._run(PUT, keys, values))

    async def put_many(self, pointers: Sequence[Pointer]) -> list[bool]:
        created: list[bool] = []
        for start in range(0, len(pointers), _BATCH):
            created += await self._put_batch(pointers[start : start + _BATCH])
        return created

    async def _put_batch(self, pointers: Sequence[Pointer]) -> list[bool]:
        pipe = self._redis.pipeline(transaction=False)
        pipe.script_load(PUT.text)
        for pointer in pointers:
            keys, values = self._putting(pointer)
            pipe.evalsha(PUT.sha, len(keys), *keys, *values)
        return [bool(created) for created in (await self._ask(pipe.execute()))[1:]]

    def _putting(self, pointer: Pointer) -> tuple[list[str], list[bytes | int]]:
        place = place_of(pointer.patient)
        owner = custodian_bytes(pointer.custodian)
        entry = owner + system_bytes(pointer.system) + bytes([CATEGORY_NUMBER[pointer.category]])
        keys = [self._bucket(place), self._own(place.shard, pointer.custodian)]
        return keys, [place.field, entry, content_bytes(pointer.latent, pointer.date), place.bucket]

    async def remove(self, patient: PatientKey, custodian: Ura, system: ApplicationId, category: Category) -> bool:
        return await self._remove(patient, custodian_bytes(custodian), system_bytes(system), frozenset({category})) == 1

    async def remove_all(
        self, patient: PatientKey, custodian: Ura | None, categories: frozenset[Category] | None
    ) -> int:
        owner = b"" if custodian is None else custodian_bytes(custodian)
        return await self._remove(patient, owner, b"", frozenset(Category) if categories is None else categories)

    async def _remove(self, patient: PatientKey, owner: bytes, system: bytes, categories: frozenset[Category]) -> int:
        place = place_of(patient)
        numbers = b"".join(category_byte(one) for one in categories)
        return int(await self._run(REMOVE, [self._bucket(place)], [place.field, owner, system, numbers]))

    async def find(self, patient: PatientKey, category: Category | None) -> tuple[Pointer, ...]:
        place = place_of(patient)
        mark, kept = await self._run(FIND, [self._mark(place.shard), self._bucket(place)], [place.field])
        await self._require_complete([mark])
        found = (self._pointer(patient, record) for record in records(kept or b""))
        return tuple(sorted((one for one in found if category in (None, one.category)), key=_order))

    async def get(
        self, patient: PatientKey, system: ApplicationId, category: Category, custodian: Ura | None = None
    ) -> Pointer | None:
        held = await self.find(patient, category)
        wanted = (one for one in held if one.system == system and custodian in (None, one.custodian))
        return next(wanted, None)

    async def own(
        self, custodian: Ura, system: ApplicationId | None, limit: int, after: str | None = None
    ) -> tuple[Pointer, ...]:
        beyond = (PatientKey(b""), 0, 0) if after is None else self._opened(after)
        places = await self._own_places(custodian, place_of(beyond[0]) if after else Place(0, 0, b""))
        page: list[Pointer] = []
        for start in range(0, len(places), _BUCKETS_A_TRIP):
            held = await self._own_pointers(places[start : start + _BUCKETS_A_TRIP], custodian)
            page += [one for one in held if system in (None, one.system) and _order(one)[:3] > beyond]
            if len(page) >= limit:
                break
        return tuple(page[:limit])

    def _opened(self, after: str) -> tuple[PatientKey, int, int]:
        opened = self._keys.open_entry_id(after)
        if opened is None:
            raise ValueError("not the id of an entry")
        patient, system, category = opened
        return patient, int.from_bytes(system_bytes(system), "big"), CATEGORY_NUMBER[category]

    async def _own_places(self, custodian: Ura, first: Place) -> list[tuple[int, int]]:
        """The buckets, from `first` on and in order, in which this custodian has or once had an entry."""
        shards = range(first.shard, SHARDS)
        pipe = self._redis.pipeline(transaction=False)
        for shard in shards:
            pipe.smembers(self._own(shard, custodian))
        members = await self._ask_marked(pipe, shards)
        places = ((shard, int(one)) for shard, held in zip(shards, members, strict=True) for one in held)
        return sorted(place for place in places if place >= (first.shard, first.bucket))

    async def _own_pointers(self, places: Sequence[tuple[int, int]], custodian: Ura) -> list[Pointer]:
        pipe = self._redis.pipeline(transaction=False)
        for shard, bucket in places:
            pipe.hgetall(self._bucket(Place(shard, bucket, b"")))
        buckets = await self._ask_marked(pipe, sorted({shard for shard, _ in places}))
        owner = custodian_bytes(custodian)
        found = [
            self._pointer(patient_at(shard, bucket, field), record)
            for (shard, bucket), held in zip(places, buckets, strict=True)
            for field, kept in held.items()
            if owner in kept
            for record in records(kept)
            if record.custodian == custodian
        ]
        return sorted(found, key=_order)

    async def initialise(self) -> None:
        """Mark a never used index complete. Interrupted, it goes on at the next start; once done it does nothing."""
        mark = await self._commit(_claim_generation)
        if mark.startswith(_PENDING):
            await self._mark_complete(mark.removeprefix(_PENDING))

    async def rebuild_done(self) -> None:
        await self._mark_complete(secrets.token_hex(16))

    async def _mark_complete(self, mark: str) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for shard in range(SHARDS):
            pipe.set(self._mark(shard), mark)
        await self._ask(pipe.execute())
        await self._commit(lambda tx: register.set_generation(tx, mark))

    async def ready(self) -> None:
        pipe = self._redis.pipeline(transaction=False)
        pipe.info("memory")
        (memory,) = await self._ask_marked(pipe, range(SHARDS))
        if memory.get("maxmemory", 0) and memory.get("maxmemory_policy") != "noeviction":
            raise IndexUnavailable("the index server may evict entries: its maxmemory-policy must be noeviction")

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ask_marked(self, pipe: Pipeline, shards: Sequence[int]) -> list[Any]:
        """Send a pipeline of reads with the marks of these shards read last: a flush before or between them shows."""
        for shard in shards:
            pipe.get(self._mark(shard))
        answers = await self._ask(pipe.execute())
        await self._require_complete(answers[-len(shards) :])
        return answers[: -len(shards)]

    async def _require_complete(self, marks: Sequence[bytes | None]) -> None:
        if self._all_current(marks):
            return
        self._generation = await self._recorded_generation()
        if not self._all_current(marks):
            raise IndexUnavailable("the index is not complete: every custodian must register again")

    def _all_current(self, marks: Sequence[bytes | None]) -> bool:
        return self._generation is not None and all(mark == self._generation for mark in marks)

    async def _recorded_generation(self) -> bytes | None:
        try:
            mark = await self._ledger.read(register.generation)
        except LedgerUnavailable as error:
            raise IndexUnavailable(str(error)) from error
        return None if mark is None else mark.encode()

    async def _commit(self, unit: Any) -> Any:
        try:
            return await self._ledger.commit(unit)
        except LedgerUnavailable as error:
            raise IndexUnavailable(str(error)) from error

    async def _run(self, script: Script, keys: Sequence[str], values: Sequence[bytes | int]) -> Any:
        return await self._ask(self._evaluate(script, [*keys, *values], len(keys)))

    async def _evaluate(self, script: Script, arguments: Sequence[Any], keys: int) -> Any:
        try:
            return await self._redis.evalsha(script.sha, keys, *arguments)
        except NoScriptError:
            return await self._redis.eval(script.text, keys, *arguments)

    async def _ask(self, answer: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await answer
        except (RedisError, OSError, TimeoutError) as error:
            raise IndexUnavailable(f"index server: {type(error).__name__}") from None

    def _mark(self, shard: int) -> str:
        return f"{{{self._prefix}:{shard}}}g"

    def _bucket(self, place: Place) -> str:
        return f"{{{self._prefix}:{place.shard}}}{place.bucket}"

    def _own(self, shard: int, custodian: Ura) -> str:
        return f"{{{self._prefix}:{shard}}}o{custodian.digits}"

    def _pointer(self, patient: PatientKey, record: Record) -> Pointer:
        return Pointer(
            id=self._keys.entry_id(patient, record.system, record.category),
            patient=patient,
            custodian=record.custodian,
            system=record.system,
            category=record.category,
            latent=record.latent,
            date=record.date,
        )


def _order(pointer: Pointer) -> tuple[PatientKey, int, int, Ura]:
    system = int.from_bytes(system_bytes(pointer.system), "big")
    return pointer.patient, system, CATEGORY_NUMBER[pointer.category], pointer.custodian


def _claim_generation(tx: Transaction) -> str:
    """The recorded mark, or, when the ledger never had one, a new one that is pending until the server carries it."""
    mark = register.generation(tx)
    if mark is None:
        mark = _PENDING + secrets.token_hex(16)
        register.set_generation(tx, mark)
    return mark
