"""What does a country of its own cost a test? Opening and closing one, and one with a patient and an answered question.

Each is measured again and again in one process, after a few that are not counted: a suite pays the first imports once.
`python -m benchmarks.fixture [--rounds 200] [--json]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from source_sim.testbed import open_country

WARM_UP = 5


def empty(seed: int) -> None:
    """Open and close."""
    with open_country(seed=seed):
        pass


def asked(seed: int) -> None:
    """A practice, a patient with her consent and entries, a GP post, and one answered question."""
    with open_country(seed=seed) as country:
        patient = country.patient(gp=country.gp_practice())
        country.gp_post().ask("gp-summary", patient).expect(total=1)


def measured(work: Callable[[int], None], rounds: int) -> dict[str, float]:
    """Median and 95th percentile in milliseconds of wall time, and the mean of CPU time."""
    for seed in range(WARM_UP):
        work(seed)
    times, cpu = [], time.process_time()
    for seed in range(rounds):
        started = time.perf_counter()
        work(seed)
        times.append((time.perf_counter() - started) * 1000)
    cpu_ms = (time.process_time() - cpu) * 1000 / rounds
    return {"median_ms": statistics.median(times), "p95_ms": statistics.quantiles(times, n=20)[-1], "cpu_ms": cpu_ms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = {
        "open and close a country": measured(empty, arguments.rounds),
        "with one patient and one answer": measured(asked, arguments.rounds),
    }
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{'':<34}{'median':>10}{'p95':>10}{'CPU':>10}   (ms, {arguments.rounds} rounds)")
    for name, told in found.items():
        print(f"{name:<34}{told['median_ms']:>10.1f}{told['p95_ms']:>10.1f}{told['cpu_ms']:>10.1f}")


if __name__ == "__main__":
    main()
