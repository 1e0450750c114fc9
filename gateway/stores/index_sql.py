"""How does the reference index live in the ledger's own database? One row per entry, found by patient or by custodian.

Complete by construction: the rows are lost only together with the ledger. The statements are functions of a
transaction, so that a release can look once more inside the transaction that writes the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from gateway.rules.exchange import Category, PatientKey, Pointer
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.stores.index import IndexUnavailable
from gateway.stores.keys import CATEGORY_NUMBER, CATEGORY_OF, Keys
from gateway.stores.ledger import Ledger, LedgerUnavailable, Transaction
from gateway.stores.schema import system_number, system_of, ura_number, ura_of
from gateway.stores.transaction import Row

T = TypeVar("T")

_BATCH = 500
_FIRST = (PatientKey(b""), 0, 0)


class SqlIndex:
    """The index in the ledger. Writes join the ledger's serial history; reads are snapshot reads."""

    def __init__(self, ledger: Ledger, keys: Keys) -> None:
        self._ledger = ledger
        self._keys = keys

    async def put(self, pointer: Pointer) -> bool:
        return await self._commit(lambda tx: put(tx, pointer))

    async def put_many(self, pointers: Sequence[Pointer]) -> list[bool]:
        created: list[bool] = []
        for start in range(0, len(pointers), _BATCH):
            created += await self._commit(_putting(pointers[start : start + _BATCH]))
        return created

    async def remove(self, patient: PatientKey, custodian: Ura, system: ApplicationId, category: Category) -> bool:
        return await self._commit(lambda tx: remove(tx, patient, custodian, system, category))

    async def remove_all(
        self, patient: PatientKey, custodian: Ura | None, categories: frozenset[Category] | None
    ) -> int:
        return await self._commit(lambda tx: remove_all(tx, patient, custodian, categories))

    async def find(self, patient: PatientKey, category: Category | None) -> tuple[Pointer, ...]:
        return await self._read(lambda tx: find(tx, self._keys, patient, category), single=True)

    async def get(
        self, patient: PatientKey, system: ApplicationId, category: Category, custodian: Ura | None = None
    ) -> Pointer | None:
        held = await self.find(patient, category)
        wanted = (one for one in held if one.system == system and custodian in (None, one.custodian))
        return next(wanted, None)

    async def own(
        self, custodian: Ura, system: ApplicationId | None, limit: int, after: str | None = None
    ) -> tuple[Pointer, ...]:
        place = _FIRST if after is None else self._place(after)
        rows = await self._read(lambda tx: _own_rows(tx, custodian, system, limit, place))
        return tuple(_pointer(self._keys, row) for row in rows)

    def _place(self, after: str) -> tuple[PatientKey, int, int]:
        opened = self._keys.open_entry_id(after)
        if opened is None:
            raise ValueError("not the id of an entry")
        patient, system, category = opened
        return patient, system_number(system), CATEGORY_NUMBER[category]

    async def initialise(self) -> None:
        """Nothing to declare: the tables came with the ledger."""

    async def rebuild_done(self) -> None:
        """Nothing to declare: the entries cannot be lost without the ledger."""

    async def ready(self) -> None:
        why = await self._ledger.ready()
        if why is not None:
            raise IndexUnavailable(why)

    async def close(self) -> None:
        """The ledger is closed by who opened it."""

    async def _commit(self, unit: Callable[[Transaction], T]) -> T:
        try:
            return await self._ledger.commit(unit)
        except LedgerUnavailable as error:
            raise IndexUnavailable(str(error)) from error

    async def _read(self, unit: Callable[[Transaction], T], *, single: bool = False) -> T:
        try:
            return await self._ledger.read(unit, single=single)
        except LedgerUnavailable as error:
            raise IndexUnavailable(str(error)) from error


def put(tx: Transaction, pointer: Pointer) -> bool:
    """Register inside a transaction; True when the entry is new."""
    key = (
        pointer.patient,
        system_number(pointer.system),
        CATEGORY_NUMBER[pointer.category],
        ura_number(pointer.custodian),
    )
    content = (int(pointer.latent), pointer.date)
    if tx.run("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", *key, *content):
        return True
    tx.run(
        "UPDATE entry SET latent = ?, date = ? WHERE patient = ? AND system = ? AND category = ? AND custodian = ?",
        *content,
        *key,
    )
    return False


def remove(tx: Transaction, patient: PatientKey, custodian: Ura, system: ApplicationId, category: Category) -> bool:
    """End one entry inside a transaction; True when there was one."""
    touched = tx.run(
        "DELETE FROM entry WHERE patient = ? AND system = ? AND category = ? AND custodian = ?",
        patient,
        system_number(system),
        CATEGORY_NUMBER[category],
        ura_number(custodian),
    )
    return touched == 1


def remove_all(
    tx: Transaction, patient: PatientKey, custodian: Ura | None, categories: frozenset[Category] | None
) -> int:
    """End a patient's entries inside a transaction; None is any custodian, any category. Returns how many."""
    any_category = range(1, len(CATEGORY_NUMBER) + 1)
    numbers = any_category if categories is None else [CATEGORY_NUMBER[one] for one in categories & _HELD]
    ended = 0
    for number in numbers:
        condition, values = ("", ()) if custodian is None else (" AND custodian = ?", (ura_number(custodian),))
        ended += tx.run(f"DELETE FROM entry WHERE patient = ? AND category = ?{condition}", patient, number, *values)  # noqa: S608
    return ended


def find(tx: Transaction, keys: Keys, patient: PatientKey, category: Category | None) -> tuple[Pointer, ...]:
    """A patient's entries inside a transaction; one statement, the same for every patient and category."""
    rows = tx.rows(
        "SELECT patient, system, category, custodian, latent, date FROM entry WHERE patient = ?"
        " ORDER BY system, category, custodian",
        patient,
    )
    wanted = None if category is None else CATEGORY_NUMBER.get(category, 0)
    return tuple(_pointer(keys, row) for row in rows if wanted in (None, row[2]))


_HELD = frozenset(CATEGORY_NUMBER)


def _putting(pointers: Iterable[Pointer]) -> Callable[[Transaction], list[bool]]:
    return lambda tx: [put(tx, pointer) for pointer in pointers]


def _own_rows(
    tx: Transaction, custodian: Ura, system: ApplicationId | None, limit: int, place: tuple[PatientKey, int, int]
) -> list[Row]:
    condition, values = ("", ()) if system is None else (" AND system = ?", (system_number(system),))
    return tx.rows(
        "SELECT patient, system, category, custodian, latent, date FROM entry"  # noqa: S608
        f" WHERE custodian = ? AND (patient, system, category) > (?, ?, ?){condition}"
        " ORDER BY patient, system, category LIMIT ?",
        ura_number(custodian),
        *place,
        *values,
        limit,
    )


def _pointer(keys: Keys, row: Row) -> Pointer:
    patient, system, category = PatientKey(row[0]), system_of(row[1]), CATEGORY_OF[row[2]]
    return Pointer(
        id=keys.entry_id(patient, system, category),
        patient=patient,
        custodian=ura_of(row[3]),
        system=system,
        category=category,
        latent=bool(row[4]),
        date=row[5],
    )
