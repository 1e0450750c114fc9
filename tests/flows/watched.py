"""How are the rim's doors watched and broken by a test? A scripted door to the sources, counted and failing stores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.rules.access import Permit
from gateway.rules.exchange import Address, Answer, AortaId, Entry, Failure, Mode, Query
from gateway.rules.identifiers import Ura
from gateway.rules.message import Reply, State, Taking
from gateway.rules.network import Organisation
from gateway.rules.sending import Leave
from gateway.stores.index import IndexUnavailable
from gateway.stores.index_sql import SqlIndex
from gateway.stores.ledger import Ledger, LedgerUnavailable


class Asked(NamedTuple):
    """One call to a source, as the door got it."""

    permit: Permit
    query: Query
    address: Address
    token: str
    aorta: AortaId
    deadline: float


def entry(id: str = "1") -> Entry:
    return Entry(b'{"resourceType":"Flag","id":"%s"}' % id.encode(), "Flag", id, None, Mode.MATCH)


def answer(*ids: str, **more: Any) -> Answer:
    return Answer(tuple(entry(id) for id in ids), **more)


@dataclass
class Door:
    """The outbound door, by script: per custodian an answer, and what happens while the source is asked."""

    answers: dict[Ura, Answer | Failure] = field(default_factory=dict)
    during: dict[Ura, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    async def ask(
        self, permit: Permit, query: Query, address: Address, *, token: str, aorta: AortaId, deadline: float
    ) -> Answer | Failure:
        self.asked.append(Asked(permit, query, address, token, aorta, deadline))
        if address.ura in self.during:
            await self.during[address.ura]()
        return self.answers.get(address.ura, answer("1"))

    @property
    def custodians(self) -> list[str]:
        return [one.address.ura.digits for one in self.asked]


class Posted(NamedTuple):
    """One message to a recipient, as the door got it."""

    leave: Leave
    body: bytes
    token: str
    aorta: AortaId
    deadline: float


@dataclass
class PostDoor:
    """The outbound door for messages, by script: per recipient the replies in their order, the last one for ever; and
    what happens while a message is on the wire. Every recipient takes it unless told otherwise. `twice`: what was
    posted while the same message was under way to the same recipient."""

    replies: dict[Ura, list[Reply]] = field(default_factory=dict)
    during: dict[Ura, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    posted: list[Posted] = field(default_factory=list)
    flying: list[tuple[Ura, bytes]] = field(default_factory=list)
    most_flying: int = 0
    twice: list[str] = field(default_factory=list)

    async def deliver(self, leave: Leave, body: bytes, *, token: str, aorta: AortaId, deadline: float) -> Reply:
        to = leave.address.ura
        if (to, body) in self.flying:
            self.twice.append(f"{to} {body.decode()}")
        self.posted.append(Posted(leave, body, token, aorta, deadline))
        self.flying.append((to, body))
        self.most_flying = max(self.most_flying, len(self.flying))
        try:
            await asyncio.sleep(0)
            if to in self.during:
                await self.during[to]()
        finally:
            self.flying.remove((to, body))
        return self._reply(to)

    def _reply(self, to: Ura) -> Reply:
        script = self.replies.get(to, [Reply(Taking.TAKEN)])
        return script.pop(0) if len(script) > 1 else script[0]

    @property
    def told(self) -> list[str]:
        """What went to whom, in order."""
        return [f"{one.leave.address.ura} {one.body.decode()}" for one in self.posted]


class Letters:
    """The exchange's own messages, in a word each."""

    def disclosure_notice(self, id: str, *, basis: str, row: str, custodian: Ura, **_more: Any) -> bytes:
        return f"notice {row} {basis} {custodian}".encode()

    def enrolment_changed(self, id: str, *, current: Organisation, since: str, **_more: Any) -> bytes:
        return f"moved to {current.ura} since {since}".encode()

    def undeliverable(self, id: str, *, message_id: str, state: State, reason: str, **_more: Any) -> bytes:
        return f"undeliverable {message_id} {state} {reason}".encode()


class CountingTransaction:
    """A transaction that counts its statements."""

    def __init__(self, tx: Any, count: Callable[[str], None]) -> None:
        self._tx, self._count = tx, count

    def rows(self, sql: str, *params: object) -> Any:
        self._count("statement")
        return self._tx.rows(sql, *params)

    def row(self, sql: str, *params: object) -> Any:
        self._count("statement")
        return self._tx.row(sql, *params)

    def run(self, sql: str, *params: object) -> int:
        self._count("statement")
        return self._tx.run(sql, *params)


class WatchedLedger:
    """The real ledger, counted. `good_commits`: after so many more, units run and are then rolled back.
    `failing`: so many fail at once. `lost_replies`: so many take effect, and nobody hears of it."""

    def __init__(self, real: Ledger) -> None:
        self.real = real
        self.counts: dict[str, int] = {}
        self.good_commits: int | None = None
        self.lost_replies = 0
        self.failing = 0

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    async def commit(self, unit: Callable[[Any], Any], *, brief: bool = False) -> Any:
        self._count("commit")
        if self.failing:
            self.failing -= 1
            raise LedgerUnavailable("locked")
        if self.lost_replies:
            self.lost_replies -= 1
            await self.real.commit(unit, brief=brief)
            raise LedgerUnavailable("no answer within patience")
        return await self.real.commit(self._watched(unit), brief=brief)

    async def note(self, unit: Callable[[Any], Any]) -> Any:
        self._count("note")
        return await self.real.note(self._watched(unit))

    def _watched(self, unit: Callable[[Any], Any]) -> Callable[[Any], Any]:
        if self.good_commits is None:
            return lambda tx: unit(CountingTransaction(tx, self._count))
        self.good_commits -= 1
        return unit if self.good_commits >= 0 else lambda tx: _lost(unit, tx)

    async def read(self, unit: Callable[[Any], Any], *, single: bool = False) -> Any:
        self._count("read")
        return await self.real.read(lambda tx: unit(CountingTransaction(tx, self._count)), single=single)

    def version(self) -> int:
        return self.real.version()

    async def scrub(self) -> bool:
        self._count("scrub")
        return await self.real.scrub()

    async def ready(self) -> str | None:
        return await self.real.ready()


def _lost(unit: Callable[[Any], Any], tx: Any) -> None:
    unit(tx)
    raise LedgerUnavailable("disk full")


class WatchedIndex:
    """The real index, counted; `broken` says unavailable, `broken_for` of one operation, `after_find` runs after every
    look-up."""

    def __init__(self, real: SqlIndex) -> None:
        self._real = real
        self.counts: dict[str, int] = {}
        self.broken = False
        self.broken_for = ""
        self.after_find: Callable[[], Awaitable[None]] | None = None

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._real, name)

        async def watched(*args: Any) -> Any:
            self.counts[name] = self.counts.get(name, 0) + 1
            if self.broken or name == self.broken_for:
                raise IndexUnavailable("no answer")
            found = await operation(*args)
            if name == "find" and self.after_find is not None:
                await self.after_find()
            return found

        return watched
