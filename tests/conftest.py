"""What do all tests share? The switch for their long versions, and the marker that keeps a staged country together."""

from __future__ import annotations

import pytest
from _pytest.nodeid import NodeId


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long versions of the tests that have one")


def pytest_configure(config: pytest.Config) -> None:
    # known also where pytest-xdist, which brings it, is switched off
    config.addinivalue_line("markers", "xdist_group(name): tests of one group run in one process, one after another")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let `--dist loadgroup` see the groups: pytest 9.2 keeps a test's id where pytest-xdist 3.8 no longer writes it,
    and then groups are scattered without a word. Does nothing once they agree again."""
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and not item.nodeid.endswith(f"@{group.args[0]}"):
            item._id = NodeId.parse(f"{item.nodeid}@{group.args[0]}")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long versions are asked for."""
    return bool(request.config.getoption("--soak"))
