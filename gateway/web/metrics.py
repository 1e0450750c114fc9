"""How does the exchange fare, in numbers a monitoring system reads? Prometheus text, a few lines of our own.

Numbers only: no organisation, no patient, no name. Source: the text exposition format, version 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.flows.metering import BUCKETS_MS, Book, Counted, Durations, Reading
from gateway.flows.outbox_gauges import Gauges
from gateway.rules.alerts import Expiry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], int | float]
"""Labels, and the value."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: `kind` counter, gauge or histogram, what it tells, and its samples. A histogram's samples are named
    by a suffix of their own."""

    name: str
    kind: str
    told: str
    samples: tuple[tuple[str, Mapping[str, str], int | float], ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """This process, and the disk below the state folder. `resident` and `files` None where the system does not tell."""

    cpu_s: float
    started: datetime
    disk_free: int
    resident: int | None
    files: int | None


def exposition(families: Iterable[Family]) -> str:
    """The families as text."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {family.told}"
    yield f"# TYPE {family.name} {family.kind}"
    for suffix, labels, value in family.samples:
        yield f"{family.name}{suffix}{_labels(labels)} {value}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _family(name: str, kind: str, told: str, samples: Iterable[Sample]) -> Family:
    return Family(f"switchpoint_{name}", kind, told, tuple(("", labels, value) for labels, value in samples))


def _one(name: str, told: str, value: int | float, kind: str = "gauge") -> Family:
    return _family(name, kind, told, [({}, value)])


# --- what is told ----------------------------------------------------------------------------------------------------


def of_reading(reading: Reading) -> Iterator[Family]:
    """Calls, journal, mail and network."""
    yield from _calls(reading.counted)
    yield from _book(reading.book)
    yield from _mail(reading.mail)
    on = [({"regime": regime.value}, int(active)) for regime, active in reading.regimes.items()]
    yield _family("regime_on", "gauge", "Regimes in force.", on)
    known = {"organisation": reading.organisations, "system": reading.systems, "revoked": reading.revoked}
    yield _family(
        "participants", "gauge", "Participants, and revoked certificates.", [({"what": k}, n) for k, n in known.items()]
    )


def _calls(counted: Counted) -> Iterator[Family]:
    calls = [
        ({"kind": kind.value if kind else "none", "outcome": outcome.value}, number)
        for (kind, outcome), number in sorted(counted.calls.items(), key=str)
    ]
    yield _family("calls_total", "counter", "Questions about a patient, by who asked and how it ended.", calls)
    urgent = [({"kind": kind.value if kind else "none"}, number) for kind, number in counted.emergencies.items()]
    yield _family("emergency_queries_total", "counter", "Queries decided with an emergency purpose.", urgent)
    shown = [({"category": category, "basis": basis}, n) for (category, basis), n in counted.disclosures.items()]
    yield _family("disclosures_total", "counter", "Disclosures, by category and ground.", shown)
    refused = [({"reason": reason}, number) for reason, number in counted.refusals.items()]
    yield _family("refusals_total", "counter", "Requests refused, by reason.", refused)
    legs = [({"outcome": outcome}, number) for outcome, number in counted.answers.items()]
    yield _family("source_answers_total", "counter", "What sources answered when asked.", legs)
    events = [({"event": event.value}, number) for event, number in counted.events.items()]
    yield _family("journal_events_total", "counter", "Journal lines written, by event.", events)
    yield _histogram("query_seconds", "How long queries took that asked a source.", counted.queries)
    yield _histogram("source_seconds", "How long sources took to answer.", counted.sources)


def _histogram(name: str, told: str, durations: Durations) -> Family:
    within = [("_bucket", {"le": f"{bucket / 1000:g}"}, durations.buckets[bucket]) for bucket in BUCKETS_MS]
    whole: list[tuple[str, Mapping[str, str], int | float]] = [
        *within,
        ("_bucket", {"le": "+Inf"}, durations.number),
        ("_sum", {}, round(durations.total_ms / 1000, 4)),
        ("_count", {}, durations.number),
    ]
    return Family(f"switchpoint_{name}", "histogram", told, tuple(whole))


def _book(book: Book) -> Iterator[Family]:
    yield _one("journal_lines_total", "Lines ever written in the journal.", book.lines, "counter")
    yield _one("journal_unsealed_lines", "Lines no checkpoint covers yet.", book.unsealed)
    yield _one("journal_seal_age_seconds", "How long the oldest unsealed line has waited.", round(book.seal_age_s, 3))
    yield _one("journal_unindexed_lines", "Lines not indexed for search yet.", book.unindexed)
    yield _one("journal_uncounted_lines", "Lines the counters here do not hold yet.", book.uncounted)


def _mail(mail: Gauges) -> Iterator[Family]:
    """The numbers of the outbox: accepted is always the sum of the states."""
    states = [({"state": state.value}, number) for state, number in mail.of.items()]
    stopped = [({"lane": "all"}, int(mail.all_stopped)), ({"lane": "recipient"}, mail.lanes_stopped)]
    yield _family("messages", "gauge", "Messages by state.", states)
    yield _one("messages_accepted_total", "Messages ever accepted.", mail.accepted, "counter")
    yield _family("delivery_stopped", "gauge", "Lanes an operator stopped.", stopped)
    yield _one("oldest_waiting_seconds", "Age of the oldest on its way.", mail.oldest_s)


def of_house(
    *, version: str, wrong: Mapping[str, str | None], papers: Iterable[Expiry], wall: datetime, machine: Machine
) -> Iterator[Family]:
    """Readiness, papers and the process: what can be told also when the ledger cannot be read."""
    yield _family("info", "gauge", "The program's version.", [({"version": version}, 1)])
    ready = [({"check": name}, int(why is None)) for name, why in wrong.items()]
    yield _family("ready", "gauge", "Readiness by check: 1 is well.", ready)
    # several authorities may be trusted: the first to expire is the one to know of
    left: dict[str, float] = {}
    for paper in papers:
        seconds = (paper.until - wall).total_seconds() if paper.until else 0.0
        left[paper.paper] = min(seconds, left.get(paper.paper, seconds))
    told = "Seconds until a paper of the exchange expires; 0 for an unreadable one."
    yield _family("paper_expires_seconds", "gauge", told, [({"paper": name}, round(s)) for name, s in left.items()])
    yield _one("disk_free_bytes", "Free bytes on the state folder's disk.", machine.disk_free)
    yield from _process(machine)


def _process(machine: Machine) -> Iterator[Family]:
    numbers = (
        ("cpu_seconds_total", "counter", "CPU time of the desk process.", round(machine.cpu_s, 3)),
        ("start_time_seconds", "gauge", "When the desk process started.", round(machine.started.timestamp(), 3)),
        ("resident_memory_bytes", "gauge", "Memory of the desk process.", machine.resident),
        ("open_fds", "gauge", "Open files of the desk process.", machine.files),
    )
    for name, kind, told, value in numbers:
        if value is not None:
            yield Family(f"process_{name}", kind, told, (("", {}, value),))
