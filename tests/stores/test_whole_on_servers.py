"""Does the whole country play its story on PostgreSQL and Redis or Valkey, too, with two workers, as the compose file
starts it? Real servers, real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest


# in any run the contracts of ledger and index are kept on all of them, and messages survive their kills on PostgreSQL
@pytest.mark.wide
@pytest.mark.timeout(180)
def test_the_story_comes_out_as_told_on_servers(tmp_path: Path, postgres_url: str, index_server: Any) -> None:
    address = index_server.url
    stores = {"SWITCHPOINT_LEDGER_URL": postgres_url, "SWITCHPOINT_INDEX_URL": address}
    places = ["--state", str(tmp_path / "state"), "--certs", str(tmp_path / "certs"), "--workers", "2"]
    played = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--once", *places, "--port", "0", "--desk-port", "0"],
        capture_output=True,
        text=True,
        timeout=150,
        cwd=tmp_path,
        env={**os.environ, **stores},
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert "NOT AS TOLD" not in played.stdout
    assert not list((tmp_path / "state").glob("ledger.sqlite")), "something was kept in SQLite after all"
    with psycopg.connect(postgres_url) as ledger:
        found = ledger.execute("SELECT count(*) FROM journal WHERE event = 'disclosed'").fetchone()
    assert found is not None
    assert found[0] >= 10, "the journal is not where it was to be"
