"""When does the country ask, who asks, and what for? Load profiles as data, and the arrivals they give.

Arrivals are a Poisson process whose rate follows the profile's shape, with bursts on top; all from one seed. Shapes and
shares are ours: plausible, measured nowhere. It knows roles and questions. It may not know sockets, nor any answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from source_sim.requesters import Ask

_POST, _ED, _AMBULANCE = "gp-post", "emergency-department", "ambulance"
_SPECIALIST, _PHARMACY = "specialist", "covering-pharmacy"


@dataclass(frozen=True, slots=True)
class Burst:
    """Many at once: `size` arrivals for each arrival a second of the profile's rate, begun at `at` and spread over
    `lasts`, both as parts of the run."""

    role: str
    at: float
    lasts: float
    size: float


@dataclass(frozen=True, slots=True)
class LoadProfile:
    """`rate`: arrivals a second, on average, unless told otherwise. `roles`: shares. `shape`: (part of the run, factor)
    points from 0 to 1 with straight lines between them; only their proportions count."""

    name: str
    sentence: str
    rate: float
    roles: Mapping[str, int]
    shape: tuple[tuple[float, float], ...]
    bursts: tuple[Burst, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrival:
    """One question that comes `at` so many seconds after the start, whatever happened to those before it."""

    at: float
    role: str
    ask: Ask
    bsn: str = field(repr=False)


Pools = Sequence[tuple[int, Sequence[str]]]
"""Whom the questions are about: BSNs by group, with how often of all a patient is of that group."""

QUESTIONS: Final[Mapping[str, Mapping[Ask, int]]] = {
    _POST: {Ask.GP_SUMMARY: 60, Ask.MEDICATION: 25, Ask.ALLERGIES: 10, Ask.TREATMENT_LIMITS: 5},
    _ED: {Ask.GP_SUMMARY: 70, Ask.TREATMENT_LIMITS: 20, Ask.MEDICATION: 10},
    _AMBULANCE: {Ask.GP_SUMMARY: 75, Ask.TREATMENT_LIMITS: 25},
    _SPECIALIST: {Ask.MEDICATION: 70, Ask.ALLERGIES: 30},
    _PHARMACY: {Ask.MEDICATION: 70, Ask.ALLERGIES: 30},
}
"""What each role asks, and how often. Emergency departments and ambulances ask as emergencies, the others routinely."""

PROFILES: Final[Mapping[str, LoadProfile]] = {
    one.name: one
    for one in (
        LoadProfile(
            "saturday-night",
            "Practices are closed: GP posts ask most, busiest in the evening, with emergency departments behind them.",
            10.0,
            {_POST: 62, _ED: 18, _AMBULANCE: 10, _PHARMACY: 10},
            ((0.0, 0.7), (0.3, 1.3), (0.6, 1.2), (1.0, 0.6)),
        ),
        LoadProfile(
            "monday-morning",
            "Outpatient clinics open all at once: specialists and pharmacies ask routinely, and emergencies go on.",
            15.0,
            {_SPECIALIST: 55, _PHARMACY: 20, _POST: 10, _ED: 10, _AMBULANCE: 5},
            ((0.0, 0.1), (0.2, 1.6), (0.6, 1.2), (1.0, 0.8)),
        ),
        LoadProfile(
            "new-year",
            "Quiet until midnight, then emergency departments, ambulances and posts all at once, and slowly less.",
            10.0,
            {_ED: 40, _AMBULANCE: 30, _POST: 28, _PHARMACY: 2},
            ((0.0, 0.4), (0.39, 0.4), (0.4, 2.4), (0.7, 1.4), (1.0, 0.8)),
            (Burst(_AMBULANCE, 0.4, 0.05, 1.0), Burst(_ED, 0.45, 0.1, 1.5)),
        ),
        LoadProfile(
            "ambulance-burst",
            "An ordinary evening, and one accident with many wounded: rides at once, the emergency department after.",
            6.0,
            {_POST: 70, _ED: 15, _AMBULANCE: 10, _PHARMACY: 5},
            ((0.0, 1.0), (1.0, 1.0)),
            (Burst(_AMBULANCE, 0.4, 0.02, 6.0), Burst(_ED, 0.6, 0.15, 6.0)),
        ),
    )
}


def arrivals(
    profile: LoadProfile, pools: Pools, *, seconds: float, seed: int, rate: float | None = None
) -> tuple[Arrival, ...]:
    """Everything that will be asked, in order of time; the same seed asks the same. `rate` in arrivals a second instead
    of the profile's own. Raises ValueError when nobody can be asked about."""
    groups = [(weight, people) for weight, people in pools if people and weight > 0]
    if not groups:
        raise ValueError("there is nobody to ask about")
    rng, each = random.Random(f"{profile.name}/{seed}"), profile.rate if rate is None else rate
    moments = [*_steady(profile, seconds, each, rng), *_bursting(profile, seconds, each, rng)]
    return tuple(Arrival(at, role, _question(role, rng), _somebody(groups, rng)) for at, role in sorted(moments))


def _steady(profile: LoadProfile, seconds: float, rate: float, rng: random.Random) -> Iterator[tuple[float, str]]:
    """A Poisson process of the highest rate, thinned to the shape."""
    highest = max(factor for _, factor in profile.shape)
    fastest = rate * highest / _mean(profile.shape)
    at = rng.expovariate(fastest)
    while at < seconds:
        if rng.random() * highest < factor_at(profile.shape, at / seconds):
            yield at, rng.choices(list(profile.roles), list(profile.roles.values()))[0]
        at += rng.expovariate(fastest)


def _bursting(profile: LoadProfile, seconds: float, rate: float, rng: random.Random) -> Iterator[tuple[float, str]]:
    for burst in profile.bursts:
        for _ in range(round(burst.size * rate)):
            yield (burst.at + rng.random() * burst.lasts) * seconds, burst.role


def factor_at(shape: Sequence[tuple[float, float]], part: float) -> float:
    """How high the shape is at a part (0 to 1) of the run."""
    left, right = next((pair for pair in pairwise(shape) if part <= pair[1][0]), shape[-2:])
    return left[1] + (right[1] - left[1]) * (part - left[0]) / (right[0] - left[0])


def _mean(shape: Sequence[tuple[float, float]]) -> float:
    return sum((right[0] - left[0]) * (left[1] + right[1]) / 2 for left, right in pairwise(shape))


def _question(role: str, rng: random.Random) -> Ask:
    asked = QUESTIONS[role]
    return rng.choices(list(asked), list(asked.values()))[0]


def _somebody(groups: Pools, rng: random.Random) -> str:
    people = rng.choices([people for _, people in groups], [weight for weight, _ in groups])[0]
    return rng.choice(people)
