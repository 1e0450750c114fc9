"""How does the desk play a scenario? Beside itself: `switchpoint scenario run` in a process of its own, with a limit.

The same runner as on a terminal. The process gets nothing of the desk's surroundings but what Python needs, so that it
cannot reach the simulation's stores; its country and all it writes are gone when it ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.web.played import NotPlayed, Otherwise, StepTold, Story, Theme, Told, Why
from source_sim.scenarios import reading
from source_sim.scenarios.reading import SUFFIX, Unreadable
from source_sim.scenarios.scenario import Scenario

_log = logging.getLogger("switchpoint.scenarios")

MOST_SECONDS: Final = 30.0
"""How long a play may take on the wall; the library's longest takes a few seconds."""
_CANNOT = 2
_PLAYED = (0, 1)
"""Exit codes of `scenario run`: no scenario; as told, and otherwise than told."""
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
_ROOT = Path(__file__).parent.parent.parent


@dataclass(slots=True)
class ScenariosAside:
    """The scenarios of one folder (an absolute path), read when first asked for. `program` is what is run."""

    folder: Path = reading.LIBRARY
    seconds: float = MOST_SECONDS
    program: tuple[str, ...] = (sys.executable, "-m", "gateway")
    _read: tuple[Story, ...] = field(default=(), init=False)

    async def stories(self) -> tuple[Story, ...]:
        if not self._read:
            self._read = await asyncio.to_thread(stories_in, self.folder)
        return self._read

    async def play(self, name: str) -> Told:
        story = next((one for one in await self.stories() if one.name == name), None)
        if story is None:
            raise KeyError(name)
        try:
            with tempfile.TemporaryDirectory(prefix="switchpoint-play-", ignore_cleanup_errors=True) as scratch:
                out = await self._run(self.folder / story.file, Path(scratch))
                return _told(out, Path(scratch) / f"{name}.svg")
        except OSError:  # no room, or no process to be had
            _log.exception("scenario-not-begun")
            raise NotPlayed(Why.BROKEN) from None

    async def _run(self, file: Path, scratch: Path) -> bytes:
        """What `scenario run` printed. Raises NotPlayed."""
        arguments = ("scenario", "run", str(file), "--json", "--diagram", str(scratch))
        process = await asyncio.create_subprocess_exec(
            *self.program, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, cwd=scratch, env=_surroundings(scratch)
        )
        try:
            async with asyncio.timeout(self.seconds):
                out, errors = await process.communicate()
        except TimeoutError:
            raise NotPlayed(Why.TOO_LONG) from None
        finally:
            await _ended(process)
        if process.returncode == _CANNOT:
            raise NotPlayed(Why.UNREADABLE, _sentence(errors.decode(errors="replace"), self.folder))
        if process.returncode not in _PLAYED:
            _log.error("scenario-broken", extra={"code": process.returncode})
            raise NotPlayed(Why.BROKEN)
        return out


async def _ended(process: Process) -> None:
    """Whatever happened to who was waiting: nothing goes on playing."""
    if process.returncode is None:
        process.kill()
        await process.wait()


def _surroundings(scratch: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1", "TMPDIR": str(scratch)}


def _sentence(errors: str, folder: Path) -> str:
    """The mistake without where on this machine the file lies."""
    lines = errors.strip().splitlines() or [""]
    return lines[-1].removeprefix("switchpoint: ").replace(f"{folder}{os.sep}", "")


# --- what came --------------------------------------------------------------------------------------------------------


def _told(printed: bytes, diagram: Path) -> Told:
    try:
        (played,) = json.loads(printed)["scenarios"]
        return Told(
            steps=tuple(_step(one) for one in played["steps"]),
            finally_=_otherwise(played["finally"]),
            transcript=tuple(played["journal"]),
            shown=tuple(played["shown"]),
            diagram=diagram.read_text("utf-8"),
            seconds=played["seconds"],
        )
    except (ValueError, KeyError, OSError):
        _log.exception("scenario-not-understood")
        raise NotPlayed(Why.BROKEN) from None


def _step(one: Mapping[str, Any]) -> StepTold:
    return StepTold(one["number"], one["title"], one["note"], one["line"], _otherwise(one["differences"]))


def _otherwise(differences: Iterable[Mapping[str, Any]]) -> tuple[Otherwise, ...]:
    return tuple(Otherwise(one["line"], one["what"], one["expected"], one["actual"], one["why"]) for one in differences)


# --- what there is ----------------------------------------------------------------------------------------------------


def stories_in(folder: Path) -> tuple[Story, ...]:
    """The scenarios of a folder by name, those that cannot be read with what is wrong."""
    return tuple(_story(file) for file in sorted(folder.glob(f"*{SUFFIX}")))


def _story(file: Path) -> Story:
    name = file.name.removesuffix(SUFFIX)
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
