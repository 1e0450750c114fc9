"""What do these tests share? One authority with everybody's papers, and one exchange, per test process."""

from __future__ import annotations

import pytest
import uvloop
from client_checked import Exchange
from source_checked import Network


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    return Network.made(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Exchange:
    made = Exchange.made(tmp_path_factory.mktemp("exchange"), token_seconds=2)
    uvloop.run(made.admit())
    return made
