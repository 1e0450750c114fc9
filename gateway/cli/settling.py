"""How does a population come to be known at the exchange? Person by person, by the flows that every custodian uses.

No second road: each statement and registration is judged, journaled and written as if the custodian had sent it, only
without the wire; so the rules hold for it, and what a rule refuses is counted, not forced. Many people at once share
the ledger's commits. Ids follow from the seed, so that doing it again adds no statement and no entry.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time

from gateway.flows import consent, registration
from gateway.flows.means import Call, Means
from gateway.flows.registration import Registered
from gateway.rules import regimes
from gateway.rules.choice import Choice, Method, Party, Say, Scope
from gateway.rules.consent import age
from gateway.rules.exchange import AortaId, Category, Regime, Requester, Situation
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.network import Network, Registration
from source_sim.country import Participant
from source_sim.peopling.choices import Said, Word
from source_sim.peopling.region import Inhabitant, Region

_AT_ONCE = 128
_NOON = time(12, tzinfo=UTC)
_ENROLMENT = "enrolment"


@dataclass
class Settled:
    """What was taken in: people, statements, entries by category (latent ones apart), and refusals by reason."""

    people: int = 0
    statements: int = 0
    entries: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


async def settle(means: Means, region: Region, told: Callable[[], None] = lambda: None) -> Settled:
    """Take in what everybody of the region said and has registered; `told` is called for each person done.
    Raises LedgerUnavailable, IndexUnavailable, Unsettled."""
    network = await means.live.network()
    crisis = Regime.CRISIS_OPT_IN in regimes.active(network.switches, means.live.domain(network))
    done, waiting = Settled(), iter(region.numbered)

    async def some() -> None:
        for one in waiting:
            await _Settling(means, one, region.recipe.seed, done, crisis).settle()
            done.people += 1
            told()

    async with asyncio.TaskGroup() as together:
        for _ in range(_AT_ONCE):
            together.create_task(some())
    return done


class _Settling:
    """One person's part, in the order it happened: enrolment, a yes, its registrations, a withdrawal."""

    def __init__(self, means: Means, one: Inhabitant, seed: int, done: Settled, crisis: bool) -> None:
        assert one.bsn is not None, "only who has a number is settled"
        self._bsn = Bsn(one.bsn)
        self._means = replace(means, new_id=_ids(seed, one.bsn).__next__)
        self._one, self._done, self._crisis = one, done, crisis

    async def settle(self) -> None:
        one = self._one
        await self._register(one.known.practice, _ENROLMENT, one.enrolled.isoformat())
        for said in one.said:
            await self._state(said)
            if said.word is Word.YES and said.custodian is not None:
                await self._registered(said.custodian, said.on.isoformat())
        if self._crisis and not one.said:
            await self._register(one.known.practice, Category.GP_SUMMARY, one.enrolled.isoformat(), latent=True)

    async def _registered(self, custodian: Participant, day: str) -> None:
        for holder, category in self._one.entries:
            if holder == custodian:
                await self._register(custodian, category, day)

    async def _register(self, custodian: Participant, category: str, day: str, *, latent: bool = False) -> None:
        ura, application = Ura(custodian.ura), ApplicationId(custodian.application)
        wanted = Registration(self._bsn, ura, application, Category(category), latent, day)
        outcome = await registration.register_entry(self._means, self._call(custodian), wanted)
        if isinstance(outcome, Registered):
            self._done.entries[f"{category}, latent" if latent else category] += 1
        else:
            self._done.refused[str(getattr(outcome, "value", outcome))] += 1

    async def _state(self, said: Said) -> None:
        network = await self._means.live.network()
        sender = None if said.custodian is None else _requester(said.custodian, network)
        choice = self._choice(said, self._means.live.domain(network))
        try:
            await consent.state_choice(self._means, choice, aorta=self._aorta(), sender=sender)
            self._done.statements += 1
        except consent.NotEntitled:
            self._done.refused["not-entitled"] += 1

    def _choice(self, said: Said, at: datetime) -> Choice:
        born = self._one.resident.birth_date
        scope = Scope(
            custodian=None if said.custodian is None else Ura(said.custodian.ura),
            requesters=frozenset(said.requesters) or None,
            emergency_only=said.emergency_only,
        )
        effective, by = datetime.combine(said.on, _NOON), _voices(age(born, at))
        return Choice(self._bsn, scope, Say(said.word), effective, by, Method.WRITTEN, "", "", born)

    def _call(self, custodian: Participant) -> Call:
        return Call(self._aorta(), Situation(), lambda network: _requester(custodian, network), "create-List")

    def _aorta(self) -> AortaId:
        return AortaId(self._means.new_id(), self._means.new_id())


def _voices(years: int) -> frozenset[Party]:
    """Who states at this age (domain.md section 3)."""
    if years >= 16:
        return frozenset({Party.PATIENT})
    return frozenset({Party.PARENT}) if years < 12 else frozenset({Party.PARENT, Party.PATIENT})


def _requester(custodian: Participant, network: Network) -> Requester:
    """The custodian's system acting by itself, as the register knows it."""
    known = network.organisations.get(Ura(custodian.ura))
    return Requester(
        ura=Ura(custodian.ura),
        name=known.name if known else "",
        organisation_type=known.organisation_type if known else "",
        application=ApplicationId(custodian.application),
        revoked=known is None,
    )


def _ids(seed: int, bsn: str) -> Iterator[str]:
    """Version 4 UUIDs that follow from seed and person."""
    rng = random.Random(f"ids/{seed}/{bsn}")  # noqa: S311 - to be the same again is their use
    while True:
        yield str(uuid.UUID(int=rng.getrandbits(128), version=4))
