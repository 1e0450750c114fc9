"""Who holds what about whom? The reference index as the rest of the house sees it, wherever it is kept.

Two stores keep it: the ledger's own database (`index_sql.py`) and Redis or Valkey (`index_redis.py`). Both pass one
contract suite. An index that may be incomplete says *unavailable*, never *nothing registered*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gateway.rules.exchange import Category, PatientKey, Pointer
from gateway.rules.identifiers import ApplicationId, Ura


class IndexUnavailable(Exception):
    """The index cannot be asked, or may be incomplete. Never carries a key."""


class Index(Protocol):
    """Every call raises IndexUnavailable. A pointer's `id` follows from its other fields (`Keys.entry_id`)."""

    async def put(self, pointer: Pointer) -> bool:
        """Register, or update `latent` and `date`; True when the entry is new. Idempotent on (patient, custodian,
        system, category)."""

    async def put_many(self, pointers: Sequence[Pointer]) -> list[bool]:
        """The same for many, in order; not one transaction: after an error some may have been put."""

    async def remove(self, patient: PatientKey, custodian: Ura, system: ApplicationId, category: Category) -> bool:
        """End one entry; True when there was one."""

    async def remove_all(
        self, patient: PatientKey, custodian: Ura | None, categories: frozenset[Category] | None
    ) -> int:
        """End every entry of a patient with this custodian and one of these categories (None is any); how many."""

    async def find(self, patient: PatientKey, category: Category | None) -> tuple[Pointer, ...]:
        """The entries of a patient, ordered by system, category, custodian. The same operations on the store, and one
        round trip, whether the patient is known or not."""

    async def get(
        self, patient: PatientKey, system: ApplicationId, category: Category, custodian: Ura | None = None
    ) -> Pointer | None:
        """One entry; without `custodian` the first, should a system have changed hands with entries left behind."""

    async def own(
        self, custodian: Ura, system: ApplicationId | None, limit: int, after: str | None = None
    ) -> tuple[Pointer, ...]:
        """At most `limit` entries of a custodian, in an order that says nothing; `after` is the last id of the page
        before. Raises ValueError when `after` is no entry's id."""

    async def initialise(self) -> None:
        """Declare an index that was never used before complete, as it is empty; changes nothing later on."""

    async def rebuild_done(self) -> None:
        """The operator's word that everybody has registered again: the index is complete from here on."""

    async def ready(self) -> None:
        """Raises IndexUnavailable unless the index can be asked and is complete."""

    async def close(self) -> None: ...
