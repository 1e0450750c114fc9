"""How is a played scenario told to people and programs? Lines for a terminal, a failure that teaches, and JSON.

It knows what was played. It may not know how.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from source_sim.scenarios.played import Difference, Played

_TRANSCRIPT_LINES = 60


def summary(played: Played) -> str:
    """One line: did it come out as told?"""
    told = "as told" if played.passed else f"{len(played.differences)} otherwise than told"
    return f"{played.read.name}: {played.read.scenario.scenario} – {told} ({played.seconds:.2f} s)"


def failure(played: Played) -> str:
    """Everything that came otherwise than told, by line of the file, with the transcript."""
    lines = [f"{played.read.scenario.scenario}: otherwise than told", ""]
    for step in played.steps:
        if step.differences:
            lines += [f"step {step.number}, {step.title}", *_differences(played, step.differences), ""]
    if played.finally_:
        lines += ["in the end", *_differences(played, played.finally_), ""]
    lines += ["what the switchpoint wrote down", *(f"  {line}" for line in played.transcript[-_TRANSCRIPT_LINES:])]
    return "\n".join(lines)


def _differences(played: Played, differences: Sequence[Difference]) -> list[str]:
    told = []
    for one in differences:
        told += [f"  {played.read.file}:{one.line}: {one.what}", f"    expected  {one.expected}"]
        told += [f"    came      {one.actual}"]
        told += [f"    because   {line}" for line in one.why.splitlines() if line]
    return told


def as_json(played: Played) -> dict[str, Any]:
    """The whole of it for a program."""
    scenario = played.read.scenario
    return {
        "file": str(played.read.file),
        "name": played.read.name,
        "scenario": scenario.scenario,
        "story": scenario.story,
        "passed": played.passed,
        "seconds": round(played.seconds, 3),
        "shown": sorted(played.shown),
        "steps": [
            {
                "number": step.number,
                "verb": step.verb,
                "title": step.title,
                "line": step.line,
                "note": step.note,
                "came": step.came,
                "differences": [_difference(one) for one in step.differences],
            }
            for step in played.steps
        ],
        "finally": [_difference(one) for one in played.finally_],
        "journal": list(played.transcript),
    }


def _difference(one: Difference) -> dict[str, Any]:
    return {"line": one.line, "what": one.what, "expected": one.expected, "actual": one.actual, "why": one.why}
