"""How do the sentinels get into a country? Each with the past its row tells, by the flows everybody else goes through.

What happened before today is judged as on that day: these acts see the network with its clock set back, and with the
arrangement of those days in force. Nobody else does, and nothing of it stays but what was said and registered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import date, timedelta

from gateway.flows.consent import NotEntitled, state_choice
from gateway.flows.means import Call, Live, Means
from gateway.flows.registration import Registered, register_entry
from gateway.rules.choice import Choice, Method, Party, Say, Scope
from gateway.rules.exchange import AortaId, Category, Regime, Requester, Situation
from gateway.rules.identifiers import ApplicationId, Bsn, Ura
from gateway.rules.network import Network, RegimeSwitch, Registration
from gateway.stores import consents
from source_sim.country import Participant
from source_sim.sentinel import Enrolled, Held, Said, Sentinel
from source_sim.sentinels import SENTINELS

_SAYS = {
    (True, True): Say.YES,
    (True, False): Say.WITHDRAWN,
    (False, True): Say.NO,
    (False, False): Say.CLEARED,
}
"""What a statement says, by (permit, active)."""


class Unplanted(Exception):
    """A sentinel's past was refused: the rules and the table disagree. Names the sentinel, never her number."""


class _Then(Live):
    """The network as it was some days before today, under the arrangement of those days."""

    def __init__(self, means: Means, days_ago: int, regime: str) -> None:
        super().__init__(means.ledger, means.live.wall)
        self._ago, self._regimes = timedelta(days=days_ago), [Regime(regime)] if regime else []

    async def network(self, seen: Network | None = None) -> Network:
        now = await super().network()
        then = replace(now, clock_offset=now.clock_offset - self._ago)
        began = tuple(RegimeSwitch(one, True, self.domain(then), "", "") for one in self._regimes)
        return replace(then, switches=began)


async def plant_all(means: Means, sentinels: Collection[Sentinel] = tuple(SENTINELS.values())) -> None:
    """Plant these sentinels side by side: what they write becomes durable together. The custodians take part already.
    One of whom anything was said before is left as she is. Raises Unplanted, LedgerUnavailable, IndexUnavailable."""
    pasts = {(one.days_ago, one.regime) for one in sentinels}
    then = {past: replace(means, live=_Then(means, *past)) for past in pasts}
    today = means.live.domain(await means.live.network()).date()
    await asyncio.gather(*(_plant(then[one.days_ago, one.regime], one, today) for one in sentinels))


async def _plant(then: Means, one: Sentinel, today: date) -> None:
    bsn = Bsn(one.number)
    if await then.ledger.read(lambda tx: consents.of(tx, then.keys.patient(bsn))):
        return
    for act in one.acts:
        if isinstance(act, Said):
            await _state(then, one, act, one.person(today).birth_date)
        else:
            await _register(then, one, act)


async def _state(then: Means, one: Sentinel, said: Said, born: date) -> None:
    scope = Scope(
        custodian=Ura(said.custodian.ura) if said.custodian else None,
        categories=frozenset(map(Category, said.categories)) or None,
        requesters=frozenset(said.requesters) or None,
        emergency_only=said.emergency_only,
    )
    choice = Choice(
        patient=Bsn(one.number),
        scope=scope,
        say=_SAYS[said.permit, said.active],
        effective=None,
        by=frozenset(map(Party, said.by)),
        method=Method.WRITTEN if said.custodian else Method.ONLINE,
        birth_date=born,
    )
    sender = _system(said.custodian) if said.custodian else None
    try:
        await state_choice(then, choice, aorta=_chain(then), sender=sender)
    except NotEntitled as wrong:
        raise Unplanted(f"{one.key}: not entitled to what she said") from wrong


async def _register(then: Means, one: Sentinel, act: Held | Enrolled) -> None:
    custodian = act.practice if isinstance(act, Enrolled) else act.custodian
    categories = (Category.ENROLMENT,) if isinstance(act, Enrolled) else map(Category, act.categories)
    requester = _system(custodian)
    since = then.live.domain(await then.live.network())
    for category in categories:
        wanted = Registration(
            patient=Bsn(one.number),
            custodian=requester.ura,
            system=requester.application,
            category=category,
            latent=isinstance(act, Held) and act.latent,
            date=since.date().isoformat(),
        )
        call = Call(_chain(then), Situation(), lambda _network: requester, "create")
        came = await register_entry(then, call, wanted)
        if not isinstance(came, Registered):
            raise Unplanted(f"{one.key}: {custodian.key} may not register {category}: {came}")


def _system(custodian: Participant) -> Requester:
    """The custodian's system acting by itself."""
    return Requester(
        Ura(custodian.ura), custodian.name, custodian.organisation_type, ApplicationId(custodian.application)
    )


def _chain(means: Means) -> AortaId:
    return AortaId(means.new_id(), means.new_id())
