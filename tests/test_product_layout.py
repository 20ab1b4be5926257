"""Modules of the product are told apart by name, and import each other in one direction."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

from tests.places import REPOSITORY

PACKAGES = ("analysis", "dashboards", "flows")


@cache
def _modules() -> dict[str, ast.Module]:
    """Every module of the product by its dotted name."""
    files = chain.from_iterable((REPOSITORY / package).rglob("*.py") for package in PACKAGES)
    return {_dotted(path): ast.parse(path.read_text("utf-8")) for path in files}


def _dotted(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def _imported(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """What a module imports, also in functions and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                yield member if member in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_no_file_name_is_used_twice() -> None:
    found = defaultdict(list)
    for path in chain.from_iterable((REPOSITORY / package).rglob("*.py") for package in PACKAGES):
        if not path.stem.startswith("__"):
            found[path.stem].append(str(path.relative_to(REPOSITORY)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_no_public_class_name_is_used_twice() -> None:
    found = defaultdict(list)
    for name, tree in _modules().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(name)
    assert {name: modules for name, modules in found.items() if len(modules) > 1} == {}


def test_no_two_modules_import_each_other_however_indirectly() -> None:
    modules = _modules()
    known = set(modules)
    graph = {name: set(_imported(tree, known)) & (known - {name}) for name, tree in modules.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(modules)


def test_modules_and_functions_are_short() -> None:
    long = []
    for name, tree in _modules().items():
        long += [
            f"{name}.{node.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (node.end_lineno or 0) - node.lineno >= 60
        ]
        if tree.body and (tree.body[-1].end_lineno or 0) > 300:
            long.append(name)
    assert long == []


def test_no_error_is_raised_from_itself() -> None:
    """Whoever walks along its causes would never come to an end."""
    raised = [
        (name, node)
        for name, tree in _modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise) and node.exc is not None and node.cause is not None
    ]
    assert len(raised) > 100
    own = {name: node for name, node in raised if _name_of(node.cause) & _name_of(node.exc)}
    assert own == {}


def _name_of(node: ast.expr | None) -> set[str]:
    """The variable that an expression is, or each of them that it may be."""
    if isinstance(node, ast.BoolOp):
        return set().union(*map(_name_of, node.values))
    if isinstance(node, ast.IfExp):
        return _name_of(node.body) | _name_of(node.orelse)
    return {node.id} if isinstance(node, ast.Name) else set()


def test_modules_have_their_test_file_or_one_that_names_them() -> None:
    """95 of 100 at least: tests/flows/x/test_y.py for flows/x/y.py, or an import or a mention."""
    known = {path for path in _modules() if (REPOSITORY / f"{path.replace('.', '/')}.py").exists()}
    texts = [
        path.read_text("utf-8")
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        if path != Path(__file__)
    ]
    named = set(re.findall(r"(?:analysis|dashboards|flows)(?:\.\w+)+", "\n".join(texts)))
    imported = {name for text in texts for name in _imported(ast.parse(text), known)}
    without = [name for name in known - named - imported if not _mirror(name).exists()]
    assert len(without) <= 0.05 * len(known), sorted(without)


def _mirror(name: str) -> Path:
    package, _, stem = name.rpartition(".")
    return REPOSITORY / "tests" / package.replace(".", "/") / f"test_{stem}.py"
