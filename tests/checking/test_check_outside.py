"""What does `check source` say of a source that shares no code with us, and lets everybody in?

The little server of the end-to-end tests answers any POST with one page and looks at no voucher. It cannot pass, and
the report says exactly why: it verifies nothing, and what it sends is the same for everybody.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from source_checked import APPLICATION, KNOWN, OURS, UNKNOWN, Network, checked

from source_sim.checking.calling import Subject
from source_sim.checking.findings import Verdict

sys.path.append(str(Path(__file__).parent.parent / "e2e"))

from outside_source import OutsideSource

from gateway.cli.ports import free_port

EMPTY = b'{"resourceType":"Bundle","type":"searchset","total":0}'


@pytest.fixture
def outside(network: Network, tmp_path: Path) -> Iterator[OutsideSource]:
    for suffix in ("pem", "key"):
        shutil.copy(network.folder / f"source.{suffix}", tmp_path / f"client.{suffix}")
    shutil.copy(network.folder / "ca.pem", tmp_path / "ca.pem")
    source = OutsideSource(free_port(), (200, "application/fhir+json", EMPTY))
    source.start(tmp_path)
    yield source
    source.stop()


def test_a_stranger_s_source_is_told_why(network: Network, outside: OutsideSource) -> None:
    subject = Subject(outside.endpoint, APPLICATION, OURS, KNOWN, UNKNOWN, ("gp-summary",))
    report = uvloop.run(checked(network, subject))
    assert report.of(Verdict.FAIL) == {
        "ping",
        *("voucher-absent", "voucher-expired", "voucher-audience", "voucher-signature", "voucher-patient"),
        *("search-somebody", "search-chain", "search-large-form"),
    }
    assert {"search-known", "search-bundle", "search-media", "tls-organisation"} <= report.of(Verdict.PASS)
