"""No file is longer than a person reads in one go, no function longer than a screen."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_IN_FILE, MOST_IN_FUNCTION = 300, 40
FILES = sorted(
    path for folder in ("src", "runtime/src") for path in (ROOT / folder).rglob("*.py")
)  # what is shipped; tests and benchmarks are not


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the end, without the docstring: an explanation makes no function harder to follow."""
    assert function.end_lineno is not None
    first, described = function.body[0], ast.get_docstring(function, clean=False) is not None
    docstring = first.end_lineno - first.lineno + 1 if described and first.end_lineno is not None else 0
    return function.end_lineno - function.lineno + 1 - docstring


def functions(source: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(ast.parse(source))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_there_are_files_of_both_distributions() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == {"src", "runtime"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_and_its_functions_are_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MOST_IN_FILE
    assert {each.name: lines_of(each) for each in functions(source) if lines_of(each) > MOST_IN_FUNCTION} == {}


def test_a_docstring_does_not_count_and_all_else_does() -> None:
    source = 'def one(\n    x: int,\n) -> int:\n    """Long\n\n    text."""\n    y = x\n\n    return y\n'
    assert [lines_of(each) for each in functions(source)] == [6]
