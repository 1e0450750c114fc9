"""Does the ring hold what it should, and no more? Written by several, read by another, never bigger than told."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from gateway.inspecting.kept import FILE, Exchanged, Half, Ring, Way

AT = datetime(2026, 11, 21, 22, 40, tzinfo=UTC)


def one(initial: str, number: int = 0, answer: Half | None = None) -> Exchanged:
    sent = Half((("accept", "application/fhir+json"),), 12, ("Bundle", "  total: number"), "{}", "{}")
    at = AT + timedelta(seconds=number)
    return Exchanged(initial, str(number), Way.OUT, "POST /fhir/Bundle/_search", "90000101", at, 1.5, sent, 200, answer)


def test_what_was_written_is_read_again_in_the_order_it_happened(tmp_path: Path) -> None:
    ring, chain = Ring(tmp_path / FILE), str(uuid4())
    later, sooner = one(chain, 2, Half((), 0, ())), one(chain, 1)
    ring.write([later, one(str(uuid4())), sooner])
    assert ring.read(chain) == [sooner, later]
    ring.close()


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    ring, chain = Ring(tmp_path / FILE, most=10), str(uuid4())
    for number in range(0, 30, 3):
        ring.write([one(chain, number + step) for step in range(3)])
    assert [int(found.request) for found in ring.read(chain)] == list(range(20, 30))
    ring.close()


def test_the_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    ring = Ring(tmp_path / FILE)
    ring.write([one(str(uuid4()))])
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    ring.close()


def test_several_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    chain, rings = str(uuid4()), [Ring(tmp_path / FILE) for _ in range(4)]

    def write(ring: Ring) -> None:
        for number in range(20):
            ring.write([one(chain, number)])

    threads = [threading.Thread(target=write, args=(ring,)) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rings[0].read(chain)) == 80
    for ring in rings:
        ring.close()
