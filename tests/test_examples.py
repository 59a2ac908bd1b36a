"""README and docs: every example runs, in the order of its page, and prints what the page says it prints.

In a page, a ``python`` fence is run, a ``sh`` fence has its ``python -m cardanalysis`` lines run, and a ``text`` fence
is what the fence before it printed, where ``...`` stands for anything. ``invisible-code-block: python`` in a comment
is run but not shown; it can call `fixture(name)`, and finds the exit code of the last command in `exit_code`.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import os
import pkgutil
import re
import shlex
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

import anyio
import pytest
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser

import cardanalysis
from cardanalysis.__main__ import main
from cardanalysis._status import MOVES, RUN_MOVES

pytest_plugins = ["cardanalysis.testing.fixtures"]

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(page for page in DOCS.rglob("*.md") if page.relative_to(DOCS).parts[0][0] not in "_e")]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# --- running a page -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def printing(example: Example) -> Iterator[None]:
    """What is printed inside belongs to the example."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        yield
    example.document.printed = printed.getvalue()


def run_python(example: Example) -> None:
    """Run a block as a notebook's cell, with the page's own line numbers in tracebacks."""
    source = "\n" * (example.line + example.parsed.line_offset) + example.parsed
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, example.path, "exec", flags=flags, dont_inherit=True)
    with printing(example):
        run_code(code, example.namespace)


def run_code(code: CodeType, namespace: dict[str, Any]) -> None:
    async def run() -> None:
        await eval(code, namespace)

    if code.co_flags & inspect.CO_COROUTINE:
        anyio.run(run)
    else:
        exec(code, namespace)


def run_shell(example: Example) -> None:
    """Run the lines that are our command, in this process."""
    with printing(example):
        for line in example.parsed.splitlines():
            if line.startswith("python -m cardanalysis "):
                example.namespace["exit_code"] = run_command(shlex.split(line)[3:])


def run_command(arguments: list[str]) -> object:
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code


def check_printed(example: Example) -> str | None:
    wanted, printed = example.parsed, example.document.printed
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if doctest.OutputChecker().check_output(wanted, printed, flags):
        return None
    return f"The page says that this is printed:\n{wanted}\nbut it is this:\n{printed}"


EVALUATORS = {"python": run_python, "sh": run_shell, "text": check_printed}
PARSERS = [CodeBlockParser(language, evaluator) for language, evaluator in EVALUATORS.items()]
WITH_EXAMPLES = [page for page in PAGES if list(Document.parse(str(page), *PARSERS))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a reader who has the example documents, a terminal and no key."""
    shutil.copytree(DOCS / "examples" / "uploads", tmp_path, dirs_exist_ok=True)
    for name in os.environ:
        if name.startswith("ANTHROPIC_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def office() -> Path:
    """The example documents of Word, PowerPoint and Excel."""
    return DOCS / "examples" / "office"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name_of)
def test_the_examples_of_a_page_run(
    page: Path, anyio_backend: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader who types a page from top to bottom sees what it says, on both event loops."""
    monkeypatch.setattr(anyio, "run", partial(anyio.run, backend=anyio_backend))
    document = Document.parse(str(page), *PARSERS)
    document.namespace.update(__name__="__main__", fixture=request.getfixturevalue)
    if page == README:  # it has no room for hidden blocks
        request.getfixturevalue("fake_messages_api")
    for example in document:
        example.evaluate()


# --- what pages say about the code ----------------------------------------------------------------------------------


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def first_column(page: str) -> list[str]:
    """The code words in the first cells of a page's tables."""
    return re.findall(r"^\| `(\w+)`", text_of(page), re.MULTILINE)


def source_texts() -> Iterator[str]:
    for path in Path(cardanalysis.__file__).parent.rglob("*.py"):
        if "testing" not in path.parts:
            yield path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_name_options_that_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every option of the command that a page names is one that the command has."""
    with contextlib.suppress(SystemExit):
        main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    for line in page.read_text(encoding="utf-8").splitlines():
        command = line.partition("-m cardanalysis ")[2]
        assert set(re.findall(r"(?<=\s)--[a-z-]+", command)) <= known, line


def test_the_reference_documents_every_public_name() -> None:
    """`cardanalysis.__all__` and the directives of the reference name the same."""
    documented = re.findall(r"^\.\. auto\w+:: cardanalysis\.(\w+)$", text_of("reference/api.md"), re.MULTILINE)
    assert sorted(documented) == sorted(cardanalysis.__all__)


@pytest.mark.parametrize("module", ["abc", "analysis", "costs", "loading", "pacing", "runs", "testing"])
def test_the_reference_documents_every_name_of_a_module(module: str) -> None:
    """Each name in the `__all__` of a public module has its directive."""
    name = f"cardanalysis.{module}"
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "reference").glob("*.md"))
    documented = {found.rpartition(".")[2] for found in re.findall(r"^\.\. auto\w+:: ([\w.]+)", pages, re.MULTILINE)}
    assert set(importlib.import_module(name).__all__) <= documented


@pytest.mark.parametrize("moves", [MOVES, RUN_MOVES], ids=["items", "runs"])
def test_the_tables_of_moves_are_those_of_the_code(moves: dict[Any, frozenset[Any]]) -> None:
    """The explanation lists every move between statuses, and no other."""
    ranked = {old: ", ".join(sorted(new, key=list(type(old)).index)) for old, new in moves.items()}
    table = "\n".join(f"| {old} | {new or '(none)'} |" for old, new in ranked.items())
    assert table in text_of("explanation/how-a-run-works.md")


def test_every_error_code_is_explained() -> None:
    """The codes that the source names are those of the tables, and the tables name none that the source has not."""
    explained = first_column("reference/errors.md")
    text = "".join(source_texts())
    raised = set(re.findall(r'\bcode(?:: str)? ?= ?"(\w+)"', text)) | set(re.findall(r'default_code = "(\w+)"', text))
    assert raised - {"error"} <= set(explained)  # that is the root class's own
    assert [code for code in explained if f'"{code}"' not in text] == []
    assert len(explained) == len(set(explained))


def test_links_of_the_readme_lead_somewhere() -> None:
    """Every relative link in the README is a file."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_examples_in_docstrings_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every ``>>>`` in a docstring of the package does what it shows."""
    names = [name for _, name, _ in pkgutil.walk_packages(cardanalysis.__path__, "cardanalysis.")]
    results = [doctest.testmod(importlib.import_module(name)) for name in ["cardanalysis", *names]]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0
