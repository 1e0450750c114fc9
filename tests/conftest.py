"""What do all tests share? The switch for their long versions, and the marker that keeps a staged country together."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long versions of the tests that have one")


def pytest_configure(config: pytest.Config) -> None:
    # known also where pytest-xdist, which brings it, is switched off
    config.addinivalue_line("markers", "xdist_group(name): tests of one group run in one process, one after another")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long versions are asked for."""
    return bool(request.config.getoption("--soak"))
