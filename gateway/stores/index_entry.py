"""How small can an index entry be? Sixteen bytes beside its patient, so that a whole country fits in memory.

One patient's entries are records one after the other: a length byte, custodian (4), system (7), category (1), then a
latent bit and the date (3), or the date's text when it is not a plain day. Where a patient lives follows from the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from gateway.rules.exchange import Category, PatientKey
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.stores.keys import CATEGORY_NUMBER, CATEGORY_OF
from gateway.stores.schema import system_number, system_of, ura_number, ura_of

SHARDS = 64
_BUCKETS_A_SHARD = 4096
_LATENT = 1 << 23
_KEY_BYTES = 12
_LONGEST_DATE = 64


@dataclass(frozen=True, slots=True)
class Place:
    """The first 18 bits of a patient key: six name the shard, twelve the bucket in it; `field` is the rest (and two of
    the eighteen bits again). 2**18 buckets hold about 69 of 18 million patients each."""

    shard: int
    bucket: int
    field: bytes


def place_of(patient: PatientKey) -> Place:
    first = int.from_bytes(patient[:3], "big") >> 6
    return Place(first // _BUCKETS_A_SHARD, first % _BUCKETS_A_SHARD, patient[2:])


def patient_at(shard: int, bucket: int, field: bytes) -> PatientKey:
    return PatientKey(((shard * _BUCKETS_A_SHARD + bucket) >> 2).to_bytes(2, "big") + field)


def custodian_bytes(custodian: Ura) -> bytes:
    return ura_number(custodian).to_bytes(4, "big")


def system_bytes(system: ApplicationId) -> bytes:
    return system_number(system).to_bytes(7, "big")


def category_byte(category: Category) -> bytes:
    """Empty for a category that has no entries: it then matches none."""
    number = CATEGORY_NUMBER.get(category)
    return b"" if number is None else bytes([number])


def content_bytes(latent: bool, day: str) -> bytes:
    """What an update replaces. Raises ValueError for a date text longer than 64 bytes."""
    ordinal = _ordinal(day)
    text = b"" if ordinal else day.encode()
    if len(text) > _LONGEST_DATE:
        raise ValueError("the date of an entry is too long")
    return (ordinal | (_LATENT if latent else 0)).to_bytes(3, "big") + text


@dataclass(frozen=True, slots=True)
class Record:
    """One entry as kept, without its patient."""

    custodian: Ura
    system: ApplicationId
    category: Category
    latent: bool
    date: str


def records(kept: bytes) -> Iterator[Record]:
    """The records of one patient, as put one after the other."""
    start = 0
    while start < len(kept):
        stop = start + 1 + kept[start]
        yield _record(kept[start + 1 : stop])
        start = stop


def _record(body: bytes) -> Record:
    number = int.from_bytes(body[_KEY_BYTES : _KEY_BYTES + 3], "big")
    ordinal = number & (_LATENT - 1)
    return Record(
        custodian=ura_of(int.from_bytes(body[:4], "big")),
        system=system_of(int.from_bytes(body[4:11], "big")),
        category=CATEGORY_OF[body[11]],
        latent=bool(number & _LATENT),
        date=date.fromordinal(ordinal).isoformat() if ordinal else body[_KEY_BYTES + 3 :].decode(),
    )


def _ordinal(day: str) -> int:
    """A plain `YYYY-MM-DD` as its day number; 0 for any other text."""
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        return 0
    return parsed.toordinal() if parsed.isoformat() == day else 0
