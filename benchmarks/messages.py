"""What do messages cost, and does a dead practice delay anybody? Two rows of the promises, measured.

Run: `python -m benchmarks.messages [acceptance|lanes]`; both by default. Ratios of what ran side by side in one run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from benchmarks import acceptance, lanes
from benchmarks.lanes import Run
from benchmarks.load import Round


def accepted(rounds: int, seconds: float, writers: int) -> dict[str, object]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(acceptance.measure(rounds, seconds, writers))
    rows = [_row(name, each) for name, each in found.items()]
    return {"writers": writers, "rows": rows, "ratios": acceptance.ratios(found)}


def _row(name: str, rounds: list[Round]) -> dict[str, float | str]:
    return {
        "target": name,
        "messages_per_s": round(statistics.median(one.rate for one in rounds), 1),
        "slowest_per_s": round(min(one.rate for one in rounds), 1),
        "cpu_us_each": round(statistics.median(one.cpu_each for one in rounds) * 1e6, 1),
        "p50_ms": round(statistics.median(one.quantile(0.5) for one in rounds) * 1e3, 2),
        "p99_ms": round(statistics.median(one.quantile(0.99) for one in rounds) * 1e3, 2),
    }


def delivered(runs: int, each: int) -> dict[str, object]:
    found = lanes.measure(runs, each)
    return {
        "messages": {"with the sick": each * len(lanes.MANNERS), "healthy only": each * 85},
        "rows": [_run(one) for one in found],
        "ratios": {"healthy practices, with / without the sick": lanes.ratio(found)},
    }


def _run(one: Run) -> dict[str, object]:
    megabytes = [round(each / 1e6, 1) for each in one.memory]
    return {
        "run": "with ten down, five slow" if one.sick else "healthy only",
        "seconds": one.seconds,
        "delivered_per_s": one.rate,
        "memory_mb": megabytes,
    }


def show(found: dict[str, dict[str, object]]) -> None:
    for part in found.values():
        rows = part["rows"]
        assert isinstance(rows, list), "made above"
        print("  ".join(f"{name:>16}" for name in rows[0]))
        for row in rows:
            print("  ".join(f"{value!s:>16}" for value in row.values()))
        for name, value in dict(part["ratios"]).items():  # type: ignore[call-overload]
            print(f"{name:<48}{value:>8}")
        print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("acceptance", "lanes"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--writers", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3, help="of the lanes, with and without the sick ones")
    parser.add_argument("--each", type=int, default=100, help="messages to each practice")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    found: dict[str, dict[str, object]] = {}
    if options.part in (None, "acceptance"):
        found["acceptance"] = accepted(options.rounds, options.seconds, options.writers)
    if options.part in (None, "lanes"):
        found["lanes"] = delivered(options.runs, options.each)
    show(found)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, {datetime.now(UTC).date().isoformat()}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        told = {**found, "machine": machine, "date": datetime.now(UTC).date().isoformat()}
        options.json.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
