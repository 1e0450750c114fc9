"""Which scenarios can the desk play, and what is each mainly about? Read from a folder, mistakes and all."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.web.played import Story, Theme
from source_sim.scenarios import files, reading
from source_sim.scenarios.reading import Unreadable
from source_sim.scenarios.scenario import Scenario


def stories_in(folder: Path) -> tuple[Story, ...]:
    """The scenarios of a folder by name, those that cannot be read with what is wrong."""
    return tuple(_story(file) for file in files.scenarios_in(folder))


def _story(file: Path) -> Story:
    name = files.name_of(file)
    text = file.read_bytes().decode(errors="replace")
    try:
        made = reading.read(file).scenario
    except Unreadable as wrong:
        told = str(wrong).replace(f"{file.parent}{os.sep}", "")
        return Story(name, file.name, name, "", Theme.UNREADABLE, text=text, wrong=told)
    return Story(name, file.name, made.scenario, made.story, theme_of(made), tuple(made.covers), text)


_SENDING = frozenset({"send_return", "refer"})
_CHOOSING = frozenset({"choice", "register_", "end", "look"})


def theme_of(made: Scenario) -> Theme:
    """What a scenario is mainly about: by what is done in it, then by what it claims to show."""
    done = {name for step in made.when for name in type(step).model_fields}
    if done & _SENDING:
        return Theme.MESSAGES
    if any(claim.startswith(("fault ", "outcome ")) for claim in made.covers):
        return Theme.FAULTS
    if made.given.regimes or "regime" in done:
        return Theme.EMERGENCY
    return Theme.CHOICES if done & _CHOOSING else Theme.ACCESS
