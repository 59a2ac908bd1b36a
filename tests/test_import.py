"""Importing is cheap: what is not used is not loaded."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

COSTLY = (
    "anthropic", "cattrs", "pydantic", "httpx2", "sqlite3", "trio", "pytest", "hypothesis", "email", "http", "ssl",
)  # fmt: skip


def loaded_by(code: str, *options: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after some code, beyond those it starts with."""
    wrapped = (
        f"import sys, json; before = set(sys.modules)\n{code}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, *options, "-c", wrapped], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("options", [(), ("-W", "error"), ("-O",), ("-I",), ("-X", "utf8")])
def test_importing_the_package_loads_nothing_else(options: tuple[str, ...]) -> None:
    """The package alone is loaded, without a warning; not one of its modules, and nothing from outside."""
    loaded = loaded_by("import cardanalysis", *options)
    assert {name for name in loaded if name.startswith("cardanalysis")} == {"cardanalysis"}
    assert loaded.isdisjoint(COSTLY)
    assert {"attr", "attrs", "anyio"}.isdisjoint(loaded)


@pytest.mark.parametrize("options", [(), ("-W", "error")])
def test_importing_the_main_names_loads_neither_sdk_nor_converter(options: tuple[str, ...]) -> None:
    """A store, an upload and the main call load neither the SDK nor what only results need."""
    loaded = loaded_by("from cardanalysis import SQLiteStore, Upload, analyze_cards", *options)
    assert {"cardanalysis._analyze", "cardanalysis.stores.sqlite"} <= loaded
    assert loaded.isdisjoint({"anthropic", "cattrs", "pydantic", "httpx2"})
    assert not [name for name in loaded if name.startswith(("cardanalysis.analysis", "cardanalysis.loading"))]


def test_the_version_costs_nothing() -> None:
    """Asking for the version loads the one module that holds it."""
    loaded = loaded_by("import cardanalysis; cardanalysis.__version__")
    assert {name for name in loaded if name.startswith("cardanalysis.")} == {"cardanalysis._version"}


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("from cardanalysis import MemoryStore", {"sqlite3", "anthropic", "cattrs"}),
        ("from cardanalysis import OutlineAnalyzer", {"sqlite3", "anthropic", "cattrs", "pydantic", "httpx2"}),
        ("from cardanalysis import Card, to_dict", {"sqlite3", "anthropic", "cattrs", "anyio"}),
        ("from cardanalysis import Store, Analyzer, Loader", {"sqlite3", "anthropic", "cattrs"}),
        ("import cardanalysis.testing", {"anthropic", "cattrs", "pytest", "hypothesis"}),
        ("import cardanalysis.loading", {"sqlite3", "anthropic", "cattrs"}),
    ],
)
def test_one_part_does_not_load_the_others(code: str, absent: set[str]) -> None:
    """Each part loads what it needs and no more."""
    assert loaded_by(code, "-W", "error").isdisjoint(absent)


def test_the_converter_is_loaded_when_it_is_used() -> None:
    """The first conversion loads cattrs."""
    loaded = loaded_by("import cardanalysis as c; c.to_dict(c.Usage())")
    assert "cattrs" in loaded
    assert "anthropic" not in loaded


def test_the_sdk_is_loaded_when_claude_is_asked_for() -> None:
    """Naming ClaudeAnalyzer loads the SDK, and not the stores."""
    loaded = loaded_by("from cardanalysis import ClaudeAnalyzer")
    assert "anthropic" in loaded
    assert "sqlite3" not in loaded


@pytest.mark.parametrize(
    "module",
    [
        "_errors",
        "_status",
        "_documents",
        "_uploads",
        "_models",
        "abc",
        "_engine",
        "_analyze",
        "_grounding",
        "stores.memory",
    ],
)
def test_any_module_can_be_imported_first(module: str) -> None:
    """No module needs another one to have been imported before it."""
    assert f"cardanalysis.{module}" in loaded_by(f"import cardanalysis.{module}", "-W", "error")
