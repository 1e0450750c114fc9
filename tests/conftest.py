"""What do all tests share? The switches for the wide lane and the long versions, and the marker that keeps a staged
country together.

The wide lane holds repetitions: the same question of every page, text or ledger, where a few of them are asked in any
run. No test of the one lane may rest on what a test of the other did.
"""

from __future__ import annotations

import gc
from collections.abc import Generator

import hypothesis
import pytest
from _pytest.nodeid import NodeId


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long versions of the tests that have one")
    parser.addoption("--wide", action="store_true", help="run the wide tests, too; with `-m wide` only these")


def pytest_configure(config: pytest.Config) -> None:
    # known also where pytest-xdist, which brings it, is switched off
    config.addinivalue_line("markers", "wide: one of many repetitions of a question that any run asks a few times")
    config.addinivalue_line("markers", "xdist_group(name): tests of one group run in one process, one after another")
    # any run asks the same, so that who changed nothing sees nothing new; the long versions look where nobody looked
    hypothesis.settings.register_profile("the same", derandomize=True)
    if not config.getoption("soak"):
        hypothesis.settings.load_profile("the same")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Ten thousand tests stay until the end: the garbage collector need not walk them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let `--dist loadgroup` see the groups: pytest 9.2 keeps a test's id where pytest-xdist 3.8 no longer writes it,
    and then groups are scattered without a word. Does nothing once they agree again. And leave the wide lane out."""
    if not (config.getoption("wide") or config.getoption("soak")):
        leave_out(config, items)
    if not config.getoption("loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and not item.nodeid.endswith(f"@{group.args[0]}"):
            item._id = NodeId.parse(f"{item.nodeid}@{group.args[0]}")


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is wide: nothing was to run there, so it does not count as skipped."""
    wide = [item for item in items if item.get_closest_marker("wide")]
    if wide:
        config.hook.pytest_deselected(items=wide)
        items[:] = [item for item in items if not item.get_closest_marker("wide")]


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long versions are asked for."""
    return bool(request.config.getoption("--soak"))
