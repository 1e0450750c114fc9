"""Does a dead practice delay anybody? Ten thousand messages to a hundred practices, ten of them down and five slow.

Measured is the time from the first message taken to the last that a healthy practice takes, with the sick ones and
without them, in turn in one run; beside it the memory of the delivering process.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.mail_stage import (
    GENERATOR_CORE,
    MailStage,
    add_practice,
    call_of_the_post,
    enrol,
    hand_in,
    message_about,
    people,
    practice,
)
from benchmarks.practices import Manner
from gateway.app import Gateway, wall_clock
from source_sim import pki
from source_sim.population import Person

MANNERS = (*[Manner.CLOSED] * 5, *[Manner.SILENT] * 5, *[Manner.SLOW] * 5, *[Manner.QUICK] * 85)
_SENDERS = 64
_PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run: seconds until every healthy practice had all of its messages, and resident bytes of the delivering
    process when a tenth, half and all of them were there."""

    sick: bool
    seconds: float
    rate: float
    memory: tuple[int, int, int]


class Practices:
    """The receiving process, asked for its counts by a line."""

    def __init__(self, stage: MailStage) -> None:
        config = stage.folder / "practices.json"
        config.write_text(json.dumps(_config(stage)), "utf-8")
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "benchmarks.practices", str(config)]
        self._process = stage.spawn(command, GENERATOR_CORE, stdin=pipe, stdout=pipe)
        self.ports: list[int] = self._line()

    def _line(self) -> Any:
        assert self._process.stdout is not None, "asked for a pipe"
        return json.loads(self._process.stdout.readline())

    def counts(self, order: str = "?") -> dict[str, float]:
        assert self._process.stdin is not None, "asked for a pipe"
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        found: dict[str, float] = self._line()
        return found


def _config(stage: MailStage) -> dict[str, Any]:
    authority, listed = pki.load(stage.made.certs), []
    for number, manner in enumerate(MANNERS):
        one = practice(number)
        folder = stage.made.folder(one)
        authority.issue(one.ura, one.application, one.name, now=wall_clock(), dns=("127.0.0.1",), out=folder)
        listed.append({"manner": manner, "cert": str(folder / "client.pem"), "key": str(folder / "client.key")})
    return {"ca": str(stage.made.certs / "ca.pem"), "practices": listed}


# --- loading ---------------------------------------------------------------------------------------------------------


async def load(stage: MailStage, ports: Sequence[int], each: int) -> dict[bool, Path]:
    """Two ledgers: with the messages of all practices, and of the healthy ones only. Kept aside to be delivered again
    and again."""
    patients = people(len(MANNERS))
    healthy = [number for number, manner in enumerate(MANNERS) if manner is Manner.QUICK]
    sick = [number for number in range(len(MANNERS)) if number not in healthy]
    kept = {}
    async with stage.office() as office:
        for number, port in enumerate(ports):
            await add_practice(office, practice(number), port)
            await enrol(office, patients[number], practice(number))
    empty = _aside(stage, "empty")
    for with_sick, numbers in ((False, healthy), (True, [*healthy, *sick])):
        _bring(stage, empty)
        queue = numbers * each
        random.Random(20).shuffle(queue)
        async with stage.office() as office:
            await _hand_in_all(office, patients, queue)
        kept[with_sick] = _aside(stage, f"sick-{with_sick}")
    return kept


async def _hand_in_all(office: Gateway, patients: Sequence[Person], queue: Iterable[int]) -> None:
    """A new message to each practice in the queue, in that order, several at once."""
    call, waiting, templates = call_of_the_post(), iter(queue), [message_about(one) for one in patients]

    async def send() -> None:
        for number in waiting:
            await hand_in(office, call, patients[number], templates[number])

    await asyncio.gather(*(send() for _ in range(_SENDERS)))


def _aside(stage: MailStage, name: str) -> Path:
    return Path(shutil.copytree(stage.made.state, stage.folder / name))


def _bring(stage: MailStage, kept: Path) -> None:
    shutil.rmtree(stage.made.state)
    shutil.copytree(kept, stage.made.state)


# --- delivering ------------------------------------------------------------------------------------------------------


def run_once(stage: MailStage, practices: Practices, kept: Path, each: int, *, sick: bool) -> Run:
    """Deliver what `kept` holds until every healthy practice has its messages. Raises RuntimeError when it takes too
    long."""
    _bring(stage, kept)
    practices.counts("anew")
    with ExitStack() as stack:
        stage.stack, outer = stack, stage.stack
        try:
            desk = stage.gateway(stage.made.settings, "desk")
            return _watched(practices, desk.pid, each * MANNERS.count(Manner.QUICK), sick=sick)
        finally:
            stage.stack = outer


def _watched(practices: Practices, pid: int, wanted: int, *, sick: bool) -> Run:
    memory, marks = [], [wanted // 10, wanted // 2, wanted]
    until = time.monotonic() + _PATIENCE
    while marks:
        counts = practices.counts()
        while marks and counts.get(Manner.QUICK, 0) >= marks[0]:
            memory.append(resident_bytes(pid))
            marks.pop(0)
        if time.monotonic() > until:
            raise RuntimeError(f"not delivered in {_PATIENCE} s: {counts}")
        time.sleep(0.05)
    took = counts["last"] - counts["first"]
    start, middle, end = memory
    return Run(sick, round(took, 2), round(wanted / took, 1), (start, middle, end))


def resident_bytes(pid: int) -> int:
    return int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) * 1024


def measure(runs: int, each: int) -> list[Run]:
    """Runs with and without the sick practices, in turn."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        stage = MailStage(folder, stack)
        practices = Practices(stage)
        kept = asyncio.run(load(stage, practices.ports, each))
        found = []
        for _ in range(runs):
            for sick in (False, True):
                found.append(run_once(stage, practices, kept[sick], each, sick=sick))
                print(json.dumps(asdict(found[-1])), file=sys.stderr)
    return found


def ratio(found: Sequence[Run]) -> float:
    """How much longer the healthy practices wait because of the sick ones."""
    with_sick = statistics.median(one.seconds for one in found if one.sick)
    without = statistics.median(one.seconds for one in found if not one.sick)
    return round(with_sick / without, 2)
