"""The shape of the package: who may import whom, and how large its parts may be. Read from the source, not run."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "cardanalysis"
SOURCE = Path(__file__).parents[1] / "src" / PACKAGE

BASE = {
    "_version",
    "_errors",
    "_status",
    "_validators",
    "_context",
    "_documents",
    "_folders",
    "_uploads",
    "_models",
    "_work",
}
SEAMS = {"abc", "_seams"}
HELPERS = {"pacing"}
"""Public modules among the helpers."""
PARTS = {"stores", "loading", "analysis", "generation", "export", "progress", "testing"}
WIRING = {"_analyze", "_card_work", "_entries", "_generate"}
ENTRIES = {"__main__", "costs", "runs", "sync"}
MOST_LINES = 500
EVERYWHERE = {"anyio", "attrs"}


class Import(NamedTuple):
    """One import statement's goal, from the module that holds it."""

    module: str
    target: str
    line: int
    at_start: bool
    """Whether it runs when the module is imported."""

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@cache
def sources() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name, the package itself as "cardanalysis"."""
    found: dict[str, ast.Module] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def path_of(module: str) -> Path:
    path = SOURCE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def statements(tree: ast.AST, *, at_start: bool = True) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, at_start
            continue
        runs = at_start and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            runs = False
        yield from statements(node, at_start=runs)


def targets(module: str, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parents = module.split(".") if path_of(module).name == "__init__.py" else module.split(".")[:-1]
        parents = parents[: len(parents) - node.level + 1]
        base = ".".join([*parents, base] if base else parents)
    for alias in node.names:  # `from . import _rows` names a module, `from ._rows import run_row` a thing in it
        yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in sources() else base


@cache
def imports() -> tuple[Import, ...]:
    return tuple(
        Import(module, target, node.lineno, at_start)
        for module, tree in sources().items()
        for node, at_start in statements(tree)
        for target in targets(module, node)
        if target != "__future__"
    )


def own() -> Iterator[Import]:
    return (each for each in imports() if each.target.split(".")[0] == PACKAGE)


def part_of(module: str) -> str:
    """The first name below the package: ``stores`` for all of the stores; empty for the package itself."""
    return module.removeprefix(PACKAGE).lstrip(".").split(".")[0]


def layer(module: str) -> int:
    """How high a module stands. A private module that no set names is a helper: above the seams, below the parts."""
    part = part_of(module)
    if part in BASE:
        return 0
    if part in SEAMS:
        return 1
    if part in PARTS or part == "_engine":
        return 3
    if part in WIRING:
        return 4
    return 5 if part in ENTRIES or not part else 2


def test_the_source_is_seen() -> None:
    """The tests below read real modules and real imports."""
    assert {f"{PACKAGE}.{name}" for name in ("abc", "_engine", "stores.sqlite", "analysis._claude")} <= set(sources())
    assert Import(f"{PACKAGE}._engine", f"{PACKAGE}.abc", 0, at_start=True) in {each._replace(line=0) for each in own()}
    assert Import(f"{PACKAGE}.stores.sqlite", f"{PACKAGE}.stores._rows", 0, at_start=True) in {
        each._replace(line=0) for each in own()
    }


def test_public_modules_are_the_known_ones() -> None:
    """A new part of the package is put into its layer here."""
    public = {part_of(module) for module in sources()} - {""}
    assert {part for part in public if not part.startswith("_")} <= PARTS | SEAMS | HELPERS | ENTRIES


def test_imports_point_downwards() -> None:
    """No module imports one of a higher layer, not even inside a function or for types."""
    assert [str(each) for each in own() if layer(each.target) > layer(each.module)] == []


def test_parts_do_not_know_each_other() -> None:
    """Stores, loading, analysis and the others on their level never name each other, nor the engine, nor it them."""
    across = [
        str(each)
        for each in own()
        if layer(each.module) == layer(each.target) == 3 and part_of(each.module) != part_of(each.target)
    ]
    assert across == []


def test_the_engine_knows_the_seams_only() -> None:
    """The engine meets stores and analyzers through abc; what it imports besides are models and small helpers."""
    known = {part_of(each.target) for each in own() if part_of(each.module) == "_engine"}
    assert known <= BASE | SEAMS | {"_cancellation", "_jobs", "_owner", "_slots"}


def test_only_the_command_imports_the_package() -> None:
    """Nothing but __main__ imports the public names from above; everything else imports what it needs from below."""
    assert {each.module for each in own() if each.target == PACKAGE} <= {f"{PACKAGE}.__main__"}


def test_the_command_uses_the_public_api() -> None:
    """The command imports the public names and its own helpers for the terminal, as a user of the API would."""
    targets_of_command = {part_of(each.target) for each in own() if each.module == f"{PACKAGE}.__main__"}
    assert targets_of_command <= {"", "_console"}


def test_there_is_no_import_cycle() -> None:
    """The modules can be put into an order in which each is imported after what it needs."""
    graph: dict[str, set[str]] = defaultdict(set)
    for each in own():
        if each.at_start and each.target != each.module:
            graph[each.module].add(each.target)
    try:
        assert list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"these import each other: {' -> '.join(error.args[1])}")


def test_each_third_party_package_has_one_file() -> None:
    """A package from outside is imported in one file, where it could be replaced.

    Exceptions are anyio and attrs, and the test frameworks, which are for the testing part.
    """
    homes: dict[str, set[str]] = defaultdict(set)
    for each in imports():
        root = each.target.split(".")[0]
        if root not in {PACKAGE, *EVERYWHERE, *sys.stdlib_module_names}:
            homes[root].add(each.module.removeprefix(f"{PACKAGE}."))
    assert homes.pop("anthropic") == {"analysis._sdk"}
    assert homes.pop("cattrs") == {"_convert"}
    frameworks = {root: homes.pop(root, set()) for root in ("pytest", "hypothesis")}
    assert {part_of(f"{PACKAGE}.{module}") for modules in frameworks.values() for module in modules} <= {"testing"}
    assert {root: modules for root, modules in homes.items() if len(modules) > 1} == {}


def test_sqlite_is_known_to_the_stores_only() -> None:
    """No module outside of stores imports sqlite3."""
    assert {part_of(each.module) for each in imports() if each.target.split(".")[0] == "sqlite3"} == {"stores"}


def test_no_event_loop_is_named() -> None:
    """Code is written on anyio; servers for tests choose a loop, and asyncio is asked of a bare cancellation."""
    naming = {part_of(each.module) for each in imports() if each.target.split(".")[0] in ("asyncio", "trio")}
    assert naming <= {"_cancellation", "testing"}


@pytest.mark.parametrize("package", ["anthropic", "cattrs", "sqlite3", "pytest", "hypothesis"])
def test_costly_packages_wait_for_their_use(package: str) -> None:
    """What the public package and the base import at their start leads to no costly package."""
    reached, new = set[str](), {PACKAGE, f"{PACKAGE}._analyze"}
    while new:
        reached |= new
        new = {each.target for each in imports() if each.at_start and each.module in new} - reached
    assert package not in {target.split(".")[0] for target in reached}


@pytest.mark.parametrize("module", sources())
def test_a_module_is_no_longer_than_a_reader_can_hold(module: str) -> None:
    """A module has at most 500 lines."""
    assert len(path_of(module).read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", sources())
def test_a_module_says_what_it_is_for_and_what_it_gives(module: str) -> None:
    """A module has a docstring; one that people import by name lists its names, and every list names what is there."""
    tree = sources()[module]
    assert ast.get_docstring(tree)
    there = {name for node in ast.walk(tree) for name in defined(node)}
    listed = next((node.value for node in tree.body if is_assignment_to(node, "__all__")), None)
    names: list[str] = [] if listed is None else ast.literal_eval(listed)
    assert len(names) == len(set(names))
    assert set(names) <= there
    private = any(part.startswith("_") for part in module.split("."))
    public = [name for node in tree.body for name in defined(node) if not name.startswith("_") and not is_import(node)]
    assert listed is not None or private or not public


def is_import(node: ast.AST) -> bool:
    return isinstance(node, (ast.Import, ast.ImportFrom))


def is_assignment_to(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]


def defined(node: ast.AST) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    return []


def test_only_the_command_prints() -> None:
    """A library is silent: print is called in __main__ and in its helper for the terminal alone."""
    printing = {
        module
        for module, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {module.removeprefix(f"{PACKAGE}.") for module in printing} <= {"__main__", "_console"}


def test_annotations_are_not_evaluated() -> None:
    """Every module with code postpones its annotations, so that importing it costs less."""
    lacking = [
        module
        for module, tree in sources().items()
        if any(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) for node in tree.body)
        and not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    ]
    assert lacking == []


def test_the_package_is_typed() -> None:
    """The marker that tells type checkers to read the annotations is there."""
    assert (SOURCE / "py.typed").is_file()
