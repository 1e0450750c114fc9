"""Is something disclosed exactly when it should be, whatever happened before? A machine of acts, held to a small model.

The model speaks of one practice, one patient and two requesters, in the words of domain.md sections 3 and 4, and
shares nothing with the rules but names. Every act takes a second, so that no two statements are of one moment.
"""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

from flow_country import POST, PRACTICE, US, Country, summary
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.flows.deciding import Refused
from gateway.flows.query import ask
from gateway.flows.registration import Registered
from gateway.rules.choice import Say
from gateway.rules.exchange import Capacity, Regime
from gateway.rules.journal import Event

CRISIS, EMERGENCY = Regime.CRISIS_OPT_IN, Regime.EMERGENCY_AVAILABLE
GROUPS = ("gp-care", "pharmacy", "hospital", "ambulance")
NAMED = {"gp-care": ("gp-care", POST.ura.digits), "hospital": ("hospital",)}

SCOPES = st.tuples(
    st.booleans(),
    st.sampled_from([None, None, GROUPS, ("gp-care",), ("hospital",), (POST.ura.digits,)]),
    st.sampled_from([False, False, True]),
)


class Model:
    """What was said, scope by scope, what is registered, and which regimes run until when."""

    def __init__(self) -> None:
        self.said: dict[tuple, Say] = {}
        self.entry: str | None = None
        self.until: dict[Regime, float] = {}

    def words(self, names: tuple[str, ...], emergency: bool) -> set[Say]:
        return {
            say
            for (_, requesters, only_emergency), say in self.said.items()
            if (emergency or not only_emergency) and (requesters is None or set(names) & set(requesters))
        }

    def state(self, names: tuple[str, ...], emergency: bool) -> str:
        words = self.words(names, emergency)
        if words & {Say.NO, Say.WITHDRAWN}:
            return "denied"
        return "granted" if Say.YES in words else "undecided"

    def somebody_granted(self) -> bool:
        people = [(group,) for group in GROUPS] + [(group, POST.ura.digits) for group in GROUPS]
        return any(self.state(names, emergency) == "granted" for names in people for emergency in (False, True))

    def closed_to_all(self) -> bool:
        return any(
            say in (Say.NO, Say.WITHDRAWN) and requesters in (None, GROUPS) and not only_emergency
            for (_, requesters, only_emergency), say in self.said.items()
        )

    def runs(self, regime: Regime, at: float) -> bool:
        return at < self.until.get(regime, 0)


