"""Whatever happens to messages, in whatever order: is each in one state, its payload where it should be, none lost?

A reference model of a few dictionaries beside the outbox, the schedule and the enrolments; hypothesis plays them all:
deliverers that die, GPs that change, clocks set back, delivery stopped and started.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from outbox_made import GP, LEASE, NEW_GP, NOON, WALL, accept, claim, payloads

from gateway.rules.exchange import PatientKey
from gateway.rules.identifiers import ApplicationId, Ura
from gateway.rules.message import Reason, Reply, State, Taking
from gateway.rules.redelivery import Course, End, next_step
from gateway.stores import enrolments, outbox, schema
from gateway.stores.outbox import Standing
from gateway.stores.transaction import Work

PATIENTS = [PatientKey(bytes([n]) * 12) for n in range(2)]
PRACTICES = [GP, NEW_GP]
HOSPITAL = Ura("90000501")
LANES = [*PRACTICES, HOSPITAL]
SYSTEM = ApplicationId("1")
PER_LANE = 2
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
HALTS = [*LANES, None]
DUTCH_TIME = ZoneInfo("Europe/Amsterdam")


@dataclass
class Letter:
    """What the model knows of one message."""

    patient: PatientKey
    to: Ura | None
    expires: datetime
    due: datetime
    planned: datetime
    state: State = State.WAITING
    lane: Ura | None = None
    reason: str | None = None
    doubtful: bool = False
    unmarked: int = 0
    attempts: int = 0
    begun: datetime | None = None
    payload: bool = True
    claimant: str = ""
    claimed: datetime = WALL


class Post(RuleBasedStateMachine):
    """The outbox in a database of its own, and the model beside it."""

    @initialize()
    def begin(self) -> None:
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.tx = Work(self.db.execute)
        schema.prepare(self.tx, schema.Dialect.SQLITE)
        self.now, self.wall = NOON, WALL
        self.letters: dict[str, Letter] = {}
        self.standing: dict[PatientKey, dict[Ura, tuple[date, int]]] = {patient: {} for patient in PATIENTS}
        self.told = 0
        self.stopped: set[Ura | None] = set()
        self.claims = 0

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.db.close()

    # --- what the model works out by itself

    def gp(self, patient: PatientKey) -> Ura | None:
        begun = {one: key for one, key in self.standing[patient].items() if key[0] <= self.today()}
        return max(begun, key=lambda one: begun[one]) if begun else None

    def today(self) -> date:
        return self.now.astimezone(DUTCH_TIME).date()

    def is_due(self, one: Letter) -> bool:
        return one.state is State.WAITING and (one.due <= self.now or one.planned > self.now)

    def is_open(self, one: Letter) -> bool:
        return None not in self.stopped and one.lane not in self.stopped

    def is_dead(self, one: Letter) -> bool:
        return one.state is State.CLAIMED and (self.wall >= one.claimed + LEASE or self.wall < one.claimed)

    def names(self, *states: State) -> list[str]:
        return [name for name, one in self.letters.items() if one.state in states]

    def pick(self, data: st.DataObject, *states: State) -> tuple[str, Letter]:
        name = data.draw(st.sampled_from(self.names(*states)))
        return name, self.letters[name]

    def sends_off(self, one: Letter, lane: Ura) -> None:
        one.state, one.lane, one.reason, one.unmarked, one.begun = State.WAITING, lane, None, 0, None
        one.due = one.planned = self.now
        one.expires = self.now + 5 * DAY

    def sets_aside(self, one: Letter, reason: str) -> None:
        one.state, one.lane, one.reason, one.unmarked = State.PARKED, None, reason, 0
        one.expires = self.now + 30 * DAY

    # --- taking in

    @rule(patient=st.sampled_from(PATIENTS), to=st.sampled_from([None, None, HOSPITAL]))
    def accepts(self, patient: PatientKey, to: Ura | None) -> None:
        name = str(len(self.letters))
        lane = to or self.gp(patient)
        got = accept(self.tx, name, lane, at=self.now, patient=patient, recipient=to)
        assert got.standing is Standing.NEW
        one = Letter(patient, to, self.now + 5 * DAY, self.now, self.now, lane=lane)
        self.letters[name] = one
        if lane is None:
            self.sets_aside(one, Reason.NO_GP_OF_RECORD)

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), same=st.booleans())
    def repeats(self, data: st.DataObject, same: bool) -> None:
        name, _ = self.pick(data, *State)
        again = accept(self.tx, name, HOSPITAL, id="another", digest=b"d" * 32 if same else b"e" * 32)
        assert (again.id, again.standing) == (f"task-{name}", Standing.REPEATED if same else Standing.OTHER_BYTES)

    # --- attempts

    @rule(most=st.integers(1, 5), sick=st.sets(st.sampled_from(LANES)))
    def claims_some(self, most: int, sick: set[Ura]) -> None:
        for one in self.letters.values():
            if self.is_dead(one):
                one.state, one.doubtful, one.due, one.planned = State.WAITING, True, self.now, self.now
            elif one.state is State.WAITING and one.planned > self.now:
                one.due = one.planned = self.now
        due = Counter(one.lane for one in self.letters.values() if self.is_due(one) and self.is_open(one))
        busy = Counter(one.lane for one in self.letters.values() if one.state is State.CLAIMED)
        self.claims += 1
        claimant = f"claimant {self.claims}"
        got = claim(
            self.tx, self.now, self.wall, claimant=claimant, most=most, per_lane=PER_LANE, sick=tuple(sick),
            busy={lane: n for lane, n in busy.items() if lane is not None},
        )  # fmt: skip
        allowed = {lane: max(0, (1 if lane in sick else PER_LANE) - busy[lane]) for lane in LANES}
        expected = {lane: min(allowed[lane], due[lane]) for lane in LANES}
        assert len(got) == min(most, sum(expected.values()))
        mine = Counter(one.held.lane for one in got)
        assert all(mine[lane] <= expected[lane] for lane in LANES)
        for claimed in got:
            one = self.letters[claimed.held.envelope.id.removeprefix("task-")]
            assert self.is_due(one)
            assert self.is_open(one)
            assert claimed.sealed is not None
            one.state, one.claimant, one.claimed = State.CLAIMED, claimant, self.wall
            one.attempts, one.unmarked, one.begun = one.attempts + 1, one.unmarked + 1, one.begun or self.now

    @precondition(lambda self: self.names(State.CLAIMED))
    @rule(data=st.data(), taking=st.sampled_from(Taking), jitter=st.floats(-1, 1), keep=st.booleans())
    def hears(self, data: st.DataObject, taking: Taking, jitter: float, keep: bool) -> None:
        name, one = self.pick(data, State.CLAIMED)
        assert one.begun is not None
        course = Course(one.attempts, one.begun, one.expires, one.doubtful)
        step = next_step(Reply(taking), course, now=self.now, jitter=jitter)
        id, one.unmarked = f"task-{name}", 0
        if isinstance(step, End):
            to = one.lane if step.state is State.DELIVERED else None
            keep = keep and step.state is not State.DELIVERED
            assert outbox.end(
                self.tx, id, one.claimant, step.state, step.reason, self.now, keep_payload=keep, delivered_to=to
            )
            one.state, one.reason, one.payload = step.state, step.reason, keep
            one.doubtful = one.doubtful and taking not in (Taking.TAKEN, Taking.REJECTED)
            return
        assert self.now < step.when <= one.expires
        assert outbox.postpone(self.tx, id, one.claimant, until=step.when, now=self.now, doubtful=step.doubtful)
        one.state, one.due, one.planned, one.doubtful = State.WAITING, step.when, self.now, step.doubtful

    @precondition(lambda self: self.letters)
    @rule(data=st.data())
    def a_claimant_of_the_past_speaks(self, data: st.DataObject) -> None:
        name, one = self.pick(data, *State)
        id, old = f"task-{name}", "claimant 0" if one.state is State.CLAIMED else one.claimant
        assert not outbox.postpone(self.tx, id, old, until=self.now, now=self.now, doubtful=True)
        assert not outbox.park(self.tx, id, old, Reason.NO_ENDPOINT, self.now)
        assert not outbox.end(self.tx, id, old, State.DELIVERED, None, self.now, keep_payload=False)

    @precondition(lambda self: self.names(State.CLAIMED))
    @rule()
    def the_deliverer_dies(self) -> None:
        self.wall += LEASE

    # --- people

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), claimed=st.booleans())
    def parks(self, data: st.DataObject, claimed: bool) -> None:
        name, one = self.pick(data, *State)
        by = one.claimant if claimed and one.state is State.CLAIMED else None
        may = one.state in (State.WAITING, State.PARKED) or by is not None
        assert outbox.park(self.tx, f"task-{name}", by, Reason.PARKED_BY_OPERATOR, self.now) is may
        if may:
            self.sets_aside(one, Reason.PARKED_BY_OPERATOR)

    @precondition(lambda self: self.letters)
    @rule(data=st.data(), lane=st.sampled_from(LANES))
    def resumes(self, data: st.DataObject, lane: Ura) -> None:
        set_aside = (State.PARKED, State.FAILED, State.UNKNOWN)
        name, one = self.pick(data, *(set_aside if self.names(*set_aside) else State))
        may = one.payload and one.state in (State.PARKED, State.FAILED, State.UNKNOWN)
        assert outbox.resume(self.tx, f"task-{name}", lane=lane, now=self.now) is may
        if may:
            self.sends_off(one, lane)

    @rule(which=st.sampled_from(HALTS))
    def stops(self, which: Ura | None) -> None:
        assert outbox.stop(self.tx, which, self.now, "operator", "test") is (which not in self.stopped)
        self.stopped.add(which)

    @precondition(lambda self: self.stopped)
    @rule(data=st.data())
    def starts(self, data: st.DataObject) -> None:
        which = data.draw(st.sampled_from(sorted(self.stopped, key=str)))
        self.now += HOUR
        spread = outbox.start(self.tx, which, self.now)
        self.stopped.discard(which)
        overdue = [
            name for name in self.names(State.WAITING)
            if self.letters[name].due <= self.now and which in (None, self.letters[name].lane)
        ]  # fmt: skip
        assert spread == len(overdue) * timedelta(seconds=0.1)
        overdue.sort(key=lambda name: (self.letters[name].due, int(name)))
        for place, name in enumerate(overdue):
            one = self.letters[name]
            one.due, one.planned = self.now + place * timedelta(seconds=0.1), self.now

    # --- the patient's GP

    @rule(patient=st.sampled_from(PATIENTS), practice=st.sampled_from(PRACTICES), days=st.integers(0, 3))
    def enrols(self, patient: PatientKey, practice: Ura, days: int) -> None:
        since = self.today() - days * DAY
        standing = self.standing[patient]
        repeat = practice in standing and standing[practice][0] == since
        change = enrolments.enrol(self.tx, patient, practice, SYSTEM, since, self.now)
        assert (change is None) is repeat
        if change is None:
            return
        self.told += 1
        before = self.gp(patient)
        standing[practice] = (since, self.told)
        assert change.moved is (before != self.gp(patient))
        self.goes_elsewhere(patient, change.moved)

    @rule(patient=st.sampled_from(PATIENTS), practice=st.sampled_from(PRACTICES))
    def ends_an_enrolment(self, patient: PatientKey, practice: Ura) -> None:
        change = enrolments.end(self.tx, patient, practice, SYSTEM, self.now)
        assert (change is None) is (practice not in self.standing[patient])
        if change is not None:
            del self.standing[patient][practice]
            self.goes_elsewhere(patient, change.moved)

    def goes_elsewhere(self, patient: PatientKey, moved: bool) -> None:
        if not moved:
            return
        lane = self.gp(patient)
        touched = outbox.reroute(self.tx, patient, lane, self.now)
        before = [(one.state, one.lane) for one in self.letters.values()]
        for one in self.letters.values():
            if one.patient == patient and one.to is None:
                self.goes_to(one, lane)
        assert touched == sum(
            was != (one.state, one.lane) for was, one in zip(before, self.letters.values(), strict=True)
        )

    def goes_to(self, one: Letter, lane: Ura | None) -> None:
        if one.state is State.PARKED and lane is not None and one.reason != Reason.PARKED_BY_OPERATOR:
            self.sends_off(one, lane)
        elif one.state is State.WAITING and lane is None:
            self.sets_aside(one, Reason.NO_GP_OF_RECORD)
        elif one.state is State.WAITING and one.lane != lane:
            one.lane, one.begun = lane, None
            one.due = one.planned = self.now
        elif one.state is State.CLAIMED and lane is not None:
            one.lane = lane

    # --- time

    @rule(seconds=st.sampled_from([1, 30, 600, 7200, 86400, 5 * 86400]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.wall += timedelta(seconds=min(seconds, 10))

    @precondition(lambda self: self.names(State.WAITING, State.PARKED))
    @rule()
    def time_runs_out(self) -> None:
        self.now = max(self.now, min(self.letters[name].expires for name in self.names(State.WAITING, State.PARKED)))
        self.expires(most=4)

    @rule(domain=st.booleans(), wall=st.booleans())
    def the_clock_is_set_back(self, domain: bool, wall: bool) -> None:
        self.now -= HOUR * domain
        self.wall -= HOUR * wall

    @rule(most=st.integers(1, 4))
    def expires(self, most: int) -> None:
        up = [n for n in self.names(State.WAITING, State.PARKED) if self.letters[n].expires <= self.now]
        up.sort(key=lambda name: (self.letters[name].expires, int(name)))
        ended = outbox.expire(self.tx, self.now, most)
        assert {one.envelope.id for one in ended} == {f"task-{name}" for name in up[:most]}
        for name in up[:most]:
            one = self.letters[name]
            one.state, one.payload = State.UNKNOWN if one.doubtful else State.FAILED, False
            one.reason = Reason.REPLY_LOST if one.doubtful else Reason.EXPIRED

    @rule()
    def purges(self) -> None:
        for one in self.letters.values():
            if one.state in (State.FAILED, State.UNKNOWN) and one.expires <= self.now:
                one.payload = False
        outbox.purge(self.tx, self.now)

    # --- always

    @invariant()
    def every_message_is_in_one_state(self) -> None:
        counted = outbox.counts(self.tx)
        assert counted.conserved
        assert counted.accepted == len(self.letters)
        expected = Counter(one.state for one in self.letters.values())
        assert counted.of == {state: expected[state] for state in State}

    @invariant()
    def a_payload_is_there_exactly_as_long_as_it_is_needed(self) -> None:
        there = payloads(self.tx)
        assert there == {name for name, one in self.letters.items() if one.payload}
        assert not there & set(self.names(State.DELIVERED))
        assert there >= set(self.names(State.WAITING, State.CLAIMED, State.PARKED))

    @invariant()
    def the_outbox_says_what_the_model_says(self) -> None:
        for held in outbox.listing(self.tx, None, 1000, None):
            one = self.letters[held.envelope.id.removeprefix("task-")]
            assert (held.state, held.reason, held.doubtful) == (one.state, one.reason, one.doubtful)
            assert (held.attempts, held.unmarked, held.begun) == (one.attempts, one.unmarked, one.begun)
            if held.state in (State.WAITING, State.PARKED, State.CLAIMED):
                assert (held.lane, held.expires) == (one.lane, one.expires)
            if held.state is State.WAITING:
                assert held.due == one.due

    @invariant()
    def whether_anything_is_due_is_known(self) -> None:
        clocked_back = any(one.state is State.WAITING and one.planned > self.now for one in self.letters.values())
        due = any(self.is_due(one) and self.is_open(one) for one in self.letters.values())
        dead = any(self.is_dead(one) for one in self.letters.values())
        assert outbox.due_at_all(self.tx, self.now, self.wall) is (clocked_back or due or dead)

    @invariant()
    def the_gp_of_record_is_who_it_should_be(self) -> None:
        for patient in PATIENTS:
            found = enrolments.gp_of_record(self.tx, patient, self.now)
            assert (found and found.custodian) == self.gp(patient)

    @invariant()
    def a_claim_belongs_to_one(self) -> None:
        rows = self.tx.rows("SELECT id, claimant FROM outbox WHERE claimant IS NOT NULL")
        expected = {f"task-{name}": self.letters[name].claimant for name in self.names(State.CLAIMED)}
        assert dict(rows) == expected


@pytest.mark.timeout(600)
def test_no_message_is_lost_or_in_two_places_whatever_happens(soak: bool) -> None:
    examples, steps = (1500, 80) if soak else (80, 45)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Post,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=checks
        ),
    )
