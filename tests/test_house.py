"""Is the house in order? The import plan, the words, the settings and the tables, checked by reading the source.

Change the plan here first, on purpose, then the code.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("gateway/**/*.py"), *ROOT.glob("source_sim/**/*.py")])

ROOMS = {
    "rules": set(),
    "fhir": {"rules"},
    "identity": {"rules"},
    "stores": {"rules"},
    "sources": {"fhir", "rules"},
    "flows": {"stores", "sources", "rules"},
    "inspecting": {"sources", "rules"},
    "web": {"flows", "fhir", "identity", "stores", "inspecting", "rules"},
    "settings": set(),
    "logs": set(),
    "tracing": {"rules"},
}
"""Which room of the gateway may import which; `app`, `cli` and `__main__` see everything."""

SEE_EVERYTHING = {"app", "cli", "__main__", ""}

COMPOSING = ("source_sim.testbed", "source_sim.pytest_plugin")
"""The parts of the simulator that put a gateway and a country together, and so may import both."""

ON_A_TESTBED = (*COMPOSING, "source_sim.scenarios")
"""Who may stand on them."""

STORES_FOR_THE_WEB = {"gateway.stores.index", "gateway.stores.ledger", "gateway.stores.revocation"}
"""The web may know the stores' errors and the revocation list; writing is for flows."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    """The second part of a gateway module's name; empty for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


MODULES = {name_of(path): path for path in SOURCES}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    for imported in imports_of(MODULES[module]):
        top = imported.partition(".")[0]
        if module.startswith("source_sim"):
            assert top != "gateway" or module.startswith(COMPOSING), f"{module} shares code with the gateway"
            assert not imported.startswith(COMPOSING) or module.startswith(ON_A_TESTBED), f"{module} needs a testbed"
            continue
        room = room_of(module)
        if room in SEE_EVERYTHING:
            continue
        assert top != "source_sim", f"{module} imports the simulator"
        if top == "gateway" and room_of(imported) not in ("", room):
            assert room_of(imported) in ROOMS[room], f"{module} imports {imported}"


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("gateway.rules")))
def test_the_rules_need_only_the_standard_library(module: str) -> None:
    import sys

    outside = {name.partition(".")[0] for name in imports_of(MODULES[module])} - {"gateway"}
    assert outside <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("gateway.web")))
def test_the_web_reads_stores_only_through_flows(module: str) -> None:
    stores = {name for name in imports_of(MODULES[module]) if name.startswith("gateway.stores.")}
    modules = {".".join(name.split(".")[:3]) for name in stores}
    assert modules <= STORES_FOR_THE_WEB


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_nothing_that_must_not_exist(path: Path) -> None:
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "constants", "base", "misc"}
    tree = tree_of(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            assert not re.search(r"(Manager|Service|Handler|Processor|Factory)$", node.name), node.name


CLOCKS = re.compile(r"datetime\.(now|utcnow)\(|\btime\.time\(|date\.today\(")


@pytest.mark.parametrize("module", sorted(m for m in MODULES if m.startswith("gateway")))
def test_only_the_rim_reads_a_clock(module: str) -> None:
    if room_of(module) in SEE_EVERYTHING:
        return
    assert not CLOCKS.search(MODULES[module].read_text("utf-8"))


@pytest.mark.parametrize("path", [p for p in SOURCES if p.read_text("utf-8").strip()], ids=name_of)
def test_a_file_opens_with_what_it_answers(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), "no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_file_grows_into_a_second_room(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 350


def test_functions_stay_small() -> None:
    lengths = []
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths.append((node.end_lineno or 0) - node.lineno + 1)
    lengths.sort()
    assert lengths[len(lengths) // 2] < 10
    assert sum(1 for length in lengths if length > 35) < len(lengths) * 0.03


def test_no_test_patches_our_own_code() -> None:
    for path in ROOT.glob("tests/**/*.py"):
        if path.name != "test_house.py":
            text = path.read_text("utf-8")
            assert not re.search(r"mock\.patch|monkeypatch\.setattr\(\s*[\"']?(gateway|source_sim)", text), path


def test_every_setting_has_a_default_and_a_sentence_and_stands_in_the_readme() -> None:
    from gateway.settings import Settings

    readme = (ROOT / "README.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        assert not field.is_required()
        assert field.description
        assert field.description.endswith(".")
        assert f"`SWITCHPOINT_{name.upper()}`" in readme, name


def test_every_bar_and_row_is_explained_in_the_readme() -> None:
    from gateway.rules.access import SENTENCES, Bar
    from gateway.rules.table import ROWS

    assert SENTENCES.keys() == set(Bar)
    readme = (ROOT / "README.md").read_text("utf-8")
    for row in ROWS:
        assert f"| {row.id} |" in readme, row.id
        assert row.sentence in readme, row.sentence
    for bar in Bar:
        assert f"`{bar}`" in readme, bar


def test_every_offered_interaction_has_a_handler() -> None:
    from gateway.web.fhir_api import check_routes

    check_routes()


def test_every_failure_that_fails_a_search_has_a_status() -> None:
    from gateway.rules.exchange import Failing
    from gateway.web.problems import SOURCE_FAILURES

    never_fail_a_search = {Failing.TRUNCATED, Failing.WITHHELD, Failing.NO_CONSENT}
    assert SOURCE_FAILURES.keys() == set(Failing) - never_fail_a_search


def test_every_problem_told_has_a_published_code() -> None:
    from gateway.fhir import codes
    from gateway.web.problems import INTERNAL

    published = set(codes.ISSUE_TYPES)
    assert {code for _, code, _ in INTERNAL.values()} <= published
    for path in ROOT.glob("gateway/web/*.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem" and len(node.args) > 1:
                code = node.args[1]
                if isinstance(code, ast.Constant):
                    assert code.value in published, f"{path.name}: {code.value}"


def test_every_proof_the_security_chapter_names_exists() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    named = re.findall(r"`(tests/[a-z_/0-9]+\.py)::(test_[a-z_0-9]+)`", readme)
    assert len(named) > 20
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{path}::{name}"


def test_the_readmes_examples_can_be_typed_in() -> None:
    from source_sim.population import is_bsn

    readme = (ROOT / "README.md").read_text("utf-8")
    examples = re.findall(r"```python\n(.*?)```", readme, re.S)
    assert len(examples) >= 2
    for example in examples:
        compile(example, "README.md", "exec")
    numbers = re.findall(r"(?<![0-9x])9999[0-9]{5}(?![0-9])", readme)
    assert numbers
    assert all(is_bsn(number) for number in numbers)