class Exchange(RuleBasedStateMachine):
    """One country, many acts."""

    @initialize(running=st.sets(st.sampled_from([CRISIS, EMERGENCY])))
    def begin(self, running: set[Regime]) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.country = Country(Path(self.folder.name) / "ledger.db")
        self.model, self.disclosed = Model(), 0
        self.runner.run(self.country.settle())
        for regime in sorted(running):
            self.switches(regime, 100_000)

    def teardown(self) -> None:
        if hasattr(self, "country"):
            self.country.real_ledger.close()
            self.runner.close()
            self.folder.cleanup()

    @property
    def at(self) -> float:
        return self.country.now.timestamp()

    @rule(say=st.sampled_from(Say), scope=SCOPES)
    def states(self, say: Say, scope: tuple) -> None:
        whole, requesters, only_emergency = scope
        self.country.tick(seconds=1)
        self.runner.run(
            self.country.say(
                say,
                None if whole else PRACTICE,
                requesters=None if requesters is None else set(requesters),
                emergency_only=only_emergency,
            )
        )
        self.model.said[scope] = say
        if self.model.closed_to_all() and say in (Say.NO, Say.WITHDRAWN) and not only_emergency:
            self.model.entry = None if requesters in (None, GROUPS) else self.model.entry

    @rule(say=st.sampled_from(Say), whole=st.booleans())
    def speaks_of_everybody(self, say: Say, whole: bool) -> None:
        self.states(say, (whole, None, False))

    @rule(requesters=st.sampled_from([("gp-care",), ("hospital",), (POST.ura.digits,)]))
    def agrees_for_some_and_is_registered(self, requesters: tuple[str, ...]) -> None:
        self.states(Say.YES, (False, requesters, False))
        self.registers(False)

    @rule(say=st.sampled_from([Say.NO, Say.WITHDRAWN]), latent=st.booleans())
    def objects_and_is_registered(self, say: Say, latent: bool) -> None:
        self.states(say, (False, None, False))
        self.registers(latent)

    @rule(latent=st.booleans())
    def registers(self, latent: bool) -> None:
        self.country.tick(seconds=1)
        result = self.runner.run(self.country.register(latent=latent))
        model = self.model
        if latent:
            may = model.runs(CRISIS, self.at) and not model.closed_to_all()
        else:
            may = model.somebody_granted() and not model.closed_to_all()
        assert isinstance(result, Registered) == may
        if may:
            assert result.created == (model.entry is None)
            model.entry = "latent" if latent else "plain"

    @rule(regime=st.sampled_from([CRISIS, EMERGENCY]), minutes=st.sampled_from([0, 5, 100_000]))
    def switches(self, regime: Regime, minutes: int) -> None:
        self.country.tick(seconds=1)
        until = self.country.now + timedelta(minutes=minutes) if minutes else None
        self.runner.run(self.country.regime(regime, on=minutes > 0, until=until))
        self.model.until[regime] = self.at + minutes * 60

    @rule(minutes=st.integers(1, 10))
    def time_passes(self, minutes: int) -> None:
        self.country.tick(minutes=minutes)

    @rule(hours=st.sampled_from([1, 71, 73]), attested=st.booleans(), cover=st.sampled_from([True, True, False]))
    def post_asks(self, hours: int, attested: bool, cover: bool) -> None:
        self.country.tick(seconds=1)
        verbal = self.country.verbal(id=f"a-{self.at}") if attested else None
        contact = self.country.contact(hours_ago=hours)
        call = self.country.call(contact=contact, cover=cover, verbal_consent=verbal)
        state, entry = self.model.state(NAMED["gp-care"], False), self.model.entry
        crisis = self.model.runs(CRISIS, self.at)
        opens = (entry == "plain" and state == "granted") or (
            entry is not None and crisis and attested and state != "denied"
        )
        barred = hours > 72 or not cover
        self._judge(call, opens=opens and not barred, refused=barred or (crisis and not attested and not opens))

    @rule(attested=st.booleans(), incapable=st.booleans())
    def emergency_department_asks(self, attested: bool, incapable: bool) -> None:
        self.country.tick(seconds=1)
        verbal = self.country.verbal(id=f"a-{self.at}") if attested else None
        capacity = Capacity.INCAPABLE if incapable else Capacity.CAPABLE
        call = self.country.emergency(verbal_consent=verbal, capacity=capacity)
        crisis, available = self.model.runs(CRISIS, self.at), self.model.runs(EMERGENCY, self.at)
        state, entry = self.model.state(NAMED["hospital"], True), self.model.entry
        presumed = incapable and state == "undecided" and self.model.somebody_granted()
        opens = (available and entry == "plain" and (state == "granted" or presumed)) or (
            crisis and entry is not None and (attested or incapable) and state != "denied"
        )
        barred = not (crisis or available) or (attested and incapable)
        unasked = crisis and not attested and not incapable and not opens
        self._judge(call, opens=opens and not barred, refused=barred or unasked)

    @rule(incapable=st.booleans(), say=st.sampled_from([Say.YES, Say.CLEARED]))
    def agrees_and_everybody_asks(self, incapable: bool, say: Say) -> None:
        self.states(Say.YES, (False, None, False))
        self.registers(False)
        self.states(say, (False, None, False))
        self.post_asks(1, False, True)
        self.emergency_department_asks(False, incapable)

    def _judge(self, call, *, opens: bool, refused: bool) -> None:
        result = self.runner.run(ask(self.country.means, call, summary(US)))
        assert isinstance(result, Refused) == refused
        assert (not refused and len(result.legs) == 1) == opens
        self.disclosed += opens

    @invariant()
    def every_disclosure_has_its_line_and_no_number_is_missing(self) -> None:
        if not hasattr(self, "country"):
            return
        lines = self.runner.run(self.country.lines())
        assert [one.seq for one in lines] == list(range(1, len(lines) + 1))
        assert sum(one.line.event is Event.DISCLOSED for one in lines) == self.disclosed
        assert len(self.country.door.asked) == self.disclosed


TestExchange = Exchange.TestCase
TestExchange.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
