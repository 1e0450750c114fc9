"""What of a message can be read where it rests? Nothing, ever: not in the ledger, its write-ahead log or any log; and
after delivery not even what was sealed.

Planted words and numbers are looked for in every file the gateway's processes and the database wrote.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from mail_country import DESK, EXCHANGE, MailCountry, mail_country, persons
from mail_postgres import private_postgres
from mailroom import Manner, Sent

from gateway.flows.means import Live
from gateway.flows.outbox_acts import tidy
from gateway.rules.message import State
from gateway.stores.sealing import Sealed, Unreadable
from source_sim.country import GP

pytestmark = pytest.mark.timeout(120)

WORDS = "Kruidnagelboom Zevenslaper"
"""Stands as the patient's family name, and in the text."""

LEDGERS = [
    pytest.param("sqlite", marks=pytest.mark.xdist_group("mail-troubled-sqlite")),
    pytest.param("postgresql", marks=pytest.mark.xdist_group("mail-troubled-postgresql")),
]


@dataclass
class Rest:
    """The country, every folder that it or its database writes in, and the patient's number."""

    country: MailCountry
    folders: list[Path]
    ledger_url: str
    patient: str
    token: str

    async def flushed(self) -> None:
        """All the database has in memory is on disk."""
        if self.ledger_url:
            async with await psycopg.AsyncConnection.connect(self.ledger_url, autocommit=True) as db:
                await db.execute("CHECKPOINT")

    async def holding(self, *wanted: bytes) -> list[str]:
        """The files in which any of these bytes stand."""
        await self.flushed()
        return [str(path) for path in self._files() if any(one in path.read_bytes() for one in wanted)]

    def _files(self) -> Iterator[Path]:
        for folder in self.folders:
            yield from (path for path in sorted(folder.rglob("*")) if path.is_file())

    async def sealed(self) -> list[Sealed]:
        rows = await self.country.office.means.ledger.read(lambda tx: tx.rows("SELECT key_id, sealed FROM payload"))
        return [Sealed(key_id, bytes(sealed)) for key_id, sealed in rows]

    async def tidied(self, ahead: timedelta = timedelta(0)) -> None:
        """What the desk does every minute, now; with the wall clock ahead, for what it does every day."""
        means = self.country.office.means

        def wall() -> object:
            return means.live.wall() + ahead

        await tidy(replace(means, live=Live(means.ledger, wall)))  # type: ignore[arg-type]


@pytest_asyncio.fixture(params=LEDGERS)
async def rest(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rest]:
    with ExitStack() as stack:
        server = stack.enter_context(private_postgres()) if request.param == "postgresql" else None
        url, folders = (server.url, [tmp_path, server.data]) if server else ("", [tmp_path])
        async with mail_country(tmp_path, url, log_level="debug") as country:
            patient = persons()[0]
            await country.enrol(patient, GP)
            await country.processes.start(EXCHANGE)
            await country.processes.start(DESK)
            yield Rest(country, folders, url, patient, await country.token(patient))


def readable(rest: Rest) -> list[bytes]:
    """The planted words in every dress they may wear: as they are, for a text column, a dump, a log."""
    words = [*WORDS.split(), rest.patient]
    return [form for word in words for form in (word.encode(), base64.b64encode(word.encode())[:-2],
                                                word.encode().hex().encode(), word.encode("utf-16-le"))]  # fmt: skip


def slices(sealed: list[Sealed]) -> list[bytes]:
    """Pieces of each, small enough to lie on one page whatever the database does to long values."""
    return [one.sealed[at : at + 24] for one in sealed for at in range(0, len(one.sealed) - 24, 512)]


async def test_no_content_can_be_read_at_rest_and_none_is_left_after_delivery(rest: Rest) -> None:
    country = rest.country
    country.practice.manner = Manner.LOSE_REPLY
    letters = [country.letter(rest.patient, rest.token, WORDS) for _ in range(3)]
    await asyncio.gather(*(country.sender.insist(one) for one in letters))
    await _refused(rest, letters[0])
    await asyncio.sleep(0.5)
    await country.practice.close()
    waiting = await rest.sealed()
    assert len(waiting) == 3
    assert await rest.holding(letters[0].id.encode()), "the search finds nothing at all"
    assert await rest.holding(*slices(waiting)), "what is sealed must rest somewhere"
    assert await rest.holding(*readable(rest)) == []

    country.practice.manner = Manner.TAKE
    await country.practice.open()
    await country.processes.start(DESK)
    assert (await country.settled()).of[State.DELIVERED] == 3
    assert all(WORDS in json.dumps(one) for one in country.practice.inbox.taken.values()), "the words did not travel"
    await rest.tidied()
    assert await rest.sealed() == []
    assert await rest.holding(*readable(rest)) == []
    if not rest.ledger_url:
        assert await rest.holding(*slices(waiting)) == [], "what was sealed is still in freed pages or the log"
    await _key_is_gone(rest, waiting)


async def _refused(rest: Rest, sent: Sent) -> None:
    """What is refused leaves nothing either: broken, addressed by its sender, an id used before."""
    whole = json.loads(sent.body)
    addressed = json.loads(sent.body)
    addressed["entry"][0]["resource"]["destination"] = [{"endpoint": "https://elders.example/fhir"}]
    changed = json.dumps(whole).replace("Klacht en beleid", "Beleid en klacht")
    bodies = {400: sent.body[:-40], 422: json.dumps(addressed).encode(), 409: changed.encode()}
    for status, body in bodies.items():
        got = await rest.country.sender.hand_in(Sent(sent.id, sent.mark, body, sent.token))
        assert got is not None
        assert got.status_code == status, got.text
        assert WORDS not in got.text


async def _key_is_gone(rest: Rest, once_sealed: list[Sealed]) -> None:
    """Days later the key is destroyed: what a copy of the database may still hold is noise to everybody."""
    (key_id,) = {one.key_id for one in once_sealed}
    ring = rest.country.made.state / "outbox.keys"
    keys = [json.loads(line) for line in ring.read_text("utf-8").splitlines()]
    (ring_key,) = [one["key"].encode() for one in keys if one["id"] == key_id]
    assert await rest.holding(ring_key) == [str(ring)]
    for ahead in (timedelta(days=2), timedelta(days=2, hours=2)):
        await rest.tidied(ahead)
    assert await rest.holding(ring_key) == []
    if not rest.ledger_url:
        assert await rest.holding(key_id.encode()) == []
    with pytest.raises(Unreadable, match="key is gone"):
        rest.country.office.means.mail.seals.unseal(once_sealed[0], b"")
