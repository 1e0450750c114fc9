"""How long does it take to seal and to verify a million journal entries? Rows of the security promises.

A ledger of entries of the usual size is written in a temporary folder, sealed as after a long absence, exported, and
verified by both verifiers; a proof is made. Run: `python -m benchmarks.journal [--entries N] [--ledger URL] [--json]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from gateway.flows.proving_journal import prove
from gateway.flows.sealing_journal import Sealer, open_sealer, seal
from gateway.flows.verifying_journal import verify
from gateway.rules.exchange import AortaId, PatientKey
from gateway.rules.identifiers import Ura
from gateway.rules.journal import Event, Json, Line
from gateway.stores import journal
from gateway.stores.ledger import Ledger, Transaction, open_ledger

T = TypeVar("T")
START = datetime(2026, 11, 1, tzinfo=UTC)
_AT_ONCE = 5000
STANDALONE = Path(__file__).parents[1] / "gateway" / "cli" / "verify_journal.py"
PROMISED_SECONDS = 120


def line(number: int) -> Line:
    """A disclosure as a query writes it: about 700 bytes of text."""
    at = START + timedelta(milliseconds=10 * number)
    fields: dict[str, Json] = {
        "organisation": "90000301", "organisation_name": "Huisartsenpost in het proefgebied", "organisation_type": "N6",
        "application": "301", "actor": "000000001", "actor_name": "Waarnemend arts (test)", "actor_role": "01.015",
        "purpose": "TREAT", "contact": f"contact-{number}", "contact_kind": "visit", "cover": True,
        "capacity": "capable", "local_hour": 21, "category": "gp-summary", "interaction": "search-Bundle",
        "system": "101", "row": "REG-1", "view": "covering", "basis": "consent", "resources": 1,
        "source_request": f"00000000-0000-4000-8000-{number:012}",
    }  # fmt: skip
    aorta = AortaId(f"00000000-0000-4000-9000-{number // 4:012}", f"00000000-0000-4000-a000-{number:012}")
    patient = PatientKey((number * 2654435761 % 2**96).to_bytes(12, "big"))
    return Line(Event.DISCLOSED, at, at, aorta, patient, Ura("90000101"), Ura("90000301"), fields)


def write(ledger: Ledger, many: int) -> None:
    for first in range(0, many, _AT_ONCE):

        def unit(tx: Transaction, first: int = first) -> None:
            for number in range(first, min(first + _AT_ONCE, many)):
                journal.append(tx, line(number))

        ledger.commit_now(unit)


async def seal_all(sealer: Sealer) -> int:
    sealed = 0
    while done := await seal(sealer):
        sealed += done
    return sealed


def timed(act: Callable[[], T]) -> tuple[float, T]:
    before = time.perf_counter()
    result = act()
    return time.perf_counter() - before, result


def by_itself(ledger: Path, against: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-I", str(STANDALONE), "--ledger", str(ledger), "--against", str(against)]
    return subprocess.run(command, check=True, capture_output=True)


def measure(entries: int, url: str, folder: Path) -> dict[str, float]:
    """Seconds by name. Raises AssertionError when anything came out other than whole."""
    path = folder / "ledger.sqlite"
    found: dict[str, float] = {}
    with closing(open_ledger(url or f"sqlite://{path}", patience=60)) as ledger:
        sealer = open_sealer(ledger, folder, lambda: datetime.now(UTC))
        found["written"], _ = timed(lambda: write(ledger, entries))
        found["sealed"], sealed = timed(lambda: asyncio.run(seal_all(sealer)))
        found["verified"], report = timed(lambda: verify(ledger))
        assert (sealed, report.sealed, report.faults) == (entries, entries, 0)
        found["one proof"], _ = timed(lambda: prove(ledger, entries // 3))
        if not url:
            export = folder / "export.jsonl"
            command = [sys.executable, "-m", "gateway", "journal", "export", str(export), "--ledger", str(path)]
            found["checkpoints exported"], _ = timed(lambda: subprocess.run(command, check=True, capture_output=True))
            found["verified by a second party"], _ = timed(lambda: by_itself(path, export))
            found["bytes an entry"] = path.stat().st_size / entries
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--ledger", default="", help="an empty postgresql:// database; default: SQLite")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder")
    parser.add_argument("--json", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=wanted.folder) as folder:
        found = measure(wanted.entries, wanted.ledger, Path(folder))
    within = max(found["verified"], found.get("verified by a second party", 0)) <= PROMISED_SECONDS
    if wanted.json:
        print(json.dumps({"entries": wanted.entries, **found, "within": within, "load": os.getloadavg()}))
    else:
        print(f"{wanted.entries} entries, {platform.python_implementation()} {platform.python_version()}")
        for name, value in found.items():
            print(f"{name:28} {value:10.3f}" + ("" if name.startswith("bytes") else " s"))
        print(f"promised: verified in at most {PROMISED_SECONDS} s: {'kept' if within else 'NOT KEPT'}")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
