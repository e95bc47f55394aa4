"""Nothing grows past what a reader can hold. The numbers are in CONTRIBUTING.md."""

import ast
from collections.abc import Iterator
from typing import Final

from bank_pipeline_tests.architecture.sources import python_files, relative

FOLDERS: Final = ("bank_pipeline", "bank_pipeline_tests", "benchmarks", "chaos")
FILE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 60
NESTING_MAX: Final = 4
_BLOCKS: Final = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match, ast.AsyncFor)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions() -> Iterator[tuple[str, _Function]]:
    for path in python_files(*FOLDERS):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, _Function):
                yield f"{relative(path)}:{node.lineno} {node.name}", node


def depth(node: ast.AST, *, is_elif: bool = False) -> int:
    """Return how many blocks lie within each other; `elif` is a branch, not a level."""
    own = 1 if isinstance(node, _BLOCKS) and not is_elif else 0
    below = [
        depth(child, is_elif=isinstance(node, ast.If) and node.orelse == [child])
        for child in ast.iter_child_nodes(node)
        if not isinstance(child, _Function | ast.ClassDef)
    ]
    return own + max(below, default=0)


def test_files_stay_small() -> None:
    """A file can be read in one sitting."""
    sizes = {
        relative(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(*FOLDERS)
    }

    assert {name: lines for name, lines in sizes.items() if lines > FILE_LINES_MAX} == {}


def test_functions_stay_small() -> None:
    """A function fits on one screen."""
    sizes = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in functions()}

    assert {name: lines for name, lines in sizes.items() if lines > FUNCTION_LINES_MAX} == {}


def test_functions_stay_flat() -> None:
    """Blocks lie at most four deep."""
    depths = {name: depth(node) for name, node in functions()}

    assert {name: levels for name, levels in depths.items() if levels > NESTING_MAX} == {}
