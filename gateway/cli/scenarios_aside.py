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

from gateway.web.played import NotPlayed, Otherwise, StepTold, Story, Told, Why
from source_sim.scenarios.files import LIBRARY

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

    folder: Path = LIBRARY
    seconds: float = MOST_SECONDS
    program: tuple[str, ...] = (sys.executable, "-m", "gateway")
    _read: tuple[Story, ...] = field(default=(), init=False)

    async def stories(self) -> tuple[Story, ...]:
        if not self._read:
            self._read = await asyncio.to_thread(_read, self.folder)
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


def _read(folder: Path) -> tuple[Story, ...]:
    from gateway.cli.stories import stories_in  # a desk may begin, and serve for long, without knowing how to read them

    return stories_in(folder)
