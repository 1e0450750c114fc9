"""A fresh country for every test of the flows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from flow_country import Country


@pytest_asyncio.fixture
async def country(tmp_path: Path) -> AsyncIterator[Country]:
    made = Country(tmp_path / "ledger.db")
    await made.settle()
    yield made
    made.real_ledger.close()
