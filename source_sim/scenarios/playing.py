"""How does a scenario go? In a fresh country: put in place what is given, carry out each step, compare, look back.

It knows casting, acting and comparing. A step that cannot be carried out ends the scenario there: what follows would
mean nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from source_sim.scenarios import acting
from source_sim.scenarios.arrows import Drawing
from source_sim.scenarios.casting import Cast, cast
from source_sim.scenarios.comparing import Came, Comparison
from source_sim.scenarios.covering import met, shown
from source_sim.scenarios.hearing import transcript
from source_sim.scenarios.played import Difference, Played, StepPlayed
from source_sim.scenarios.reading import Read
from source_sim.scenarios.scenario import VERBS
from source_sim.scenarios.steps import Said
from source_sim.testbed import Switchpoint, Told, open_country

Open = Callable[[int, str], AbstractContextManager[Switchpoint]]
"""Opens a country with this seed at this domain time."""


def in_process(seed: int, start: str) -> AbstractContextManager[Switchpoint]:
    """A fresh country in this process."""
    return open_country(seed=seed, start=start)


def over_sockets(seed: int, start: str) -> AbstractContextManager[Switchpoint]:
    """A fresh country on real sockets with mutual TLS, in real time."""
    return open_country(seed=seed, start=start, live=True)


def by_url(url: str, running: Path | None = None) -> Open:
    """The simulation that runs at this address (its desk's), as its running.json tells."""
    from source_sim.testbed.remote import connect  # brings the program along

    return lambda seed, start: connect(url, running, seed=seed, start=start)


def play(read: Read, open_: Open = in_process) -> Played:
    """Play one scenario in a country of its own."""
    began = time.monotonic()
    given = read.scenario.given
    with open_(given.seed, given.time) as switchpoint:
        played = _Playing(read, switchpoint).play()
        return Played(read, *played, seconds=time.monotonic() - began)


@dataclass(slots=True)
class _Playing:
    """One scenario at play."""

    read: Read
    switchpoint: Switchpoint
    steps: list[StepPlayed] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)

    def play(self) -> tuple[tuple[StepPlayed, ...], tuple[Difference, ...], tuple[str, ...], frozenset[str]]:
        mark = self.switchpoint.journal.mark
        made = cast(self.switchpoint, self.read.scenario)
        self._sentinels()
        begun = self.switchpoint.journal.mark
        for number, step in enumerate(self.read.scenario.when):
            self.steps.append(self._step(made, number, step))
            if "stopped" in self.steps[-1].came:
                break
        self.shown.update(shown(self._lines(mark)))
        finally_ = () if "stopped" in self.steps[-1].came else tuple(self._finally(made, begun))
        lines = transcript(self._story(begun), made.names)
        return tuple(self.steps), finally_, tuple(lines), frozenset(self.shown)

    def _lines(self, mark: int) -> Sequence[Told]:
        return self.switchpoint.journal.since(mark).all

    def _story(self, mark: int) -> Sequence[Told]:
        return list(self.switchpoint.journal.since(mark))

    def _sentinels(self) -> None:
        self.shown |= {f"sentinel {one.sentinel}" for one in self.read.scenario.given.patients.values() if one.sentinel}

    def _step(self, made: Cast, number: int, step: Said) -> StepPlayed:
        verb, mark, comparison = _verb(step), self.switchpoint.journal.mark, Comparison(self.read, made.names)
        faulty = dict(made.faulty)
        try:
            came = acting.act(made, step)
        except Exception as wrong:  # whatever it is, it is told as what came of this step
            return self._stopped(number, step, wrong)
        lines = self._lines(mark)
        self.shown.update(met(lines, faulty))
        then = getattr(step, "then")  # noqa: B009 - every verb's model has one of its own type
        return StepPlayed(
            number + 1,
            verb,
            _title(step),
            self.read.line("when", number),
            step.note or "",
            dict(came.values),
            Drawing(made.names, _about(step)).arrows(lines),
            tuple(comparison.differences(then, came, lines, ("when", number, "then"))),
        )

    def _stopped(self, number: int, step: Said, wrong: Exception) -> StepPlayed:
        line, told = self.read.line("when", number), f"{type(wrong).__name__}: {wrong}"
        differences = (Difference(line, "step", "carried out", told),)
        return StepPlayed(
            number + 1, _verb(step), _title(step), line, step.note or "", {"stopped": told}, (), differences
        )

    def _finally(self, made: Cast, begun: int) -> Iterator[Difference]:
        then, values = self.read.scenario.then, dict[str, Any](acting.boxes(made))
        values["patient_sees"] = {key: acting.page(made.patients[key]) for key in then.patient_sees}
        lines = self._lines(begun)
        yield from Comparison(self.read, made.names).differences(then, Came(values), lines, ("then",))
        self.shown.update(shown(lines))
        for place, claim in enumerate(self.read.scenario.covers):
            if claim not in self.shown:
                line = self.read.line("covers", place)
                yield Difference(line, "covers", claim, "it never happened", f"shown: {', '.join(sorted(self.shown))}")


def _verb(step: Said) -> str:
    return next(verb for verb, model in VERBS.items() if type(step) is model)


def _said(step: Said) -> Any:
    return getattr(step, {"register": "register_"}.get(_verb(step), _verb(step).replace("-", "_")))


def _about(step: Said) -> str:
    """Which patient a step is about, by the scenario's name."""
    said = _said(step)
    return str(getattr(said, "patient", None) or getattr(said, "of", None) or "")


def _title(step: Said) -> str:
    """The step in one line, as the file says it."""
    told = _said(step).model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    return f"{_verb(step)} {', '.join(f'{name} {_short(value)}' for name, value in told.items())}".strip()


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
